"""From one dry recording to curated mono files at the scene rate."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from ...units import Audio, Hertz
from ..audio import check_samples, probe, read_frames, to_int16
from ..paths import target_path
from .curation import Curation, curate
from .prepared import Item, Outcome

_FULL = 32_767 / 32_768


@dataclass(frozen=True, slots=True)
class DryTask:
    """A recording and what becomes of it.

    Attributes:
        file: The recording.
        target: From dev_set, with its ending; pieces of a split recording lie in a folder of that
            name, so that they share their source identity.
        rules: Of the curation.
        licence: Of the recording.
        dataset: Where it is from.
        set: Named set.
        origin: Its name in the source.
    """

    file: Path
    target: str
    rules: Curation
    licence: str
    dataset: str
    set: str
    origin: str


def make_dry(task: DryTask, dev_set: Path) -> Outcome:
    """Curate one recording; a recording of which nothing is kept is counted, not refused."""
    info = probe(task.file)
    x = read_frames(task.file)
    if not np.isfinite(x).all():
        check_samples(x, task.file)
    curated = curate(x, info.rate, task.rules)
    outcome = Outcome()
    if not curated.pieces:
        outcome.left_out.update([curated.dropped[0] if curated.dropped else "quiet throughout"])
    target = PurePosixPath(task.target)
    for n, (start, piece) in enumerate(curated.pieces):
        split = target.with_suffix("") / f"{target.stem}_split{n}.wav"
        path = str(split if len(curated.pieces) > 1 else target.with_suffix(".wav"))
        note = _write(target_path(dev_set, path), piece, task.rules.rate)
        if len(curated.pieces) > 1:
            note = f"from {start / task.rules.rate:.1f} s on; {note}"
        outcome.items.append(
            Item(path, task.licence, task.dataset, task.set, (task.origin,), note.rstrip("; "))
        )
    return outcome


def _write(path: Path, x: Audio, rate: Hertz) -> str:
    """Write 16-bit WAV; what resampling drove over full scale is turned down, and said."""
    peak, note = float(np.abs(x).max()), ""
    if peak > _FULL:
        x = x * np.float32(_FULL / peak)
        note = f"turned down by {20 * np.log10(peak / _FULL):.2f} dB to full scale"
    pcm, _ = to_int16(x)
    with path.open("wb") as file, wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(pcm.astype("<i2").tobytes())
    return note
