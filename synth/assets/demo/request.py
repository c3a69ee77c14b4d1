"""What is to be built: the files of the demo, one by one, and how each is made."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import SynthError
from ...units import Seconds
from .backgrounds import background
from .kinds import EVENTS, INTERFERERS, file_name, sound
from .places import PLACES
from .rooms import place_responses
from .sofa_file import write_place
from .wav import write_wav

TRAIN_SHARE = {"train": 1.0, "valid": 0.4}
"""Files per class in a split, as a share of those in train."""


@dataclass(frozen=True, slots=True)
class Request:
    """How much of the demo is built; the defaults are all of it.

    Attributes:
        classes: Labels of events and interferers; None for all.
        files_per_class: Files per class in train; valid has 0.4 times as many, at least one.
        noises: Backgrounds in train; valid has half as many.
        noise_s: Their length in seconds.
        places: Names of places; None for all.
        positions: Positions per place; None for all.
    """

    classes: tuple[str, ...] | None = None
    files_per_class: int = 10
    noises: int = 6
    noise_s: Seconds = 30.0
    places: tuple[str, ...] | None = None
    positions: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the request as plain data."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Task:
    """One file: its path in the tree, what it is, and what it is made from."""

    path: str
    what: str
    name: str
    split: str
    number: int
    amount: float | None = None


def tasks(request: Request) -> list[Task]:
    """Return every file of a request, the long jobs first.

    Raises:
        SynthError: A class or place has an unknown name.
    """
    _check("class", request.classes, [kind.label for kind in EVENTS + INTERFERERS])
    _check("place", request.places, [place.name for place in PLACES])
    return [*_places(request), *_noises(request), *_sounds(request)]


def make(root: Path, task: Task) -> None:
    """Make one file under `root` and sync it."""
    path = root / task.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if task.what == "room_ir":
        place = next(place for place in PLACES if place.name == task.name)
        rows = None if task.amount is None else int(task.amount)
        write_place(path, place, *place_responses(place, rows))
    elif task.what == "noise":
        write_wav(path, background(task.split, task.number, task.amount or 30.0))
    else:
        kind = next(kind for kind in EVENTS + INTERFERERS if kind.label == task.name)
        write_wav(path, sound(kind, task.split, task.number))
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _places(request: Request) -> Iterator[Task]:
    amount = None if request.positions is None else float(request.positions)
    for place in sorted(PLACES, key=lambda p: -len(p.rings) * p.taps_s):
        if request.places is None or place.name in request.places:
            path = f"dev_set/room_ir/{place.split}/{place.name}.sofa"
            yield Task(path, "room_ir", place.name, place.split, 0, amount)


def _noises(request: Request) -> Iterator[Task]:
    for split, count in (("train", request.noises), ("valid", (request.noises + 1) // 2)):
        for number in range(count):
            path = f"dev_set/noise/{split}/synthetic_noise_{split}_{number:02d}.wav"
            yield Task(path, "noise", "noise", split, number, request.noise_s)


def _sounds(request: Request) -> Iterator[Task]:
    for what, kinds in (("sound_event", EVENTS), ("interference", INTERFERERS)):
        for kind in kinds:
            if request.classes is not None and kind.label not in request.classes:
                continue
            for split, share in TRAIN_SHARE.items():
                for number in range(max(1, round(share * request.files_per_class))):
                    path = f"dev_set/{what}/{split}/{kind.label}/{file_name(kind, split, number)}"
                    yield Task(path, what, kind.label, split, number)


def _check(noun: str, asked: Sequence[str] | None, known: Sequence[str]) -> None:
    unknown = sorted(set(asked or ()) - set(known))
    if unknown:
        raise SynthError(
            f"the demo has no {noun} {', '.join(unknown)}",
            where="s5kit demo",
            remedy=f"choose from {', '.join(known)}",
        )
