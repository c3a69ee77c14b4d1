"""Distributions: our scenes are drawn as the official generators are documented to draw theirs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from synth.scenes.recipe import load_recipe
from synth.scenes.spec import SceneSpec

from .tables import RATE, scenes, tables

T = 10 * RATE
LIMIT = 1e-3
TABLES = tables()


@pytest.fixture(scope="module")
def of_2025() -> list[SceneSpec]:
    return scenes(load_recipe("dcase2025"), TABLES)


@pytest.fixture(scope="module")
def of_2026() -> list[SceneSpec]:
    return scenes(load_recipe("dcase2026-tagging"), TABLES)


def uniform(values: Sequence[int], kinds: int) -> bool:
    counts = np.bincount(np.asarray(values), minlength=kinds)
    return len(counts) == kinds and bool(stats.chisquare(counts).pvalue > LIMIT)


def test_counts_are_uniform(of_2025: list[SceneSpec], of_2026: list[SceneSpec]) -> None:
    assert uniform([len(s.targets) - 1 for s in of_2025], 3)
    assert uniform([len(s.interferers) - 1 for s in of_2025], 2)
    assert uniform([len(s.targets) for s in of_2026], 4)  # with scenes that have no target
    assert uniform([len(s.interferers) for s in of_2026], 3)
    both = [4 * len(s.interferers) + len(s.targets) for s in of_2026]
    assert uniform(both, 12)  # independent of each other


def test_classes_files_places_positions_and_noises_are_uniform(of_2025: list[SceneSpec]) -> None:
    targets = [event for s in of_2025 for event in s.targets]
    others = [event for s in of_2025 for event in s.interferers]
    assert uniform([int(e.label[-2:]) for e in targets], 18)
    assert uniform([int(e.path[-7:-4]) for e in targets], 6)
    assert uniform([e.position for e in targets], 18)
    assert uniform([int(e.label[-1]) for e in others], 5)
    assert uniform([e.position for e in others], 18)
    assert uniform([int(s.place[-6]) for s in of_2025], 3)
    assert uniform([int(s.noise.path[-5]) for s in of_2025 if s.noise], 2)
    assert any(len({e.position for e in s.targets}) < len(s.targets) for s in of_2025)


def test_classes_of_interferers_are_drawn_with_replacement(of_2025: list[SceneSpec]) -> None:
    pairs = [s.interferers for s in of_2025 if len(s.interferers) == 2]
    equal = sum(a.label == b.label for a, b in pairs)
    assert stats.binomtest(equal, len(pairs), 1 / 5).pvalue > LIMIT


def test_snrs_starts_and_onsets_are_uniform(of_2025: list[SceneSpec]) -> None:
    targets = [event for s in of_2025 for event in s.targets]
    others = [event for s in of_2025 for event in s.interferers]
    assert stats.kstest([e.snr_db for e in targets], stats.uniform(5, 15).cdf).pvalue > LIMIT
    assert stats.kstest([e.snr_db for e in others], stats.uniform(0, 15).cdf).pvalue > LIMIT
    short = [e.onset for e in targets if e.duration < T]
    parts = [(e.onset + 0.5) / (T - e.duration + 1) for e in targets if e.duration < T]
    assert len(short) > 1000
    assert stats.kstest(parts, stats.uniform().cdf).pvalue > LIMIT
    long = [e for e in targets if e.duration == T]
    assert all(e.onset == 0 for e in long)
    assert stats.kstest([e.start / 80_000 for e in long], stats.uniform().cdf).pvalue > LIMIT


def test_long_noise_starts_at_whole_seconds_as_officially_or_anywhere(of_2025: list[SceneSpec]) -> None:
    """floor(U(0, 20.5)): 0 to 19 equally often, 20 half as often."""
    starts = [s.noise.start // RATE for s in of_2025 if s.noise and "n0" in s.noise.path]
    expected = np.array([1.0] * 20 + [0.5]) / 20.5 * len(starts)
    assert stats.chisquare(np.bincount(starts, minlength=21), expected).pvalue > LIMIT
    anywhere = scenes(load_recipe("dcase2025", ["noise.start=samples"]), TABLES)
    drawn = [s.noise.start / RATE for s in anywhere if s.noise and "n0" in s.noise.path]
    assert stats.kstest(drawn, stats.uniform(0, 20.5).cdf).pvalue > LIMIT
    assert all(
        s.noise.start == 0 and s.noise.duration == 5 * RATE
        for s in anywhere
        if s.noise and "n1" in s.noise.path
    )


def test_half_of_the_scenes_of_2026_repeat_classes(of_2026: list[SceneSpec]) -> None:
    for count in (2, 3):
        chosen = [s for s in of_2026 if len(s.targets) == count]
        sizes = Counter(tuple(sorted(Counter(e.label for e in s.targets).values())) for s in chosen)
        repeated = len(chosen) - sizes[(1,) * count]
        assert stats.binomtest(repeated, len(chosen), 0.5).pvalue > LIMIT
        if count == 3:
            # One copy (2 + 1) or two (3), equally often: up to three of one class.
            assert stats.binomtest(sizes[(3,)], repeated, 0.5).pvalue > LIMIT


def test_positions_of_repeated_classes_are_uniform_over_those_far_enough(of_2026: list[SceneSpec]) -> None:
    """On a ring of 20 degrees, exactly 60 degrees is not more than 60: 80 to 280 remain."""
    turns = []
    for spec in of_2026:
        if len(spec.targets) == 2 and spec.targets[0].label == spec.targets[1].label:
            turns.append((spec.targets[1].position - spec.targets[0].position) % 18)
    assert set(turns) == set(range(4, 15))
    assert uniform([turn - 4 for turn in turns], 11)


def test_2025_and_2026_say_which_rules_they_follow(
    of_2025: list[SceneSpec], of_2026: list[SceneSpec]
) -> None:
    a, b = of_2025[3], of_2026[3]
    assert (a.rules, a.ref_db, b.rules, b.ref_db) == ("s5kit2025", -50, "s5kit2026", -55)
    assert a.origin is not None
    recipe = load_recipe("dcase2025")
    assert (a.origin.recipe, a.origin.recipe_hash) == ("dcase2025", recipe.recipe_hash)
    assert (a.origin.catalog_hash, a.origin.split) == (TABLES.content_hash, "train")
    assert (a.origin.seed, a.origin.index) == (0, 3)
