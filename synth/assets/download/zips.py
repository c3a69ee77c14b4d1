"""Split zip archives (`name.z01`, ..., `name.zip`) read as one, without a joined copy on disk.

The parts are one long byte string; the central directory at its end counts offsets from the start of
a part. It is written anew in memory with offsets from the start of the whole, after the last part, and
`zipfile` reads the result: names, checksums and ZIP64 are its business.
"""

from __future__ import annotations

import bisect
import io
import os
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ...errors import SynthError

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_EXTRA64 = struct.Struct("<2H3Q")
_NEVER, _NEVER16 = 0xFFFFFFFF, 0xFFFF
_MAX_PARTS = 1_000
_MAX_DIRECTORY = 512 << 20


def archives(folder: Path) -> list[Path]:
    """Return the zip archives of a folder by name; of a split one, its last part."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == ".zip" and not p.name.startswith("."))


def missing_parts(archive: Path) -> list[str]:
    """Return the names of the parts that a split archive lacks; none when it cannot be read."""
    try:
        end = _read_end(archive)
    except SynthError:
        return []
    return [path.name for path in _part_paths(archive, end.disk) if not path.is_file()]


@contextmanager
def open_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive, split or not.

    Args:
        archive: The file that ends in `.zip`; the parts lie beside it.

    Raises:
        SynthError: It is no zip archive, is damaged, or lacks parts; all of them are named.
    """
    end = _read_end(archive)
    missing = missing_parts(archive)
    if missing:
        raise SynthError(
            f"{len(missing)} of its {end.disk + 1} parts are missing: {', '.join(missing)}",
            where=archive,
            remedy="put them beside it, or fetch them with s5kit download",
        )
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("rb")) for path in _part_paths(archive, end.disk)]
            joined = _Joined(files)
            if end.disk:
                joined.tail = _directory(joined, end, archive)
            yield stack.enter_context(zipfile.ZipFile(io.BufferedReader(joined)))
    except (zipfile.BadZipFile, struct.error, NotImplementedError) as error:
        raise _damaged(archive, str(error)) from error


def part_of(archive: Path, offset: int) -> str:
    """Return the name of the part that holds a byte of the whole, for messages."""
    start = 0
    for path in _part_paths(archive, _read_end(archive).disk):
        start += path.stat().st_size
        if offset < start:
            return path.name
    return archive.name


@dataclass(frozen=True, slots=True)
class _End:
    """What the end of an archive says: the number of its last part, and where its directory is."""

    disk: int
    directory_disk: int
    directory_size: int
    directory_offset: int


class _Joined(io.RawIOBase):
    """Several files as one, with bytes of our own behind them."""

    def __init__(self, files: Sequence[IO[bytes]]) -> None:
        self._files = files
        sizes = [os.fstat(file.fileno()).st_size for file in files]
        self.starts = [sum(sizes[:n]) for n in range(len(files) + 1)]
        self.tail = b""
        self._position = 0

    @property
    def size(self) -> int:
        return self.starts[-1]

    def read_at(self, offset: int, count: int) -> bytes:
        """Return `count` bytes from `offset` on, fewer at the end."""
        pieces: list[bytes] = []
        while count > 0 and offset < self.size:
            n = bisect.bisect_right(self.starts, offset) - 1
            room = min(count, self.starts[n + 1] - offset)
            piece = os.pread(self._files[n].fileno(), room, offset - self.starts[n])
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            offset, count = offset + len(piece), count - len(piece)
        if count > 0:
            pieces.append(self.tail[offset - self.size :][:count])
        return b"".join(pieces)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size + len(self.tail)}[whence]
        if base + offset < 0:
            raise OSError("a negative position was asked for")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self.read_at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _part_paths(archive: Path, disk: int) -> list[Path]:
    upper = archive.suffix == ".ZIP"
    names = [f"{archive.stem}.{'Z' if upper else 'z'}{n:02d}" for n in range(1, disk + 1)]
    return [*(archive.with_name(name) for name in names), archive]


