"""Diffuse noise in first-order Ambisonics: several colours, moving slowly, from all sides alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...units import Seconds
from .draws import Draw, draws
from .dsp import clock, length, noise, wander

COLOURS = ("room", "ventilation", "traffic", "crowd", "hiss", "fridge")
"""Kinds of background; file `n` of a split has the colour `n` modulo six, with drawn numbers."""


def background(split: str, number: int, seconds: Seconds = 30.0) -> NDArray[np.float64]:
    """Return one background: `(4, samples)` at 32 kHz, W Y Z X in SN3D, W at -26 dB RMS.

    An ideal diffuse field: channels are uncorrelated, and Y, Z, X have a third of W's power.
    """
    draw = draws("background", split, number)
    n = length(seconds)
    colour = COLOURS[number % len(COLOURS)]
    low, high, tilt, depth, rate = _shape(colour, draw)
    field = np.stack([noise(draw, n, low, high, tilt) for _ in range(4)])
    if colour in ("ventilation", "fridge"):
        for _ in range(int(draw.integers(1, 4))):
            centre = draw.uniform(90, 900)
            field += draw.uniform(0.2, 0.6) * np.stack(
                [noise(draw, n, 0.8 * centre, 1.2 * centre) for _ in range(4)]
            )
    if colour == "fridge":
        field += _hum(draw, n)
    field *= np.exp(depth * np.clip(wander(draw, n, rate), -2, 2))
    field[1:] *= np.sqrt(1 / 3)
    field *= 0.05 / np.sqrt(np.mean(field[0] ** 2))
    fade = np.minimum(1.0, np.minimum(clock(n), clock(n)[::-1]) / 0.01)
    return np.asarray(field * fade)


def _shape(colour: str, draw: Draw) -> tuple[float, float, float, float, float]:
    """Lower and upper corner (Hz), tilt (dB per octave), depth and rate (Hz) of its movement."""
    ranges = {
        "room": ((30, 60), (9_000, 15_000), (4.0, 6.5), (0.02, 0.08), (0.3, 0.8)),
        "ventilation": ((60, 150), (2_000, 6_000), (2.5, 4.5), (0.02, 0.06), (0.3, 1.0)),
        "traffic": ((25, 45), (900, 2_500), (4.5, 7.0), (0.2, 0.45), (0.15, 0.4)),
        "crowd": ((180, 260), (3_500, 5_500), (2.5, 4.0), (0.15, 0.3), (3.0, 5.0)),
        "hiss": ((200, 600), (12_000, 16_000), (0.0, 1.5), (0.0, 0.04), (0.3, 1.0)),
        "fridge": ((40, 80), (600, 1_800), (3.0, 5.0), (0.02, 0.08), (0.5, 1.5)),
    }
    low, high, tilt, depth, rate = (float(draw.uniform(*bounds)) for bounds in ranges[colour])
    return low, high, tilt, depth, rate


def _hum(draw: Draw, n: int) -> NDArray[np.float64]:
    """Mains harmonics that reach the microphone by many ways: another phase in every channel."""
    mains = 50.0 if draw.uniform() < 0.5 else 60.0
    out = np.zeros((4, n))
    for harmonic in (1, 2, 3, 4, 6):
        phase = draw.uniform(0, 2 * np.pi, (4, 1))
        turns = 2 * np.pi * harmonic * mains * clock(n)
        out += draw.uniform(0.1, 0.5) / harmonic * np.sin(turns + phase)
    return out
