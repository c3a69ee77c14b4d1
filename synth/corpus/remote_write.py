"""A corpus in a bucket, or wherever fsspec leads: staged here, uploaded aside, verified, then put in place.

Such places know neither locks nor renames of open files. What they know is copies that are whole or
absent; and whoever makes a shard of one corpus makes the same bytes. So runs need no lock: a shard goes
up under a key of its own, is read back, and only then moved to its name.
"""

from __future__ import annotations

import hashlib
import importlib
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ..errors import SynthError
from .card import CARD_MARK, CARD_NAME, card_text
from .corpus_index import CorpusIndex, parse_corpus_index
from .destination import Outcome, ShardDone
from .folder import check_same
from .identity import INDEX_NAME, CorpusIdentity, index_name
from .sealed import MAX_SEALED_BYTES
from .shard_index import ShardIndex, parse_shard_index
from .shards import MakeScene, write_shard

ASIDE = ".s5kit-partial"
"""Folder, below the corpus, of what is not verified yet."""

_TRIES = 3
_WAIT_SECONDS = 1.0
_CHUNK = 4 << 20
_REMEDY = (
    "check the address, the rights and the connection (credentials are those of fsspec's own "
    "configuration), then run the same command again: finished shards are kept"
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RemoteFolder:
    """A place for a corpus that fsspec leads to; it can be sent to other processes.

    Attributes:
        url: The address, without a slash at its end.
        run: Keeps what this run uploads aside apart from what others do.
    """

    url: str
    run: str = field(default_factory=lambda: secrets.token_hex(8))

    @classmethod
    def at(cls, url: str) -> RemoteFolder:
        """Return the place of an address.

        Raises:
            SynthError: It has credentials in it, or nothing that is installed speaks its protocol.
        """
        authority = url.partition("://")[2].partition("/")[0]
        if "@" in authority:
            raise SynthError(
                "the address has credentials in it, which would end up in logs",
                where=url.partition("://")[0] + "://…",
                remedy="put them into fsspec's own configuration (or the environment that it reads)",
            )
        place = cls(url.rstrip("/"))
        place.open()
        return place

    def open(self) -> tuple[Any, str]:
        """Return fsspec's file system and the path in it."""
        core = importlib.import_module("fsspec.core")
        try:
            system, path = core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise SynthError(
                f"it cannot be opened: {error}",
                where=self.url,
                remedy="give a folder or an address of a protocol that fsspec knows; s3:// needs "
                "pip install 's5kit[remote]'",
            ) from error
        return system, str(path).rstrip("/")

    def named(self, name: str) -> str:
        """Return the whole address of a file."""
        return f"{self.url}/{name}"

    def prepare(self) -> None:
        """Do nothing: folders come with their first file, and no bucket is made by a slip of the pen."""

    def locked(self, shards: range | None) -> AbstractContextManager[None]:
        """Hold nothing; see above."""
        return nullcontext()

    def check(self, identity: CorpusIdentity, shards: range | None) -> None:
        """Refuse a place whose index, or first index of a shard, is of another corpus."""
        index = self._read(INDEX_NAME)
        if index is not None:
            found = parse_corpus_index(index, Path(self.named(INDEX_NAME))).corpus
            check_same(found, identity, self.named(INDEX_NAME))
        for name in self._listed():
            if name.endswith(".idx.json") and (content := self._read(name)) is not None:
                check_same(parse_shard_index(content, Path(name)).corpus, identity, self.named(name))
                return

    def clean(self, identity: CorpusIdentity, shards: range | None) -> None:
        """Remove what this run left aside."""
        self._remove(f"{ASIDE}/{self.run}")

    def bring_about(
        self, identity: CorpusIdentity, shard: int, make_scene: MakeScene, on_scene: Callable[[], None]
    ) -> ShardDone:
        """Keep a shard that is there in its whole size; else make it here, upload it and verify it."""
        name = identity.shard_name(shard)
        there = self._stored(identity, shard)
        if there is not None:
            return ShardDone.of(there, "kept")
        outcome: Outcome = "made" if self._size(name) is None else "mended"
        with tempfile.TemporaryDirectory(prefix="s5kit-") as folder:
            index = write_shard(identity, shard, Path(folder), make_scene, on_scene)
            self._put(index_name(name), Path(folder) / index_name(name))
            self._put(name, Path(folder) / name)
        return ShardDone.of(index, outcome)

    def finished(self, identity: CorpusIdentity) -> list[ShardDone] | None:
        """Read the indexes of all shards; of the archives, which their makers verified, only the sizes."""
        if not set(identity.shard_names()) <= set(self._listed()):
            return None
        done = []
        for shard in range(identity.num_shards):
            index = self._stored(identity, shard)
            if index is None:
                return None
            done.append(ShardDone.of(index, "kept"))
        return done

    def publish(self, index: CorpusIndex) -> None:
        """Write card and, last, index; nothing that lies aside is of use then.

        Raises:
            SynthError: A shard is not where it was put.
        """
        self._check_all_there(index)
        card = self._read(CARD_NAME)
        if card is None or CARD_MARK.encode() in card:
            self._put_bytes(CARD_NAME, card_text(index).encode())
        self._put_bytes(INDEX_NAME, index.to_bytes())
        self._remove(ASIDE)

    def _check_all_there(self, index: CorpusIndex) -> None:
        listed = self._listed()
        for shard in index.shards:
            if listed.get(shard.name) != shard.size:
                raise SynthError(
                    f"it has {listed.get(shard.name, 0):,} bytes after it was uploaded, expected {shard.size:,}",
                    where=self.named(shard.name),
                    remedy="memory:// lives in one process: use it with one worker; "
                    "elsewhere look for whoever removes files there, and run the same command again",
                )

    def _stored(self, identity: CorpusIdentity, shard: int) -> ShardIndex | None:
        """Return the index of a shard that is in its place, or None: then it is made."""
        name = identity.shard_name(shard)
        size = self._size(name)
        if size is None or (content := self._read(index_name(name))) is None:
            return None
        try:
            index = parse_shard_index(content, Path(index_name(name)))
        except SynthError:
            return None
        check_same(index.corpus, identity, self.named(index_name(name)))
        return index if (index.shard, index.size) == (shard, size) else None

    def _put(self, name: str, local: Path) -> None:
        """Upload a file aside, read it back, and move it to its name."""
        digest, size = _digest_of(local.open("rb"))
        aside = f"{ASIDE}/{self.run}/{secrets.token_hex(4)}-{name}"

        def put() -> None:
            system, path = self.open()
            system.put_file(str(local), f"{path}/{aside}")
            found = _digest_of(system.open(f"{path}/{aside}", "rb", block_size=_CHUNK))
            if found != (digest, size):
                raise OSError(f"{found[1]:,} bytes came back changed, {size:,} were sent")
            system.mv(f"{path}/{aside}", f"{path}/{name}")
            if system.info(f"{path}/{name}")["size"] != size:
                raise OSError("it was cut short when it was put in place")

        try:
            self._tried(put, name)
        except BaseException:
            self._remove(aside)
            raise

    def _put_bytes(self, name: str, content: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="s5kit-") as folder:
            (Path(folder) / name).write_bytes(content)
            self._put(name, Path(folder) / name)

    def _read(self, name: str) -> bytes | None:
        """Return the bytes of a small file, or None when there is none."""

        def read() -> bytes | None:
            system, path = self.open()
            try:
                with system.open(f"{path}/{name}", "rb") as file:
                    return bytes(file.read(MAX_SEALED_BYTES))
            except FileNotFoundError:
                return None

        return self._tried(read, name)

    def _size(self, name: str) -> int | None:
        def size() -> int | None:
            system, path = self.open()
            system.invalidate_cache(path)
            try:
                return int(system.info(f"{path}/{name}")["size"])
            except FileNotFoundError:
                return None

        return self._tried(size, name)

    def _listed(self) -> dict[str, int]:
        """Return the names and sizes of the files in the place."""

        def listed() -> dict[str, int]:
            system, path = self.open()
            system.invalidate_cache(path)
            try:
                entries = system.ls(path, detail=True)
            except FileNotFoundError:
                return {}
            files = (entry for entry in entries if entry["type"] == "file")
            return {entry["name"].rpartition("/")[2]: int(entry["size"]) for entry in files}

        return self._tried(listed, "")

    def _remove(self, name: str) -> None:
        """Remove a file or folder; one that cannot be removed is no harm."""
        system, path = self.open()
        with suppress(Exception):
            system.invalidate_cache(path)
            system.rm(f"{path}/{name}", recursive=True)

    def _tried(self, work: Callable[[], T], name: str) -> T:
        """Do something that the net may refuse a few times."""
        for attempt in range(1, _TRIES + 1):
            try:
                return work()
            except SynthError:
                raise
            except Exception as error:  # which ones a broken line makes depends on the protocol
                if attempt == _TRIES or isinstance(error, PermissionError | NotImplementedError):
                    raise SynthError(
                        f"it cannot be read or written: {type(error).__name__}: {error}",
                        where=self.named(name),
                        remedy=_REMEDY,
                    ) from error
                time.sleep(_WAIT_SECONDS * attempt)
        raise AssertionError("the last attempt returns or raises")


def _digest_of(file: Any) -> tuple[str, int]:
    """Return the SHA-256 and the number of all bytes of an open file, and close it."""
    digest, size = hashlib.sha256(), 0
    with file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size
