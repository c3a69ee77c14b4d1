"""Where the files of a corpus lie, as its reader sees it: parts of files, by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from ..errors import SynthError
from ..scenes.bounded import read_bounded
from .shard_index import MAKE_AGAIN

Part: TypeAlias = tuple[int, int]
"""(offset, size) in bytes."""


class Storage(Protocol):
    """A place that holds a corpus; it can be sent to another process."""

    def named(self, name: str) -> str:
        """Return what errors call a file."""
        ...

    def read_whole(self, name: str, limit: int, *, fresh: bool = False) -> bytes:
        """Return a file of at most `limit` bytes; `fresh`: not from any cache.

        Raises:
            SynthError: It cannot be read, or is longer.
        """
        ...

    def read_parts(self, name: str, parts: Sequence[Part], *, fresh: bool = False) -> list[bytes]:
        """Return parts of a file, shorter where it ends before; `fresh`: not from any cache.

        Raises:
            SynthError: It cannot be read.
        """
        ...


class FolderStorage:
    """A folder of this machine."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def named(self, name: str) -> str:
        """See `Storage.named`."""
        return str(self.directory / name)

    def read_whole(self, name: str, limit: int, *, fresh: bool = False) -> bytes:
        """See `Storage.read_whole`."""
        return read_bounded(self.directory / name, limit)

    def read_parts(self, name: str, parts: Sequence[Part], *, fresh: bool = False) -> list[bytes]:
        """See `Storage.read_parts`."""
        path = self.directory / name
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return [os.pread(handle, size, offset) for offset, size in parts]
            finally:
                os.close(handle)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SynthError(f"it cannot be read: {reason}", where=path, remedy=MAKE_AGAIN) from error
