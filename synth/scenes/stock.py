"""What a recipe may choose from in a catalog: the tables as lookups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ..units import Degrees, Samples
from .recipe import Recipe
from .sets import Kind, chosen_rows
from .sound_list import SoundList, samples_at, sounds_by_class
from .spec import DrySpec, LabelSpec, Point, TrimSpec

if TYPE_CHECKING:
    from pandas import DataFrame

ANGLE_MARGIN: Degrees = 1e-6
"""Positions exactly `min_angle` apart count as too close, whatever rounding says."""


class PlanTables(Protocol):
    """The part of a Catalog that planning reads; the columns are those of `manifests/README.md`."""

    @property
    def events(self) -> DataFrame:
        """Dry target sounds."""

    @property
    def interferers(self) -> DataFrame:
        """Dry sounds of other kinds."""

    @property
    def noises(self) -> DataFrame:
        """Backgrounds."""

    @property
    def places(self) -> DataFrame:
        """SOFA files."""

    @property
    def positions(self) -> DataFrame:
        """Source positions of every place."""

    @property
    def content_hash(self) -> str:
        """Hash of all tables; equal hashes stand for equal tables."""


@dataclass(frozen=True, slots=True)
class Place:
    """One room response file: position n is at `points[n]` metres, in direction `units[n]`."""

    path: str
    points: NDArray[np.float64]
    units: NDArray[np.float64]

    def point(self, position: int) -> Point:
        """Return where a position is, in metres."""
        x, y, z = self.points[position].tolist()
        return x, y, z

    def apart(self, positions: Sequence[int], angle: Degrees) -> list[int]:
        """Return the positions that are further than `angle` from each of the given ones."""
        cosines = self.units @ self.units[list(positions)].T
        angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
        found: list[int] = np.flatnonzero((angles > angle + ANGLE_MARGIN).all(axis=1)).tolist()
        return found

    def has_pair(self, angle: Degrees) -> bool:
        """Tell whether any two positions are further apart than `angle`."""
        return any(self.apart([n], angle) for n in range(len(self.points)))


@dataclass(frozen=True, slots=True)
class Stock:
    """Everything that may be drawn. All sequences are in sorted order, whatever the tables' order.

    Attributes:
        events: Files of each target class; classes in sorted order.
        interferers: Files of each class of interferers.
        noises: (path, samples at the scene rate).
        places: All places.
        wide_places: Those with two positions far enough apart for two events of one class.
        dry, labels, trim: What every scene of the recipe says.
    """

    events: tuple[SoundList, ...]
    interferers: tuple[SoundList, ...]
    noises: tuple[tuple[str, Samples], ...]
    places: tuple[Place, ...]
    wide_places: tuple[Place, ...]
    dry: DrySpec
    labels: LabelSpec
    trim: TrimSpec


def take_stock(recipe: Recipe, tables: PlanTables) -> Stock:
    """Look up what a recipe may choose from: rows of its split, sets and classes."""
    angle = recipe.targets.same_class.min_angle
    places = _places(recipe, tables)
    return Stock(
        events=_sounds(tables.events, recipe, "events", recipe.targets.classes, recipe.events.sets),
        interferers=_sounds(
            tables.interferers,
            recipe,
            "interference",
            recipe.interference.classes,
            recipe.interference.sets,
        ),
        noises=_noises(recipe, tables),
        places=places,
        wide_places=tuple(place for place in places if place.has_pair(angle)) if repeats(recipe) else places,
        dry=DrySpec(**recipe.dry.model_dump()),
        labels=LabelSpec(support=recipe.labels.support, active_db=recipe.labels.active_db),
        trim=TrimSpec(**recipe.rirs.trim.model_dump()),
    )


def repeats(recipe: Recipe) -> bool:
    """Tell whether scenes may have several targets of one class."""
    return recipe.targets.same_class.rate > 0 and recipe.targets.count[1] >= 2


def scene_samples(recipe: Recipe) -> Samples:
    """Return the length of a scene in samples."""
    return round(recipe.scene.duration * recipe.scene.sample_rate)


def longest_event(recipe: Recipe) -> Samples:
    """Return the length in samples above which an event is cut."""
    return min(round(recipe.scene.max_event_duration * recipe.scene.sample_rate), scene_samples(recipe))


def _chosen(table: DataFrame, recipe: Recipe, kind: Kind, sets: Sequence[str] | None) -> NDArray[np.intp]:
    of_split = np.asarray(table["split"].isin(recipe.splits), dtype=bool)
    return np.flatnonzero(of_split & chosen_rows(table, kind, sets))


def _sounds(
    table: DataFrame,
    recipe: Recipe,
    kind: Literal["events", "interference"],
    classes: Sequence[str] | None,
    sets: Sequence[str] | None,
) -> tuple[SoundList, ...]:
    rows = _chosen(table, recipe, kind, sets)
    if classes is not None:
        wanted = np.asarray(table["label"].isin(list(classes)), dtype=bool)
        rows = rows[wanted[rows]]
    return sounds_by_class(table, rows, recipe.scene.sample_rate, recipe.targets.same_class.exclusion_depth)


def _noises(recipe: Recipe, tables: PlanTables) -> tuple[tuple[str, Samples], ...]:
    rows = _chosen(tables.noises, recipe, "noise", recipe.noise.sets)
    frames, rates = (tables.noises[name].to_numpy(np.int64)[rows] for name in ("frames", "rate"))
    samples = samples_at(frames, rates, recipe.scene.sample_rate).tolist()
    return tuple(sorted(zip(tables.noises["path"].array.take(rows), samples, strict=True)))


def _places(recipe: Recipe, tables: PlanTables) -> tuple[Place, ...]:
    import pandas as pd

    table = tables.positions
    codes, paths = pd.factorize(table["path"].array)
    order = np.lexsort((table["position"].to_numpy(np.int64), codes))
    points = np.stack([table[name].to_numpy(np.float64) for name in "xyz"], axis=1)[order]
    ends = np.cumsum(np.bincount(codes, minlength=len(paths)))
    found = dict(zip(map(str, paths), np.split(points, ends[:-1]), strict=True)) if len(paths) else {}
    rows = _chosen(tables.places, recipe, "rirs", recipe.rirs.sets)
    chosen = sorted(tables.places["path"].array.take(rows))
    return tuple(_place(path, found.get(path, np.empty((0, 3)))) for path in chosen)


def _place(path: str, points: NDArray[np.float64]) -> Place:
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    return Place(path, points, points / np.where(lengths > 0, lengths, 1.0))
