"""What the references save beside what they use: spectrogram kernels, unused tokens and norms.

Our nets do not have them. They are accepted on reading, kept beside the weights, and written back; without a
file that brought them they are built here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..backbones import Backbone
from ..frontends import AtstFrontend, M2dFrontend


def leftovers(backbone: Backbone, root: str, *, head_norm: bool = False) -> dict[str, Tensor]:
    """Return the leftovers of a net under the reference's names.

    Args:
        backbone: The net's backbone.
        root: What stands before the backbone's part of the names.
        head_norm: Whether the reference carries a head norm that it never uses.
    """
    found: dict[str, Tensor] = {}
    frontend = backbone.frontend
    if isinstance(frontend, M2dFrontend):
        found |= {f"{root}to_spec.{key}": value for key, value in _spectrogram_kernels(frontend).items()}
    if isinstance(frontend, AtstFrontend):
        transform = f"{root}atst_mel.mel_transform."
        found[f"{transform}spectrogram.window"] = frontend.window
        found[f"{transform}mel_scale.fb"] = frontend.filters.T.contiguous()
        found[f"{root}atst.mask_embed"] = torch.zeros(1, 1, backbone.feature_dim)
    if head_norm:
        found[f"{root}head_norm.running_mean"] = torch.zeros(backbone.sequence_dim)
        found[f"{root}head_norm.running_var"] = torch.ones(backbone.sequence_dim)
        found[f"{root}head_norm.num_batches_tracked"] = torch.tensor(0)
    return found


def _spectrogram_kernels(frontend: M2dFrontend) -> dict[str, Tensor]:
    """Return a spectrogram by convolution: windowed sines and cosines ``(bins, 1, n_fft)``."""
    n_fft, device = frontend.n_fft, frontend.window.device
    bins = torch.arange(n_fft // 2 + 1, device=device)
    turns = torch.outer(bins, torch.arange(n_fft, device=device)).remainder(n_fft)
    angle = turns.double() * (2.0 * torch.pi / n_fft)
    window = torch.hann_window(n_fft, dtype=torch.float64, device=device)
    return {
        "mel_basis": frontend.filters,
        "stft.wsin": (angle.sin() * window)[:, None].float(),
        "stft.wcos": (angle.cos() * window)[:, None].float(),
        "stft.window_mask": window.float()[None, :, None],
    }
