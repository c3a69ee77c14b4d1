"""Sound for a browser: stereo from first-order Ambisonics, louder, compressed."""

from __future__ import annotations

import math

import numpy as np

from ..assets.audio import encode_mp3, resample
from ..units import FOA_CHANNELS, Audio, Decibels, Degrees, Hertz

OPENING: Degrees = 60.0
"""Where the two virtual microphones look, to the left and to the right of the front."""
MAX_GAIN: Decibels = 60.0

_PEAK = 0.85
_MP3_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_FALLBACK_RATE: Hertz = 32_000


def to_stereo(x: Audio) -> Audio:
    """Return two channels to listen to, (2, T), or one, (1, T).

    Four channels (W Y Z X, SN3D) become two coincident cardioids that look 60 degrees to the left
    and right: (W + cos(60) X +- sin(60) Y) / 2. A source at the angle a from a microphone's axis is
    heard with (1 + cos a) / 2. Anything else stays as it is, up to its second channel.

    Args:
        x: (channels, T) float32.
    """
    if len(x) != FOA_CHANNELS:
        return x[:2]
    w, y, _, front = x
    angle = math.radians(OPENING)
    middle = 0.5 * (w + np.float32(math.cos(angle)) * front)
    side = np.float32(0.5 * math.sin(angle)) * y
    return np.stack((middle + side, middle - side)).astype(np.float32)


def listening_gain(*peaks: float) -> Decibels:
    """Return by how much the sounds of a scene may be raised together, in dB.

    Args:
        peaks: Largest magnitude of every sound.
    """
    loudest = max(peaks, default=0.0)
    return min(20 * math.log10(_PEAK / loudest), MAX_GAIN) if loudest > 0 else 0.0


def compressed(x: Audio, rate: Hertz, gain: Decibels) -> bytes:
    """Return a sound (channels, T) as MP3: of all compressed formats the one every browser plays.

    Args:
        x: One or two channels.
        rate: Hz; unusual rates are brought to 32 kHz.
        gain: dB.
    """
    if rate not in _MP3_RATES:
        x, rate = resample(x, rate, _FALLBACK_RATE), _FALLBACK_RATE
    return encode_mp3(x * np.float32(10 ** (gain / 20)), rate)
