"""One shard: scenes in, a whole archive with its index out, or nothing.

The archive grows under a temporary name. Its index is put in place first, then the archive is
synced and renamed: whatever is killed when, an archive under its final name is complete and has
its index beside it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

from ..errors import SynthError
from ..files import atomic_write, write_bytes
from ..rendering.scene import Scene
from ..scenes.spec import SceneSpec
from . import tar
from .disk import disk_error
from .encode import Sample, encode_scene
from .identity import CorpusIdentity, index_name
from .shard_index import Member, ShardIndex
from .statistics import Statistics


class MakeScene(Protocol):
    """Makes the scene of an index: the same one in every process, whatever was made before."""

    def __call__(self, index: int) -> Scene:
        """Return scene `index` with all stems that the corpus stores."""
        ...


@runtime_checkable
class KnowsLicences(Protocol):
    """Makes scenes and knows under which licences their sounds are."""

    def licences(self, spec: SceneSpec) -> dict[str, int]:
        """Return how often files of each data set and licence are used; see `Statistics`."""
        ...


def write_shard(
    identity: CorpusIdentity,
    shard: int,
    directory: Path,
    make_scene: MakeScene,
    on_scene: Callable[[], None] = lambda: None,
) -> ShardIndex:
    """Make the scenes of one shard and write it with its index.

    Args:
        identity: The corpus.
        shard: Number of the shard.
        directory: Where it goes.
        make_scene: Makes each scene.
        on_scene: Called after every scene.

    Returns:
        The index that lies beside the shard.

    Raises:
        SynthError: A scene cannot be made, or the folder cannot be written; no archive is left
            then.
    """
    path = directory / identity.shard_name(shard)
    archive = None
    try:
        with atomic_write(path) as file:
            archive = _Archive(file)
            for index in identity.scenes(shard):
                sample = make_sample(identity, index, make_scene)
                archive.add(sample.members, sample.statistics)
                on_scene()
            archive_index = archive.close(identity, shard)
            file.flush()
            write_bytes(directory / index_name(path.name), archive_index.to_bytes())
        return archive_index
    except OSError as error:
        raise disk_error(error, path, _bytes_expected(archive, identity, shard)) from error


class _Archive:
    """A tar archive being written and hashed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self._size = 0
        self._members: list[Member] = []
        self._scenes: list[Statistics] = []

    @property
    def bytes_per_scene(self) -> float:
        """Return the mean size of a scene so far, 0 before the first."""
        return self._size / max(len(self._scenes), 1)

    def add(self, members: list[tuple[str, bytes]], statistics: Statistics) -> None:
        """Append the members of one scene."""
        for name, content in members:
            self._write(tar.header(name, len(content)))
            self._members.append(
                Member(
                    name=name,
                    offset=self._size,
                    size=len(content),
                    crc32=zlib.crc32(content),
                    sha256=hashlib.sha256(content).hexdigest(),
                )
            )
            self._write(content)
            self._write(tar.padding(len(content)))
        self._scenes.append(statistics)

    def close(self, identity: CorpusIdentity, shard: int) -> ShardIndex:
        """Append the end of the archive and return its index."""
        self._write(tar.ending(self._size))
        return ShardIndex(
            corpus=identity,
            shard=shard,
            num_samples=len(self._scenes),
            size=self._size,
            sha256=self._hash.hexdigest(),
            members=tuple(self._members),
            statistics=Statistics.total(self._scenes),
        )

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self._size += len(data)


def make_sample(identity: CorpusIdentity, index: int, make_scene: MakeScene) -> Sample:
    """Make and encode a scene.

    Raises:
        SynthError: It cannot be made; the fault says which scene it was.
    """
    try:
        scene = make_scene(index)
        sample = encode_scene(identity, index, scene)
        if isinstance(make_scene, KnowsLicences):
            counts = {"licences": make_scene.licences(scene.spec)}
            sample = replace(sample, statistics=sample.statistics.model_copy(update=counts))
        return sample
    except SynthError as error:
        raise SynthError(
            f"scene {index} cannot be made: {error.what}", where=error.where, remedy=error.remedy
        ) from error
    except (OSError, MemoryError) as error:
        reason = "out of memory" if isinstance(error, MemoryError) else str(error)
        raise SynthError(
            f"scene {index} cannot be made: {reason}",
            remedy="mend that and run the same command again: finished shards are kept",
        ) from error
    except Exception as error:
        error.add_note(f"while scene {index} was made")
        raise


def _bytes_expected(archive: _Archive | None, identity: CorpusIdentity, shard: int) -> int:
    """Return about how many bytes the shard takes: from its scenes so far, or as plain PCM."""
    scenes = len(identity.scenes(shard))
    if archive is not None and archive.bytes_per_scene:
        return int(archive.bytes_per_scene * scenes)
    channels = 4 + identity.slots + sum({"wet": 4 * identity.slots}.get(stem, 4) for stem in identity.stems)
    return scenes * channels * identity.duration * 2
