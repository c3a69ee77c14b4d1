"""Random access to a finished corpus: members by offset, checked as they are read.

No archive is parsed: the index says where every member lies. Nothing is ever extracted to disk.
"""

from __future__ import annotations

import os
import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..assets.audio import decode_flac
from ..errors import SynthError
from ..scenes.labels import StrongLabel
from ..scenes.spec import SceneSpec
from ..units import Audio
from .corpus_index import CorpusIndex, read_corpus_index
from .identity import index_name
from .records import parse_record
from .shard_index import MAKE_AGAIN, read_shard_index

_KEPT_TABLES = 4096


@dataclass(frozen=True, slots=True)
class StoredScene:
    """One scene as a corpus gives it back.

    Attributes:
        key: Its WebDataset key.
        spec: The scene on paper.
        labels: Strong labels of its targets.
        sounds: (channels, samples) float32 by name: "mixture", "dry0", "dry1" …; a slot at or
            after `len(spec.targets)` is silent.
    """

    key: str
    spec: SceneSpec
    labels: list[StrongLabel]
    sounds: dict[str, Audio]


class CorpusReader:
    """Reads scenes of a corpus in any order, from any number of threads and processes.

    Args:
        directory: The corpus.
        check: Compare every member with its crc32 as it is read.

    Raises:
        SynthError: There is no finished corpus, or its index was changed.
    """

    def __init__(self, directory: str | Path, *, check: bool = True) -> None:
        self.directory = Path(directory)
        self.index: CorpusIndex = read_corpus_index(self.directory)
        self._check = check
        self._tables: OrderedDict[int, NDArray[np.int64]] = OrderedDict()
        suffixes = self.index.corpus.member_suffixes()
        self._rows = {suffix: row for row, suffix in enumerate(suffixes)}

    def __len__(self) -> int:
        return self.index.corpus.num_scenes

    @property
    def members(self) -> list[str]:
        """Return what every sample consists of, such as "mixture.flac" and "json"."""
        return list(self._rows)

    def read_members(self, index: int, suffixes: Collection[str] | None = None) -> dict[str, bytes]:
        """Return the bytes of members of one sample.

        Args:
            index: The scene.
            suffixes: Some of `members`; None: all.

        Raises:
            SynthError: There is no such scene or member, or its bytes were changed.
        """
        suffixes = self._rows if suffixes is None else suffixes
        if not 0 <= index < len(self) or not self._rows.keys() >= set(suffixes):
            raise SynthError(
                f"scene {index} with {', '.join(suffixes)} is not in it: it has scenes 0 to {len(self) - 1} "
                f"with {', '.join(self._rows)}",
                where=self.directory,
                remedy="ask for one of these",
            )
        shard, row = divmod(index, self.index.corpus.shard_size)
        table = self._table(shard)[row * len(self._rows) :]
        path = self.directory / self.index.corpus.shard_name(shard)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return {
                    suffix: self._read(handle, table[self._rows[suffix]].tolist(), path, index, suffix)
                    for suffix in suffixes
                }
            finally:
                os.close(handle)
        except OSError as error:
            reason = error.strerror or str(error)
            raise SynthError(f"it cannot be read: {reason}", where=path, remedy=MAKE_AGAIN) from error

    def read_scene(self, index: int, sounds: Collection[str] | None = None) -> StoredScene:
        """Return one scene.

        Args:
            index: The scene.
            sounds: Which sounds to decode, such as ("mixture", "dry0"); None: all.

        Raises:
            SynthError: As `read_members`.
        """
        if sounds is None:
            sounds = [suffix.removesuffix(".flac") for suffix in self._rows if suffix.endswith(".flac")]
        content = self.read_members(index, ["json", *(f"{name}.flac" for name in sounds)])
        where = f"{self.directory}: {self.index.corpus.key(index)}"
        record = parse_record(content["json"], where)
        decoded = {name: decode_flac(content[f"{name}.flac"], f"{where}.{name}.flac")[0] for name in sounds}
        return StoredScene(record.key, record.spec, record.labels, decoded)

    def iter_scenes(self, start: int = 0, sounds: Collection[str] | None = None) -> Iterator[StoredScene]:
        """Yield the scenes from `start` on, in order; see `read_scene`."""
        for index in range(start, len(self)):
            yield self.read_scene(index, sounds)

    def _read(self, handle: int, entry: list[int], path: Path, index: int, suffix: str) -> bytes:
        offset, size, crc32 = entry
        content = os.pread(handle, size, offset)
        if len(content) != size or (self._check and zlib.crc32(content) != crc32):
            name = f"{self.index.corpus.key(index)}.{suffix}"
            raise SynthError(f"member {name} was changed", where=path, remedy=MAKE_AGAIN)
        return content

    def _table(self, shard: int) -> NDArray[np.int64]:
        """Return (offset, size, crc32) of every member of a shard, (members, 3)."""
        table = self._tables.get(shard)
        if table is None:
            path = self.directory / index_name(self.index.corpus.shard_name(shard))
            found = read_shard_index(path)
            if (found.corpus, found.shard) != (self.index.corpus, shard):
                raise SynthError("it belongs to another shard or corpus", where=path, remedy=MAKE_AGAIN)
            table = np.array([(m.offset, m.size, m.crc32) for m in found.members], dtype=np.int64)
            self._tables[shard] = table
            while len(self._tables) > _KEPT_TABLES:
                self._tables.popitem(last=False)
        return table
