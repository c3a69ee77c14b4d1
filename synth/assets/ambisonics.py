"""First-order Ambisonics conventions: the one place of assets that knows W, Y, Z and X.

Inside s5kit all spatial sound is W Y Z X (ACN order) in SN3D: a plane wave with the pressure s from
azimuth a (counter-clockwise from the front) and elevation e (upwards) has
W = s, Y = s sin(a) cos(e), Z = s sin(e), X = s cos(a) cos(e).
Nothing is guessed from the data: who brings sound states its order and normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import SynthError
from ..units import FOA_CHANNELS, Audio

Order = Literal["acn", "fuma", "sid"]
"""acn: W Y Z X. fuma and sid: W X Y Z (they differ above the first order)."""
Normalisation = Literal["sn3d", "n3d", "fuma", "maxn"]
"""sn3d and maxn: W = s. n3d: Y, Z, X times sqrt(3). fuma: W times 1 / sqrt(2)."""
Scaling = Literal["auto", "cardioid", "sum"]
"""How A-format becomes B-format, see `a_to_b_matrix`; auto: whichever gives SN3D by measurement."""

Directions: TypeAlias = NDArray[np.float64]

TETRAHEDRON: Directions = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)]) / np.sqrt(3)
"""Capsules front-left-up, front-right-down, back-left-down, back-right-up as (x, y, z)."""

_W, _Y, _Z, _X = range(FOA_CHANNELS)
_FROM_ORDER = {"acn": (0, 1, 2, 3), "fuma": (0, 2, 3, 1), "sid": (0, 2, 3, 1)}
_GAINS = {
    "sn3d": (1.0, 1.0),
    "maxn": (1.0, 1.0),
    "n3d": (1.0, 1 / np.sqrt(3)),
    "fuma": (np.sqrt(2), 1.0),
}
_MAX_CONDITION = 20.0


@dataclass(frozen=True, slots=True)
class Convention:
    """What four channels of somebody else's first-order sound are.

    Args:
        kind: "foa", or "tetra" for the capsules of a tetrahedral microphone (A-format).
        order: Of the channels of `foa`.
        normalisation: Of the channels of `foa`.
        capsules: `(4, 3)` directions of the capsules of `tetra` in the order of the channels.
        scaling: Of the A-to-B conversion.
    """

    kind: Literal["foa", "tetra"] = "foa"
    order: Order = "acn"
    normalisation: Normalisation = "sn3d"
    capsules: tuple[tuple[float, float, float], ...] | None = None
    scaling: Scaling = "auto"

    def __post_init__(self) -> None:
        for key, value, allowed in (
            ("kind", self.kind, ("foa", "tetra")),
            ("order", self.order, get_args(Order)),
            ("normalisation", self.normalisation, get_args(Normalisation)),
            ("scaling", self.scaling, get_args(Scaling)),
        ):
            if value not in allowed:
                raise SynthError(
                    f"there is no {key} {value!r}", where=key, remedy=f"choose one of {', '.join(allowed)}"
                )

    def matrix(self) -> NDArray[np.float64]:
        """`(4, 4)`: from these channels to W Y Z X in SN3D."""
        if self.kind == "tetra":
            capsules = TETRAHEDRON if self.capsules is None else np.array(self.capsules)
            return a_to_b_matrix(capsules, self.scaling)
        return foa_matrix(self.order, self.normalisation)

    def describe(self) -> str:
        """Say in words what was converted, for provenance."""
        if self.kind == "foa":
            return f"FOA {self.order.upper()} {self.normalisation.upper()} -> W Y Z X (ACN) SN3D"
        how = "plain sums of the capsules" if self.scaling == "sum" else "ideal cardioids, SN3D"
        return f"A-format -> W Y Z X (ACN), {how}"


def foa_matrix(order: str, normalisation: str) -> NDArray[np.float64]:
    """`(4, 4)`: from first-order channels in another order and normalisation to W Y Z X in SN3D."""
    omni, dipole = _GAINS[normalisation]
    gains = np.array([omni, dipole, dipole, dipole])
    return np.asarray(gains[:, None] * np.eye(FOA_CHANNELS)[list(_FROM_ORDER[order])])


def a_to_b_matrix(capsules: Directions = TETRAHEDRON, scaling: Scaling = "cardioid") -> NDArray[np.float64]:
    """Return the `(4, 4)` conversion of a tetrahedral microphone to W Y Z X.

    "cardioid" inverts the ideal capsule a_i = (1 + u . d_i) / 2, so that a plane wave comes out in
    SN3D with W equal to the pressure at the microphone. For the regular tetrahedron (capsules 1
    front-left-up, 2 front-right-down, 3 back-left-down, 4 back-right-up) that is
    W = (1 + 2 + 3 + 4) / 2, Y = sqrt(3)/2 (1 - 2 + 3 - 4), Z = sqrt(3)/2 (1 - 2 - 3 + 4),
    X = sqrt(3)/2 (1 + 2 - 3 - 4).
    "sum" leaves both factors out, as the published conversion of FOA-MEIR does: W is then 6.0 dB
    and Y, Z, X are 1.2 dB above SN3D for such capsules. "auto" is "cardioid" here: to choose by
    measurement takes data.

    Args:
        capsules: `(4, 3)` unit vectors, x front, y left, z up.
        scaling: See above.

    Raises:
        SynthError: The four directions do not span space.
    """
    response = 0.5 * np.column_stack((np.ones(FOA_CHANNELS), capsules[:, [1, 2, 0]]))
    if np.linalg.cond(response) > _MAX_CONDITION:
        raise SynthError(
            "the four capsules do not form a tetrahedron",
            where="capsules",
            remedy="give the directions of the capsules, or say that the channels are FOA already",
        )
    matrix = np.linalg.inv(response)
    if scaling == "sum":
        matrix *= np.array([2, *[2 / np.sqrt(3)] * 3])[:, None]
    return np.asarray(matrix)


def turning_matrix(xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the `(4, 4)` matrix on W Y Z X that turns or mirrors a sound field.

    Args:
        xyz: `(3, 3)` orthogonal: what happens to directions (x front, y left, z up). Y, Z and X are
            the sound's components along these axes times W's, so they turn as directions do.
    """
    matrix = np.eye(FOA_CHANNELS)
    axes = [1, 2, 0]  # Y Z X
    matrix[1:, 1:] = xyz[np.ix_(axes, axes)]
    return matrix


