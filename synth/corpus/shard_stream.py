"""Shards as one tar archive into a pipe: the very bytes of the files, and never a short archive that looks whole.

Tar readers take an archive that ends between two members for a finished one. So the last block of
every scene is held back until the next one is ready: whatever ends the program in between, the
reader finds the archive cut in the middle of a member and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from . import tar
from .identity import CorpusIdentity
from .shards import MakeScene, make_sample


class Output(Protocol):
    """Where the archive goes."""

    def write(self, data: bytes, /) -> object:
        """Take all of the bytes."""

    def flush(self) -> object:
        """Pass on what was taken."""


def stream_shards(
    identity: CorpusIdentity,
    shards: Sequence[int],
    make_scene: MakeScene,
    output: Output,
    on_scene: Callable[[], None] = lambda: None,
) -> None:
    """Make shards and write them as one archive, scene by scene.

    One shard gives exactly the bytes of its file in a corpus. Several give the members of all, in
    order, and a single end: readers stop at the first end of an archive, so that files put one
    after the other would lose all but the first without a word.

    Args:
        identity: The corpus.
        shards: Numbers of its shards.
        make_scene: Makes each scene.
        output: Where the archive goes.
        on_scene: Called after every scene; what it raises ends the archive in the middle.

    Raises:
        SynthError: A scene cannot be made.
        OSError: The output refuses.
    """
    held, size = b"", 0
    for shard in shards:
        for index in identity.scenes(shard):
            data = _members(make_sample(identity, index, make_scene).members)
            size += len(data)
            output.write(held)
            output.write(data[: -tar.BLOCK])
            output.flush()
            held = data[-tar.BLOCK :]
            on_scene()
    output.write(held + tar.ending(size))
    output.flush()


def _members(members: Sequence[tuple[str, bytes]]) -> bytes:
    parts = (
        (tar.header(name, len(content)), content, tar.padding(len(content))) for name, content in members
    )
    return b"".join(part for member in parts for part in member)
