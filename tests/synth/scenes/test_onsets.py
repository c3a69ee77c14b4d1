"""Onsets: never more events at once than allowed, and no start favoured over another."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from synth.scenes.onsets import draw_onset, free_stretches
from synth.scenes.seeding import Draws, draws_for

SCENE = 30
EXTENTS = st.lists(
    st.tuples(st.integers(0, SCENE - 1), st.integers(1, SCENE)).map(
        lambda x: (x[0], min(x[0] + x[1], SCENE))
    ),
    max_size=6,
)


def allowed(others: list[tuple[int, int]], duration: int, limit: int) -> list[int]:
    """Every onset that fits, by counting sample by sample."""
    count = np.zeros(SCENE, dtype=int)
    for first, last in others:
        count[first:last] += 1
    return [t for t in range(SCENE - duration + 1) if (count[t : t + duration] < limit).all()]


@given(others=EXTENTS, duration=st.integers(1, SCENE), limit=st.integers(1, 4))
def test_exactly_the_onsets_that_fit_can_be_drawn(
    others: list[tuple[int, int]], duration: int, limit: int
) -> None:
    fitting: list[int | None] = [*allowed(others, duration, limit)]
    if len(others) < limit:
        assert fitting == list(range(SCENE - duration + 1))
    # One word per onset, spread evenly, reaches each of them once.
    words = [(2 * n + 1) * 2**63 // len(fitting) for n in range(len(fitting))] if fitting else [0]
    drawn = [draw_onset(Draws(iter([word])), others, duration, SCENE, limit) for word in words]
    assert drawn == (fitting or [None])


@given(others=EXTENTS, limit=st.integers(1, 4))
def test_free_stretches_are_those_with_room_for_one_more(others: list[tuple[int, int]], limit: int) -> None:
    free = np.zeros(SCENE, dtype=bool)
    stretches = free_stretches(others, SCENE, limit)
    for first, last in stretches:
        assert first < last
        free[first:last] = True
    assert np.flatnonzero(free).tolist() == allowed(others, 1, limit)
    # As long as can be: no two of them touch.
    assert all(a[1] < b[0] for a, b in itertools.pairwise(stretches))


def test_a_long_gap_is_chosen_as_often_as_it_has_onsets() -> None:
    draws = draws_for(0, 0, "onsets")
    others = [(3, 10)]
    drawn = [draw_onset(draws, others, 2, SCENE, 1) for _ in range(10_000)]
    fitting = allowed(others, 2, 1)
    assert fitting == [0, 1, *range(10, 29)]
    counts = [drawn.count(onset) for onset in fitting]
    assert sum(counts) == 10_000
    assert stats.chisquare(counts).pvalue > 1e-3
