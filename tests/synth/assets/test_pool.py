"""What a user would lose: every sound bit for bit as its file has it, found by its path, fast."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from synth.assets import audio
from synth.assets.pool import EventPool, PoolRow, build_pool, pool_key
from synth.assets.workers import Workers
from synth.errors import ProblemsError, SynthError
from synth.files import sha256_file
from tests.builders import write_wav
from tests.synth.assets.disk import FaultyDisk, leftovers, names

RATE = 32_000


def noise(seed: int, *shape: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(shape)


def row(root: Path, path: Path) -> PoolRow:
    info = audio.probe(path)
    return PoolRow(
        path.relative_to(root).as_posix(), sha256_file(path), info.rate, info.channels, info.frames
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Sounds of every kind: 16 and 24 bits, float, stereo, another rate, compressed."""
    root = tmp_path / "root"
    write_wav(root / "a" / "int16.wav", noise(0, 500))
    write_wav(root / "a" / "int24.wav", noise(1, 501), subtype="PCM_24")
    write_wav(root / "b" / "loud.wav", 20 * noise(2, 502), subtype="FLOAT")
    write_wav(root / "b" / "stereo.wav", noise(3, 2, 503))
    write_wav(root / "c" / "fast.wav", noise(4, 4801), 48_000)
    write_wav(root / "c" / "small.flac", noise(5, 505))
    return root


def rows_of(root: Path) -> list[PoolRow]:
    return [row(root, path) for path in sorted(root.rglob("*.*"))]


@pytest.mark.parametrize("mono", [True, False])
def test_pool_gives_what_the_files_hold(root: Path, tmp_path: Path, mono: bool) -> None:
    rows = rows_of(root)
    pool = EventPool.open(rows, root, tmp_path / "cache", rate=RATE, mono=mono)
    assert len(pool) == 6
    for item in rows:
        expected = audio.decode_whole(root / item.path, RATE, mono=mono)
        expected = expected[0] if mono else expected
        count = expected.shape[-1]
        got = pool.read(item.path, 0, count)
        np.testing.assert_array_equal(got, expected)
        assert got.dtype == np.float32
        assert got.flags.c_contiguous
        np.testing.assert_array_equal(pool.read(item.path, 7, 100), expected[..., 7:107])
        np.testing.assert_array_equal(pool.read(item.path, count - 1, 1), expected[..., -1:])


def test_only_what_loses_nothing_is_kept_in_16_bits(root: Path, tmp_path: Path) -> None:
    pool = EventPool.open(rows_of(root), root, tmp_path / "cache", rate=RATE, mono=False)
    assert (pool.folder / "int16.bin").stat().st_size == 2 * (500 + 2 * 503 + 505)
    assert (pool.folder / "float32.bin").stat().st_size == 4 * (501 + 502 + 4801 * 2 // 3)


def test_a_read_is_the_readers_own(root: Path, tmp_path: Path) -> None:
    """A renderer may scale what it gets without spoiling the next scene."""
    rows = rows_of(root)
    pool = EventPool.open(rows, root, tmp_path / "cache", rate=RATE, mono=True)
    for item in rows:
        first = pool.read(item.path, 0, 300)
        kept = first.copy()
        first *= 0
        np.testing.assert_array_equal(pool.read(item.path, 0, 300), kept)


def test_ranges_are_checked(root: Path, tmp_path: Path) -> None:
    pool = EventPool.open(rows_of(root), root, tmp_path / "cache", rate=RATE, mono=True)
    for start, count in ((0, 501), (500, 1), (-1, 2), (3, 0)):
        with pytest.raises(SynthError, match="it has 500"):
            pool.read("a/int16.wav", start, count)
    with pytest.raises(SynthError, match="no such sound"):
        pool.read("a/none.wav", 0, 1)


def test_workers_change_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for n in range(20):
        write_wav(root / f"{n}.wav", noise(n, 300 + n), subtype="PCM_16" if n % 2 else "FLOAT")
    rows = rows_of(root)
    told: list[tuple[int, int]] = []
    with Workers(2) as workers:
        one, two = tmp_path / "one", tmp_path / "two"
        assert (
            build_pool(rows, root, one, rate=RATE, mono=True, progress=lambda *done: told.append(done)) == []
        )
        assert build_pool(rows, root, two, rate=RATE, mono=True, workers=workers) == []
    key = pool_key(rows, rate=RATE, mono=True)
    for name in ("int16.bin", "float32.bin", "index.json"):
        assert (one / key / name).read_bytes() == (two / key / name).read_bytes()
    assert told == [(n, 20) for n in range(1, 21)]


def test_pool_is_built_once_and_needs_the_files_no_more(root: Path, tmp_path: Path) -> None:
    rows = rows_of(root)
    EventPool.open(rows, root, tmp_path / "cache", rate=RATE, mono=True)
    shutil.rmtree(root)
    assert len(EventPool.open(rows, root, tmp_path / "cache", rate=RATE, mono=True)) == 6


def test_pool_goes_to_other_processes_without_its_maps(root: Path, tmp_path: Path) -> None:
    pool = EventPool.open(rows_of(root), root, tmp_path / "cache", rate=RATE, mono=True)
    before = pool.read("a/int16.wav", 0, 500)
    data = pickle.dumps(pool)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).read("a/int16.wav", 0, 500), before)


