"""From responses as somebody recorded them to one SOFA file of W Y Z X at 32 kHz, checked on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import Problem, SynthError
from ...units import FOA_CHANNELS, SCENE_RATE, Audio, Degrees, Hertz, Samples
from ..ambisonics import Convention, convert, unit_vectors
from ..audio import check_samples
from ..paths import target_path
from ..rirs import length_at, taps_at
from ..room_acoustics import angle_between, rir_figures
from ..sofa_writer import write_place_file
from .capsule_scaling import resolve_scaling
from .prepared import Item, Outcome

MAX_DIRECTION_ERROR: Degrees = 20.0
"""Median error of the direct path of a place beyond which its channels or angles must be wrong."""
_DIPOLE_TOLERANCE = 1.5

Kind = Literal["spherical", "cartesian"]


@dataclass(frozen=True, slots=True)
class PlaceTask:
    """What a place is, whatever its responses come from.

    Attributes:
        path: Of the SOFA file to be made, from dev_set.
        positions: `(M, 3)`, as `kind` says: azimuth, elevation, distance, or x, y, z.
        kind: What `positions` are.
        convention: What the channels of the source are.
        licence: Of the place.
        dataset: Where it is from.
        set: Named set.
        title: In words.
        max_direction_error: See `MAX_DIRECTION_ERROR`; None leaves the direction unchecked.
    """

    path: str
    positions: NDArray[np.float64]
    kind: Kind
    convention: Convention
    licence: str
    dataset: str
    set: str
    title: str = ""
    max_direction_error: Degrees | None = MAX_DIRECTION_ERROR


@dataclass(frozen=True, slots=True)
class Source:
    """One response of the source: its name, its length and rate, and how to read `(4, n)` of it."""

    name: str
    frames: Samples
    rate: Hertz
    read: Callable[[], Audio | NDArray[np.float64]]


def make_place(task: PlaceTask, sources: Sequence[Source], dev_set: Path) -> Outcome:
    """Convert one place; bad responses are listed and left out.

    Args:
        task: What it is.
        sources: One response per position.
        dev_set: Where `task.path` starts.
    """
    outcome = Outcome()
    good = [n for n, source in enumerate(sources) if _is_good(source, outcome)]
    if not good:
        outcome.problems.append(
            Problem(task.path, "the place has no usable response", "mend or remove its files")
        )
        return outcome
    task, how = _with_scaling(task, [sources[n] for n in good])
    outcome.notes += how
    length = max(length_at(sources[n].frames, sources[n].rate, SCENE_RATE) for n in good)
    target = target_path(dev_set, task.path)
    checks = _Checks(directions_of(task.positions, task.kind))
    write_place_file(
        target,
        task.positions[good],
        _converted(task, sources, good, checks),
        length,
        kind=task.kind,
        title=task.title,
        licence=task.licence,
        comment=task.convention.describe(),
    )
    fault = checks.fault(task)
    if fault is not None:
        outcome.problems.append(Problem(task.path, fault, "state the channel order and the angles rightly"))
        target.unlink()
        return outcome
    outcome.notes += checks.notes(task)
    origin = tuple(sorted({sources[n].name for n in good}))
    note = f"{task.convention.describe()}; {task.title}".rstrip("; ")
    outcome.items.append(Item(task.path, task.licence, task.dataset, task.set, origin, note))
    return outcome


def _with_scaling(task: PlaceTask, sources: Sequence[Source]) -> tuple[PlaceTask, list[str]]:
    """Measure the scaling of A-format where nobody has said it."""
    convention, how = resolve_scaling(task.convention, [(source.read, source.rate) for source in sources])
    return replace(task, convention=convention), [] if how is None else [f"{task.path}: {how}"]


def directions_of(positions: NDArray[np.float64], kind: Kind) -> NDArray[np.float64]:
    """Unit vectors `(M, 3)` of positions."""
    if kind == "spherical":
        return unit_vectors(positions[:, 0], positions[:, 1])
    sizes = np.linalg.norm(positions, axis=1, keepdims=True)
    return np.asarray(positions / np.where(sizes > 0, sizes, np.nan))


class _Checks:
    """Collects what the direct paths of a place say."""

    def __init__(self, stated: NDArray[np.float64]) -> None:
        self._stated = stated
        self._errors: list[float] = []
        self._dipoles: list[float] = []

    def add(self, row: int, taps: Audio) -> None:
        figures = rir_figures(taps, SCENE_RATE)
        self._errors.append(float(angle_between(figures.direction, self._stated[row])))
        self._dipoles.append(figures.dipole_level)

    def fault(self, task: PlaceTask) -> str | None:
        errors = [e for e in self._errors if np.isfinite(e)]
        limit = task.max_direction_error
        if limit is None or not errors or np.median(errors) <= limit:
            return None
        return (
            f"the direct path comes from elsewhere than stated: median {np.median(errors):.1f} degrees "
            f"over {len(errors)} positions, allowed are {limit:g} (converted as "
            f"{task.convention.describe()})"
        )

    def notes(self, task: PlaceTask) -> list[str]:
        dipoles = [d for d in self._dipoles if np.isfinite(d)]
        asked = task.convention.kind == "tetra" and task.convention.scaling == "sum"
        if not dipoles or asked or abs(float(np.median(dipoles))) <= _DIPOLE_TOLERANCE:
            return []
        return [
            f"{task.path}: Y, Z, X of the direct path are {np.median(dipoles):+.1f} dB against W (median), "
            "0 are expected; is the normalisation stated rightly?"
        ]


def _is_good(source: Source, outcome: Outcome) -> bool:
    try:
        x = source.read()
        if x.shape != (FOA_CHANNELS, source.frames):
            raise SynthError(
                f"it has the shape {x.shape}, expected is ({FOA_CHANNELS}, {source.frames})",
                where=source.name,
                remedy="give four channels",
            )
        check_samples(x.astype(np.float32), source.name)
    except SynthError as error:
        outcome.problems.append(Problem(error.where or source.name, error.what, error.remedy))
        return False
    return True


def _converted(
    task: PlaceTask, sources: Sequence[Source], good: Sequence[int], checks: _Checks
) -> Iterator[Audio]:
    matrix = task.convention.matrix()
    for n in good:
        taps = taps_at(convert(sources[n].read(), matrix), sources[n].rate, SCENE_RATE)
        checks.add(n, taps)
        yield taps
