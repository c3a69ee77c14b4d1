"""Block convolution against scipy in float64: a wrong tap anywhere would move or colour every event."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from synth.assets.rirs import autocorrelation
from synth.rendering import convolve
from synth.rendering.early import short_convolve
from tests.synth.rendering.reference import relative_error


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(shape).astype(np.float32)


@given(
    samples=st.integers(1, 700),
    taps=st.integers(1, 500),
    onset=st.integers(0, 899),
    block=st.sampled_from([16, 64, 256]),
    seed=st.integers(0, 99),
)
def test_scene_is_the_linear_convolution_cut_at_its_end(samples, taps, onset, block, seed):
    T = 900
    x, h = noise(seed, samples), noise(seed + 1, 4, taps)
    expected = np.zeros((4, T + samples + taps))
    expected[:, onset : onset + samples + taps - 1] = scipy.signal.fftconvolve(
        x[None].astype(np.float64), h.astype(np.float64), axes=1
    )
    first, lead = divmod(onset, block)
    X, H = convolve.block_spectra(x, block, lead), convolve.block_spectra(h, block)
    out = np.zeros((4, -(-T // block), block + 1), np.complex64)
    convolve.accumulate(out, X, H, first, np.empty_like(X))
    got = convolve.overlap_add(out)[:, :T]
    assert got.shape == (4, T)
    assert got.dtype == np.float32
    assert np.abs(got - expected[:, :T]).max() <= 1e-5 * max(np.abs(expected).max(), 1e-9)


@given(
    samples=st.integers(1, 700),
    taps=st.integers(1, 500),
    lead=st.integers(0, 15),
    block=st.sampled_from([16, 64, 256]),
    seed=st.integers(0, 99),
)
def test_energy_of_the_whole_wet_signal_without_rendering_it(samples, taps, lead, block, seed):
    x, h = noise(seed, samples), noise(seed + 1, 4, taps)
    wet = scipy.signal.fftconvolve(x[None].astype(np.float64), h.astype(np.float64), axes=1)
    X = convolve.block_spectra(x, block, lead)
    lags = convolve.lag_spectra(autocorrelation(h), block)
    got = convolve.wet_energy(X, lags, np.empty_like(X))
    assert got == pytest.approx((wet**2).sum(), rel=2e-5)


def test_energy_is_precise_at_the_size_of_real_scenes():
    """Half of this error goes into every level; the bar on waveforms is 1e-5."""
    x = noise(1, 320_000)
    h = noise(2, 4, 174_763) * np.exp(-np.arange(174_763) / 9_000).astype(np.float32)
    wet = scipy.signal.fftconvolve(x[None].astype(np.float64), h.astype(np.float64), axes=1)
    for block in (convolve.SHORT_BLOCK, convolve.LONG_BLOCK):
        X = convolve.block_spectra(x, block)
        got = convolve.wet_energy(X, convolve.lag_spectra(autocorrelation(h), block), np.empty_like(X))
        assert got == pytest.approx((wet**2).sum(), rel=2e-6)


@pytest.mark.parametrize(
    ("samples", "taps"), [(1, 1), (100, 1793), (14_592, 1793), (50_000, 1792), (300, 20_000)]
)
def test_short_convolution_is_linear_convolution(samples, taps):
    x, h = noise(3, samples), noise(4, taps)
    got = short_convolve(x, h)
    expected = scipy.signal.fftconvolve(x.astype(np.float64), h.astype(np.float64))
    assert got.shape == expected.shape
    assert relative_error(got, expected) < 1e-6


def test_block_spectra_hold_the_signal_where_it_lies():
    x = noise(5, 100)
    X = convolve.block_spectra(x, 32, lead=7)
    blocks = np.fft.irfft(X, 64, axis=-1)
    line = blocks[:, :32].reshape(-1)
    assert X.shape == (4, 33)
    assert np.allclose(line[7:107], x, atol=1e-6)
    assert np.allclose(line[:7], 0, atol=1e-6)
    assert np.allclose(blocks[:, 32:], 0, atol=1e-6)
