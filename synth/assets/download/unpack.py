"""Archives to folders, member by member: regular files only, inside the folder only, checked, resumed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from ...errors import Problem, ProblemsError, SynthError
from ...files import fsync_directory
from ..paths import path_fault
from .zips import archives, open_zip, part_of

UnpackProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with the name of an archive, the bytes unpacked and their sum."""

_CHUNK = 1 << 20
_MAX_MEMBERS = 5_000_000
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an archive gave.

    Attributes:
        archive: The archive; of a split one, its last part.
        files: Paths of its files, relative to the folder, in the order of the archive.
        written: How many were written now; the others were there with the same content.
        bytes: Their sum.
    """

    archive: Path
    files: tuple[str, ...]
    written: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    size: int
    crc: int | None
    open: Callable[[], IO[bytes]]
    where: Callable[[], str]
    fault: str | None = None


def unpack(
    archive: str | Path,
    folder: str | Path,
    *,
    only: Callable[[str], bool] | None = None,
    progress: UnpackProgress | None = None,
) -> Unpacked:
    """Unpack a zip archive (split or not) or a tar archive.

    No member is written whose name leads out of the folder, and no link or device. A file that is
    there with the same content is left alone, so that a broken run goes on where it was; one with
    other content is an error, never overwritten.

    Args:
        archive: `.zip` (the parts `.z01` ... beside it) or `.tar`.
        folder: Where the files go; made if needed.
        only: Which members, by their path.
        progress: Told of every piece that is written.

    Raises:
        ProblemsError: Some members may not be written; nothing was.
        SynthError: The archive is damaged or lacks parts, or the disk is full.
    """
    archive, folder = Path(archive), Path(folder)
    with _refused(archive, folder), _members(archive) as found:
        members = [member for member in found if only is None or only(member.name)]
        _check(archive, members)
        folder.mkdir(parents=True, exist_ok=True)
        total, done, written = sum(member.size for member in members), 0, 0
        _require_space(folder, members)
        for member in members:
            written += _write(member, archive, folder)
            done += member.size
            if progress is not None:
                progress(archive.name, done, total)
        for parent in sorted({(folder / member.name).parent for member in members}):
            fsync_directory(parent)
    return Unpacked(archive, tuple(member.name for member in members), written, total)


def unpack_all(
    source: str | Path,
    folder: str | Path,
    *,
    only: Callable[[str], bool] | None = None,
    progress: UnpackProgress | None = None,
) -> list[Unpacked]:
    """Unpack every zip and tar archive of a folder; see `unpack`."""
    source = Path(source)
    tars = sorted(path for path in source.iterdir() if path.suffix == ".tar")
    return [unpack(path, folder, only=only, progress=progress) for path in (*archives(source), *tars)]


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    if archive.suffix.lower() == ".tar":
        with tarfile.open(archive, "r:") as tar:
            yield [_tar_member(tar, info, archive) for info in _bounded(tar) if not info.isdir()]
        return
    with open_zip(archive) as opened:
        infos = opened.infolist()
        if len(infos) > _MAX_MEMBERS:
            raise _too_many(archive)
        yield [_zip_member(opened, info, archive) for info in infos if not info.is_dir()]


def _bounded(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for n, info in enumerate(tar):
        if n >= _MAX_MEMBERS:
            raise _too_many(Path(os.fsdecode(tar.name or "")))
        yield info


def _zip_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo, archive: Path) -> _Member:
    fault = None
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        fault = "it is a link or a device"
    elif info.flag_bits & 0x1:
        fault = "it is encrypted"
    return _Member(
        info.orig_filename,  # `filename` is cut at a NUL.
        info.file_size,
        info.CRC,
        lambda: opened.open(info),
        lambda: part_of(archive, info.header_offset),
        fault,
    )


def _tar_member(tar: tarfile.TarFile, info: tarfile.TarInfo, archive: Path) -> _Member:
    def reader() -> IO[bytes]:
        file = tar.extractfile(info)
        if file is None:
            raise tarfile.ReadError(f"{info.name} is no regular file")
        return file

    # A sparse member could stand for any number of bytes that are not in the archive.
    fault = None if info.isreg() and not info.issparse() else "it is no regular file"
    return _Member(info.name, info.size, None, reader, lambda: archive.name, fault)


def _check(archive: Path, members: list[_Member]) -> None:
    """Refuse the whole archive when any of its names leads where it should not."""
    problems = []
    seen: set[str] = set()
    for member in members:
        fault = member.fault or path_fault(member.name)
        if fault is None and "\\" in member.name:
            fault = "it has a backslash in its name"
        if fault is None and member.name in seen:
            fault = "it is listed twice"
        seen.add(member.name)
        if fault is not None:
            problems.append(
                Problem(f"{archive.name}: {member.name!r}", fault, "unpack it by hand, with care")
            )
    if problems:
        raise ProblemsError(problems, remedy="nothing was unpacked: is this the published archive?")


def _write(member: _Member, archive: Path, folder: Path) -> bool:
    """Write one member; return False when it is there already."""
    path = folder / member.name
    if not path.parent.resolve().is_relative_to(folder.resolve()):
        raise SynthError(
            f"{member.name!r} leads out of the folder through a link that lies there",
            where=folder,
            remedy="unpack into an empty folder",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() or path.is_symlink():
        if _same(path, member):
            return False
        raise SynthError(
            f"it is there with other content than in {archive.name}",
            where=path,
            remedy="remove or rename it, or unpack into another folder",
        )
    temporary = path.with_name(f".{secrets.token_hex(8)}.partial")
    try:
        with temporary.open("xb") as out:
            _copy(member, archive, out)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _copy(member: _Member, archive: Path, out: IO[bytes]) -> None:
    size = 0
    try:
        with member.open() as file:
            # zipfile compares the CRC at the end of the file.
            while chunk := file.read(_CHUNK):
                out.write(chunk)
                size += len(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, tarfile.TarError, NotImplementedError) as error:
        raise SynthError(
            f"{member.name!r}, which begins in {member.where()}, is damaged: {error}",
            where=archive,
            remedy="fetch the parts again; s5kit download --verify says which of them is damaged",
        ) from error
    if size != member.size:
        raise SynthError(
            f"{member.name!r} has {size:,} bytes, announced were {member.size:,}",
            where=archive,
            remedy="fetch the archive again",
        )


def _same(path: Path, member: _Member) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != member.size:
        return False
    with path.open("rb") as here:
        if member.crc is not None:
            crc = 0
            while chunk := here.read(_CHUNK):
                crc = zlib.crc32(chunk, crc)
            return crc == member.crc
        with member.open() as there:
            while chunk := here.read(_CHUNK):
                if chunk != there.read(_CHUNK):
                    return False
    return True


def _require_space(folder: Path, members: list[_Member]) -> None:
    new = [member for member in members if not (folder / member.name).is_file()]
    needed = sum(-(-member.size // _BLOCK) * _BLOCK for member in new)
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed, {free:,} are free")


@contextmanager
def _refused(archive: Path, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise SynthError(
            f"the disk is full: {error.strerror}" if full else f"it cannot be unpacked: {error}",
            where=folder,
            remedy="free some space or give another folder, then run the command again: it goes on where it was"
            if full
            else "check the folder and its permissions",
        ) from error
    except tarfile.TarError as error:
        raise SynthError(
            f"it cannot be read as a tar archive: {error}", where=archive, remedy="fetch it again"
        ) from error


def _too_many(archive: Path) -> SynthError:
    return SynthError(
        f"it has more than {_MAX_MEMBERS:,} members", where=archive, remedy="unpack it by hand, with care"
    )