def test_an_empty_table_has_an_empty_pool(tmp_path: Path) -> None:
    assert len(EventPool.open([], tmp_path, tmp_path / "cache", rate=RATE, mono=True)) == 0


def spoil(root: Path) -> set[str]:
    """Add sounds that show their fault only when they are decoded, or are not what the table says."""
    write_wav(root / "bad" / "silent.wav", np.zeros(100))
    poisoned = noise(9, 100)
    poisoned[50] = np.nan
    write_wav(root / "bad" / "nan.wav", poisoned, subtype="FLOAT")
    path = write_wav(root / "bad" / "cut.flac", noise(10, 9000))
    path.write_bytes(path.read_bytes()[:-200])
    return {str(root / "bad" / name) for name in ("silent.wav", "nan.wav", "cut.flac")}


def test_all_bad_sounds_are_named_at_once(root: Path, tmp_path: Path) -> None:
    bad = spoil(root)
    with pytest.raises(ProblemsError) as caught:
        EventPool.open(rows_of(root), root, tmp_path / "cache", rate=RATE, mono=True)
    assert {problem.where for problem in caught.value.problems} == bad
    assert all(problem.remedy for problem in caught.value.problems)
    assert names(tmp_path / "cache") == set()
    assert leftovers(tmp_path) == []


def test_good_sounds_can_be_kept(root: Path, tmp_path: Path) -> None:
    good = rows_of(root)
    spoil(root)
    cache = tmp_path / "cache"
    assert len(build_pool(rows_of(root), root, cache, rate=RATE, mono=True, keep="good")) == 3
    assert names(cache) == {pool_key(good, rate=RATE, mono=True)}
    shutil.rmtree(root)
    assert len(EventPool.open(good, root, cache, rate=RATE, mono=True)) == 6


def test_looking_keeps_nothing(root: Path, tmp_path: Path) -> None:
    assert build_pool(rows_of(root), root, tmp_path / "cache", rate=RATE, mono=True, keep="nothing") == []
    assert names(tmp_path / "cache") == set()


def test_files_that_are_not_those_of_the_table(root: Path, tmp_path: Path) -> None:
    """A table that lies about a file, a file that changed, a file that went, a path that leads out."""
    rows = {item.path: item for item in rows_of(root)}
    write_wav(tmp_path / "outside.wav", noise(0, 10))
    (root / "link.wav").symlink_to(tmp_path / "outside.wav")
    linked = PoolRow("link.wav", "0" * 64, RATE, 1, 10)
    write_wav(root / "a" / "int16.wav", noise(77, 500))
    (root / "a" / "int24.wav").unlink()
    loud = rows["b/loud.wav"]
    lying = PoolRow(loud.path, loud.sha256, RATE, 1, 400)
    asked = [rows["a/int16.wav"], rows["a/int24.wav"], lying, linked, rows["b/stereo.wav"]]
    problems = build_pool(asked, root, tmp_path / "cache", rate=RATE, mono=True)
    assert [problem.what.split(":")[0].split(",")[0][:25] for problem in problems] == [
        "the file is not the one t",
        "it cannot be opened",
        "it has 502 frames of 1 ch",
        f"it leads out of {root}"[:25],
    ]


@pytest.mark.parametrize("damage", ["cut", "index", "missing"])
def test_a_damaged_pool_is_refused(root: Path, tmp_path: Path, damage: str) -> None:
    rows = rows_of(root)
    folder = EventPool.open(rows, root, tmp_path / "cache", rate=RATE, mono=True).folder
    if damage == "cut":
        (folder / "int16.bin").write_bytes((folder / "int16.bin").read_bytes()[:-1])
    elif damage == "index":
        (folder / "index.json").write_text('{"sounds": 3}')
    else:
        (folder / "int16.bin").unlink()
    with pytest.raises(SynthError, match="delete the folder"):
        EventPool.open(rows, root, tmp_path / "cache", rate=RATE, mono=True).read("a/int16.wav", 0, 1)


def test_disk_fails_at_every_call(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the disk refuses, no half-made pool stands under a final name."""
    rows = rows_of(root)
    cache = tmp_path / "cache"
    for n in range(1, 100):
        with monkeypatch.context() as patch:
            disk = FaultyDisk(patch, n)
            try:
                EventPool.open(rows, root, cache, rate=RATE, mono=True)
            except SynthError as error:
                assert "disk is full" in str(error), n  # noqa: PT017
        assert leftovers(cache) == []
        if names(cache):
            assert (
                len(EventPool.open(rows, root, cache, rate=RATE, mono=True).read("a/int16.wav", 0, 500))
                == 500
            )
            shutil.rmtree(cache)
        if not disk.failed:
            break
    assert 8 < n < 99