def _read_end(archive: Path) -> _End:
    """Read the end record of the last part."""
    try:
        with archive.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            first = max(0, size - _END.size - 0xFFFF)
            file.seek(first)
            data = file.read()
    except OSError as error:
        raise SynthError(
            f"it cannot be read: {error.strerror}", where=archive, remedy="check the file and its permissions"
        ) from error
    at = data.rfind(b"PK\5\6")
    if at < 0 or at + _END.size > len(data):
        raise _damaged(archive, "the end record of a zip archive is not in it")
    _, disk, directory_disk, _, _, length, offset, _ = _END.unpack_from(data, at)
    locator = data[max(0, at - _LOCATOR.size) : at]
    if len(locator) == _LOCATOR.size and locator.startswith(b"PK\6\7"):
        _, _, where, disks = _LOCATOR.unpack(locator)
        record = data[where - first :][: _END64.size] if where >= first else b""
        if not record.startswith(b"PK\6\6"):
            record = data[: at - _LOCATOR.size][-_END64.size :]
        if len(record) == _END64.size and record.startswith(b"PK\6\6"):
            fields = _END64.unpack(record)
            directory_disk, length, offset = fields[5], fields[8], fields[9]
            disk = disks - 1 if disk == _NEVER16 else disk
    if not directory_disk <= disk < _MAX_PARTS or length > _MAX_DIRECTORY:
        raise _damaged(
            archive, f"its end record tells of {disk + 1} parts and a directory of {length:,} bytes"
        )
    return _End(disk, directory_disk, length, offset)


def _directory(joined: _Joined, end: _End, archive: Path) -> bytes:
    """Return the directory with offsets from the start of the whole, and end records for it."""
    start = joined.starts[end.directory_disk] + end.directory_offset
    data = joined.read_at(start, end.directory_size)
    entries, at = [], 0
    while at + _ENTRY.size <= len(data) and data[at : at + 4] == b"PK\1\2":
        entry, at = _entry(data, at, joined)
        entries.append(entry)
    if at != len(data) or len(data) != end.directory_size:
        raise _damaged(archive, "its directory is damaged; a part may be cut or of another archive")
    directory = b"".join(entries)
    where = joined.size + len(directory)
    count = len(entries)
    return b"".join(
        (
            directory,
            _END64.pack(b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), joined.size),
            _LOCATOR.pack(b"PK\6\7", 0, where, 1),
            _END.pack(b"PK\5\6", 0, 0, _NEVER16, _NEVER16, _NEVER, _NEVER, 0),
        )
    )


def _entry(data: bytes, at: int, joined: _Joined) -> tuple[bytes, int]:
    """Return an entry with the offset from the start of the whole, and where the next one begins."""
    fields = list(_ENTRY.unpack_from(data, at))
    packed, plain, name, extra, comment, disk, offset = *fields[8:13], fields[13], fields[16]
    first = at + _ENTRY.size
    names = data[first : first + name]
    extras = data[first + name : first + name + extra]
    comments = data[first + name + extra : first + name + extra + comment]
    rest, wide = _split_extras(extras)
    # The ZIP64 field holds, in this order, only those values that do not fit into the entry.
    values = iter(struct.iter_unpack("<Q", wide[: len(wide) & -8]))
    plain = next(values)[0] if plain == _NEVER else plain
    packed = next(values)[0] if packed == _NEVER else packed
    offset = next(values)[0] if offset == _NEVER else offset
    disk = struct.unpack("<L", wide[-4:])[0] if disk == _NEVER16 else disk
    if disk >= len(joined.starts) - 1:
        raise zipfile.BadZipFile(f"a file is said to begin in part {disk + 1}")
    wide = _EXTRA64.pack(1, 24, plain, packed, joined.starts[disk] + offset)
    fields[8] = fields[9] = fields[16] = _NEVER
    fields[11], fields[13] = len(wide) + len(rest), 0
    return _ENTRY.pack(*fields) + names + wide + rest + comments, first + name + extra + comment


def _split_extras(extras: bytes) -> tuple[bytes, bytes]:
    """Return the extra fields without ZIP64, and the content of that one."""
    rest, wide, at = [], b"", 0
    while at + 4 <= len(extras):
        kind, size = struct.unpack_from("<2H", extras, at)
        if kind == 1:
            wide = extras[at + 4 : at + 4 + size]
        else:
            rest.append(extras[at : at + 4 + size])
        at += 4 + size
    return b"".join(rest), wide


def _damaged(archive: Path, why: str) -> SynthError:
    return SynthError(
        f"it cannot be read as a zip archive: {why}",
        where=archive,
        remedy="fetch it and its parts again; s5kit download --verify says which of them is damaged",
    )
