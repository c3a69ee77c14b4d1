"""Audio fingerprints: pairs of spectral peaks, for finding one recording inside another.

The method of A. Wang, "An industrial-strength audio search algorithm" (ISMIR 2003): a recording
is known by the distances between its strongest spectral peaks. Level, sampling rate, lossy coding,
a cut at either end and some added noise change few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..units import Audio, Hertz
from .audio import decode_whole

RATE: Hertz = 16_000
_WINDOW = 1024
_HOP = 256
_PEAKS_PER_SECOND = 25
_SPREAD = (15, 7)
"""A peak is the loudest of so many bins and frames on each side."""
_FLOOR_DB = 45.0
_PARTNERS = 6
_REACH = 96
_MAX_SECONDS = 120
_RARE = 200
"""A pair that more sounds than this share tells nothing."""

MIN_COMMON = 6
MIN_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Pairs of peaks of one sound: what they look like, and when.

    Attributes:
        codes: Bins of both peaks and frames between them, (pairs,).
        frames: When the first peak is, (pairs,).
    """

    codes: NDArray[np.int64]
    frames: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Match:
    """Two sounds that share a recording: their numbers, and the share of common pairs."""

    first: int
    second: int
    share: float


def fingerprint_file(path: Path) -> Fingerprint:
    """Return the fingerprint of a file; channels are averaged.

    Raises:
        SynthError: The file is bad.
    """
    return fingerprint(decode_whole(path, RATE, mono=True)[0])


def fingerprint(x: Audio) -> Fingerprint:
    """Return the fingerprint of a sound, `(samples,)` at `RATE`."""
    from scipy.ndimage import maximum_filter
    from scipy.signal import stft

    x = x[: _MAX_SECONDS * RATE]
    if x.size < _WINDOW:
        x = np.pad(x, (0, _WINDOW - x.size))
    spectrum = stft(x, nperseg=_WINDOW, noverlap=_WINDOW - _HOP, padded=False)[2]
    level = 20 * np.log10(np.abs(spectrum) + 1e-12).astype(np.float32)
    size = tuple(2 * n + 1 for n in _SPREAD)
    peaks = (level == maximum_filter(level, size=size)) & (level > level.max() - _FLOOR_DB)
    bins, frames = np.nonzero(peaks)
    strongest = np.argsort(-level[bins, frames], kind="stable")
    kept = strongest[: max(_PEAKS_PER_SECOND, int(_PEAKS_PER_SECOND * x.size / RATE))]
    return _pairs(bins[kept], frames[kept])


def find_matches(prints: Sequence[Fingerprint]) -> list[Match]:
    """Find sounds that share a recording; every sound is compared with all others at once."""
    sizes = np.array([len(p.codes) for p in prints], dtype=np.int64)
    if not sizes.sum():
        return []
    codes = np.concatenate([p.codes for p in prints])
    frames = np.concatenate([p.frames for p in prints])
    owners = np.repeat(np.arange(len(prints)), sizes)
    order = np.argsort(codes, kind="stable")
    codes, frames, owners = codes[order], frames[order], owners[order]
    bounds = np.flatnonzero(np.diff(codes, prepend=codes[0] - 1, append=codes[-1] + 1))
    votes: dict[tuple[int, int], list[int]] = {}
    for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        if 2 <= end - start <= _RARE:
            _vote(votes, owners[start:end].tolist(), frames[start:end].tolist())
    matches = []
    for (a, b), offsets in sorted(votes.items()):
        common = _at_one_offset(offsets)
        share = common / min(sizes[a], sizes[b])
        if common >= MIN_COMMON and share >= MIN_SHARE:
            matches.append(Match(a, b, round(min(float(share), 1.0), 3)))
    return matches


def _pairs(bins: NDArray[np.intp], frames: NDArray[np.intp]) -> Fingerprint:
    """Pair every peak with the next few in time."""
    order = np.lexsort((bins, frames))
    bins, frames = bins[order].astype(np.int64), frames[order].astype(np.int64)
    codes: list[NDArray[np.int64]] = []
    times: list[NDArray[np.int64]] = []
    for step in range(1, _PARTNERS + 1):
        gap = frames[step:] - frames[:-step]
        near = (gap > 0) & (gap < _REACH)
        # Bins and gaps are halved: a sound that starts between two frames shifts them by one.
        code = (bins[:-step] // 2 << 20) | (bins[step:] // 2 << 8) | gap // 2
        codes.append(code[near])
        times.append(frames[:-step][near])
    if not codes:
        return Fingerprint(np.empty(0, np.int64), np.empty(0, np.int64))
    return Fingerprint(np.concatenate(codes), np.concatenate(times))


def _vote(votes: dict[tuple[int, int], list[int]], owners: list[int], frames: list[int]) -> None:
    for n, (a, t) in enumerate(zip(owners, frames, strict=True)):
        for b, u in zip(owners[n + 1 :], frames[n + 1 :], strict=True):
            if a != b:
                pair, offset = ((a, b), u - t) if a < b else ((b, a), t - u)
                votes.setdefault(pair, []).append(offset)


def _at_one_offset(offsets: list[int]) -> int:
    """Return how many agree on one offset, give or take a frame."""
    if len(offsets) < MIN_COMMON:
        return 0
    counts = np.bincount(np.array(offsets) - min(offsets))
    return int(np.convolve(counts, np.ones(3, np.int64)).max())
