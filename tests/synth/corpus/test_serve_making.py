"""Shards on demand: made once for all who ask, by processes that may die, kept as long as there is room."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from synth.corpus.serving.crew import BusyError, ClosedError, ShardCrew
from synth.corpus.serving.store import ShardStore, StoredShard
from synth.errors import SynthError
from synth.rendering.scene import Scene
from tests.synth.corpus.corpora import MadeUpScenes, identity, write

LIVE = identity(num_scenes=300)


@dataclass(frozen=True)
class Scenes(MadeUpScenes):
    """Made-up scenes that wait for a sign, or whose process is killed, as often as `deaths` says.

    Attributes:
        folder: Of the signs: `go` lets scenes be made; files `death…` count the deaths.
    """

    folder: str = ""
    deaths: int = 0

    def series(self, recipe: object, seed: int) -> Scenes:
        return self

    def __call__(self, index: int) -> Scene:
        signs = Path(self.folder)
        if index % 3 == 1:
            died = len(list(signs.glob("death*")))
            if died < self.deaths:
                (signs / f"death{died}").touch()
                os.kill(os.getpid(), signal.SIGKILL)
            for _ in range(3000):
                if (signs / "go").exists():
                    break
                time.sleep(0.01)
        return super().__call__(index)


@contextmanager
def workshop(
    folder: Path, *, go: bool = True, size: int = 1 << 30, seconds: float = 60, **scenes: Any
) -> Iterator[tuple[ShardCrew, ShardStore]]:
    signs, cache = folder / "signs", folder / "cache"
    for path in (signs, cache):
        path.mkdir(exist_ok=True)
    if go:
        (signs / "go").touch()
    maker: Any = Scenes(folder=str(signs), **scenes)
    crew = ShardCrew(maker, workers=1, waiting=2, seconds=seconds)
    try:
        yield crew, ShardStore(cache, size, crew)
    finally:
        crew.close()


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """SHA-256 of the shards as a corpus has them."""
    folder = tmp_path_factory.mktemp("corpus")
    write(folder, num_scenes=30)
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.tar"))]


def get(store: ShardStore, shard: int) -> Future[StoredShard]:
    recipe: Any = None
    return store.get(LIVE, recipe, shard)


class TestMaking:
    def test_once_for_all_who_ask(self, tmp_path: Path, wanted: list[str]) -> None:
        with workshop(tmp_path, go=False) as (crew, store):
            futures = [get(store, 1) for _ in range(20)]
            (tmp_path / "signs" / "go").touch()
            assert {future.result(60).sha256 for future in futures} == {wanted[1]}
            assert crew.figures.made == 1
            assert (store.figures.misses, store.figures.joined) == (1, 19)
            assert get(store, 1).done()
            assert store.figures.hits == 1

    def test_a_killed_process_is_replaced(self, tmp_path: Path, wanted: list[str]) -> None:
        with workshop(tmp_path, deaths=1) as (crew, store):
            found = get(store, 2).result(60)
            assert found.sha256 == wanted[2] == hashlib.sha256(found.path.read_bytes()).hexdigest()
            assert crew.figures.replaced == 1

    @pytest.mark.slow
    def test_one_that_always_dies_is_said_and_the_next_goes_on(
        self, tmp_path: Path, wanted: list[str]
    ) -> None:
        with workshop(tmp_path, deaths=2) as (_, store):
            with pytest.raises(SynthError, match=r"000002\.tar: the process that made it died, 2 times"):
                get(store, 2).result(60)
            assert get(store, 2).result(60).sha256 == wanted[2]

    @pytest.mark.slow
    def test_a_scene_that_cannot_be_made_is_said(self, tmp_path: Path, wanted: list[str]) -> None:
        with workshop(tmp_path, fail_at=4) as (crew, store):
            with pytest.raises(SynthError, match="scene 4 cannot be made: is silent"):
                get(store, 1).result(60)
            assert get(store, 0).result(60).sha256 == wanted[0]
            assert (crew.figures.failed, crew.figures.replaced) == (1, 0)

    @pytest.mark.slow
    def test_one_that_hangs_is_given_up(self, tmp_path: Path) -> None:
        with (
            workshop(tmp_path, go=False, seconds=1.5) as (_, store),
            pytest.raises(SynthError, match=r"it took longer than 1\.5 s"),
        ):
            get(store, 0).result(60)

    def test_a_full_queue_says_when_to_come_again(self, tmp_path: Path, wanted: list[str]) -> None:
        with workshop(tmp_path, go=False) as (crew, store):
            futures = [get(store, 0)]
            while not crew.busy:
                time.sleep(0.01)
            futures += [get(store, shard) for shard in (1, 2)]
            with pytest.raises(BusyError, match="1 shards are being made and 2 wait") as caught:
                get(store, 3)
            assert 1 <= caught.value.retry_after <= 60
            assert not get(store, 1).done(), "whoever asks for what is being made already is not refused"
            (tmp_path / "signs" / "go").touch()
            assert [future.result(60).sha256 for future in futures] == wanted[:3]
            assert get(store, 3).result(60).sha256 == wanted[3]

    def test_the_end_comes_at_once(self, tmp_path: Path) -> None:
        with workshop(tmp_path, go=False) as (crew, store):
            futures = [get(store, shard) for shard in (0, 1)]
            begin = time.monotonic()
            crew.close()
            for future in futures:
                with pytest.raises(ClosedError):
                    future.result(0)
            with pytest.raises(ClosedError):
                get(store, 2)
            assert time.monotonic() - begin < 10


class TestCache:
    def test_the_least_recently_used_goes_first(self, tmp_path: Path) -> None:
        with workshop(tmp_path) as (_, store):
            sizes = [get(store, shard).result(60).size for shard in range(3)]
        with workshop(tmp_path, size=sum(sizes)) as (crew, store):
            for shard in (0, 1, 2, 0, 3):
                get(store, shard).result(60)
            assert sorted(path.name[-6:-4] for path in tmp_path.glob("cache/*/*.tar")) == ["00", "02", "03"]
            assert len(list(tmp_path.glob("cache/*/*.idx.json"))) == 3
            assert crew.figures.made == 1, "what an earlier server made is used"

    def test_what_is_open_can_be_read_although_it_is_removed(self, tmp_path: Path, wanted: list[str]) -> None:
        with workshop(tmp_path, size=1) as (_, store):
            shard = get(store, 0).result(60)
            handle = shard.open()
            assert handle is not None
            get(store, 1).result(60)
            assert not shard.path.exists()
            assert hashlib.sha256(os.pread(handle, shard.size, 0)).hexdigest() == wanted[0]
            os.close(handle)
            assert shard.open() is None

    def test_damage_that_came_between_two_servers_is_mended(self, tmp_path: Path, wanted: list[str]) -> None:
        with workshop(tmp_path) as (_, store):
            path = get(store, 0).result(60).path
        data = bytearray(path.read_bytes())
        data[600] ^= 1
        path.write_bytes(data)
        with workshop(tmp_path) as (_, store):
            assert get(store, 0).result(60).sha256 == wanted[0]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == wanted[0]

    @pytest.mark.slow
    def test_a_shard_that_somebody_removed_is_made_again(self, tmp_path: Path, wanted: list[str]) -> None:
        with workshop(tmp_path) as (_, store):
            shard = get(store, 0).result(60)
            shard.path.unlink()
            assert shard.open() is None
            store.forget(shard)
            again = get(store, 0).result(60)
            assert (again.sha256, again.path.exists()) == (wanted[0], True)