def capsule_matrix(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the `(4, 4)` matrix on W Y Z X of a tetrahedral microphone with unequal capsules.

    Args:
        gains: `(4,)` factors of the capsules in the order of `TETRAHEDRON`; its conversion to W Y Z X
            knows nothing of them.
    """
    to_foa = a_to_b_matrix()
    return np.asarray(to_foa @ np.diag(gains) @ np.linalg.inv(to_foa))


def convert(x: Audio | NDArray[np.float64], matrix: NDArray[np.float64]) -> Audio:
    """Apply a conversion to `(..., 4, samples)`; the result is float32 and of the same shape."""
    converted: Audio = np.matmul(matrix, x.astype(np.float64)).astype(np.float32)
    return converted


def unit_vectors(azimuth: NDArray[np.float64], elevation: NDArray[np.float64]) -> Directions:
    """Return x (front), y (left), z (up), `(..., 3)`, of angles in degrees."""
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    return np.stack((np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e) + 0.0 * a), axis=-1)


def intensity_direction(spectrum: NDArray[np.complex128]) -> Directions:
    """Return the unit vector towards the source from the spectrum `(4, bins)` of W Y Z X.

    The active intensity is Re(W* (X, Y, Z)) summed over the bins; with SN3D a plane wave from u has
    (X, Y, Z) = W u, so the sum points to where the sound comes from.
    """
    active = np.real(np.conj(spectrum[_W]) * spectrum[[_X, _Y, _Z]]).sum(axis=1)
    size = float(np.linalg.norm(active))
    return np.asarray(active / size if size > 0 else np.full(3, np.nan))


def dipole_level(spectrum: NDArray[np.complex128]) -> float:
    """Return the level of X, Y, Z together against W in dB: 0 for a plane wave in SN3D.

    4.8 means N3D, 3.0 FuMa, and -4.8 an A-to-B conversion by plain sums.
    """
    power = np.sum(np.abs(spectrum) ** 2, axis=1)
    if power[_W] <= 0 or power[[_Y, _Z, _X]].sum() <= 0:
        return float("nan")
    return float(10 * np.log10(power[[_Y, _Z, _X]].sum() / power[_W]))
