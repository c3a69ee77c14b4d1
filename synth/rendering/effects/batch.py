"""Effects of scenes on a device: the same matrices, filters and noise as `scene.py`, on tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...units import Audio
from ..batch_device import send
from .scene import SceneChain, microphone_noise

_SPATIAL = ("mixture", "wet", "interference", "noise")
_NOISY = ("mixture", "noise")


def apply_chains(chains: Sequence[SceneChain], stems: Mapping[str, Tensor]) -> None:
    """Apply the effects of B scenes to their stems, in place.

    Args:
        chains: One per scene, from `scene_chain`.
        stems: Any of mixture, interference, noise (B, 4, T), wet (B, S, 4, T) and dry (B, S, T); a
            mixture is the sum of all, without effects.
    """
    for n, chain in enumerate(chains):
        own: Tensor | None = None
        for name, batch in stems.items():
            sound = batch[n]
            if name == "dry" and chain.dry != 1.0:
                sound *= chain.dry
            if name in _SPATIAL and chain.spatial is not None:
                sound[:] = _mixed(sound, chain.spatial)
            if (name in _SPATIAL or name == "dry") and chain.eq is not None:
                sound[:] = filtered(sound, chain.eq)
            if name in _NOISY and chain.self_noise is not None:
                if own is None:
                    own = send(microphone_noise(chain.self_noise, sound.shape[-1]), sound.device)
                sound += own


def filtered(sound: Tensor, taps: Audio) -> Tensor:
    """Return a sound (..., T) after a causal filter, as long as before."""
    samples = sound.shape[-1]
    size = _fft_size(samples + len(taps) - 1)
    response = torch.fft.rfft(send(taps, sound.device), size)
    whole: Tensor = torch.fft.irfft(torch.fft.rfft(sound, size) * response, size)
    return whole[..., :samples]


def _mixed(sound: Tensor, matrix: Audio) -> Tensor:
    """Return matrix (4, 4) times sound (..., 4, T), in float32 whatever matrix products are set to."""
    columns = send(matrix, sound.device).unbind(1)
    channels = sound.unbind(-2)
    total = columns[0][:, None] * channels[0].unsqueeze(-2)
    for column, channel in zip(columns[1:], channels[1:], strict=True):
        total = total + column[:, None] * channel.unsqueeze(-2)
    return total


def _fft_size(samples: int) -> int:
    """Return the smallest 2**a * m >= samples with a small odd m: short transforms, little padding."""
    return min(m << max((-(-samples // m) - 1).bit_length(), 1) for m in (1, 3, 5))
