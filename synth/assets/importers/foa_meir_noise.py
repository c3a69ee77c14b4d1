"""The noise recordings of FOA-MEIR: `BG_pid[place]_ch[1-4].wav`, one mono file per capsule."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import Problem, SynthError
from ...units import FOA_CHANNELS, SCENE_RATE, Audio
from ..ambisonics import Convention
from ..audio import check_samples, probe, read_frames, resample, samples_at, write_wav_float
from ..paths import inside, target_path
from .prepared import Item, Job, Outcome, Survey

DATASET = "foa-meir"
NOISE_SET = "foa-meir-extra"
"""Named set of every noise recording."""
MEND = "fetch or unpack it again, or remove it"

_NOISE = re.compile(
    r"BG(?:_(?P<before>[a-z]+))?_pid(?P<pid>[0-9A-Za-z]+)(?:_(?P<after>[a-z]+))?_ch(?P<ch>[1-4])\.wav"
)
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class _NoiseTask:
    path: str
    channels: tuple[Path, ...]
    convention: Convention
    licence: str


def survey_noises(
    base: Path,
    subset: str,
    split_of: Callable[[str], str],
    convention: Convention,
    licence: str,
    survey: Survey,
) -> None:
    """Add the conversion of every recording of a sub-set to a survey."""
    recordings: dict[tuple[str, str], dict[int, Path]] = defaultdict(dict)
    for path in data_files(base / "Noise" / subset, ".wav", survey):
        match = _NOISE.fullmatch(path.name)
        if match is None:
            what = "its name is not BG_pid[place]_ch[1-4].wav"
            survey.problems.append(Problem(str(path), what, "give it its documented name, or remove it"))
            continue
        channels = recordings[match["pid"], match["before"] or match["after"] or ""]
        number = int(match["ch"])
        if number in channels:
            what = f"{channels[number]} is the same channel of the same recording"
            survey.problems.append(Problem(str(path), what, "remove one of them"))
            continue
        channels[number] = path
        survey.files.append(path)
    for (pid, what_kind), channels in sorted(recordings.items()):
        name = f"foa-meir_{subset}_pid{pid}_BG" + (f"_{what_kind}" if what_kind else "")
        missing = [str(n) for n in range(1, FOA_CHANNELS + 1) if n not in channels]
        if missing:
            what = f"channel(s) {', '.join(missing)} of this recording are missing"
            survey.problems.append(Problem(str(next(iter(channels.values()))), what, "unpack it again"))
            continue
        ordered = tuple(channels[n] for n in sorted(channels))
        target = f"noise/{split_of(pid)}/{name}.wav"
        survey.jobs.append(Job(_make_noise, _NoiseTask(target, ordered, convention, licence)))


def data_files(folder: Path, suffix: str, survey: Survey) -> list[Path]:
    """Files of a sub-set by path; its absence, its emptiness and links out of it are faults."""
    if not folder.is_dir():
        remedy = "unpack this part of the data set, or leave the sub-set out"
        survey.problems.append(Problem(str(folder), "the folder of the sub-set is missing", remedy))
        return []
    found = sorted(p for p in folder.rglob(f"*{suffix}") if p.is_file() and not p.name.startswith("."))
    if not found:
        survey.problems.append(Problem(str(folder), f"there is no {suffix} file in it", "unpack it again"))
    kept = []
    for path in found:
        try:
            kept.append(inside(folder, path.relative_to(folder).as_posix()))
        except SynthError as error:
            survey.problems.append(Problem(str(path), error.what, error.remedy))
    return kept


def _make_noise(task: _NoiseTask, dev_set: Path) -> Outcome:
    """Resample capsule by capsule, then mix: a quarter of an hour needs half a gigabyte."""
    infos = [probe(path) for path in task.channels]
    odd = Counter((info.rate, info.frames) for info in infos)
    if len(odd) > 1 or any(info.channels != 1 for info in infos):
        raise SynthError(
            "its four channel files differ in rate or length, or are not mono",
            where=task.channels[0],
            remedy=MEND,
        )
    rate, frames = infos[0].rate, infos[0].frames
    x: Audio = np.empty((FOA_CHANNELS, samples_at(frames, rate, SCENE_RATE)), np.float32)
    for n, path in enumerate(task.channels):
        channel = read_frames(path)[0]
        check_samples(channel, path)
        x[n] = resample(channel, rate, SCENE_RATE, x.shape[1])
    matrix = task.convention.matrix()
    for start in range(0, x.shape[1], _BLOCK):
        part = x[:, start : start + _BLOCK]
        part[...] = (matrix @ part.astype(np.float64)).astype(np.float32)
    write_wav_float(target_path(dev_set, task.path), x, SCENE_RATE)
    origin = tuple(path.name for path in task.channels)
    note = task.convention.describe()
    return Outcome([Item(task.path, task.licence, DATASET, NOISE_SET, origin, note)])
