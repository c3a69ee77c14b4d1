"""Spectrograms and their PNG files: what people see must be what is in the sound."""

from __future__ import annotations

import io

import numpy as np
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from synth.report.png import encode_png
from synth.report.spectrogram import (
    BANDS,
    COLUMNS,
    RANGE,
    WINDOW,
    band_centres,
    mel_spectrogram,
    palette,
    picture,
    power_spectrogram,
)
from tests.synth.report.scenes import RATE


def test_power_is_that_of_scipy() -> None:
    """A wrong window, hop or scale would draw levels that are not there."""
    x = np.random.default_rng(0).standard_normal(20_480).astype(np.float32)
    ours = power_spectrogram(x, columns=20)
    window = scipy.signal.get_window("hann", WINDOW)
    _, _, theirs = scipy.signal.stft(
        np.pad(x.astype(np.float64), (WINDOW // 2, WINDOW)), window=window, nperseg=WINDOW, noverlap=WINDOW - 1024,
        boundary=None, padded=False, scaling="spectrum",
    )  # fmt: skip
    expected = 4 * np.abs(theirs[:, :20].T) ** 2
    assert np.allclose(ours, expected, rtol=1e-4, atol=1e-7)


def test_a_sine_stands_at_its_frequency_with_its_level() -> None:
    """The axis of the picture and its scale in dB can be believed."""
    for bin_number, amplitude in ((48, 1.0), (200, 0.1), (640, 0.01)):
        frequency = bin_number * RATE / WINDOW
        x = (amplitude * np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE)).astype(np.float32)
        power = power_spectrogram(x, columns=9)[4]
        assert int(np.argmax(power)) == bin_number
        assert abs(10 * np.log10(power[bin_number]) - 20 * np.log10(amplitude)) < 0.01
        level = mel_spectrogram(x, RATE, columns=9)[:, 4]
        centres = band_centres(RATE, BANDS + 2)[1:-1]
        assert abs(int(np.argmax(level)) - int(np.argmin(np.abs(centres - frequency)))) <= 1


def test_a_click_stands_at_its_moment() -> None:
    """The playhead would pass over sounds too early or too late."""
    x = np.zeros(RATE, np.float32)
    x[RATE // 4] = 1.0
    level = mel_spectrogram(x, RATE)
    loud = np.flatnonzero(level.max(axis=0) > level.max() - 3)
    assert abs(loud.mean() - COLUMNS / 4) <= 1


def test_the_picture_is_upright_and_uses_its_range() -> None:
    """Low frequencies are below, the loudest is the lightest, and what is below the range is black."""
    level = np.full((3, 4), -200.0, np.float32)
    level[0, 1], level[2, 3] = -10.0, -10.0 - RANGE / 2
    image = np.asarray(Image.open(io.BytesIO(picture(level, top=-10.0))).convert("RGB")).astype(int)
    assert image.shape == (3, 4, 3)
    assert image[2, 1].tolist() == palette()[-1].tolist()
    assert image[0, 0].tolist() == palette()[0].tolist()
    assert palette()[0].sum() < image[0, 3].sum() < palette()[-1].sum()


def test_colours_get_lighter_evenly() -> None:
    """In grey, in print and for every eye the order of levels stays."""
    luminance = palette() @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luminance) > 0).all()


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 255)))
def test_png_files_read_back_by_another_reader(indices: np.ndarray) -> None:
    """Every browser must show them: Pillow reads what we wrote, pixel by pixel."""
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype(np.uint8)
    with Image.open(io.BytesIO(encode_png(indices, colours))) as image:
        image.load()
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image.convert("RGB")), colours[indices])
