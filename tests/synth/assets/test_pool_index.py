"""Where sounds lie in a pool: found in a mapped table, however many there are."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from synth import SynthError
from synth.assets import pool_index
from synth.assets.pool import EventPool
from synth.assets.pool_index import Entry, PathSet, PoolIndex

COUNT = 20_000


def paths(count: int) -> list[str]:
    return [f"sound_event/train/Class{n % 18}/recording_{n:07d}.wav" for n in range(count)]


def entries(count: int) -> list[tuple[int, int, int, int]]:
    return [(n % 2, 100 * n, n + 1, 1) for n in range(count)]


@pytest.mark.parametrize("count", [0, 1, COUNT])
def test_every_sound_is_found_where_it_lies(tmp_path: Path, count: int) -> None:
    """More sounds than are remembered, so that every way of finding one is taken."""
    with (tmp_path / pool_index.FILE).open("wb") as file:
        PoolIndex.of(paths(count), entries(count)).write(file)
    index = PoolIndex.map(tmp_path, count)
    assert len(index) == count
    for _ in range(2):
        assert [index.get(path) for path in paths(count)] == [Entry(*entry) for entry in entries(count)]
    assert index.get("sound_event/none.wav") is None


def test_a_large_pool_costs_a_process_next_to_nothing(tmp_path: Path) -> None:
    """Sixteen workers on a large catalog do not fill the memory with sixteen tables."""
    with (tmp_path / pool_index.FILE).open("wb") as file:
        PoolIndex.of(paths(COUNT), entries(COUNT)).write(file)
    tracemalloc.start()
    index = PoolIndex.map(tmp_path, COUNT)
    assert index.get(paths(COUNT)[7]) == Entry(*entries(COUNT)[7])
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert used < 500_000  # a dictionary takes 6 MB


def test_pools_of_before_are_still_read(tmp_path: Path) -> None:
    """A catalog built with the first version needs no second decoding."""
    samples = np.arange(6, dtype="<i2")
    (tmp_path / "int16.bin").write_bytes(samples.tobytes())
    (tmp_path / "float32.bin").write_bytes(b"")
    sounds = [["a.wav", 0, 0, 2, 1], ["b.wav", 0, 2, 4, 1]]
    head = {"format": 1, "rate": 32_000, "mono": True, "totals": [6, 0], "sounds": sounds}
    (tmp_path / "index.json").write_text(json.dumps(head))
    pool = EventPool(tmp_path)
    assert len(pool) == 2
    assert (32_768 * pool.read("b.wav", 1, 3)).tolist() == [3, 4, 5]
    with pytest.raises(SynthError, match=r"b.wav: samples 1 to 5 were asked for, it has 4"):
        pool.read("b.wav", 1, 4)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match=r"a.wav: two sounds .* cannot be told apart"):
        PoolIndex.of(["a.wav", "b.wav", "a.wav"], entries(3))
    (tmp_path / pool_index.FILE).write_bytes(b"1234")
    with pytest.raises(SynthError, match="delete the folder"):
        PoolIndex.map(tmp_path, 1)


@pytest.mark.parametrize("count", [0, 3, COUNT])
def test_a_set_of_paths_knows_its_paths(count: int) -> None:
    known = PathSet(paths(count))
    assert all(path in known for path in paths(count))
    assert not any(path in known for path in ("", "other.wav", paths(count + 1)[-1]))
