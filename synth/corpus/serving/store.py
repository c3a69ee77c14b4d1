"""Made shards on disk, the least recently used removed first; each is made once, however many ask for it."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...scenes.recipe import Recipe
from ..destination import ShardDone
from ..identity import CorpusIdentity, index_name
from ..live import content_digest
from .crew import ShardCrew, ShardJob


@dataclass(frozen=True, slots=True)
class StoredShard:
    """A shard that is on disk: its bytes and their hash, and those of the index beside it."""

    path: Path
    size: int
    sha256: str

    def open(self, *, index: bool = False) -> int | None:
        """Return a handle to the archive, or its index; None when it was removed in the meantime.

        What is open can be read to its end, also when it is removed then.
        """
        path = self.path.with_name(index_name(self.path.name)) if index else self.path
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None


@dataclass(slots=True)
class StoreFigures:
    """How often a shard was there, was waited for with others, or had to be made; how many were removed."""

    hits: int = 0
    joined: int = 0
    misses: int = 0
    removed: int = 0


class ShardStore:
    """A folder of shards, by what decides their bytes.

    Shards that an earlier server left are checked, every byte of them, when they are first asked for.

    Args:
        folder: Nobody else may write into it.
        max_bytes: Of all archives; the one used last stays in any case.
        crew: Makes what is missing.
    """

    def __init__(self, folder: Path, max_bytes: int, crew: ShardCrew) -> None:
        self.figures = StoreFigures()
        self.bytes = 0
        self._folder = folder
        self._max_bytes = max_bytes
        self._crew = crew
        self._lock = threading.Lock()
        self._sizes: OrderedDict[Path, int] = OrderedDict()  # the least recently used first
        self._known: dict[Path, StoredShard] = {}
        self._coming: dict[Path, Future[StoredShard]] = {}
        self._find()

    def get(self, identity: CorpusIdentity, recipe: Recipe, shard: int) -> Future[StoredShard]:
        """Return a shard, at once or when it is made.

        Raises:
            BusyError: It would have to wait, and too many do.
        """
        folder = self._folder / content_digest(identity)[:32]
        path = folder / identity.shard_name(shard)
        with self._lock:
            if (known := self._known.get(path)) is not None:
                self._sizes.move_to_end(path)
                self.figures.hits += 1
                return _ready(known)
            if (coming := self._coming.get(path)) is not None:
                self.figures.joined += 1
                return coming
            folder.mkdir(parents=True, exist_ok=True)
            made = self._crew.submit(ShardJob(identity, recipe, shard, folder))
            self.figures.misses += 1
            coming = self._coming[path] = Future()
            coming.set_running_or_notify_cancel()  # no client that goes away can cancel it for the others
        made.add_done_callback(lambda done: self._arrived(path, coming, done))
        return coming

    def forget(self, shard: StoredShard) -> None:
        """Take note that somebody removed a shard: it is made again when asked for."""
        with self._lock:
            if self._known.get(shard.path) is shard:
                self._drop(shard.path)

    def _arrived(self, path: Path, coming: Future[StoredShard], made: Future[ShardDone]) -> None:
        error = made.exception()
        with self._lock:
            del self._coming[path]
            if error is None:
                entry = made.result().entry
                stored = StoredShard(path, entry.size, entry.sha256)
                self._known[path] = stored
                self._count(path, entry.size)
                self._make_room()
        if error is not None:
            coming.set_exception(error)
        else:
            coming.set_result(stored)

    def _count(self, path: Path, size: int) -> None:
        self.bytes += size - self._sizes.pop(path, 0)
        self._sizes[path] = size

    def _make_room(self) -> None:
        """Remove shards until the rest fits, but not the last one."""
        for path in list(self._sizes)[:-1]:
            if self.bytes <= self._max_bytes:
                return
            if path not in self._coming:  # a worker may be checking it
                self._drop(path)

    def _drop(self, path: Path) -> None:
        self.bytes -= self._sizes.pop(path, 0)
        self._known.pop(path, None)
        self.figures.removed += 1
        for name in (path.name, index_name(path.name)):
            with suppress(OSError):  # whoever waits for another shard gets that all the same
                path.with_name(name).unlink()

    def _find(self) -> None:
        """Count what an earlier server left, the oldest first, and remove what it left half made."""
        for path in self._folder.glob("*/.*.partial"):
            path.unlink(missing_ok=True)
        found = [(path.stat().st_mtime, path) for path in self._folder.glob("*/*.tar")]
        for _, path in sorted(found):
            self._count(path, path.stat().st_size)
        self._make_room()


def _ready(shard: StoredShard) -> Future[StoredShard]:
    future: Future[StoredShard] = Future()
    future.set_result(shard)
    return future
