"""Effects of the scene as a whole: what to do to each stem, and doing it to arrays.

Everything but the self-noise is linear and the same for all spatial stems, so that the mixture stays
the sum of its stems; the self-noise belongs to the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...assets.ambisonics import a_to_b_matrix
from ...scenes.effect_specs import SceneEffects, SelfNoise
from ...scenes.spec import SceneSpec
from ...units import FOA_CHANNELS, Audio, Samples
from ..early import short_convolve
from .equaliser import eq_taps
from .space import foa_matrix, microphone_matrix


@dataclass(frozen=True, slots=True)
class SceneChain:
    """What happens to the stems of one scene.

    Attributes:
        turn: (4, 4) the space effect; None: none.
        spatial: (4, 4) float32, what the channels of the spatial stems are multiplied with: turn,
            microphone and level. None: nothing.
        dry: Factor of the dry stems.
        eq: (taps,) float32, the filter of all stems; None: none.
        self_noise: What is added to the noise and to the mixture; None: nothing.
    """

    turn: NDArray[np.float64] | None = None
    spatial: Audio | None = None
    dry: float = 1.0
    eq: Audio | None = None
    self_noise: SelfNoise | None = None

    def of_spatial(self, sound: Audio) -> Audio:
        """Return a spatial stem, (..., 4, T), with the scene's effects; self-noise is not among them."""
        if self.spatial is not None:
            sound = np.matmul(self.spatial, sound)
        return sound if self.eq is None else _filtered(sound, self.eq)

    def of_noise(self, noise: Audio | None, duration: Samples) -> Audio | None:
        """Return the noise, (4, T) or None for none, with the scene's effects and its self-noise."""
        found = None if noise is None else self.of_spatial(noise)
        if self.self_noise is None:
            return found
        own = microphone_noise(self.self_noise, duration)
        return own if found is None else found + own

    def of_dry(self, dry: Audio) -> Audio:
        """Return the dry targets, (targets, T), with the scene's effects."""
        if self.dry != 1.0:
            dry = dry * np.float32(self.dry)
        return dry if self.eq is None else _filtered(dry, self.eq)


_NOTHING = SceneChain()


def scene_chain(spec: SceneSpec) -> SceneChain:
    """Return what the effects of a scene do to its stems."""
    effects = spec.effects
    if effects is None:
        return _NOTHING
    turn, level = foa_matrix(spec), 10 ** (effects.level_db / 20)
    return SceneChain(
        turn=turn,
        spatial=_spatial_matrix(effects, turn, microphone_matrix(spec), level),
        dry=level,
        eq=eq_taps(effects.eq, spec.sample_rate) if effects.eq else None,
        self_noise=effects.self_noise,
    )


def _spatial_matrix(
    effects: SceneEffects,
    turn: NDArray[np.float64] | None,
    microphone: NDArray[np.float64] | None,
    level: float,
) -> Audio | None:
    if turn is None and microphone is None and not effects.level_db:
        return None
    matrix = level * np.eye(FOA_CHANNELS)
    # A turned scene in front of the microphone, not a turned microphone.
    for step in (microphone, turn):
        matrix = matrix if step is None else matrix @ step
    return matrix.astype(np.float32)


def microphone_noise(noise: SelfNoise, duration: Samples) -> Audio:
    """Return the noise that a microphone makes itself, (4, T) float32: a function of the spec alone.

    The capsules' noises are white, Gaussian and independent; converted to W Y Z X as those of a
    regular tetrahedron are, Y, Z and X carry more of it than W. Their numbers come from the raw words
    of Philox by Box and Muller's transform, not from a generator whose methods may change.
    """
    pairs = -(-FOA_CHANNELS * duration // 2)
    words = np.random.Philox(key=noise.seed).random_raw(pairs)
    first = ((words >> np.uint64(40)).astype(np.float32) + np.float32(0.5)) * np.float32(2.0**-24)
    angle = (words & np.uint64(0xFFFFFF)).astype(np.float32) * np.float32(2 * math.pi * 2.0**-24)
    radius = np.sqrt(np.float32(-2.0) * np.log(first))
    white = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)))
    capsules = white[: FOA_CHANNELS * duration].reshape(FOA_CHANNELS, duration)
    to_foa = a_to_b_matrix()
    gain = 10 ** (noise.level_db / 20) / math.sqrt(float(np.square(to_foa).sum()) / FOA_CHANNELS)
    own: Audio = np.matmul((gain * to_foa).astype(np.float32), capsules)
    return own


def _filtered(sound: Audio, taps: Audio) -> Audio:
    """Return a sound (..., T) after a causal filter, as long as before."""
    lines = sound.reshape(-1, sound.shape[-1])
    out = np.empty_like(lines)
    for line, result in zip(lines, out, strict=True):
        result[:] = short_convolve(line, taps)[: len(line)]
    return out.reshape(sound.shape)
