"""Rooms from SOFA files of many conventions to W Y Z X in SN3D at 32 kHz, one place per listener.

Read: GeneralFIR, SingleRoomSRIR (Data.IR `M R N`), AmbisonicsDRIR and GeneralFIRE (`M R E N`),
GeneralFIR-E and SingleRoomMIMOSRIR (`M R N E`). Positions become relative to the listener and to where
it looks, as AES69 defines them. Channel order and normalisation are what the file states (Data.IR
attributes ChannelOrdering and Normalization) or the caller says; they are never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import Problem, SynthError
from ..ambisonics import Convention
from ..paths import inside, safe_part
from ..workers import Progress
from .place_jobs import MAX_DIRECTION_ERROR, PlaceTask, Source, make_place
from .prepared import Job, Outcome, PreparationReport, Survey, prepare_tree
from .sofa_header import Header, Stated, read_header, stated_convention


@dataclass(frozen=True, slots=True)
class RoomOptions:
    """How rooms of strangers are read; None leaves it to the file.

    Attributes:
        kind: "foa" or "tetra" (A-format).
        order: "acn", "fuma" or "sid".
        normalisation: "sn3d", "n3d", "fuma" or "maxn".
        scaling: Of the A-to-B conversion, see `ambisonics.a_to_b_matrix`.
        relative: SOFA only: source positions are relative to the listener already.
        split: train, valid or test.
        valid_places: Names of places that go to the split valid.
        dataset: Name of the collection.
        set: Named set; None: `dataset`.
        licence: None: what the file states.
        max_direction_error: Degrees; see `place_jobs.MAX_DIRECTION_ERROR`; None: unchecked.
    """

    kind: str | None = None
    order: str | None = None
    normalisation: str | None = None
    scaling: str = "auto"
    relative: bool = False
    split: str = "train"
    valid_places: tuple[str, ...] = ()
    dataset: str = "rooms"
    set: str | None = None
    licence: str | None = None
    max_direction_error: float | None = MAX_DIRECTION_ERROR

    def __post_init__(self) -> None:
        Convention(
            self.kind or "foa",  # type: ignore[arg-type]
            self.order or "acn",  # type: ignore[arg-type]
            self.normalisation or "sn3d",  # type: ignore[arg-type]
            scaling=self.scaling,  # type: ignore[arg-type]
        )
        if self.split not in ("train", "valid", "test"):
            raise SynthError(
                f"there is no split {self.split!r}", where="split", remedy="choose train, valid or test"
            )

    def split_of(self, place: str) -> str:
        """The split of a place by its name."""
        return "valid" if place in self.valid_places else self.split

    def as_json(self) -> dict[str, object]:
        """What was asked, for the marker of the tree."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "valid_places": list(self.valid_places)
        }

    def stated(self) -> Stated:
        """What the caller says about the channels."""
        return Stated(self.kind, self.order, self.normalisation, self.scaling)


def prepare_sofa(
    root: str | Path,
    out: str | Path,
    options: RoomOptions | None = None,
    *,
    workers: int = 1,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> PreparationReport:
    """Convert SOFA files.

    Args:
        root: A file, or a folder of them.
        out: Folder of the prepared tree.
        options: How to read them.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        progress: Called with (files done, files in all).

    Raises:
        SynthError: There is no SOFA file, or an option is wrong.
    """
    options = options or RoomOptions(dataset="sofa")
    survey = Survey()
    for path, name in room_files(Path(root), ".sofa"):
        survey.files.append(path)
        survey.jobs.append(Job(_convert, _SofaTask(path, name, options)))
    return prepare_tree(
        out, "sofa", options.as_json(), survey, workers=workers, skip_bad=skip_bad, progress=progress
    )


def room_files(root: Path, suffix: str) -> list[tuple[Path, str]]:
    """Files of rooms under a folder (or one file), and a name for each that no other has.

    Raises:
        SynthError: There is none, or a link leads out of the folder.
    """
    if root.is_file():
        return [(root, safe_part(root.stem))]
    found = sorted(p for p in root.rglob(f"*{suffix}") if p.is_file() and not p.name.startswith("."))
    if not found:
        raise SynthError(
            f"there is no {suffix} file in it", where=root, remedy="give a file or a folder of them"
        )
    found = [inside(root, p.relative_to(root).as_posix()) for p in found]
    names = ["_".join(map(safe_part, p.relative_to(root).with_suffix("").parts)) for p in found]
    return list(zip(found, names, strict=True))


@dataclass(frozen=True, slots=True)
class _SofaTask:
    path: Path
    name: str
    options: RoomOptions


def _convert(task: _SofaTask, dev_set: Path) -> Outcome:
    header = read_header(task.path)
    convention, notes = stated_convention(header, task.options.stated())
    outcome = Outcome(notes=[f"{task.path.name}: {note}" for note in (*header.notes, *notes)])
    groups = _listeners(header)
    licence = task.options.licence or header.licence or "unknown"
    for n, rows in enumerate(groups):
        name = task.name if len(groups) == 1 else f"{task.name}_listener{n}"
        positions = header.positions(task.options.relative)[rows].reshape(-1, 3)
        if not np.all(np.any(positions, axis=1)):
            what = "a source is at the place of the listener: it has no direction"
            outcome.problems.append(
                Problem(str(task.path), what, "correct SourcePosition, or remove the file")
            )
            continue
        place = PlaceTask(
            f"room_ir/{task.options.split_of(name)}/{name}.sofa",
            positions,
            "cartesian",
            convention,
            licence,
            task.options.dataset,
            task.options.set or task.options.dataset,
            header.title,
            task.options.max_direction_error,
        )
        made = make_place(place, _sources(header, rows.tolist()), dev_set)
        outcome.items += made.items
        outcome.problems += made.problems
        outcome.notes += made.notes
    return outcome


def _sources(header: Header, rows: Sequence[int]) -> list[Source]:
    name = str(header.path)
    return [
        Source(name, header.taps, header.rate, partial(header.read, m, e))
        for m in rows
        for e in range(header.emitters)
    ]


def _listeners(header: Header) -> list[NDArray[np.intp]]:
    """Rows of measurements that share a listener, in order of their first."""
    keys = np.round(np.concatenate((header.listeners, header.axes.reshape(-1, 9)), axis=1), 6)
    _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    return [np.flatnonzero(group == n) for n in np.argsort(first)]
