"""Fingerprints: the same recording is found again however it was treated, another one is not taken for it."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from synth.assets.fingerprint import RATE, find_matches, fingerprint
from synth.units import Audio


def melody(seed: int, seconds: float = 4.0) -> Audio:
    """Decaying tones and clicks at random, over faint noise."""
    rng = np.random.default_rng(seed)
    x = 0.001 * rng.standard_normal(int(seconds * RATE))
    for _ in range(int(6 * seconds)):
        start, length = rng.integers(0, x.size - 2000), 2000
        t = np.arange(length) / RATE
        tone = np.sin(2 * np.pi * rng.uniform(150, 6000) * t) * np.exp(-t * rng.uniform(10, 60))
        x[start : start + length] += rng.uniform(0.1, 0.5) * tone
    sound: Audio = x.astype(np.float32)
    return sound


def as_ogg(x: Audio) -> Audio:
    file = io.BytesIO()
    soundfile.write(file, x, RATE, format="OGG", subtype="VORBIS")
    file.seek(0)
    sound: Audio = soundfile.read(file, dtype="float32")[0]
    return sound


def through(x: Audio, rate: int) -> Audio:
    sound: Audio = soxr.resample(soxr.resample(x, RATE, rate), rate, RATE)
    return sound


def noise(x: Audio, snr_db: float) -> NDArray[np.float32]:
    faint = np.random.default_rng(9).standard_normal(x.size).astype(np.float32)
    level = np.float32(np.sqrt((x**2).mean()) * 10 ** (-snr_db / 20))
    return np.asarray(x + level * faint, dtype=np.float32)


@pytest.mark.parametrize(
    "treat",
    [
        lambda x: np.float32(0.05) * x,
        lambda x: through(x, 44_100),
        lambda x: through(x, 11_025),
        as_ogg,
        lambda x: noise(x, 25),
        lambda x: x[9_137:-11_000],
        lambda x: np.pad(x, (12_345, 777)),
        lambda x: np.concatenate([melody(77), x, melody(78)]),
    ],
    ids=["quieter", "44.1 kHz", "11 kHz", "Vorbis", "noise", "cut", "delayed", "inside another"],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_same_recording_is_found(treat: object, seed: int) -> None:
    assert callable(treat)
    others = [fingerprint(melody(100 + n)) for n in range(6)]
    prints = [fingerprint(melody(seed)), *others, fingerprint(treat(melody(seed)))]
    assert [(match.first, match.second) for match in find_matches(prints)] == [(0, 7)]


def test_other_recordings_are_not() -> None:
    rng = np.random.default_rng(0)
    prints = [fingerprint(melody(n)) for n in range(40)]
    prints += [fingerprint(rng.standard_normal(4 * RATE).astype(np.float32)) for _ in range(10)]
    assert find_matches(prints) == []


@pytest.mark.parametrize("samples", [1, 100, 600])
def test_sounds_too_short_to_tell_match_nothing(samples: int) -> None:
    prints = [fingerprint(np.full(samples, 0.5, np.float32)) for _ in range(2)]
    assert find_matches(prints) == []
    assert find_matches([]) == []
