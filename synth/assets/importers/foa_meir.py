"""FOA-MEIR (Zenodo 6088574): tetrahedral room responses and noises to W Y Z X at 32 kHz.

Names and formats as its documentation states them: `imp_d[cm]_azi[deg]_ele[deg]_pid[place].bin`, raw
little-endian float64, four interleaved channels at 48 kHz (capsules front-left-up, front-right-down,
back-left-down, back-right-up); noises `BG_pid[place]_ch[1-4].wav`. Azimuth is taken as
counter-clockwise. Resampling keeps the samples' level, for responses and noises alike.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import Problem, SynthError
from ...units import FOA_CHANNELS, Hertz
from ..ambisonics import Convention, Scaling
from ..paths import safe_part
from ..workers import Progress
from .capsule_scaling import resolve_scaling
from .foa_meir_noise import DATASET, MEND, data_files, survey_noises
from .place_jobs import PlaceTask, Source, make_place
from .place_table import position_fault, read_place_notes
from .prepared import Item, Job, Outcome, PreparationReport, Survey, prepare_tree

RATE: Hertz = 48_000
LICENCE = "LicenseRef-NTT-FOA-MEIR-evaluation (no redistribution)"
SETS = {
    "anechoic": "foa-meir-anechoic",
    "reverb-s": "reverb-s",
    "test": "foa-meir-test",
    "echo": "foa-meir-echo",
    "reverb-c": "reverb-c",
}
"""Sub-sets and the named sets that recipes choose their places by."""
RESPONSES = {"anechoic": 216, "reverb-s": 3, "test": 216, "echo": 1, "reverb-c": 216}
"""Responses per environment, as documented."""

_NUMBER = r"([+-]?\d+(?:\.\d+)?)"
_IMPULSE = re.compile(rf"imp_d{_NUMBER}_azi{_NUMBER}_ele{_NUMBER}_pid([0-9A-Za-z]+)\.bin")
_FRAME_BYTES = 8 * FOA_CHANNELS
_MAX_SECONDS = 60
_PLAUSIBLE = 1e6


def prepare_foa_meir(
    root: str | Path,
    out: str | Path,
    *,
    subsets: Sequence[str] | None = None,
    valid_places: Sequence[str] = (),
    split: str = "train",
    scaling: Scaling = "auto",
    noises: bool = True,
    licence: str = LICENCE,
    workers: int = 1,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> PreparationReport:
    """Convert sub-sets of FOA-MEIR: one place per environment, one noise per recording.

    Args:
        root: The folder FOA_MEIR_Dataset, or the one that holds it.
        out: Folder of the prepared tree.
        subsets: Keys of `SETS`; None: all that are there.
        valid_places: Place ids (the text after `pid`) that go to the split valid.
        split: Of all others.
        scaling: Of the A-to-B conversion, see `ambisonics.a_to_b_matrix`; "auto" takes, for rooms
            and noises alike, whichever brings the direct paths to SN3D.
        noises: Whether to convert the noise recordings too.
        licence: Stated for every file.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        progress: Called with (jobs done, jobs in all).

    Raises:
        SynthError: The tree or the options are unusable.
    """
    wanted = _Wanted(tuple(valid_places), split, Convention("tetra", scaling=scaling), licence)
    for subset in subsets or ():
        if subset not in SETS:
            remedy = f"choose from {', '.join(SETS)}"
            raise SynthError(f"FOA-MEIR has no sub-set {subset!r}", where="subsets", remedy=remedy)
    base = _dataset(Path(root))
    survey = Survey()
    about = read_place_notes(base / "placeinfo.csv", survey.notes)
    for subset in _present(base, survey.notes) if subsets is None else subsets:
        _survey_responses(base, subset, wanted, about, survey)
        quiet = subset in ("anechoic", "echo") or (subsets is None and not (base / "Noise" / subset).is_dir())
        if noises and not quiet:
            survey_noises(base, subset, wanted.split_of, wanted.convention, licence, survey)
    survey.jobs = _with_one_scaling(survey)
    options = {
        "subsets": None if subsets is None else list(subsets),
        "valid_places": list(valid_places),
        "split": split,
        "scaling": scaling,
        "noises": noises,
        "licence": licence,
    }
    return prepare_tree(out, DATASET, options, survey, workers=workers, skip_bad=skip_bad, progress=progress)


@dataclass(frozen=True, slots=True)
class _Wanted:
    valid_places: tuple[str, ...]
    split: str
    convention: Convention
    licence: str

    def split_of(self, pid: str) -> str:
        return "valid" if pid in self.valid_places else self.split


@dataclass(frozen=True, slots=True)
class _PlaceFiles:
    place: PlaceTask
    files: tuple[Path, ...]


def _dataset(root: Path) -> Path:
    for base in (root, root / "FOA_MEIR_Dataset"):
        if (base / "IRrecordings").is_dir():
            return base
    raise SynthError(
        "it is no FOA-MEIR: there is no folder IRrecordings",
        where=root,
        remedy="give the folder FOA_MEIR_Dataset (with IRrecordings, Noise and placeinfo.csv)",
    )


def _with_one_scaling(survey: Survey) -> list[Job]:
    """Decide on the scaling for all jobs together: the microphone is the same."""
    places = [job.task for job in survey.jobs if isinstance(job.task, _PlaceFiles)]
    if not places:
        return survey.jobs
    reads = [(partial(read_bin, path), RATE) for place in places for path in place.files]
    convention, note = resolve_scaling(places[0].place.convention, reads)
    survey.notes += [] if note is None else [note]
    jobs = []
    for job in survey.jobs:
        if isinstance(job.task, _PlaceFiles):
            task: object = replace(job.task, place=replace(job.task.place, convention=convention))
        else:
            task = replace(job.task, convention=convention)
        jobs.append(Job(job.make, task))
    return jobs


def _present(base: Path, notes: list[str]) -> list[str]:
    """Sub-sets of which there are responses."""
    absent = [subset for subset in SETS if not (base / "IRrecordings" / subset).is_dir()]
    if absent:
        notes.append(f"sub-set(s) {', '.join(absent)} are not there")
    return [subset for subset in SETS if subset not in absent]


def _survey_responses(
    base: Path, subset: str, wanted: _Wanted, about: dict[str, str], survey: Survey
) -> None:
    folder = base / "IRrecordings" / subset
    places: dict[tuple[str, str], dict[tuple[float, float, float], Path]] = defaultdict(dict)
    for path in data_files(folder, ".bin", survey):
        match = _IMPULSE.fullmatch(path.name)
        if match is None:
            what = "its name is not imp_d[cm]_azi[degrees]_ele[degrees]_pid[place].bin"
            survey.problems.append(Problem(str(path), what, "give it its documented name, or remove it"))
            continue
        below = "-".join((subset, *path.parent.relative_to(folder).parts))
        distance, azimuth, elevation = (float(text) for text in match.groups()[:3])
        position = (azimuth, elevation, distance / 100)
        found = places[below, match[4]]
        fault = position_fault(position, "spherical")
        if position in found:
            fault = f"another file of this place has the same position: {found[position].name}"
        if fault is not None:
            survey.problems.append(Problem(str(path), fault, "correct its name, or remove it"))
            continue
        found[position] = path
        survey.files.append(path)
    for (below, pid), responses in sorted(places.items()):
        if len(responses) != RESPONSES[subset]:
            note = f"{below} pid{pid}: {len(responses)} responses, {RESPONSES[subset]} are documented"
            survey.notes.append(note)
        positions = sorted(responses, key=lambda p: (p[2], p[1], p[0]))
        task = PlaceTask(
            f"room_ir/{wanted.split_of(pid)}/foa-meir_{safe_part(below)}_pid{pid}.sofa",
            np.array(positions),
            "spherical",
            wanted.convention,
            wanted.licence,
            DATASET,
            SETS[subset],
            f"FOA-MEIR {below} place {pid}" + (f": {about[_key(pid)]}" if _key(pid) in about else ""),
        )
        survey.jobs.append(Job(_make_place, _PlaceFiles(task, tuple(responses[p] for p in positions))))


def _key(pid: str) -> str:
    return pid.lstrip("0") or "0"


def _make_place(task: _PlaceFiles, dev_set: Path) -> Outcome:
    outcome, sources, kept = Outcome(), [], []
    for row, path in enumerate(task.files):
        size = path.stat().st_size
        if size == 0 or size % _FRAME_BYTES or size > _MAX_SECONDS * RATE * _FRAME_BYTES:
            what = f"{size:,} bytes are no whole number of frames of 4 float64, or over {_MAX_SECONDS} s"
            outcome.problems.append(Problem(str(path), what, MEND))
            continue
        sources.append(Source(str(path), size // _FRAME_BYTES, RATE, partial(read_bin, path)))
        kept.append(row)
    place = replace(task.place, positions=task.place.positions[kept])
    made = make_place(place, sources, dev_set)
    made.problems = outcome.problems + made.problems
    made.items = [
        Item(i.path, i.licence, i.source, i.set, tuple(Path(o).name for o in i.origin), i.note)
        for i in made.items
    ]
    return made


def read_bin(path: Path) -> NDArray[np.float64]:
    """Read a raw response: `(4, n)` float64 of the four capsules at 48 kHz.

    Raises:
        SynthError: It is cut, or its numbers are none of a recording.
    """
    try:
        data = np.fromfile(path, dtype="<f8")
    except OSError as error:
        raise SynthError(f"it cannot be read: {error.strerror}", where=path, remedy=MEND) from error
    if data.size == 0 or data.nbytes != path.stat().st_size or data.size % FOA_CHANNELS:
        raise SynthError("it is no whole number of frames of 4 float64", where=path, remedy=MEND)
    peak = float(np.abs(data).max())
    if peak > _PLAUSIBLE or 0 < peak < 1 / _PLAUSIBLE**4:
        raise SynthError(
            f"its largest number is {peak:.3g}: these are no little-endian float64 samples",
            where=path,
            remedy="convert the file to little-endian float64",
        )
    return np.ascontiguousarray(data.reshape(-1, FOA_CHANNELS).T)
