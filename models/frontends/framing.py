"""Waveform to power spectra: centred frames (torch.stft) and Kaldi's snipped frames."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as nnf

from ..errors import ModelError


def centred_power(x_BL: Tensor, window_W: Tensor, n_fft: int, hop: int) -> Tensor:
    """Return the power spectra of frames centred on multiples of `hop`, reflected at both ends.

    Args:
        x_BL: Waveforms ``(batch, samples)``, more than ``n_fft // 2`` samples.
        window_W: Window, at most `n_fft` long; a shorter one sits in the middle of the frame.
        n_fft: Length of the transform.
        hop: Samples between frames.

    Returns:
        ``(batch, n_fft // 2 + 1, 1 + samples // hop)``.

    Raises:
        ModelError: The clip is too short to be reflected.
    """
    _require(x_BL, n_fft // 2 + 1)
    # The complex spectrum is read as pairs of reals: the compiler has no kernels for complex numbers.
    spectrum = torch.stft(
        x_BL, n_fft, hop, len(window_W), window_W, center=True, pad_mode="reflect", return_complex=True
    )
    return torch.view_as_real(spectrum).square().sum(-1)


def snipped_power(x_BL: Tensor, window_W: Tensor, n_fft: int, hop: int, *, emphasis: float = 0.97) -> Tensor:
    """Return Kaldi's power spectra: only whole frames, each without its mean and pre-emphasised.

    Pre-emphasis is inside the frame, y[n] = x[n] - emphasis x[n-1], the first sample against itself.

    Args:
        x_BL: Waveforms ``(batch, samples)``, at least one window long.
        window_W: Window; its length is the frame's.
        n_fft: Length of the transform; frames are zero-padded on the right.
        hop: Samples between frames.
        emphasis: Coefficient of the pre-emphasis.

    Returns:
        ``(batch, n_fft // 2 + 1, 1 + (samples - window) // hop)``.

    Raises:
        ModelError: The clip is shorter than one frame.
    """
    _require(x_BL, len(window_W))
    frames_BTW = x_BL.unfold(-1, len(window_W), hop)
    frames_BTW = frames_BTW - frames_BTW.mean(-1, keepdim=True)
    before = nnf.pad(frames_BTW, (1, 0), mode="replicate")[..., :-1]
    spectrum = torch.fft.rfft((frames_BTW - emphasis * before) * window_W, n=n_fft)
    return torch.view_as_real(spectrum).square().sum(-1).transpose(1, 2)


def _require(x_BL: Tensor, samples: int) -> None:
    if x_BL.ndim != 2:
        raise ModelError(
            f"waveform of shape {tuple(x_BL.shape)}, expected (batch, samples)",
            where="front end",
            remedy="choose one channel and add a batch axis",
        )
    if x_BL.shape[-1] < samples:
        raise ModelError(
            f"clip of {x_BL.shape[-1]} samples, at least {samples} are needed for one frame",
            where="front end",
            remedy="pad the clip with zeros or leave it out",
        )
