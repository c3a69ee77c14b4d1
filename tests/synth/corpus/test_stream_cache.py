"""A cache that grows without end fills the disk of a node; one that lies poisons the training."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from pathlib import Path

import pytest

from synth.corpus.stream_cache import FileCache
from synth.errors import SynthError


def key(n: int) -> str:
    return hashlib.sha256(str(n).encode()).hexdigest()


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.part*"))


def test_what_was_put_comes_back(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "new" / "cache", 1000)
    assert cache.get(key(1)) is None
    cache.put(key(1), b"one")
    cache.put(key(1), b"other")
    assert cache.get(key(1)) == b"other"
    assert FileCache(cache.folder, 1000).get(key(1)) == b"other"


def test_the_limit_holds_and_the_oldest_goes_first(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 1000)
    for n in range(10):
        cache.put(key(n), bytes(100))
        os.utime(tmp_path / key(n)[:2] / f"{key(n)}.part", (n, n))
    assert size_of(tmp_path) == 1000
    assert cache.get(key(0)) is not None  # Used again: now it is the youngest.
    cache.put(key(10), bytes(100))
    left = {n for n in range(11) if cache.get(key(n)) is not None}
    assert size_of(tmp_path) <= 1000
    assert 1 not in left
    assert {0, 10, 9, 8} <= left
    cache.put(key(11), bytes(1001))
    assert cache.get(key(11)) is None


def test_a_folder_that_is_too_full_for_a_new_limit_is_emptied(tmp_path: Path) -> None:
    """A user who lowers the limit gets the room back."""
    large = FileCache(tmp_path, 10_000)
    for n in range(20):
        large.put(key(n), bytes(100))
    FileCache(tmp_path, 500).put(key(99), bytes(100))
    assert size_of(tmp_path) <= 500


def fill(folder: Path, first: int) -> None:
    cache = FileCache(folder, 20_000)
    for n in range(first, first + 100):
        cache.put(key(n), str(n).encode() * 200)
        found = cache.get(key(n))
        assert found is None or found == str(n).encode() * 200


def test_processes_share_one_limit(tmp_path: Path) -> None:
    """Every worker of every rank writes into one folder."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fill, args=(tmp_path, 50 * n)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert 10_000 < size_of(tmp_path) <= 20_000
    assert not list(tmp_path.rglob("*.tmp"))


def test_leftovers_of_killed_processes_are_counted_and_removed(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 1000)
    cache.put(key(1), bytes(100))
    old = tmp_path / key(2)[:2] / f"{key(2)}.abcd.part.tmp"
    old.parent.mkdir(exist_ok=True)
    old.write_bytes(bytes(700))
    os.utime(old, (1, 1))
    for n in range(3, 15):
        cache.put(key(n), bytes(100))
    assert not old.exists()
    assert size_of(tmp_path) <= 1000


def test_a_counter_that_was_damaged_is_counted_again(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 1000)
    cache.put(key(1), bytes(900))
    (tmp_path / ".s5kit-cache.lock").write_bytes(b"garbage")
    cache.put(key(2), bytes(900))
    assert size_of(tmp_path) == 900


def test_a_cache_that_cannot_be_written_warns_once_and_training_goes_on(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, 1000)
    (tmp_path / key(1)[:2]).write_bytes(b"a file where a folder should be")
    with pytest.warns(UserWarning, match="the cache cannot be written"):
        cache.put(key(1), b"data")
    cache.put(key(1), b"data")
    assert cache.get(key(1)) is None


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SynthError, match="give another folder as cache"):
        FileCache(tmp_path / "file" / "cache")
    with pytest.raises(SynthError, match="cache_bytes"):
        FileCache(tmp_path, 0)
