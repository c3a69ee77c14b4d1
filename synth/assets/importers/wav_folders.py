"""Rooms from folders of WAV files (or FLAC, ...) with a table of positions beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import Problem, SynthError
from ...units import FOA_CHANNELS
from ..ambisonics import Convention
from ..audio import probe, read_frames
from ..paths import inside, safe_part
from ..workers import Progress
from .place_jobs import PlaceTask, Source, make_place
from .place_table import PositionRow, read_positions
from .prepared import Job, Outcome, PreparationReport, Survey, prepare_tree
from .sofa_rooms import RoomOptions

TABLE = "positions.csv"


def prepare_wav(
    root: str | Path,
    out: str | Path,
    options: RoomOptions | None = None,
    *,
    table: str | Path | None = None,
    workers: int = 1,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> PreparationReport:
    """Convert responses kept one per sound file, four channels each.

    Args:
        root: Where the files of the table start.
        out: Folder of the prepared tree.
        options: What the channels are; `order` and `normalisation` are needed for `foa`.
        table: See `place_table.read_positions`; None: `positions.csv` in `root`.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        progress: Called with (places done, places in all).

    Raises:
        SynthError: The table or an option is wrong.
    """
    root, options = Path(root), options or RoomOptions(dataset="wav")
    path = root / TABLE if table is None else Path(table)
    convention = _convention(options)
    kind, rows = read_positions(path, options.split)
    survey = Survey(files=[path])
    places: dict[tuple[str, str], list[PositionRow]] = defaultdict(list)
    for row in rows:
        split = "valid" if row.place in options.valid_places else row.split
        places[split, row.place].append(row)
    for (split, place), members in sorted(places.items()):
        twice = len({row.position for row in members}) < len(members)
        if twice or len({row.file for row in members}) < len(members):
            what = f"place {place}: a file or a position is listed twice"
            survey.problems.append(Problem(str(path), what, "correct the table"))
        survey.files += [root / row.file for row in members]
        target = f"room_ir/{split}/{safe_part(place)}.sofa"
        task = PlaceTask(
            target,
            np.array([row.position for row in members]),
            kind,
            convention,
            options.licence or "unknown",
            options.dataset,
            options.set or options.dataset,
            place,
            options.max_direction_error,
        )
        survey.jobs.append(Job(_convert, _WavTask(task, root, tuple(row.file for row in members))))
    shared = {place for _, place in places if len({s for s, p in places if p == place}) > 1}
    survey.problems += [
        Problem(str(path), f"place {place} is in more than one split", "give it one split")
        for place in sorted(shared)
    ]
    return prepare_tree(
        out, "wav", options.as_json(), survey, workers=workers, skip_bad=skip_bad, progress=progress
    )


@dataclass(frozen=True, slots=True)
class _WavTask:
    place: PlaceTask
    root: Path
    files: tuple[str, ...]


def _convention(options: RoomOptions) -> Convention:
    kind = options.kind or "foa"
    if kind == "foa" and (options.order is None or options.normalisation is None):
        raise SynthError(
            "sound files state no channel order and no normalisation",
            where="order",
            remedy="say --order acn|fuma|sid and --normalisation sn3d|n3d|fuma|maxn, or --kind tetra",
        )
    return Convention(
        kind,  # type: ignore[arg-type]
        options.order or "acn",  # type: ignore[arg-type]
        options.normalisation or "sn3d",  # type: ignore[arg-type]
        scaling=options.scaling,  # type: ignore[arg-type]
    )


def _convert(task: _WavTask, dev_set: Path) -> Outcome:
    problems: list[Problem] = []
    sources, kept = _sources(task, problems)
    place = replace(task.place, positions=task.place.positions[kept])
    made = make_place(place, sources, dev_set)
    made.problems = problems + made.problems
    return made


def _sources(task: _WavTask, problems: list[Problem]) -> tuple[list[Source], Sequence[int]]:
    sources, kept = [], []
    for row, name in enumerate(task.files):
        try:
            path = inside(task.root, name)
            info = probe(path)
            if info.channels != FOA_CHANNELS:
                raise SynthError(
                    f"it has {info.channels} channel(s), expected are {FOA_CHANNELS}",
                    where=path,
                    remedy="give first-order Ambisonics or A-format",
                )
        except SynthError as error:
            problems.append(Problem(error.where or name, error.what, error.remedy))
            continue
        sources.append(Source(str(path), info.frames, info.rate, partial(read_frames, path)))
        kept.append(row)
    return sources, kept
