"""Shorter RIRs, when a recipe asks for them: at a length, or where decay meets noise."""

from __future__ import annotations

import numpy as np

from ..assets.rirs import Rir, make_rir
from ..scenes.spec import TrimSpec
from ..units import Audio

_FRAME_MS = 10
_MARGIN_DB = 3.0
_TAIL_SHARE = 0.1
_FADE_MS = 5


def trim_rir(rir: Rir, rate: int, trim: TrimSpec) -> Rir:
    """Return a RIR cut as the spec says, with a 5 ms fade at the cut; the same one if nothing is cut."""
    taps = rir.taps.shape[1]
    keep = taps
    if trim.seconds is not None:
        keep = min(keep, max(int(trim.seconds * rate), 1))
    if trim.at_noise_floor:
        keep = min(keep, noise_floor_tap(rir.taps, rate))
    if keep == taps:
        return rir
    kept = np.array(rir.taps[:, :keep])
    fade = min(_FADE_MS * rate // 1000, keep - 1)
    if fade > 0:
        kept[:, keep - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return make_rir(kept)


def noise_floor_tap(taps: Audio, rate: int) -> int:
    """Return where a RIR's decay meets its noise floor.

    The level of 10 ms frames (all channels) is compared with the mean of the last tenth of the
    RIR, 3 dB above which the last frame of the decay lies (first step of Lundeby et al. 1995).

    Args:
        taps: (C, L).
        rate: Sampling rate in Hz.

    Returns:
        Number of taps to keep, 1 .. L.
    """
    length = len(taps[0])
    frame = max(_FRAME_MS * rate // 1000, 1)
    count = length // frame
    if count < 20:
        return length
    power = np.square(taps[:, : count * frame], dtype=np.float64).sum(axis=0)
    power = power.reshape(count, frame).mean(axis=1)
    floor = power[-max(int(count * _TAIL_SHARE), 1) :].mean()
    peak = int(np.argmax(power))
    below = np.flatnonzero(power[peak:] <= floor * 10 ** (_MARGIN_DB / 10))
    return length if len(below) == 0 else min((peak + int(below[0]) + 1) * frame, length)
