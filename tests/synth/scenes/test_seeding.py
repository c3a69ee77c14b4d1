"""Random numbers: the same everywhere, for ever; without them no corpus could be made again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from synth.errors import SynthError
from synth.scenes.seeding import Draws, _key, draws_for, permute

ROOT = Path(__file__).parents[3]
MASK = (1 << 64) - 1
FROZEN = ([4, 3, 1, 2, 0], 656, 14, 7.444787986672693)
FROZEN_ORDER = [7, 2, 5, 4, 8, 6, 1, 0, 3, 9]


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 from the paper, in Python integers."""
    x, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2E7470EE14C6C93 * x[0], 0xCA5A826395121157 * x[2]
        x = [(b >> 64) ^ x[1] ^ k[0], b & MASK, (a >> 64) ^ x[3] ^ k[1], a & MASK]
        k = [(k[0] + 0x9E3779B97F4A7C15) & MASK, (k[1] + 0xBB67AE8584CAA73B) & MASK]
    return x


def test_the_paper_implementation_gives_the_published_test_vector() -> None:
    expected = [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B]
    assert philox([0, 0, 0, 0], [0, 0]) == expected


def test_words_are_those_of_philox_with_index_and_epoch_in_the_counter() -> None:
    key = [int(word) for word in _key(5, "plan")]
    draws = draws_for(5, 7, "plan", epoch=3)
    words = [draws.integer(0, MASK) for _ in range(68)]
    # NumPy counts up before each block.
    assert words == [word for block in range(1, 18) for word in philox([block, 7, 3, 0], key)]


def test_numbers_are_frozen() -> None:
    draws = draws_for(0, 0, "frozen")
    order = list(range(5))
    draws.shuffle(order)
    got = (order, draws.integer(-3, 1000), draws.choice(18), draws.uniform(5.0, 20.0))
    assert got == FROZEN
    assert [permute(n, 10, 1) for n in range(10)] == FROZEN_ORDER


def test_another_process_with_another_hash_seed_draws_the_same() -> None:
    code = (
        "from synth.scenes.seeding import *; print(draws_for(1, 2, 'x', 3).uniform(0, 1), permute(3, 99, 1))"
    )
    seen = set()
    for hash_seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        result = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, check=True
        )
        seen.add(result.stdout)
    assert len(seen) == 1


def test_seed_index_epoch_and_purpose_all_matter() -> None:
    streams = [
        (0, 0, "a", 0),
        (1, 0, "a", 0),
        (-1, 0, "a", 0),
        (0, 1, "a", 0),
        (0, 0, "b", 0),
        (0, 0, "a", 1),
    ]
    assert len({draws_for(*arguments).integer(0, MASK) for arguments in streams}) == len(streams)


def test_index_must_be_in_range() -> None:
    with pytest.raises(SynthError, match="index"):
        draws_for(0, -1, "x")
    with pytest.raises(SynthError, match="epoch"):
        draws_for(0, 0, "x", epoch=1 << 63)
    with pytest.raises(ValueError, match="no integer"):
        draws_for(0, 0, "x").choice(0)


def test_draws_are_uniform() -> None:
    draws = draws_for(0, 0, "uniformity")
    real = [draws.uniform(5.0, 20.0) for _ in range(20_000)]
    assert stats.kstest(real, stats.uniform(5, 15).cdf).pvalue > 1e-3
    whole = np.bincount([draws.integer(1, 7) for _ in range(20_000)], minlength=8)[1:]
    assert stats.chisquare(whole).pvalue > 1e-3
    # The first number of each scene must be uniform over scenes, too: that is what a corpus shows.
    first = np.bincount([draws_for(3, index, "first").choice(5) for index in range(5_000)])
    assert stats.chisquare(first).pvalue > 1e-3


def test_ends_of_the_ranges_are_reached_and_not_passed() -> None:
    assert Draws(iter([0])).uniform(-2.0, 3.0) == -2.0
    assert 2.999999 < Draws(iter([MASK])).uniform(-2.0, 3.0) <= 3.0
    assert (Draws(iter([0])).integer(4, 9), Draws(iter([MASK])).integer(4, 9)) == (4, 9)


def test_shuffles_are_uniform() -> None:
    draws = draws_for(0, 0, "shuffle")
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(6_000):
        items = [0, 1, 2]
        draws.shuffle(items)
        seen[tuple(items)] = seen.get(tuple(items), 0) + 1
    assert len(seen) == 6
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3


@given(length=st.integers(1, 300), seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 5))
def test_permute_is_a_permutation(length: int, seed: int, epoch: int) -> None:
    assert sorted(permute(n, length, seed, epoch) for n in range(length)) == list(range(length))


@pytest.mark.parametrize("length", [2, 3, 5, 16, 17])
def test_permute_sends_an_index_anywhere_with_equal_chance(length: int) -> None:
    for index in (0, length - 1):
        seen = np.bincount([permute(index, length, seed) for seed in range(3_000)], minlength=length)
        assert stats.chisquare(seen).pvalue > 1e-3


def test_permute_of_a_huge_length_needs_no_memory() -> None:
    length = 10**15
    values = [permute(n, length, 0) for n in range(1000)]
    assert len(set(values)) == 1000
    assert max(values) < length
    assert abs(np.mean(values) / length - 0.5) < 0.05
    with pytest.raises(SynthError, match="outside"):
        permute(length, length, 0)
