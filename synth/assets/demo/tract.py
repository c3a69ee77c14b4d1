"""A vocal tract: a glottal source through moving formants, and turbulence at constrictions.

The cascade of resonators is the classical one of D. H. Klatt, Software for a cascade/parallel
formant synthesizer, JASA 67 (1980), with the upper poles of a uniform tube added up to 15 kHz.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from .draws import Draw
from .dsp import RATE, Signal, lowpass, wander

FRAME = 80
"""Samples between two settings of the tract: 2.5 ms at 32 kHz."""


def glottis(
    draw: Draw, pitch: Signal, *, open_share: float = 0.6, jitter: float = 0.01
) -> tuple[Signal, Signal]:
    """Return the derivative of the glottal flow and the share to which the glottis is open.

    Rosenberg's pulse: a raised cosine up, a quarter cosine down, closed for the rest.

    Args:
        draw: Draws jitter.
        pitch: Fundamental in Hz, `(samples,)`.
        open_share: Share of a period during which the glottis is open.
        jitter: Relative random change of pitch.
    """
    unsteady = pitch * (1 + jitter * wander(draw, pitch.size, 40))
    phase = np.cumsum(unsteady) / RATE % 1.0
    up, down = 0.67 * open_share, 0.33 * open_share
    flow = np.where(phase < up, 0.5 - 0.5 * np.cos(np.pi * phase / up), 0.0)
    falling = (phase >= up) & (phase < up + down)
    flow = np.where(falling, np.cos(0.5 * np.pi * (phase - up) / down), flow)
    slope = np.diff(flow, prepend=0.0) * RATE / np.maximum(pitch, 40.0) / 8
    return lowpass(slope, 6_000, 1), flow


def tract(
    source: Signal, formants: NDArray[np.float64], *, scale: float = 1.0, widening: float = 1.0
) -> Signal:
    """Pass a source through a tract whose first formants move.

    Args:
        source: `(samples,)`.
        formants: Formants one to three in Hz, `(frames, 3)`, a frame every `FRAME` samples.
        scale: Formant scale: about 0.9 for a long (large) tract, 1.2 for a child's.
        widening: Factor on all bandwidths; above one for an open glottis or a wide mouth.

    Returns:
        `(samples,)`.
    """
    frames = -(-source.size // FRAME)
    known = formants[np.minimum(np.arange(frames), len(formants) - 1)]
    upper = np.arange(3_500.0, 14_500.0 / scale, 1_000.0)
    f = scale * np.hstack([known, np.broadcast_to(upper, (frames, upper.size))])
    widths = (55 + 0.03 * f) * widening
    c = -np.exp(-2 * np.pi * widths / RATE)
    b = 2 * np.exp(-np.pi * widths / RATE) * np.cos(2 * np.pi * f / RATE)
    sos = np.zeros((frames, f.shape[1], 6))
    sos[..., 0] = 1 - b - c
    sos[..., 3] = 1.0
    sos[..., 4], sos[..., 5] = -b, -c
    out = np.empty(source.size)
    state = np.zeros((f.shape[1], 2))
    for k in range(frames):
        here = slice(k * FRAME, (k + 1) * FRAME)
        out[here], state = signal.sosfilt(sos[k], source[here], zi=state)
        state = _carry(state, sos[k], sos[min(k + 1, frames - 1)])
    return out


def _carry(
    state: NDArray[np.float64], old: NDArray[np.float64], new: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Restate a filter's memory for new coefficients so that its past outputs stay what they were.

    The transposed form keeps products of outputs and coefficients; used with others they would
    click at every frame.
    """
    last = -state[:, 1] / old[:, 5]
    before = -(state[:, 0] + old[:, 4] * last) / old[:, 5]
    return np.stack([-new[:, 4] * last - new[:, 5] * before, -new[:, 5] * last], axis=1)
