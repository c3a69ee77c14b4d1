"""Corpora at an address: ranged reads over HTTP(S), or by fsspec from wherever it leads."""

from __future__ import annotations

import hashlib
import importlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from ..assets.download import http
from ..errors import SynthError
from ..units import Seconds
from .identity import INDEX_NAME
from .reader import CorpusReader
from .storage import Part
from .stream_cache import CACHE_BYTES as CACHE_BYTES
from .stream_cache import FileCache

_TRIES = 5
_PAUSE: Seconds = 0.25
_LONGEST_PAUSE: Seconds = 10.0
_ANSWER: Seconds = 30.0
_GAP = 64 << 10
"""Parts closer than this are fetched as one: asking twice would take longer."""

_REMEDY = "check the address, the network and the rights, then go on from the last state"


def open_corpus(
    corpus: str | Path,
    *,
    cache: str | Path | None = None,
    cache_bytes: int = CACHE_BYTES,
    options: Mapping[str, Any] | None = None,
) -> CorpusReader:
    """Open a finished corpus wherever it lies.

    Args:
        corpus: A folder, or an address: `http(s)://…`, `file://…`, or what fsspec opens (`s3://…`).
        cache: Where to keep what came over the network; None: nowhere.
        cache_bytes: The most that is kept.
        options: What fsspec needs to open the address.

    Raises:
        SynthError: There is none, or it cannot be reached.
    """
    text = str(corpus)
    protocol, found, rest = text.partition("://")
    if isinstance(corpus, Path) or not found:
        return CorpusReader(corpus)
    if protocol in ("file", "local"):
        return CorpusReader(rest)
    place: Place = WebPlace(text) if protocol in ("http", "https") else FsspecPlace(text, dict(options or {}))
    kept = None if cache is None else FileCache(cache, cache_bytes)
    return CorpusReader(place.named(""), storage=RemoteStorage(place, kept))


class Place(Protocol):
    """Something that sends parts of files over a network."""

    def named(self, name: str) -> str:
        """Return the address of a file, without secrets."""
        ...

    def fetch(self, name: str, offset: int, size: int) -> bytes:
        """Return up to `size` bytes of a file from `offset` on, fewer only at its end.

        Raises:
            http.BrokenError: Another try may go better.
            http.RefusedError: Another try will not.
        """
        ...


class RemoteStorage:
    """The storage of a corpus at a place; see `storage.Storage`.

    Args:
        place: Where.
        cache: Keeps what was fetched, or None.
    """

    def __init__(self, place: Place, cache: FileCache | None) -> None:
        self._place, self._cache = place, cache
        self._version = ""

    def named(self, name: str) -> str:
        """See `Storage.named`."""
        return self._place.named(name)

    def read_whole(self, name: str, limit: int, *, fresh: bool = False) -> bytes:
        """See `Storage.read_whole`."""
        data = self._read(name, 0, limit + 1, fresh)
        if len(data) > limit:
            raise SynthError(
                f"is longer than {limit:,} bytes",
                where=self.named(name),
                remedy="give the address of a corpus",
            )
        if name == INDEX_NAME:
            # It names the hashes of all shards, so what is kept under it can never be another corpus's.
            self._version = hashlib.sha256(data).hexdigest()
        return data

    def read_parts(self, name: str, parts: Sequence[Part], *, fresh: bool = False) -> list[bytes]:
        """See `Storage.read_parts`."""
        spans = _spans(parts)
        found = [(first, self._read(name, first, end - first, fresh)) for first, end in spans]
        return [_cut(found, part) for part in parts]

    def _read(self, name: str, offset: int, size: int, fresh: bool) -> bytes:
        if self._cache is None or name == INDEX_NAME:
            return self._fetch(name, offset, size)
        key = hashlib.sha256(f"{self._version}\0{name}\0{offset}\0{size}".encode()).hexdigest()
        data = None if fresh else self._cache.get(key)
        if data is None:
            data = self._fetch(name, offset, size)
            self._cache.put(key, data)
        return data

    def _fetch(self, name: str, offset: int, size: int) -> bytes:
        """Fetch with patience."""
        why = ""
        for attempt in range(_TRIES):
            try:
                return self._place.fetch(name, offset, size)
            except http.BrokenError as error:
                why, wait = str(error), error.wait
            except http.RefusedError as error:
                raise self._error(name, str(error)) from error
            if attempt < _TRIES - 1:
                time.sleep(min(_LONGEST_PAUSE, _PAUSE * 2**attempt if wait is None else wait))
        raise self._error(name, f"{why}, {_TRIES} times")

    def _error(self, name: str, why: str) -> SynthError:
        return SynthError(f"it cannot be fetched: {why}", where=self.named(name), remedy=_REMEDY)


