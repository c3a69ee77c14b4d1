"""Time stretch: a phase vocoder in float64, so that devices agree."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...units import Hertz, Samples

_WINDOW_S = 0.064
_OVERLAP = 4


def time_stretch(signal: Tensor, samples: Samples, rate: Hertz) -> Tensor:
    """Make a sound longer or shorter without changing its pitch.

    The phase vocoder (Flanagan and Golden 1966; Laroche and Dolson 1999): frames of a short-time
    spectrum are read at another speed, magnitudes between two frames are interpolated, and phases
    advance by what they advance between those two frames.

    Args:
        signal: (n,) float32.
        samples: Length of the result.
        rate: In Hz; windows have 64 ms.

    Returns:
        (samples,) float32.
    """
    if samples == len(signal):
        return signal
    hop = max(1 << round(math.log2(_WINDOW_S * rate / _OVERLAP)), 1)
    size = hop * _OVERLAP
    window = torch.hann_window(size, dtype=torch.float64, device=signal.device)
    # Zeros around it, so that its ends are in whole frames, and a click fits a window.
    padded = torch.nn.functional.pad(signal.double(), (size, 2 * size))
    spectra = torch.stft(padded, size, hop, window=window, center=True, return_complex=True)
    speed = len(signal) / samples
    # Frames are centred on multiples of the hop; sample 0 of the sound lies at `size`.
    count = -(-samples // hop) + 2 * _OVERLAP
    places = (torch.arange(count, dtype=torch.float64, device=signal.device) - _OVERLAP) * speed + _OVERLAP
    changed = _resampled(spectra, places, hop)
    sound = torch.istft(changed, size, hop, window=window, center=True)
    return sound[size : size + samples].float()


def _resampled(spectra: Tensor, places: Tensor, hop: int) -> Tensor:
    """Return the spectra (bins, frames) at fractional frames (count,), phases running on."""
    last = spectra.shape[1] - 2
    places = places.clamp(0, last)
    below = places.floor().long()
    part = places - below
    size, angle = spectra.abs(), spectra.angle()
    magnitude = (1 - part) * size[:, below] + part * size[:, below + 1]
    own = angle[:, below]
    bins = torch.arange(len(spectra), dtype=torch.float64, device=spectra.device)
    expected = math.pi * hop * bins[:, None] / (len(spectra) - 1)
    advance = angle[:, below + 1] - own - expected
    advance = advance - 2 * math.pi * torch.round(advance / (2 * math.pi)) + expected
    phase = torch.cumsum(advance, dim=1) - advance + angle[:, :1]
    # Bins around a peak belong to one partial: they keep their phases relative to the peak's.
    peak = _nearest_peak(magnitude)
    return torch.polar(magnitude, phase.gather(0, peak) + own - own.gather(0, peak))


def _nearest_peak(magnitude: Tensor) -> Tensor:
    """Return, for every bin of every frame (bins, frames), the bin of the nearest local maximum."""
    bins = len(magnitude)
    padded = torch.nn.functional.pad(magnitude, (0, 0, 2, 2), value=-1.0)
    around = torch.stack([padded[k : k + bins] for k in (0, 1, 3, 4)]).amax(0)
    index = torch.arange(bins, device=magnitude.device)[:, None].expand_as(magnitude)
    peaks = magnitude >= around
    below = torch.where(peaks, index, -bins).cummax(0).values
    above = torch.where(peaks, index, 2 * bins).flip(0).cummin(0).values.flip(0)
    return torch.where(index - below <= above - index, below, above)
