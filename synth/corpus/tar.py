"""Tar archives whose bytes depend on nothing but names and contents.

Only regular files in the USTAR form: no times, owners, links or extensions. What the layout of
an archive is follows from the names and sizes of its members alone, so a reader that knows
those can check every byte that is not content.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

BLOCK = 512
"""Headers and contents start at multiples of this many bytes."""

RECORD = 20 * BLOCK
"""An archive's size is a multiple of this many bytes."""

MAX_NAME = 100
MAX_SIZE = (1 << 33) - 1
"""Largest member that an octal USTAR size field of eleven digits holds, in bytes."""


def header(name: str, size: int) -> bytes:
    """Return the 512 bytes before a member's content.

    Args:
        name: ASCII, at most `MAX_NAME` characters.
        size: Bytes of content, at most `MAX_SIZE`.
    """
    raw_name = name.encode("ascii")
    if not 0 < len(raw_name) <= MAX_NAME or not 0 <= size <= MAX_SIZE:
        raise ValueError(f"a tar member cannot be named {name!r} with {size} bytes")
    zero = b"0000000\0"
    fields = (
        raw_name.ljust(100, b"\0"),
        b"0000644\0",  # mode
        zero,  # user
        zero,  # group
        b"%011o\0" % size,
        b"%011o\0" % 0,  # time of modification
        b" " * 8,  # checksum, counted as spaces
        b"0",  # a regular file
        bytes(100),  # no link
        b"ustar\x0000",
        bytes(64),  # names of user and group
        zero,
        zero,
        bytes(167),  # no prefix; padding
    )
    raw = b"".join(fields)
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]


def padding(size: int) -> bytes:
    """Return the zeros between a content of `size` bytes and the next header."""
    return bytes(-size % BLOCK)


def ending(size: int) -> bytes:
    """Return the zeros that close an archive whose members end at byte `size`."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % RECORD)


def offsets(sizes: Iterable[int]) -> Iterator[int]:
    """Yield where the content of each member starts, given the contents' sizes in order."""
    position = 0
    for size in sizes:
        position += BLOCK
        yield position
        position += size + -size % BLOCK


def archive_size(sizes: Iterable[int]) -> int:
    """Return the bytes of a whole archive, given its contents' sizes."""
    end = sum(BLOCK + size + -size % BLOCK for size in sizes)
    return end + len(ending(end))
