"""Is a shard on disk what its index says, and its index what the corpus says?"""

from __future__ import annotations

import hashlib
import os
import zlib
from pathlib import Path
from typing import IO

from ..errors import SynthError
from . import tar
from .identity import CorpusIdentity, index_name
from .records import parse_record
from .shard_index import MAKE_AGAIN, Member, ShardIndex, read_shard_index
from .statistics import Statistics

_CHUNK = 1 << 20


def check_shard(directory: Path, identity: CorpusIdentity, shard: int, *, members: bool) -> ShardIndex:
    """Check one shard and its index, every byte of both.

    Args:
        directory: The corpus.
        identity: What the corpus is said to be.
        shard: Number of the shard.
        members: Also compare every member's crc32 and sha256 on its own, and count its scenes
            again. Without this, the hash of the whole archive vouches for them.

    Raises:
        SynthError: The first difference found.
    """
    path = directory / identity.shard_name(shard)
    index = read_shard_index(directory / index_name(path.name))
    _check_belongs(index, identity, shard, path)
    try:
        with path.open("rb") as file:
            _check_archive(file, path, index, members=members)
    except OSError as error:
        reason = error.strerror or str(error)
        raise SynthError(f"it cannot be read: {reason}", where=path, remedy=MAKE_AGAIN) from error
    return index


def identity_difference(found: CorpusIdentity, wanted: CorpusIdentity) -> str | None:
    """Return in words how two identities differ, or None."""
    differences = [
        f"{name} is {getattr(found, name)!r} there, {getattr(wanted, name)!r} is asked"
        for name in CorpusIdentity.model_fields
        if getattr(found, name) != getattr(wanted, name)
    ]
    return "; ".join(differences) or None


def _check_belongs(index: ShardIndex, identity: CorpusIdentity, shard: int, path: Path) -> None:
    if difference := identity_difference(index.corpus, identity):
        raise SynthError(
            f"it belongs to another corpus: {difference}",
            where=path,
            remedy="put it back into its own folder",
        )
    if index.shard != shard:
        raise SynthError(
            f"it is shard {index.shard} under the name of shard {shard}", where=path, remedy=MAKE_AGAIN
        )


def _check_archive(file: IO[bytes], path: Path, index: ShardIndex, *, members: bool) -> None:
    size = os.fstat(file.fileno()).st_size
    if size != index.size:
        raise SynthError(
            f"it has {size:,} bytes, its index says {index.size:,}", where=path, remedy=MAKE_AGAIN
        )
    digest = hashlib.sha256()
    if members:
        _check_members(file, path, index)
        file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    if digest.hexdigest() != index.sha256:
        raise SynthError(
            "its sha256 is not the one in its index: bytes were changed", where=path, remedy=MAKE_AGAIN
        )


def _check_members(file: IO[bytes], path: Path, index: ShardIndex) -> None:
    scenes = []
    for member in index.members:
        if file.read(tar.BLOCK) != tar.header(member.name, member.size):
            raise _changed(path, f"the header of member {member.name}")
        content = file.read(member.size)
        _check_content(content, member, path)
        if file.read(len(tar.padding(member.size))) != tar.padding(member.size):
            raise _changed(path, f"the padding after member {member.name}")
        if member.name.endswith(".json"):
            record = parse_record(content, f"{path}: {member.name}")
            scenes.append(Statistics.of_scene(record.spec, record.clipped))
    # Licences are no part of the scenes' records: the seal of the index alone vouches for them.
    if Statistics.total(scenes) != index.statistics.model_copy(update={"licences": {}}):
        raise SynthError(
            "its scenes are not those that its index counts",
            where=path,
            remedy="report this as a fault of s5kit",
        )


def _check_content(content: bytes, member: Member, path: Path) -> None:
    if zlib.crc32(content) != member.crc32 or hashlib.sha256(content).hexdigest() != member.sha256:
        raise _changed(path, f"the content of member {member.name}")


def _changed(path: Path, what: str) -> SynthError:
    return SynthError(f"{what} was changed", where=path, remedy=MAKE_AGAIN)
