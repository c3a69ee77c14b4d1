"""The parts that the sounds are made of, against closed forms."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import signal

from synth.assets.demo import dsp
from synth.assets.demo.draws import draws, object_draws, style
from synth.assets.demo.tract import glottis, tract
from synth.assets.demo.water import bubbles

RATE = 32_000


def band_level(x: np.ndarray, low: float, high: float) -> float:
    f, power = signal.welch(x, RATE, nperseg=4_096)
    return float(10 * np.log10(power[(f >= low) & (f < high)].mean()))


def test_a_ring_is_a_sum_of_damped_sines() -> None:
    """Bells would be out of tune: against exp and sin in float64."""
    t = np.arange(9_600) / RATE
    expected = sum(
        g * np.exp(-t / tau) * np.sin(2 * np.pi * f * t)
        for f, tau, g in ((440.0, 0.2, 1.0), (1_234.5, 0.05, 0.5), (9_999.0, 0.01, 0.25))
    )
    got = dsp.ring(
        [440.0, 1_234.5, 9_999.0, 15_500.0], [0.2, 0.05, 0.01, 1.0], [1.0, 0.5, 0.25, 9.0], seconds=0.3
    )
    np.testing.assert_allclose(got, expected, atol=1e-9)


def test_noise_has_the_band_and_the_slope_it_was_asked_for() -> None:
    """Backgrounds of the wrong colour: 6 dB per octave between 250 Hz and 4 kHz, little outside."""
    x = dsp.noise(draws("test"), 5 * RATE, 100, 8_000, tilt=6.0)
    assert np.sqrt(np.mean(x**2)) == pytest.approx(1.0)
    fall = band_level(x, 250, 354) - band_level(x, 4_000, 5_657)
    assert fall == pytest.approx(24.0, abs=1.5)
    flat = dsp.noise(draws("test"), 5 * RATE, 200, 8_000)
    assert band_level(flat, 20, 50) < band_level(flat, 500, 1_000) - 20
    assert band_level(flat, 15_000, 16_000) < band_level(flat, 500, 1_000) - 10


def test_a_rotor_leaves_out_what_would_fold_back() -> None:
    """Aliased whistles in motors: harmonics above the limit are absent, the others are in tune."""
    x = dsp.rotor(np.full(RATE, 1_000.0), np.ones(40), draws("test"))
    spectrum = np.abs(np.fft.rfft(x)) / (RATE / 2)
    assert set(np.flatnonzero(spectrum > 0.01)) == set(range(1_000, 15_000, 1_000))


def test_formants_stand_where_the_tract_has_them() -> None:
    """Vowels that are none: peaks of the response within 4 percent."""
    pulse = np.zeros(8_000)
    pulse[0] = 1.0
    out = tract(pulse, np.array([[500.0, 1_500.0, 2_500.0]]))
    response = np.abs(np.fft.rfft(out, 32_000))
    found = signal.argrelmax(response)[0][:3]
    np.testing.assert_allclose(found, [500, 1_500, 2_500], rtol=0.04)


def test_moving_formants_do_not_click() -> None:
    """Speech with a 400 Hz rattle: the top of a moving vowel is no louder than that of still ones."""
    pulses, _ = glottis(draws("test"), np.full(RATE, 120.0), jitter=0.0)
    ends = np.array([[270.0, 2_290.0, 3_010.0], [730.0, 1_090.0, 2_440.0]])
    way = ends[0] + (ends[1] - ends[0]) * np.linspace(0, 1, 400)[:, None]
    moving = band_level(tract(pulses, way), 8_000, 12_000)
    still = max(band_level(tract(pulses, shape[None]), 8_000, 12_000) for shape in way[::50])
    assert moving < still + 3


def test_bubbles_follow_the_flow() -> None:
    """A pour that does not stop: no sound where nothing flows."""
    flow = np.where(np.arange(2 * RATE) < RATE, 1.0, 1e-9)
    out = bubbles(draws("test"), flow, 150, 500, 3_000)
    assert np.abs(out[RATE + 6_000 :]).max() < 1e-3 * np.abs(out).max()


def test_finish_gives_a_file_its_bounds() -> None:
    """Clicks at the ends, silence before, DC and clipping, whatever the raw sound was."""
    raw = np.concatenate([np.zeros(20_000), 3.0 + dsp.noise(draws("test"), 30_000), np.zeros(50_000)])
    out = dsp.finish(raw, 0.8)
    assert np.abs(out).max() == pytest.approx(0.8)
    assert abs(out.mean()) < 1e-3
    assert np.argmax(np.abs(out) > 0.008) < 0.05 * RATE
    assert abs(out[0]) < 1e-6
    assert abs(out[-1]) < 1e-6
    assert dsp.finish(np.ones(100), 0.5).size == 0.3 * RATE
    assert dsp.finish(dsp.noise(draws("test"), 13 * RATE), 0.5).size == 12 * RATE


def test_draws_depend_on_their_purpose_alone() -> None:
    """Files that change with the order of building, or with the process that builds them."""
    here = draws("train", "Speech", 3).uniform(size=3).tolist()
    assert here == draws("train", "Speech", 3).uniform(size=3).tolist()
    assert here != draws("valid", "Speech", 3).uniform(size=3).tolist()
    code = "from synth.assets.demo.draws import draws; print(draws('train', 'Speech', 3).uniform(size=3).tolist())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert there.strip() == str(here)


def test_a_handful_of_objects_shows_every_style() -> None:
    """A train split with a single kind of alarm clock, by bad luck."""
    shares = {"a": 0.5, "b": 0.3, "c": 0.2}
    for split in ("train", "valid"):
        for label in ("AlarmClock", "Doorbell", "FootSteps", "Speech"):
            styles = [style(object_draws(split, label, k), shares) for k in range(10)]
            assert 4 <= styles.count("a") <= 6
            assert 2 <= styles.count("b") <= 4
            assert 1 <= styles.count("c") <= 3
