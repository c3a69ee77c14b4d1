"""A catalog on paper: the tables that planning reads, without any sound behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from synth.scenes.plan import plan
from synth.scenes.recipe import Recipe
from synth.scenes.spec import EventSpec, SceneSpec

RATE = 32_000


@dataclass(frozen=True)
class Tables:
    """Stands in for a Catalog where only its tables matter."""

    events: pd.DataFrame
    interferers: pd.DataFrame
    noises: pd.DataFrame
    places: pd.DataFrame
    positions: pd.DataFrame

    @cached_property
    def content_hash(self) -> str:
        frames = (self.events, self.interferers, self.noises, self.places, self.positions)
        text = "".join(frame.to_csv(index=False) for frame in frames)
        return hashlib.sha256(text.encode()).hexdigest()


def sounds(
    kind: str, labels: Sequence[str], files: int, lengths: Sequence[int], split: str, depth: int
) -> Any:
    rows = []
    for label in labels:
        for n in range(files):
            folders = [f"object{n // 2}", f"take{n % 2}"][:depth]
            path = "/".join([kind, split, label, *folders, f"{n:03}.wav"])
            source = "/".join(folders) if folders else f"{n:03}"
            length = lengths[n % len(lengths)]
            rows.append((path, label, split, f"{label}/{source}", depth, "dev", RATE, length, length))
    columns = ["path", "label", "split", "source", "depth", "set", "rate", "frames", "samples"]
    return pd.DataFrame(rows, columns=columns)


def tables(
    *,
    classes: int = 18,
    files: int = 6,
    lengths: Sequence[int] = (32_000, 64_001, 400_000),
    depth: int = 1,
    interferers: int = 5,
    noises: Sequence[int] = (30 * RATE + 16_000, 5 * RATE),
    azimuths: Sequence[float] = tuple(range(0, 360, 20)),
    places: int = 3,
    split: str = "train",
) -> Tables:
    """Make tables of one split; positions are on a ring of 1.5 m at each of the azimuths."""
    rings = []
    for n in range(places):
        path = f"room_ir/{split}/room{n}.sofa"
        for row, azimuth in enumerate(azimuths):
            x, y = 1.5 * np.cos(np.radians(azimuth)), 1.5 * np.sin(np.radians(azimuth))
            rings.append((path, row, float(x), float(y), 0.1 * n))
    noise = [
        (f"noise/{split}/n{n}.wav", split, "dev", RATE, length, length) for n, length in enumerate(noises)
    ]
    rooms = [(f"room_ir/{split}/room{n}.sofa", f"room{n}", split, "dev") for n in range(places)]
    names = [f"Class{n:02}" for n in range(classes)]
    others = [f"Other{n}" for n in range(interferers)]
    return Tables(
        events=sounds("sound_event", names, files, lengths, split, depth),
        interferers=sounds("interference", others, files, lengths, split, 0),
        noises=pd.DataFrame(noise, columns=["path", "split", "set", "rate", "frames", "samples"]),
        places=pd.DataFrame(rooms, columns=["path", "place", "split", "set"]),
        positions=pd.DataFrame(rings, columns=["path", "position", "x", "y", "z"]),
    )


def scenes(recipe: Recipe, catalog: Tables, count: int = 2000, seed: int = 0) -> list[SceneSpec]:
    return [plan(recipe, catalog, seed, index) for index in range(count)]


def angle(a: EventSpec, b: EventSpec) -> float:
    """Great-circle angle by the haversine formula on azimuth and elevation."""
    u, v = (np.array(e.xyz) for e in (a, b))
    az = np.arctan2(u[1], u[0]) - np.arctan2(v[1], v[0])
    el = [np.arcsin(x[2] / np.sqrt((x**2).sum())) for x in (u, v)]
    h = np.sin((el[0] - el[1]) / 2) ** 2 + np.cos(el[0]) * np.cos(el[1]) * np.sin(az / 2) ** 2
    return float(np.degrees(2 * np.arcsin(np.sqrt(h))))
