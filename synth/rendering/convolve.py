"""Block-FFT convolution with sums taken in the frequency domain.

A scene of T samples is a grid of K blocks of `block` samples; FFTs have `2 * block` points.
An event's blocks and a RIR's partitions are both zero-padded to the FFT size, so that their
products add up to output blocks of `2 * block` samples (uniformly partitioned convolution,
overlap-add). Events that share a channel are summed before the one inverse FFT of a block.

Shapes: P event blocks, Q RIR partitions, C channels, K scene blocks, F = block + 1 bins.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..units import Audio

Spectra = NDArray[np.complex64]

SHORT_BLOCK = 16_384
LONG_BLOCK = 32_768
_LONG_TAPS = 65_536
_SUM_BINS = 1_024


def block_size(taps: int) -> int:
    """Return the block length (samples) that renders a scene with RIRs of `taps` fastest.

    Small FFTs run from cache; long RIRs need fewer products with larger blocks. The two sizes
    were the fastest of 8,192 to 65,536 for RIRs of 1 s and 5.46 s on a core with 1 MB of L2 cache.
    """
    return SHORT_BLOCK if taps <= _LONG_TAPS else LONG_BLOCK


def block_spectra(signal: Audio, block: int, lead: int = 0) -> Spectra:
    """Transform a signal block by block.

    Args:
        signal: (..., samples).
        block: Block length B in samples.
        lead: Zeros before the signal, so that it falls on the scene's grid; less than B.

    Returns:
        (..., P, B + 1) with P = ceil((lead + samples) / B).
    """
    length = signal.shape[-1]
    count = -(-(lead + length) // block)
    padded = np.zeros((*signal.shape[:-1], count, 2 * block), dtype=np.float32)
    head = min(length, block - lead)
    padded[..., 0, lead : lead + head] = signal[..., :head]
    whole = (length - head) // block
    if whole:
        middle = signal[..., head : head + whole * block]
        padded[..., 1 : 1 + whole, :block] = middle.reshape(*signal.shape[:-1], whole, block)
    if rest := length - head - whole * block:
        padded[..., 1 + whole, :rest] = signal[..., length - rest :]
    return _rfft(padded)


def accumulate(out: Spectra, event: Spectra, rir: Spectra, first: int, scratch: Spectra) -> None:
    """Add an event's image to the scene's output spectra, as far as it lies in the scene.

    Args:
        out: (C, K, F), changed in place.
        event: (P, F) spectra of the event's blocks, gain included.
        rir: (C, Q, F) spectra of the RIR's partitions.
        first: Scene block in which the event's first block lies.
        scratch: At least (P, F), overwritten.
    """
    blocks = out.shape[1]
    for q in range(rir.shape[1]):
        start = first + q
        count = min(event.shape[0], blocks - start)
        if count <= 0:
            break
        product = scratch[:count]
        for c in range(rir.shape[0]):
            np.multiply(event[:count], rir[c, q], out=product)
            target = out[c, start : start + count]
            np.add(target, product, out=target)


def overlap_add(spectra: Spectra) -> Audio:
    """Transform output blocks back and add their overlapping halves.

    Args:
        spectra: (..., K, F), destroyed.

    Returns:
        (..., (K + 1) * block) float32: the last block holds what rings on after the K-th.
    """
    block = spectra.shape[-1] - 1
    count = spectra.shape[-2]
    pieces = scipy.fft.irfft(spectra, 2 * block, axis=-1, overwrite_x=True)
    out = np.empty((*spectra.shape[:-2], count + 1, block), dtype=np.float32)
    out[..., :count, :] = pieces[..., :block]
    out[..., count, :] = 0
    out[..., 1:, :] += pieces[..., block:]
    return out.reshape(*spectra.shape[:-2], (count + 1) * block)


def lag_spectra(autocorrelation: Audio, block: int) -> Spectra:
    """Transform a RIR's autocorrelation for `wet_energy`.

    Args:
        autocorrelation: (L,) R_h(0 .. L-1), summed over channels.
        block: Block length B.

    Returns:
        (Q + 1, F): item j holds lags j*B-B+1 .. j*B+B-1, weighted so that a real inner product
        over the F bins is the inner product over time (and pairs j, -j are counted).
    """
    lags = len(autocorrelation)
    parts = -(-lags // block)
    line = np.zeros((parts + 1) * block + block, dtype=np.float32)
    line[block : block + lags] = autocorrelation
    line[1:block] = line[block + 1 : 2 * block][::-1]
    windows = np.zeros((parts + 1, 2 * block), dtype=np.float32)
    for j in range(parts + 1):
        centre = block + j * block
        windows[j, :block] = line[centre : centre + block]
        windows[j, block + 1 :] = line[centre - block + 1 : centre]
    spectra = _rfft(windows)
    spectra *= np.float32(1.0 / block)
    spectra[:, 0] *= np.float32(0.5)
    spectra[:, -1] *= np.float32(0.5)
    spectra[1:] *= np.float32(2.0)
    return spectra


def wet_energy(event: Spectra, lags: Spectra, scratch: Spectra) -> float:
    """Return the energy of the whole wet signal, tail included, without rendering the tail.

    E = sum over channels and time of (x * h_c)^2 = sum over lags of R_x R_h, with R_x taken
    from the block spectra: the cross-spectra of blocks j apart hold the lags around j * B.

    Args:
        event: (P, F) zero-padded block spectra of the dry event.
        lags: (Q + 1, F) from `lag_spectra`.
        scratch: At least (P, F), overwritten.
    """
    total = 0.0
    count = event.shape[0]
    for j in range(min(count, lags.shape[0])):
        product = scratch[: count - j]
        np.multiply(event[: count - j], lags[j], out=product)
        total += inner_product(product, event[j:])
    return total


def inner_product(a: Spectra, b: Spectra) -> float:
    """Return the real part of sum(conj(a) * b) over (P, F): short float32 sums, then float64.

    The order of additions is fixed (no BLAS), so that the result does not depend on threads.
    """
    rows, bins = a.shape
    short = (bins - 1) & -_SUM_BINS or bins
    left = a[:, :short].view(np.float32).reshape(rows, -1, min(2 * short, 2 * _SUM_BINS))
    right = b[:, :short].view(np.float32).reshape(left.shape)
    total = np.einsum("pnf,pnf->pn", left, right).sum(dtype=np.float64)
    if short < bins:
        rest = np.real(np.conj(a[:, short:]) * b[:, short:])
        total += rest.sum(dtype=np.float64)
    return float(total)


def _rfft(blocks: Audio) -> Spectra:
    return np.asarray(scipy.fft.rfft(blocks, axis=-1, overwrite_x=True), dtype=np.complex64)
