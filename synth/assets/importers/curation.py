"""Which parts of a dry recording are worth keeping: the rules of the task, as one function."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...errors import SynthError
from ...units import SCENE_RATE, Audio, Hertz, Samples, Seconds
from ..audio import resample, samples_at, to_mono


@dataclass(frozen=True, slots=True)
class Curation:
    """The rules.

    Attributes:
        rate: Sampling rate of what is kept, Hz.
        min_amplitude: A piece whose peak is below is dropped, and so quiet counts as quiet.
        min_seconds: A piece shorter than this is dropped.
        quiet_seconds: A window that is quiet throughout and so long splits a recording; 0: never.
        hop_seconds: Windows begin at multiples of this; cuts are made there too.
    """

    rate: Hertz = SCENE_RATE
    min_amplitude: float = 0.02
    min_seconds: Seconds = 0.1
    quiet_seconds: Seconds = 10.0
    hop_seconds: Seconds = 0.1

    def __post_init__(self) -> None:
        if not (self.rate > 0 and 0 <= self.min_amplitude < 1 and self.min_seconds >= 0):
            raise _impossible(self)
        if self.quiet_seconds < 0 or self.hop_seconds <= 0:
            raise _impossible(self)

    def as_json(self) -> dict[str, Any]:
        """The rules as plain data."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Curated:
    """What was kept: pieces `(samples,)` with their starts in samples, and why others were not."""

    pieces: tuple[tuple[Samples, Audio], ...]
    dropped: tuple[str, ...] = ()


def curate(x: Audio, rate: Hertz, rules: Curation | None = None) -> Curated:
    """Average channels, resample, split at long quiet windows, drop what is too quiet or too short.

    A window of `quiet_seconds` is quiet when no sample of it reaches `min_amplitude`. All samples
    that lie in a quiet window go; what is left between them are the pieces. A recording shorter than
    the window is one piece.

    Args:
        x: `(channels, samples)` or `(samples,)` float32 at `rate`.
        rate: In Hz.
        rules: None: those of the task.

    Returns:
        Pieces at `rules.rate`.
    """
    rules = rules or Curation()
    mono = to_mono(np.atleast_2d(x))
    y = resample(mono, rate, rules.rate, samples_at(len(mono), rate, rules.rate))
    pieces, dropped = [], []
    for start, stop in _parts(y, rules):
        part = y[start:stop]
        if len(part) < rules.min_seconds * rules.rate:
            dropped.append(f"shorter than {rules.min_seconds:g} s")
        elif np.abs(part).max(initial=0.0) < rules.min_amplitude:
            dropped.append(f"quieter than {rules.min_amplitude:g}")
        else:
            pieces.append((start, np.ascontiguousarray(part)))
    return Curated(tuple(pieces), tuple(dropped))


def _parts(y: Audio, rules: Curation) -> list[tuple[Samples, Samples]]:
    """Stretches outside all quiet windows."""
    hop = max(1, round(rules.hop_seconds * rules.rate))
    window = round(rules.quiet_seconds / rules.hop_seconds)
    if window == 0 or len(y) < window * hop:
        return [(0, len(y))]
    padded = np.pad(np.abs(y), (0, -len(y) % hop))
    quiet = padded.reshape(-1, hop).max(axis=1) < rules.min_amplitude
    count = np.cumsum(np.concatenate(([0], quiet)))
    first = np.flatnonzero(count[window:] - count[:-window] == window)
    gone = np.zeros(len(quiet) + 1, dtype=np.int64)
    np.add.at(gone, first, 1)
    np.add.at(gone, first + window, -1)
    kept = np.concatenate(([False], np.cumsum(gone[:-1]) == 0, [False]))
    edges = np.flatnonzero(np.diff(kept)) * hop
    return [(int(a), min(int(b), len(y))) for a, b in edges.reshape(-1, 2)]


def _impossible(rules: Curation) -> SynthError:
    return SynthError(
        f"these rules make no sense: {rules}",
        where="curation",
        remedy="give a rate and a hop above 0, an amplitude from 0 to 1, times of 0 or more",
    )
