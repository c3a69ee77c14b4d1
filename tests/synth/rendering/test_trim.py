"""Trimming keeps the decay and drops the measurement noise."""

from __future__ import annotations

import numpy as np

from synth.assets.rirs import make_rir
from synth.rendering.trim import noise_floor_tap, trim_rir
from synth.scenes.spec import TrimSpec

RATE = 32_000


def decaying(rt60: float, floor_db: float, seconds: float = 2.0) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(0))
    t = np.arange(int(seconds * RATE)) / RATE
    decay = rng.standard_normal((4, len(t))) * 10 ** (-3 * t / rt60)
    return (decay + 10 ** (floor_db / 20) * rng.standard_normal((4, len(t)))).astype(np.float32)


def test_cut_lies_where_decay_meets_noise():
    """60 dB of decay in 0.6 s over a floor at -40 dB: they meet at 0.4 s."""
    tap = noise_floor_tap(decaying(0.6, -40), RATE)
    assert 0.36 <= tap / RATE <= 0.44


def test_a_rir_without_noise_is_kept_whole():
    clean = decaying(4.0, -200)
    rir = make_rir(clean)
    assert trim_rir(rir, RATE, TrimSpec(at_noise_floor=False, seconds=5.0)) is rir


def test_the_cut_fades_out_and_keeps_the_rest():
    rir = make_rir(decaying(0.6, -40))
    cut = trim_rir(rir, RATE, TrimSpec(seconds=0.25))
    assert cut.taps.shape == (4, 8_000)
    assert np.array_equal(cut.taps[:, :7_800], rir.taps[:, :7_800])
    assert np.abs(cut.taps[:, -1]).max() < 1e-6
    assert cut.autocorrelation[0] == np.float32((cut.taps.astype(np.float64) ** 2).sum())
