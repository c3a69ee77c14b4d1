"""Derived data that is whole or absent: folders staged beside their final name and renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SynthError
from ..files import fsync_directory

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def building(final: Path) -> Iterator[Path | None]:
    """Build the folder `final` once, however many processes ask for it at the same time.

    Yields:
        A fresh folder to fill; on success it is synced and renamed to `final`. None when `final` is
        there already, perhaps made by another process while this one waited.

    Raises:
        SynthError: The file system refuses; the message says how much room is left.
    """
    with _files_refused(final), _locked(final):
        if final.is_dir():
            yield None
            return
        for stale in final.parent.glob(f".{final.name}.*.partial"):
            shutil.rmtree(stale, ignore_errors=True)
        with staging(final.parent, final.name) as folder:
            yield folder
            publish(folder, final)


@contextmanager
def staging(parent: Path, name: str) -> Iterator[Path]:
    """A temporary folder in `parent` that is gone afterwards, unless it was published."""
    with _files_refused(parent / name):
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / f".{name}.{os.getpid()}-{secrets.token_hex(4)}.partial"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, final: Path) -> None:
    """Sync a staged folder and give it its final name; keep what is there under that name already."""
    with _files_refused(final):
        for entry in sorted(folder.rglob("*")):
            if entry.is_dir():
                fsync_directory(entry)
            else:
                with entry.open("rb") as handle:
                    os.fsync(handle.fileno())
        fsync_directory(folder)
        with contextlib.suppress(FileExistsError):
            try:
                folder.rename(final)
            except OSError as error:
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise FileExistsError from error
                raise
        fsync_directory(final.parent)


def require_space(folder: Path, size: int) -> None:
    """Refuse to begin what cannot end.

    Raises:
        SynthError: Fewer than `size` bytes are free where `folder` lies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < size:
        raise SynthError(
            f"{size:,} bytes are needed here, {free:,} are free",
            where=folder,
            remedy="free some space, or put the catalog on a larger disk",
        )


@contextmanager
def _locked(final: Path) -> Iterator[None]:
    final.parent.mkdir(parents=True, exist_ok=True)
    with (final.parent / f".{final.name}.lock").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _files_refused(where: Path) -> Iterator[None]:
    """Turn what the file system says into an error with a remedy."""
    try:
        yield
    except OSError as error:
        full = error.errno in _NO_SPACE
        raise SynthError(
            f"the disk is full ({_free(where):,} bytes free without the unfinished part)"
            if full
            else str(error),
            where=where,
            remedy="free some space or put the catalog on a larger disk, then run the command again"
            if full
            else "check that the folder may be written, then run the command again",
        ) from error


def _free(where: Path) -> int:
    while not where.exists() and where != where.parent:
        where = where.parent
    return shutil.disk_usage(where).free
