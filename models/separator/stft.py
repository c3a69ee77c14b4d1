"""Short-time Fourier transform and its inverse, always in float32."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

_TINY = 1e-10


class Spectrum(NamedTuple):
    """One complex spectrum in parts, each ``(..., frames, bins)`` float32."""

    magnitude: Tensor
    cosine: Tensor
    sine: Tensor


class Stft(nn.Module):
    """Transform waveforms to spectra and back (periodic Hann window, centred, no scaling).

    Half precision is left here: half-precision FFTs exist for powers of two only and lose the phase.

    Args:
        n_fft: Window length and FFT size [samples].
        hop: Step between frames [samples].
    """

    def __init__(self, n_fft: int, hop: int) -> None:
        super().__init__()
        self.n_fft = n_fft
        self.hop = hop
        window = torch.hann_window(n_fft, periodic=True, dtype=torch.float64)
        self.register_buffer("window", window.float(), persistent=False)
        self.window: Tensor

    def forward(self, waveform_L: Tensor) -> Spectrum:
        """Return magnitude and phase of waveforms.

        Args:
            waveform_L: ``(..., samples)``; at least ``n_fft // 2 + 1`` samples (reflected at the edges).

        Returns:
            Spectrum of ``1 + samples // hop`` frames and ``n_fft // 2 + 1`` bins; magnitude is at least 1e-5.
        """
        with torch.autocast(waveform_L.device.type, enabled=False):
            flat = waveform_L.float().reshape(-1, waveform_L.shape[-1])
            spectrum = torch.stft(
                flat, self.n_fft, self.hop, window=self.window.float(), center=True, return_complex=True
            )
            parts = torch.view_as_real(spectrum).transpose(1, 2)
            real, imag = parts.unbind(-1)
            magnitude = (real.square() + imag.square()).clamp(min=_TINY).sqrt()
            shape = (*waveform_L.shape[:-1], *magnitude.shape[1:])
            return Spectrum(
                magnitude.reshape(shape),
                (real / magnitude).reshape(shape),
                (imag / magnitude).reshape(shape),
            )

    def inverse(self, real_TF: Tensor, imag_TF: Tensor, samples: int) -> Tensor:
        """Return the waveforms ``(..., samples)`` of spectra ``(..., frames, bins)`` by overlap-add."""
        with torch.autocast(real_TF.device.type, enabled=False):
            parts = torch.stack((real_TF.float(), imag_TF.float()), dim=-1)
            spectrum = torch.view_as_complex(
                parts.reshape(-1, *parts.shape[-3:]).transpose(1, 2).contiguous()
            )
            waveform = torch.istft(
                spectrum, self.n_fft, self.hop, window=self.window.float(), center=True, length=samples
            )
            return waveform.reshape(*real_TF.shape[:-2], samples)
