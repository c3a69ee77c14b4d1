"""How much of a scene's sounding time is shared by two sources or more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FRAME = 0.010
_RANGE_DB = 30.0


def overlap_of_events(events: Sequence[tuple[float, float, int]]) -> float:
    """Return the share, 0 to 1, of the time with at least one source in which there are two or more.

    Args:
        events: Onset [s], offset [s], and which source it is.
    """
    edges = sorted({time for onset, offset, _ in events for time in (onset, offset)})
    alone = shared = 0.0
    for begin, end in pairwise(edges):
        sources = {source for onset, offset, source in events if onset <= begin and end <= offset}
        alone += (end - begin) * (len(sources) == 1)
        shared += (end - begin) * (len(sources) > 1)
    return shared / (alone + shared) if alone + shared else 0.0


def overlap_of_signals(signals: Sequence[NDArray[Any]], rate: int) -> float:
    """Return the same share of sources ``(samples,)``.

    A source sounds in those frames of 10 ms whose power is within 30 dB of the loudest of its frames.
    """
    if not signals:
        return 0.0
    active = np.sum([_active(signal, round(rate * _FRAME)) for signal in signals], axis=0)
    return float((active > 1).sum() / max((active > 0).sum(), 1))


def _active(signal: NDArray[Any], frame: int) -> NDArray[np.int64]:
    whole = np.asarray(signal[: len(signal) // frame * frame], dtype=np.float64).reshape(-1, frame)
    power = np.einsum("tf,tf->t", whole, whole)
    loudest = power.max(initial=0.0)
    heard: NDArray[np.int64] = ((power >= loudest * 10 ** (-_RANGE_DB / 10)) & (power > 0)).astype(np.int64)
    return heard
