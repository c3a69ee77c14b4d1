"""Which A-to-B scaling makes SN3D of a tetrahedral microphone: measured on its direct paths.

The sums of four ideal cardioids give Y, Z, X 4.8 dB too low against W. Recordings whose capsules were
equalised so that the plain sums are SN3D give 0 dB. One of the two is taken, and which one is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...errors import SynthError
from ...units import FOA_CHANNELS, Audio, Hertz
from ..ambisonics import Convention, Scaling, convert
from ..room_acoustics import rir_figures

CARDIOID_SUMS = -10 * np.log10(3)
"""Level of Y, Z, X against W, in dB, that plain sums of ideal cardioids have for a plane wave."""
_SAMPLES = 9

Read = Callable[[], "Audio | NDArray[np.float64]"]


def resolve_scaling(
    convention: Convention, responses: Sequence[tuple[Read, Hertz]]
) -> tuple[Convention, str | None]:
    """Replace the scaling "auto" of A-format by the one that brings direct paths closer to SN3D.

    Args:
        convention: Returned as it is unless it is A-format with "auto".
        responses: How to read responses `(4, taps)`, and their rates; some of them are looked at.

    Returns:
        The convention, and what was found in words (None when nothing was to be decided).
    """
    if convention.kind != "tetra" or convention.scaling != "auto":
        return convention, None
    sums = replace(convention, scaling="sum").matrix()
    step = max(1, len(responses) // _SAMPLES)
    levels = [_dipole_level(read, rate, sums) for read, rate in responses[::step]]
    finite = [level for level in levels if np.isfinite(level)]
    if not finite:
        return replace(
            convention, scaling="cardioid"
        ), "no direct path to tell the capsules by: taken as cardioids"
    level = float(np.median(finite))
    scaling: Scaling = "cardioid" if level < CARDIOID_SUMS / 2 else "sum"
    how = "ideal cardioids" if scaling == "cardioid" else "plain sums, which are SN3D here"
    found = f"sums of the capsules give Y, Z, X {level:+.1f} dB against W in {len(finite)} direct paths"
    return replace(convention, scaling=scaling), f"{found}: converted as {how}"


def _dipole_level(read: Read, rate: Hertz, sums: NDArray[np.float64]) -> float:
    try:
        x = read()
    except SynthError:
        return float("nan")
    if x.ndim != 2 or len(x) != FOA_CHANNELS or not np.isfinite(x).all():
        return float("nan")
    return rir_figures(convert(x, sums), rate).dipole_level
