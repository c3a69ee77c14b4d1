"""Effects of single events against scipy and closed forms: what a user hears is what the spec says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.errors import SynthError
from synth.rendering.effects.events import apply_event_effects, read_event
from synth.scenes.effect_specs import (
    BandPass,
    ColouredNoise,
    Gain,
    HighPass,
    LowPass,
    PitchShift,
    Polarity,
    TimeStretch,
)
from synth.scenes.effects import pitch_on_grid, pitch_steps
from synth.scenes.spec import EventSpec
from tests.synth.rendering.reference import MemorySounds

ROOT = Path(__file__).parents[3]
RATE = 32_000
N = RATE


def noise(samples: int = N, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(samples).astype(np.float32)


def tone(frequency: float, samples: int = 2 * RATE, rate: int = RATE) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(samples) / rate)).astype(np.float32)


def applied(x: np.ndarray, *effects: object, rate: int = RATE) -> np.ndarray:
    return apply_event_effects(torch.from_numpy(x.copy()), effects, rate).numpy()


def windowed_sinc(x: np.ndarray, cutoff: float) -> np.ndarray:
    """The low-pass by scipy in float64: 8 zero crossings a side, Hann window, ends held."""
    half = int(8 / (cutoff / RATE) / 2)
    taps = scipy.signal.firwin(2 * half + 1, cutoff, window="hann", fs=RATE)
    return scipy.signal.fftconvolve(np.pad(x.astype(np.float64), half, mode="edge"), taps, mode="valid")


def test_gain_and_polarity() -> None:
    x = noise()
    assert np.allclose(applied(x, Gain(db=-6.0)), x * 10 ** (-0.3), rtol=1e-6)
    assert np.array_equal(applied(x, Polarity()), -x)
    assert np.array_equal(applied(x, Polarity(), Polarity()), x)


@pytest.mark.parametrize("cutoff", [80.0, 440.0, 6_000.0])
def test_low_and_high_pass_are_windowed_sincs(cutoff: float) -> None:
    x = noise()
    low = windowed_sinc(x, cutoff)
    assert np.abs(applied(x, LowPass(cutoff_hz=cutoff)) - low).max() < 2e-5
    assert np.abs(applied(x, HighPass(cutoff_hz=cutoff)) - (x - low)).max() < 2e-5


def test_band_pass_is_the_difference_of_two_low_passes() -> None:
    """The transform's filters share the length that the lower edge needs, so tones are measured."""
    effect = BandPass(centre_hz=1000.0, width=0.5)  # 750 to 1250 Hz
    for frequency, low, high in ((1000, 0.99, 1.01), (750, 0.45, 0.55), (1250, 0.45, 0.55), (300, 0, 0.01)):
        y = applied(tone(frequency), effect)[RATE // 2 : -RATE // 2]
        assert low <= y.std() / tone(frequency).std() <= high, frequency


@pytest.mark.parametrize("semitones", [-7.3, -1.0, 0.5, 2.0, 12.0])
@pytest.mark.parametrize("rate", [32_000, 22_050])
def test_pitch_shift_moves_a_tone_by_its_ratio(semitones: float, rate: int) -> None:
    on_grid = pitch_on_grid(semitones, rate)
    assert abs(on_grid - semitones) < 12 * np.log2(1 + 1 / pitch_steps(rate)) * 2 ** (semitones / 12) / 1.9
    x = tone(880.0, rate, rate)
    y = applied(x, PitchShift(semitones=on_grid), rate=rate)
    assert len(y) == len(x)
    middle = y[rate // 8 : rate // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle)), 8 * len(middle)))
    found = np.argmax(spectrum) * rate / (8 * len(middle))
    assert found == pytest.approx(880.0 * 2 ** (on_grid / 12), rel=1e-3)


@pytest.mark.parametrize("factor", [0.8, 0.95, 1.1, 1.3])
@pytest.mark.parametrize("frequency", [220.0, 1234.5])
def test_a_stretched_tone_is_the_same_tone(factor: float, frequency: float) -> None:
    x = tone(frequency)
    y = applied(x, TimeStretch(factor=factor, samples=len(x)))
    assert len(y) == round(len(x) * factor)
    middle = y[4_000:-4_000].astype(np.float64)
    t = 2 * np.pi * frequency * np.arange(len(middle)) / RATE
    basis = np.stack((np.sin(t), np.cos(t)), axis=1)
    weights = np.linalg.lstsq(basis, middle, rcond=None)[0]
    assert np.hypot(*weights) == pytest.approx(0.3, rel=1e-3)
    assert np.std(middle - basis @ weights) < 1e-3 * np.std(middle)


def test_stretched_clicks_come_when_they_should() -> None:
    x = np.zeros(2 * RATE, np.float32)
    x[[16_000, 40_000]] = 1.0
    for factor in (0.8, 1.25):
        y = np.abs(applied(x, TimeStretch(factor=factor, samples=len(x))))
        split = round(28_000 * factor)
        for part, click in ((y[:split], 16_000 * factor), (y[split:], 40_000 * factor - split)):
            energy = part.astype(np.float64) ** 2
            centre = (energy * np.arange(len(part))).sum() / energy.sum()
            assert abs(centre - click) < 0.02 * RATE


@given(samples=st.integers(1, 3_000), factor=st.floats(0.5, 2), seed=st.integers(0, 99))
@settings(max_examples=15)
def test_sounds_of_any_length_keep_to_their_length(samples: int, factor: float, seed: int) -> None:
    x = noise(samples, seed)
    y = applied(x, TimeStretch(factor=factor, samples=samples))
    assert len(y) == max(round(samples * factor), 1)
    assert np.isfinite(y).all()
    effects = (HighPass(cutoff_hz=100.0), LowPass(cutoff_hz=4_000.0), PitchShift(semitones=pitch_on_grid(1, RATE)),
               BandPass(centre_hz=900.0, width=1.0), ColouredNoise(snr_db=20, decay=1, seed=seed))  # fmt: skip
    z = applied(x, *effects)
    assert len(z) == samples
    assert np.isfinite(z).all()


def test_coloured_noise_lies_at_its_snr_and_leans_its_way() -> None:
    x = noise()
    tilts = []
    for decay in (-1.0, 0.0, 1.5):
        added = applied(x, ColouredNoise(snr_db=12.0, decay=decay, seed=5)) - x
        assert 10 * np.log10(np.mean(x**2) / np.mean(added**2)) == pytest.approx(12.0, abs=1e-3)
        power = np.abs(np.fft.rfft(added)) ** 2
        tilts.append(np.log10(power[1_000:2_000].mean() / power[10_000:15_000].mean()))
    assert tilts[0] < -0.2 < tilts[1] < 0.2 < tilts[2]


def test_what_is_drawn_inside_a_transform_is_a_matter_of_the_spec_alone() -> None:
    """Else a scene would sound otherwise after other scenes, and torch's own generator would move."""
    x, effect = noise(), ColouredNoise(snr_db=10.0, decay=1.0, seed=7)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = applied(x, effect)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(4)
    assert np.array_equal(applied(x, effect), first)
    assert not np.array_equal(applied(x, ColouredNoise(snr_db=10.0, decay=1.0, seed=8)), first)


def test_twice_equals_once_whatever_the_number_of_threads() -> None:
    x = noise(20_000)
    effects = (TimeStretch(factor=1.1, samples=len(x)), PitchShift(semitones=pitch_on_grid(-2, RATE)),
               HighPass(cutoff_hz=90.0), LowPass(cutoff_hz=5_000.0), BandPass(centre_hz=900.0, width=1.5))  # fmt: skip
    once, threads = applied(x, *effects), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert np.array_equal(applied(x, *effects), once)
    finally:
        torch.set_num_threads(threads)


def event(**changes: object) -> EventSpec:
    fields = {"label": "Speech", "path": "e", "start": 10, "duration": 1_000, "onset": 0, "position": 0,
              "xyz": (1.0, 0.0, 0.0), "snr_db": 0.0}  # fmt: skip
    return EventSpec(**(fields | changes))


def test_an_event_reads_what_its_effects_need() -> None:
    sounds = MemorySounds(events={"e": noise(10_000)})
    whole = sounds.events["e"]
    cut = read_event(sounds, event(cut_before=300, duration=700), "s5kit2025", RATE)
    assert np.array_equal(cut, whole[10:1_010])
    stretch = TimeStretch(factor=1.25, samples=800)
    long = read_event(sounds, event(cut_before=300, duration=700, effects=(stretch,)), "s5kit2025", RATE)
    assert np.array_equal(long, applied(whole[10:810], stretch))
    assert np.array_equal(read_event(sounds, event(), "s5kit2025", RATE), whole[10:1_010])


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_audiomentations", None)
    with pytest.raises(SynthError, match=r"pip install 's5kit\[augment\]'"):
        applied(noise(), Gain(db=1.0))


def test_rendering_without_effects_needs_no_torch() -> None:
    """Else everyone who only wants scenes has to install it."""
    code = "import sys; from synth import render; import synth.rendering.effects.scene; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
