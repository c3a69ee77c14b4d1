"""The dry target: an event through the early part of its RIR only."""

from __future__ import annotations

import numpy as np
import scipy.fft

from ..scenes.rules import RuleSet
from ..scenes.spec import DrySpec
from ..units import Audio

_SHORT_FFT = 16_384


def early_window(peak: int, taps: int, rate: int, dry: DrySpec, rules: RuleSet) -> tuple[int, int]:
    """Return the half-open range of taps around the direct path that the dry target keeps.

    Args:
        peak: Tap of the direct path in the dry channel.
        taps: Length of the RIR.
        rate: Sampling rate in Hz.
        dry: The window in milliseconds.
        rules: Whether the last tap counts (2026) or not (2025).

    Returns:
        (first, end), 0 <= first < end <= taps.
    """
    before = int(dry.before_ms * rate / 1000)
    after = int(dry.after_ms * rate / 1000)
    end = min(peak + after, taps - 1) + 1 if rules.early_end_inclusive else min(peak + after, taps)
    return max(peak - before, 0), max(end, 1)


def short_convolve(signal: Audio, taps: Audio) -> Audio:
    """Convolve a signal with a filter of a few thousand taps.

    Args:
        signal: (n,) float32.
        taps: (m,) float32.

    Returns:
        (n + m - 1,) float32, the full linear convolution.
    """
    samples, width = len(signal), len(taps)
    nfft = max(_SHORT_FFT, 1 << (2 * width - 1).bit_length())
    hop = nfft - width + 1
    count = -(-samples // hop)
    frames = np.zeros((count, nfft), dtype=np.float32)
    whole = samples // hop
    frames[:whole, :hop] = signal[: whole * hop].reshape(whole, hop)
    frames[whole:, : samples - whole * hop] = signal[whole * hop :]
    spectra = scipy.fft.rfft(frames, axis=-1, overwrite_x=True)
    spectra *= scipy.fft.rfft(taps, nfft)
    pieces = scipy.fft.irfft(spectra, nfft, axis=-1, overwrite_x=True)
    out = np.zeros((count + 1, hop), dtype=np.float32)
    out[:count] = pieces[:, :hop]
    out[1:, : width - 1] += pieces[:, hop:]
    return out.reshape(-1)[: samples + width - 1]
