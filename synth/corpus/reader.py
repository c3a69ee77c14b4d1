"""Random access to a finished corpus: members by offset, checked as they are read.

No archive is parsed: the index says where every member lies. Nothing is ever extracted to disk.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..assets.audio import decode_flac
from ..errors import SynthError
from ..scenes.labels import StrongLabel
from ..scenes.spec import SceneSpec
from ..units import Audio
from .corpus_index import CorpusIndex, parse_corpus_index, read_corpus_index
from .identity import INDEX_NAME, index_name
from .records import parse_record
from .sealed import MAX_SEALED_BYTES
from .shard_index import MAKE_AGAIN, ShardIndex, parse_shard_index
from .storage import FolderStorage, Part, Storage

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
        directory: The corpus: a folder, or the address that errors name.
        check: Compare every member with its crc32 as it is read.
        storage: Where the corpus lies; None: in the folder.

    Raises:
        SynthError: There is no finished corpus, or its index was changed.
    """

    def __init__(self, directory: str | Path, *, check: bool = True, storage: Storage | None = None) -> None:
        self.directory = directory if storage else Path(directory)
        self._storage = storage or FolderStorage(Path(directory))
        self.index: CorpusIndex = self._read_index() if storage else read_corpus_index(Path(directory))
        self._check = check
        self._tables: OrderedDict[int, NDArray[np.int64]] = OrderedDict()
        suffixes = self.index.corpus.member_suffixes()
        self._rows = {suffix: row for row, suffix in enumerate(suffixes)}

    def __len__(self) -> int:
        return self.index.corpus.num_scenes

    @property
    def storage(self) -> Storage:
        """Return where the files lie."""
        return self._storage

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
        name = self.index.corpus.shard_name(shard)
        entries = [table[self._rows[suffix]].tolist() for suffix in suffixes]
        parts: list[Part] = [(offset, size) for offset, size, _ in entries]
        contents = self._storage.read_parts(name, parts)
        if not all(map(self._sound, contents, entries)):
            # Damaged on the way or in a cache, perhaps: once more, from where the corpus really lies.
            contents = self._storage.read_parts(name, parts, fresh=True)
        for suffix, content, entry in zip(suffixes, contents, entries, strict=True):
            if not self._sound(content, entry):
                raise SynthError(
                    f"member {self.index.corpus.key(index)}.{suffix} was changed",
                    where=self._storage.named(name),
                    remedy=MAKE_AGAIN,
                )
        return dict(zip(suffixes, contents, strict=True))

    def read_scene(
        self, index: int, sounds: Collection[str] | None = None, *, empty_slots: bool = True
    ) -> StoredScene:
        """Return one scene.

        Args:
            index: The scene.
            sounds: Which sounds to decode, such as ("mixture", "dry0"); None: all.
            empty_slots: Also return the silence of slots at or after `len(spec.targets)`.

        Raises:
            SynthError: As `read_members`.
        """
        if sounds is None:
            sounds = [suffix.removesuffix(".flac") for suffix in self._rows if suffix.endswith(".flac")]
        content = self.read_members(index, ["json", *(f"{name}.flac" for name in sounds)])
        where = f"{self.directory}: {self.index.corpus.key(index)}"
        record = parse_record(content["json"], where)
        if not empty_slots:
            sounds = [name for name in sounds if _slot(name) < len(record.spec.targets)]
        decoded = {name: decode_flac(content[f"{name}.flac"], f"{where}.{name}.flac")[0] for name in sounds}
        return StoredScene(record.key, record.spec, record.labels, decoded)

    def iter_scenes(self, start: int = 0, sounds: Collection[str] | None = None) -> Iterator[StoredScene]:
        """Yield the scenes from `start` on, in order; see `read_scene`."""
        for index in range(start, len(self)):
            yield self.read_scene(index, sounds)

    def _sound(self, content: bytes, entry: list[int]) -> bool:
        return len(content) == entry[1] and (not self._check or zlib.crc32(content) == entry[2])

    def _table(self, shard: int) -> NDArray[np.int64]:
        """Return (offset, size, crc32) of every member of a shard, (members, 3)."""
        table = self._tables.get(shard)
        if table is None:
            name = index_name(self.index.corpus.shard_name(shard))
            found = self._read_shard_index(name)
            if (found.corpus, found.shard) != (self.index.corpus, shard):
                raise SynthError(
                    "it belongs to another shard or corpus",
                    where=self._storage.named(name),
                    remedy=MAKE_AGAIN,
                )
            table = np.array([(m.offset, m.size, m.crc32) for m in found.members], dtype=np.int64)
            self._tables[shard] = table
            while len(self._tables) > _KEPT_TABLES:
                self._tables.popitem(last=False)
        return table

    def _read_shard_index(self, name: str) -> ShardIndex:
        where = self._storage.named(name)
        try:
            return parse_shard_index(self._storage.read_whole(name, MAX_SEALED_BYTES), where)
        except SynthError:
            return parse_shard_index(self._storage.read_whole(name, MAX_SEALED_BYTES, fresh=True), where)

    def _read_index(self) -> CorpusIndex:
        data = self._storage.read_whole(INDEX_NAME, MAX_SEALED_BYTES, fresh=True)
        return parse_corpus_index(data, self._storage.named(INDEX_NAME))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tables": OrderedDict()}


def _slot(name: str) -> int:
    """Return the slot that a sound such as "dry2" is of; -1 when it is of the whole scene."""
    number = name.removeprefix("dry").removeprefix("wet")
    return int(number) if number.isdigit() else -1
