"""Where a corpus goes: what a run asks of the place, whether it is a folder or a bucket."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from ..errors import SynthError
from ..files import write_bytes
from .card import CARD_MARK, CARD_NAME, card_text
from .corpus_index import CorpusIndex, ShardEntry
from .disk import disk_error
from .folder import check_folder, check_same, remove_leftovers
from .identity import INDEX_NAME, CorpusIdentity, index_name
from .lock import folder_lock, range_lock
from .shard_check import check_shard
from .shard_index import ShardIndex, read_shard_index
from .shards import MakeScene, write_shard
from .statistics import Statistics

Outcome = Literal["made", "kept", "mended"]


@dataclass(frozen=True, slots=True)
class ShardDone:
    """A shard that is in its place, and what was done for that."""

    entry: ShardEntry
    statistics: Statistics
    outcome: Outcome

    @classmethod
    def of(cls, index: ShardIndex, outcome: Outcome) -> ShardDone:
        """Return what a corpus keeps of the index of a shard."""
        return cls(ShardEntry.of(index), index.statistics, outcome)


class Destination(Protocol):
    """A place for one corpus; it can be sent to the processes that make shards."""

    def named(self, name: str) -> str:
        """Return the whole address of a file."""

    def prepare(self) -> None:
        """Make the place if needed."""

    def locked(self, shards: range | None) -> AbstractContextManager[None]:
        """Keep others from making these shards; None: from making anything."""

    def check(self, identity: CorpusIdentity, shards: range | None) -> None:
        """Refuse to go on when something of another corpus lies there."""

    def clean(self, identity: CorpusIdentity, shards: range | None) -> None:
        """Remove what killed runs left half written."""

    def bring_about(
        self, identity: CorpusIdentity, shard: int, make_scene: MakeScene, on_scene: Callable[[], None]
    ) -> ShardDone:
        """Keep a shard that is sound, else make it."""

    def finished(self, identity: CorpusIdentity) -> list[ShardDone] | None:
        """Return all shards of the corpus, or None while one is missing."""

    def publish(self, index: CorpusIndex) -> None:
        """Write the card and, last, the index."""


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder of this machine, or one that all machines share."""

    directory: Path

    def named(self, name: str) -> str:
        """Return the whole path of a file."""
        return str(self.directory / name)

    def prepare(self) -> None:
        """Make the folder if needed."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise disk_error(error, self.directory, 0) from error

    def locked(self, shards: range | None) -> AbstractContextManager[None]:
        """Hold the folder, or some shards of it."""
        return folder_lock(self.directory) if shards is None else range_lock(self.directory, shards)

    def check(self, identity: CorpusIdentity, shards: range | None) -> None:
        """Look at what lies there; see `check_folder`."""
        check_folder(self.directory, identity, shards)

    def clean(self, identity: CorpusIdentity, shards: range | None) -> None:
        """Remove half written files; see `remove_leftovers`."""
        remove_leftovers(self.directory, identity, shards)

    def bring_about(
        self, identity: CorpusIdentity, shard: int, make_scene: MakeScene, on_scene: Callable[[], None]
    ) -> ShardDone:
        """Verify a shard that is there, every byte of it; make one that is missing or damaged."""
        outcome: Outcome = "made"
        if (self.directory / identity.shard_name(shard)).exists():
            try:
                return ShardDone.of(check_shard(self.directory, identity, shard, members=False), "kept")
            except SynthError:
                outcome = "mended"
        return ShardDone.of(write_shard(identity, shard, self.directory, make_scene, on_scene), outcome)

    def finished(self, identity: CorpusIdentity) -> list[ShardDone] | None:
        """Read the indexes of all shards; of the archives, which their makers hashed, only the sizes."""
        names = identity.shard_names()
        if not all((self.directory / name).exists() for name in names):
            return None
        done = []
        for name in names:
            path = self.directory / index_name(name)
            index = read_shard_index(path)
            check_same(index.corpus, identity, path)
            if (self.directory / name).stat().st_size != index.size:
                return None
            done.append(ShardDone.of(index, "kept"))
        return done

    def publish(self, index: CorpusIndex) -> None:
        """Write card and index; a card that somebody else wrote stays as it is."""
        card = self.directory / CARD_NAME
        if not card.exists() or CARD_MARK.encode() in card.read_bytes():
            _write(card, card_text(index).encode())
        _write(self.directory / INDEX_NAME, index.to_bytes())


def open_destination(out: str | Path) -> Destination:
    """Return the place that a path or an address names: a folder, `file://…`, `s3://…`, anything fsspec knows.

    Raises:
        SynthError: The address has credentials in it, or nothing here speaks its protocol.
    """
    text = str(out)
    if isinstance(out, Path) and re.match(r"[a-z0-9+.-]{2,}:/", text):
        raise SynthError(
            "an address that was made a Path has lost a slash", where=text, remedy="give it as a str"
        )
    protocol, found, rest = text.partition("://")
    if isinstance(out, Path) or not found:
        return LocalFolder(Path(out))
    if protocol in ("file", "local"):
        return LocalFolder(Path(rest))
    from .remote_write import RemoteFolder

    return RemoteFolder.at(text)


def _write(path: Path, content: bytes) -> None:
    try:
        write_bytes(path, content)
    except OSError as error:
        raise disk_error(error, path, len(content)) from error
