"""Levels by mean magnitude, as SpatialScaper sets them (its `db2multiplier`)."""

from __future__ import annotations

import numpy as np
import scipy.fft

from ..units import Audio


def mean_magnitude(sound: Audio) -> float:
    """Return the mean of |x| over all channels and samples."""
    return float(np.abs(sound).mean(dtype=np.float64)) if sound.size else 0.0


def wet_magnitude(signal: Audio, taps: Audio) -> float:
    """Return the mean magnitude of a wet signal cut at the end of its dry one.

    Args:
        signal: (n,) float32.
        taps: (channels, m) float32.
    """
    samples = len(signal)
    nfft = scipy.fft.next_fast_len(samples + taps.shape[-1] - 1, real=True)
    spectrum = scipy.fft.rfft(taps, nfft)
    spectrum *= scipy.fft.rfft(signal, nfft)
    return mean_magnitude(scipy.fft.irfft(spectrum, nfft)[:, :samples])
