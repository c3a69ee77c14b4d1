"""Mel filter banks of three schools: Slaney (librosa), HTK (torchaudio) and Kaldi.

All are returned as float32 matrices ``(mels, bins)`` with ``bins = n_fft // 2 + 1``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SLANEY_BREAK_HZ = 1000.0
_SLANEY_HZ_PER_MEL = 200.0 / 3.0
_SLANEY_BREAK_MEL = _SLANEY_BREAK_HZ / _SLANEY_HZ_PER_MEL
_SLANEY_LOG_STEP = math.log(6.4) / 27.0


def slaney_bank(sample_rate: int, n_fft: int, mels: int, fmin: float, fmax: float) -> Tensor:
    """Return area-normalised triangles, linear in Hz, on Slaney's mel scale.

    Slaney's scale is linear below 1 kHz (200/3 Hz per mel) and logarithmic above (27 steps to 6.4 kHz).
    Each triangle is scaled by 2 / (its width in Hz).
    """
    edges = _slaney_to_hz(_spaced(_hz_to_slaney(fmin), _hz_to_slaney(fmax), mels))
    width = 2.0 / (edges[2:] - edges[:-2])
    return (_triangles(_bin_frequencies(sample_rate, n_fft), edges) * width[:, None]).float()


def htk_bank(sample_rate: int, n_fft: int, mels: int, fmin: float, fmax: float) -> Tensor:
    """Return triangles of peak one, linear in Hz, on the HTK scale 2595 log10(1 + f / 700)."""
    low, high = (2595.0 * math.log10(1.0 + f / 700.0) for f in (fmin, fmax))
    edges = 700.0 * (10.0 ** (_spaced(low, high, mels) / 2595.0) - 1.0)
    return _triangles(_bin_frequencies(sample_rate, n_fft), edges).float()


def kaldi_bank(sample_rate: int, n_fft: int, mels: int, fmin: float | Tensor, fmax: float | Tensor) -> Tensor:
    """Return Kaldi's triangles, linear in mel = 1127 ln(1 + f / 700); the Nyquist bin has no weight.

    Args:
        sample_rate: In Hz.
        n_fft: Length of the transform, even.
        mels: Number of triangles.
        fmin: Lowest edge in Hz; may be a tensor, so that a compiled training step can draw it.
        fmax: Highest edge in Hz; likewise, and the bank is built where it lies.
    """
    low, high = (1127.0 * torch.log1p(torch.as_tensor(f).double() / 700.0) for f in (fmin, fmax))
    step = (high - low) / (mels + 1)
    # From here in float32, as the released weights were trained: a bin that only grazes a narrow triangle has a
    # weight that is rounding for the most part, and the logarithm shows it.
    first = torch.arange(mels, dtype=torch.float32, device=low.device)[:, None]
    left, centre, right = ((low + (first + k) * step).float() for k in (0, 1, 2))
    bins = torch.arange(n_fft // 2 + 1, dtype=torch.float32, device=low.device)[None]
    mel = 1127.0 * torch.log(1.0 + bins * (sample_rate / n_fft) / 700.0)
    bank = torch.minimum((mel - left) / (centre - left), (right - mel) / (right - centre)).clamp_min(0.0)
    return bank * (bins < n_fft // 2)


def _spaced(low: float, high: float, mels: int) -> Tensor:
    return torch.linspace(low, high, mels + 2, dtype=torch.float64)


def _bin_frequencies(sample_rate: int, n_fft: int) -> Tensor:
    return torch.arange(n_fft // 2 + 1, dtype=torch.float64) * (sample_rate / n_fft)


def _triangles(bins_hz: Tensor, edges_hz: Tensor) -> Tensor:
    rise = (bins_hz[None] - edges_hz[:-2, None]) / (edges_hz[1:-1] - edges_hz[:-2])[:, None]
    fall = (edges_hz[2:, None] - bins_hz[None]) / (edges_hz[2:] - edges_hz[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp_min(0.0)


def _hz_to_slaney(hz: float) -> float:
    if hz < _SLANEY_BREAK_HZ:
        return hz / _SLANEY_HZ_PER_MEL
    return _SLANEY_BREAK_MEL + math.log(hz / _SLANEY_BREAK_HZ) / _SLANEY_LOG_STEP


def _slaney_to_hz(mel: Tensor) -> Tensor:
    linear = mel * _SLANEY_HZ_PER_MEL
    logarithmic = _SLANEY_BREAK_HZ * torch.exp((mel - _SLANEY_BREAK_MEL) * _SLANEY_LOG_STEP)
    return torch.where(mel < _SLANEY_BREAK_MEL, linear, logarithmic)
