"""Turning and mirroring first-order Ambisonics, and microphones that are not ideal, as matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...assets.ambisonics import capsule_matrix, turning_matrix
from ...scenes.effect_specs import turned
from ...scenes.spec import SceneSpec

_AXES = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def foa_matrix(spec: SceneSpec) -> NDArray[np.float64] | None:
    """Return the `(4, 4)` matrix on W Y Z X (SN3D) of a scene's space effect; None: none.

    It is orthogonal: W stays, and neither energies nor the levels of a scene change.
    """
    space = None if spec.effects is None else spec.effects.space
    if space is None:
        return None
    return turning_matrix(np.array([turned(axis, space) for axis in _AXES]).T)


def microphone_matrix(spec: SceneSpec) -> NDArray[np.float64] | None:
    """Return the `(4, 4)` matrix on W Y Z X of unequal capsules; None: they are equal."""
    gains = None if spec.effects is None else spec.effects.mismatch_db
    return None if gains is None else capsule_matrix(10 ** (np.array(gains) / 20))
