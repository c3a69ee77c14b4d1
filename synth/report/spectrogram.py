"""Spectrograms: power in dB over time and mel frequency, and their picture."""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..units import Audio, Decibels, Hertz
from .png import encode_png

WINDOW = 2048
COLUMNS = 720
BANDS = 112
LOWEST: float = 40.0
"""Hz at the lower edge of the picture; the upper edge is half the sampling rate."""
RANGE: Decibels = 65.0
"""What lies between the darkest and the brightest colour."""

_SHADES = 64
_EMPTY = 1e-14
# From dark to light with lightness rising evenly: it reads in grey, in print and by every eye.
_ANCHORS = ("#0c0b1d", "#251a4b", "#55267a", "#8c2f80", "#c63f72", "#ee6a5a", "#fba765", "#fcf4c8")


def power_spectrogram(x: Audio, columns: int = COLUMNS) -> NDArray[np.float32]:
    """Return the power of a sound over time and frequency, (columns, WINDOW // 2 + 1) float32.

    Hann windows of 2048 samples around `columns` evenly spaced moments; a sine of amplitude 1 at
    the frequency of a bin has the power 1 there.

    Args:
        x: (T,) float32.
        columns: Moments; the first is 0, the last one hop before T.
    """
    starts = (np.arange(columns) * len(x) / columns).astype(np.intp)
    padded = np.pad(x, (WINDOW // 2, WINDOW))
    window = np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[starts] * window
    spectrum = scipy.fft.rfft(frames, axis=1)
    power: NDArray[np.float32] = (spectrum.real**2 + spectrum.imag**2) * np.float32(4 / window.sum() ** 2)
    return power


def mel_spectrogram(x: Audio, rate: Hertz, columns: int = COLUMNS, bands: int = BANDS) -> NDArray[np.float32]:
    """Return the level in dB over mel frequency and time, (bands, columns) float32, low first.

    A band's level is the mean power under a triangle between its neighbours' centres on the mel
    scale 2595 log10(1 + f / 700) (O'Shaughnessy 1987), at least one bin wide.
    """
    power = power_spectrogram(x, columns) @ _bank(rate, bands).T
    level: NDArray[np.float32] = 10 * np.log10(power.T + np.float32(_EMPTY))
    return level


def band_centres(rate: Hertz, bands: int = BANDS) -> NDArray[np.float64]:
    """Return the centre of every band in Hz, (bands,)."""
    return mel_to_hertz(np.linspace(hertz_to_mel(LOWEST), hertz_to_mel(rate / 2), bands))


def hertz_to_mel(frequency: float) -> float:
    """Return the pitch of a frequency in mel."""
    return float(2595 * np.log10(1 + frequency / 700))


def mel_to_hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return frequencies in Hz."""
    return np.asarray(700 * (10 ** (mel / 2595) - 1))


def picture(level: NDArray[np.float32], top: Decibels) -> bytes:
    """Return a spectrogram (bands, columns) as PNG, low frequencies at the bottom.

    Args:
        level: dB.
        top: dB of the brightest colour; the darkest is `RANGE` below.
    """
    shade = (level[::-1] - (top - RANGE)) * np.float32((_SHADES - 1) / RANGE)
    return encode_png(np.clip(np.rint(shade), 0, _SHADES - 1).astype(np.uint8), palette())


@cache
def palette() -> NDArray[np.uint8]:
    """Return the colours, dark to light, (64, 3) uint8."""
    anchors = np.array([[int(text[n : n + 2], 16) for n in (1, 3, 5)] for text in _ANCHORS], dtype=float)
    at = np.linspace(0, len(anchors) - 1, _SHADES)
    mixed = np.stack([np.interp(at, np.arange(len(anchors)), anchors[:, c]) for c in range(3)], axis=1)
    colours: NDArray[np.uint8] = np.rint(mixed).astype(np.uint8)
    return colours


@cache
def _bank(rate: Hertz, bands: int) -> NDArray[np.float32]:
    """Return the weights of the bins in each band, (bands, bins), rows summing to 1."""
    centres = band_centres(rate, bands + 2)
    bins = np.arange(WINDOW // 2 + 1) * rate / WINDOW
    width = rate / WINDOW
    low = np.minimum(centres[:-2], centres[1:-1] - width)[:, None]
    high = np.maximum(centres[2:], centres[1:-1] + width)[:, None]
    middle = centres[1:-1, None]
    weights = np.maximum(np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)), 0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
