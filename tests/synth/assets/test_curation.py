"""What a user would lose: the task's own choice of what is worth keeping of a recording."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.assets.importers.curation import Curation, curate
from synth.errors import SynthError

RATE = 32_000


def sound(*parts: tuple[float, float], rate: int = RATE) -> np.ndarray:
    """Constant levels, so many seconds each, alternating in sign: (level, seconds), ..."""
    x = np.concatenate([np.full(round(seconds * rate), level) for level, seconds in parts])
    return (x * np.where(np.arange(len(x)) % 2, -1, 1)).astype(np.float32)


def spans(*parts: tuple[float, float]) -> list[tuple[float, float]]:
    return [(start / RATE, len(x) / RATE) for start, x in curate(sound(*parts), RATE).pieces]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(0.5, 3)], [(0, 3)]),
        ([(0.02, 3)], [(0, 3)]),
        ([(0.0199, 3)], []),
        ([(0.5, 0.1)], [(0, 0.1)]),
        ([(0.5, 0.099)], []),
        ([(0.5, 2), (0.001, 9.9), (0.5, 2)], [(0, 13.9)]),
        ([(0.5, 2), (0.001, 10), (0.5, 2)], [(0, 2), (12, 2)]),
        ([(0.5, 2), (0.0, 30), (0.5, 2), (0.0, 12)], [(0, 2), (32, 2)]),
        ([(0.0, 12), (0.5, 1)], [(12, 1)]),
        ([(0.0, 40)], []),
        ([(0.5, 2), (0.001, 12), (0.5, 0.05), (0.001, 12), (0.5, 2)], [(0, 2), (14, 0.1), (26.05, 2.0)]),
    ],
)
def test_the_rules(parts: list[tuple[float, float]], expected: list[tuple[float, float]]) -> None:
    """Amplitude 0.02, 0.1 s, quiet windows of 10 s on a grid of 0.1 s: cuts are within one step."""
    found = spans(*parts)
    assert len(found) == len(expected)
    for piece, wanted in zip(found, expected, strict=True):
        assert piece == pytest.approx(wanted, abs=0.1001)


def test_why_nothing_was_kept() -> None:
    assert curate(sound((0.01, 2)), RATE).dropped == ("quieter than 0.02",)
    assert curate(sound((0.5, 0.05)), RATE).dropped == ("shorter than 0.1 s",)


def test_stereo_is_averaged_and_resampled() -> None:
    """Against scipy's own resampling of the mean, away from the ends."""
    t = np.arange(44_100) / 44_100
    left, right = np.sin(2 * np.pi * 440 * t), 0.5 * np.sin(2 * np.pi * 660 * t)
    ((start, x),) = curate(np.stack((left, right)).astype(np.float32), 44_100).pieces
    u = np.arange(RATE) / RATE
    expected = 0.5 * (np.sin(2 * np.pi * 440 * u) + 0.5 * np.sin(2 * np.pi * 660 * u))
    assert (start, x.shape) == (0, (RATE,))
    np.testing.assert_allclose(x[500:-500], expected[500:-500], atol=1e-4)


def test_other_rules() -> None:
    x = sound((0.5, 1), (0.05, 1), (0.5, 1))
    assert len(curate(x, RATE, Curation(min_amplitude=0.1, quiet_seconds=0.5)).pieces) == 2
    assert len(curate(x, RATE, Curation(min_amplitude=0.1, quiet_seconds=0)).pieces) == 1
    for wrong in ({"rate": 0}, {"hop_seconds": 0}, {"quiet_seconds": -1}, {"min_amplitude": 1}):
        with pytest.raises(SynthError, match="make no sense"):
            Curation(**wrong)


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.5]), st.integers(1, 60)), min_size=1, max_size=8))
def test_what_is_kept_is_what_a_slow_look_keeps(parts: list[tuple[float, int]]) -> None:
    """Sample by sample: gone is what lies in a quiet window on the grid, and nothing else."""
    rules = Curation(rate=8_000, min_amplitude=0.02, min_seconds=0, quiet_seconds=1.0)
    x = sound(*[(level, steps * 0.05) for level, steps in parts], rate=8_000)
    gone = np.zeros(len(x), dtype=bool)
    for start in range(0, len(x) - 8_000 + 800, 800):
        window = slice(start, start + 8_000)
        if len(x) >= 8_000 and np.abs(x[window]).max() < 0.02:
            gone[window] = True
    kept = np.zeros(len(x), dtype=bool)
    for start, piece in curate(x, 8_000, rules).pieces:
        kept[start : start + len(piece)] = True
    loud = np.abs(x) >= 0.02
    assert not np.any(loud & ~kept)
    assert not np.any(kept & gone)