class WebPlace:
    """A folder behind a web server that answers ranges.

    Args:
        address: Of the folder; a query (`?token=…`) is sent with every file's name.

    Raises:
        SynthError: It is no address.
    """

    def __init__(self, address: str) -> None:
        self._parts = urlsplit(address)
        if not self._parts.hostname or "@" in self._parts.netloc:
            raise SynthError(
                "has no host, or a name and password in it",
                where="corpus: the address",
                remedy="write https://host/folder; give a token as a query",
            )

    def named(self, name: str) -> str:
        """See `Place.named`."""
        return self._address(name, "")

    def fetch(self, name: str, offset: int, size: int) -> bytes:
        """See `Place.fetch`."""
        address = self._address(name, self._parts.query)
        with http.get(address, first=offset, end=offset + size, seconds=_ANSWER) as answer:
            if answer.first != offset:
                raise http.RefusedError("the server does not answer ranges: copy the corpus to a folder")
            wanted = size if answer.count is None else min(size, answer.count)
            data = _read_exactly(answer, wanted)
        if len(data) < wanted and answer.count is not None:
            raise http.BrokenError(f"the connection ended after {len(data):,} of {wanted:,} bytes")
        return data

    def _address(self, name: str, query: str) -> str:
        path = self._parts.path.rstrip("/") + "/" + quote(name)
        return urlunsplit((self._parts.scheme, self._parts.netloc, path, query, ""))


class FsspecPlace:
    """A folder that fsspec leads to; every process opens it for itself.

    Args:
        address: Such as `s3://bucket/folder`.
        options: For the file system, such as {"endpoint_url": ...}.

    Raises:
        SynthError: Nothing that is installed speaks the protocol, or the address has a password in it.
    """

    def __init__(self, address: str, options: dict[str, Any]) -> None:
        self._url, self._options = address.rstrip("/"), options
        self._opened: tuple[int, Any, str] | None = None
        if "@" in address.partition("://")[2].partition("/")[0]:
            raise SynthError(
                "the address has credentials in it, which would end up in logs",
                where=address.partition("://")[0] + "://…",
                remedy="put them into fsspec's own configuration (or the environment that it reads)",
            )
        self._open()

    def named(self, name: str) -> str:
        """See `Place.named`."""
        return f"{self._url}/{name}"

    def fetch(self, name: str, offset: int, size: int) -> bytes:
        """See `Place.fetch`."""
        system, root = self._open()
        try:
            return bytes(system.cat_file(f"{root}/{name}", start=offset, end=offset + size))
        except (FileNotFoundError, PermissionError) as error:
            raise http.RefusedError(f"{type(error).__name__}: {error}") from error
        except Exception as error:  # Every file system has exceptions of its own.
            raise http.BrokenError(f"{type(error).__name__}: {error}") from error

    def _open(self) -> tuple[Any, str]:
        # Their threads and connections survive neither a fork nor a pickle.
        if self._opened is None or self._opened[0] != os.getpid():
            system, root = _file_system(self._url, self._options)
            self._opened = (os.getpid(), system, root)
        return self._opened[1:]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}


def _file_system(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    try:
        core = importlib.import_module("fsspec.core")
        to_system: Callable[..., tuple[Any, str]] = core.url_to_fs
        system, root = to_system(url, skip_instance_cache=True, **options)
    except (ImportError, ValueError) as error:
        raise SynthError(
            f"it cannot be opened: {error}",
            where=url,
            remedy="give a folder, an http(s) address or another that fsspec knows; s3:// needs "
            "pip install 's5kit[remote]'",
        ) from error
    return system, str(root).rstrip("/")


def _read_exactly(answer: http.Answer, size: int) -> bytes:
    chunks: list[bytes] = []
    while size > 0 and (chunk := http.read_some(answer.body, size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


def _spans(parts: Sequence[Part]) -> list[tuple[int, int]]:
    """Return (first, end) of what is fetched for parts: neighbours in one go."""
    spans: list[tuple[int, int]] = []
    for offset, size in sorted(parts):
        if spans and offset - spans[-1][1] <= _GAP:
            spans[-1] = (spans[-1][0], max(spans[-1][1], offset + size))
        else:
            spans.append((offset, offset + size))
    return spans


def _cut(found: Sequence[tuple[int, bytes]], part: Part) -> bytes:
    offset, size = part
    first, data = next((first, data) for first, data in reversed(found) if first <= offset)
    return data[offset - first : offset - first + size]
