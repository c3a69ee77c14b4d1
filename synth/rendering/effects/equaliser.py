"""The equaliser: second-order sections as one causal filter of finite length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ...scenes.effect_specs import EqBand
from ...units import Audio, Hertz

_NEGLIGIBLE = 1e-7


@lru_cache(maxsize=64)
def eq_taps(bands: tuple[EqBand, ...], rate: Hertz) -> Audio:
    """Return the impulse response of all bands, `(taps,)` float32.

    It is causal, so nothing sounds before its label, and ends where all that follows is below 1e-7
    of the largest tap; one second at most.
    """
    import scipy.signal

    impulse = np.zeros(rate)
    impulse[0] = 1.0
    response = scipy.signal.sosfilt(sections(bands, rate), impulse)
    audible = np.flatnonzero(np.abs(response) > _NEGLIGIBLE * np.abs(response).max())
    return np.asarray(response[: audible[-1] + 1], dtype=np.float32)


def sections(bands: Sequence[EqBand], rate: Hertz) -> NDArray[np.float64]:
    """Return the bands as second-order sections `(bands, 6)`, as scipy has them.

    Formulas of the Audio EQ Cookbook: peakingEQ, lowShelf, highShelf.
    """
    return np.array([_section(band, rate) for band in bands])


def _section(band: EqBand, rate: Hertz) -> list[float]:
    a = 10 ** (band.gain_db / 40)
    w = 2 * math.pi * band.frequency_hz / rate
    alpha, cosine = math.sin(w) / (2 * band.q), math.cos(w)
    if band.kind == "peak":
        b_terms = [1 + alpha * a, -2 * cosine, 1 - alpha * a]
        a_terms = [1 + alpha / a, -2 * cosine, 1 - alpha / a]
    else:
        sign = 1.0 if band.kind == "low_shelf" else -1.0
        root, up, down, tilt = 2 * math.sqrt(a) * alpha, a + 1, a - 1, sign * cosine
        b_terms = [
            a * (up - down * tilt + root),
            2 * a * (down - up * tilt) * sign,
            a * (up - down * tilt - root),
        ]
        a_terms = [up + down * tilt + root, -2 * (down + up * tilt) * sign, up + down * tilt - root]
    return [term / a_terms[0] for term in (*b_terms, *a_terms)]
