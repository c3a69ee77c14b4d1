"""Sounds for the browser: from where they come, how loud, how long."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from synth.report.listening import compressed, listening_gain, to_stereo
from tests.synth.report.scenes import RATE, clicks, plane_wave


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (60, 0), (-60, 0), (120, 0), (180, 0), (35, 40)])
def test_stereo_is_two_cardioids(azimuth: float, elevation: float) -> None:
    """A sound from the left must be heard on the left: (1 + cos of the angle to the axis) / 2."""
    s = clicks(0)
    left, right = to_stereo(plane_wave(s, azimuth, elevation))
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    for found, axis in ((left, 60.0), (right, -60.0)):
        expected = 0.5 * (1 + np.cos(e) * np.cos(a - np.deg2rad(axis))) * s
        assert np.allclose(found, expected, atol=1e-7)


def test_mono_and_stereo_stay() -> None:
    """Sounds that are no Ambisonics are not decoded as if they were."""
    x = np.ones((2, 5), np.float32)
    assert np.array_equal(to_stereo(x), x)
    assert to_stereo(x[:1]).shape == (1, 5)


def test_the_gain_raises_the_loudest_to_just_below_full_scale() -> None:
    """Quiet scenes become audible, nothing clips, silence stays silent."""
    gain = listening_gain(0.01, 0.002)
    assert 0.01 * 10 ** (gain / 20) == pytest.approx(0.85)
    assert listening_gain() == listening_gain(0.0) == 0.0
    assert listening_gain(2.0) < 0
    assert listening_gain(1e-9) == 60.0


@pytest.mark.parametrize("rate", [RATE, 44_100, 96_000])
def test_mp3_lasts_as_long_as_the_sound_and_sounds_alike(rate: int) -> None:
    """The playhead runs in step with the picture, and the sound is the one that was asked for."""
    t = np.arange(rate) / rate
    x = np.stack([np.sin(2 * np.pi * 440 * t), np.zeros(rate)]).astype(np.float32)
    data = compressed(x * np.float32(0.01), rate, gain=34.0)
    y, found = soundfile.read(io.BytesIO(data))
    assert len(data) < 20_000
    assert len(y) / found == pytest.approx(1.0, abs=0.005)
    middle = y[found // 4 : 3 * found // 4]
    assert np.sqrt(2) * middle[:, 0].std() == pytest.approx(0.01 * 10 ** (34 / 20), rel=0.02)
    assert np.abs(middle[:, 1]).max() < 0.02
    assert data == compressed(x * np.float32(0.01), rate, gain=34.0)
