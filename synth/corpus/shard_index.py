"""The index beside a shard: where every member lies and what its bytes hash to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..errors import SynthError
from ..scenes.bounded import read_bounded
from . import tar
from .identity import CorpusIdentity
from .sealed import MAX_SEALED_BYTES, seal, unseal
from .statistics import Statistics

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

MAKE_AGAIN = "run the synthesis again with the same arguments: it makes this shard again"


class Member(BaseModel):
    """One file in a shard: its content is `size` bytes from `offset`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    offset: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(ge=0, le=tar.MAX_SIZE)]
    crc32: Annotated[int, Field(ge=0, lt=1 << 32)]
    sha256: Digest


class ShardIndex(BaseModel):
    """All members of one shard, in the order stored, and which corpus they belong to.

    Attributes:
        shard: Number of the shard in its corpus.
        num_samples: Scenes in it.
        size: Bytes of the archive.
        sha256: Of the whole archive, as `sha256sum` prints it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: CorpusIdentity
    shard: Annotated[int, Field(ge=0)]
    num_samples: Annotated[int, Field(ge=1)]
    size: Annotated[int, Field(ge=0)]
    sha256: Digest
    members: tuple[Member, ...]
    statistics: Statistics

    def to_bytes(self) -> bytes:
        """Return the index as a sealed document; equal indexes give equal bytes."""
        return seal(self.model_dump(mode="json"))


def read_shard_index(path: Path) -> ShardIndex:
    """Read the index beside a shard.

    Raises:
        SynthError: It cannot be read, was changed, or its layout contradicts itself.
    """
    return parse_shard_index(read_bounded(path, MAX_SEALED_BYTES), path)


def parse_shard_index(data: bytes, where: str | Path) -> ShardIndex:
    """Read the index beside a shard from its bytes; see `read_shard_index`."""
    content = unseal(data, where=where, remedy=MAKE_AGAIN)
    index = _validated(content, where)
    if fault := _fault(index):
        raise SynthError(fault, where=where, remedy=MAKE_AGAIN)
    return index


def _validated(content: dict[str, Any], where: str | Path) -> ShardIndex:
    try:
        return ShardIndex.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise SynthError(
            f"it is no index of a shard: {field}: {first['msg']}", where=where, remedy=MAKE_AGAIN
        ) from error


def _fault(index: ShardIndex) -> str | None:
    """Return how the layout contradicts the corpus's, or None."""
    corpus = index.corpus
    if index.shard >= corpus.num_shards:
        return f"it is of shard {index.shard}, the corpus has {corpus.num_shards}"
    if index.num_samples != len(corpus.scenes(index.shard)):
        return f"it counts {index.num_samples} samples, expected {len(corpus.scenes(index.shard))}"
    if [member.name for member in index.members] != corpus.member_names(index.shard):
        return "its members are not those of its scenes"
    sizes = [member.size for member in index.members]
    if [member.offset for member in index.members] != list(tar.offsets(sizes)):
        return "its members overlap or leave gaps"
    if index.size != tar.archive_size(sizes):
        return f"it gives the shard {index.size} bytes, its members make {tar.archive_size(sizes)}"
    return None
