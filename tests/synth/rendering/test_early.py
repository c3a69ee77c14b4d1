"""The early window: one tap more or less changes every dry target."""

from __future__ import annotations

import pytest

from synth.rendering.early import early_window
from synth.scenes.rules import RULES
from synth.scenes.spec import DrySpec


@pytest.mark.parametrize(
    ("rules", "peak", "taps", "expected"),
    [
        ("dcase2025", 1_000, 32_000, (808, 2_600)),  # 1792 taps
        ("dcase2026", 1_000, 32_000, (808, 2_601)),  # 1793 taps
        ("s5kit2025", 1_000, 32_000, (808, 2_600)),
        ("dcase2025", 100, 32_000, (0, 1_700)),
        ("dcase2026", 100, 1_200, (0, 1_200)),
        ("dcase2025", 1_199, 1_200, (1_007, 1_200)),
    ],
)
def test_window_of_each_year(rules, peak, taps, expected):
    assert early_window(peak, taps, 32_000, DrySpec(), RULES[rules]) == expected
