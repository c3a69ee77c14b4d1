"""The index of a corpus, `index.json`: written last, so a folder that has one is finished."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..assets.licences import LedgerRow, Redistribution, strictest
from ..errors import SynthError
from ..scenes.bounded import read_bounded
from .features import features
from .identity import INDEX_NAME, CorpusIdentity
from .sealed import MAX_SEALED_BYTES, seal, unseal
from .shard_index import Digest, ShardIndex
from .statistics import Statistics
from .terms import ledger

_DAMAGED = "remove it and run the synthesis again with the same arguments: it makes only the index again"


class ShardEntry(BaseModel):
    """One shard of a corpus.

    Attributes:
        name: File name of the archive.
        num_samples: Scenes in it.
        size: Bytes of the archive.
        sha256: Of the archive.
        index_sha256: Of the index beside it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    num_samples: Annotated[int, Field(ge=1)]
    size: Annotated[int, Field(ge=0)]
    sha256: Digest
    index_sha256: Digest

    @classmethod
    def of(cls, index: ShardIndex) -> ShardEntry:
        """Return what the index of a corpus says of a shard with this index."""
        return cls(
            name=index.corpus.shard_name(index.shard),
            num_samples=index.num_samples,
            size=index.size,
            sha256=index.sha256,
            index_sha256=hashlib.sha256(index.to_bytes()).hexdigest(),
        )


class CorpusIndex(BaseModel):
    """What a finished corpus holds.

    Attributes:
        corpus: What it is.
        recipe: The whole recipe that drew it, as data.
        shards: All shards, in order.
        statistics: Counts over all scenes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: CorpusIdentity
    recipe: dict[str, Any]
    shards: tuple[ShardEntry, ...]
    statistics: Statistics

    @property
    def size(self) -> int:
        """Return the bytes of all archives."""
        return sum(shard.size for shard in self.shards)

    @property
    def ledger(self) -> tuple[LedgerRow, ...]:
        """Return the licences of all sounds used, with how often they are, the strictest first."""
        return ledger(self.statistics.licences)

    @property
    def redistribution(self) -> Redistribution:
        """Return what the licences together say about passing the corpus on."""
        return strictest(self.ledger)

    def to_bytes(self) -> bytes:
        """Return the index as a sealed document.

        Besides the fields it has the columns that table readers see, and the ledger of licences.
        """
        derived = {
            "features": features(self.corpus),
            "licences": [asdict(row) for row in self.ledger],
            "redistribution": self.redistribution,
        }
        return seal({**self.model_dump(mode="json"), **derived})


def read_corpus_index(directory: Path) -> CorpusIndex:
    """Read the index of a corpus.

    Raises:
        SynthError: There is none, it was changed, or it contradicts itself.
    """
    path = directory / INDEX_NAME
    if not path.exists():
        raise SynthError(
            f"there is no {INDEX_NAME}: this is no finished corpus",
            where=directory,
            remedy="give the folder that `s5kit synth` wrote, or run it again to finish",
        )
    return parse_corpus_index(read_bounded(path, MAX_SEALED_BYTES), path)


def parse_corpus_index(data: bytes, where: str | Path) -> CorpusIndex:
    """Read the index of a corpus from its bytes; see `read_corpus_index`."""
    content = unseal(data, where=where, remedy=_DAMAGED)
    for derived in ("features", "licences", "redistribution"):
        content.pop(derived, None)
    try:
        index = CorpusIndex.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise SynthError(
            f"it is no index of a corpus: {field}: {first['msg']}", where=where, remedy=_DAMAGED
        ) from error
    _check_shards(index, where)
    return index


def _check_shards(index: CorpusIndex, where: str | Path) -> None:
    corpus = index.corpus
    if [shard.name for shard in index.shards] != corpus.shard_names() or [
        shard.num_samples for shard in index.shards
    ] != [len(corpus.scenes(shard)) for shard in range(corpus.num_shards)]:
        raise SynthError("its shards are not those of its corpus", where=where, remedy=_DAMAGED)
