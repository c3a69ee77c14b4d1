"""Where every sound of a pool lies: a sorted table in a file, mapped, so that processes share it.

As a dictionary a million sounds take 400 MB in every process, and seconds to read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import SynthError
from ..units import Samples
from .mapped import map_array

FILE = "index.i64"
_REMEMBERED = 16_384


class Entry(NamedTuple):
    """Where a sound lies: 0, among the int16 samples, or 1, the float32 ones; planar, from `offset` on."""

    kind: int
    offset: Samples
    samples: Samples
    channels: int


class PoolIndex:
    """Finds sounds by path.

    Args:
        table: (5, sounds) int64: a hash of the path, ascending, and the fields of `Entry`.
    """

    def __init__(self, table: NDArray[np.int64]) -> None:
        self._keys = table[0]
        self._fields = table[1:]
        self._recent: dict[str, Entry] = {}

    @classmethod
    def of(cls, paths: Sequence[str], entries: Sequence[Sequence[int]]) -> PoolIndex:
        """Make the index of some sounds.

        Raises:
            SynthError: Two paths have one hash (never seen, as it has 64 bits) or are equal.
        """
        keys = np.fromiter(map(path_key, paths), np.int64, len(paths))
        order = np.argsort(keys)
        keys = keys[order]
        if (same := np.flatnonzero(keys[1:] == keys[:-1])).size:
            raise SynthError(
                "two sounds of a table cannot be told apart", where=paths[order[same[0]]], remedy="rename it"
            )
        fields = np.array(entries, dtype=np.int64).reshape(-1, 4)[order]
        return cls(np.concatenate((keys[None], fields.T)))

    @classmethod
    def map(cls, folder: Path, count: int) -> PoolIndex:
        """Map the index of a pool of `count` sounds.

        Raises:
            SynthError: The file is missing or has another length.
        """
        return cls(map_array(folder / FILE, np.dtype("<i8"), 5 * count).reshape(5, count))

    def write(self, file: BinaryIO) -> None:
        """Write what `map` maps."""
        for row in (self._keys, *self._fields):
            file.write(np.ascontiguousarray(row, dtype="<i8").data)

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, path: str) -> Entry | None:
        """Return where a sound lies; None: there is no such sound."""
        found = self._recent.get(path)
        if found is None and (row := find_key(self._keys, path)) is not None:
            found = Entry(*self._fields[:, row].tolist())
            if len(self._recent) >= _REMEMBERED:
                self._recent.clear()
            self._recent[path] = found
        return found


class PathSet:
    """Says whether a path is one of many, in 8 bytes a path if there are very many.

    Args:
        paths: The paths.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._few: frozenset[str] = frozenset(islice(paths := iter(paths), _REMEMBERED))
        self._many = np.sort(np.fromiter(map(path_key, paths), np.int64))

    def __contains__(self, path: str) -> bool:
        return path in self._few or (len(self._many) > 0 and find_key(self._many, path) is not None)


def find_key(keys: NDArray[np.int64], path: str) -> int | None:
    """Return where the hash of a path is in ascending hashes; None: nowhere."""
    key = np.int64(path_key(path))
    row = int(keys.searchsorted(key))
    return row if row < len(keys) and keys[row] == key else None


def path_key(path: str) -> int:
    """Return a hash of a path, a signed number of 64 bits."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "little", signed=True)
