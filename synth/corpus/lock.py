"""One writer per folder, or several for different shards: locks that die with their owners and say who those are."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SynthError
from .disk import disk_error

LOCK_NAME = ".s5kit.lock"

_RANGE_NAME = re.compile(r"\.s5kit-(\d+)-(\d+)-\d+-[0-9a-f]+\.lock")
_PATIENCE = 10
_REMEDY = "wait until it ends, or choose another folder"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder.

    The system frees the lock when its owner ends in any way, so a file left behind by a killed
    run locks nobody out.

    Raises:
        SynthError: Another process holds it or a part of it (named), or the folder cannot be written.
    """
    path = folder / LOCK_NAME
    handle = _acquire(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def range_lock(folder: Path, shards: range) -> Iterator[None]:
    """Hold some shards of an existing folder: others may hold other shards, but nobody all of it.

    Raises:
        SynthError: Another process holds the folder or one of these shards (named), or the folder
            cannot be written.
    """
    path = folder / LOCK_NAME
    handle = _acquire(path, fcntl.LOCK_SH)
    try:
        with _claim(folder, shards):
            yield
    finally:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)  # nobody else holds a part
        except OSError:
            pass
        os.close(handle)


@contextmanager
def _claim(folder: Path, shards: range) -> Iterator[None]:
    """Put up a file that names the shards, unless another one names some of them."""
    name = f".s5kit-{shards.start}-{shards.stop}-{os.getpid()}-{secrets.token_hex(4)}.lock"
    path = folder / name
    handle = _locked(folder / f"{name}.new", fcntl.LOCK_EX)
    try:
        try:
            # It gets its name only when it is locked, so that nobody takes it for a dead one's. Of
            # two that come at the same moment at least one sees the other.
            (folder / f"{name}.new").rename(path)
            for other in folder.glob(".s5kit-*.lock"):
                found = _RANGE_NAME.fullmatch(other.name)
                if found and other != path and int(found[1]) < shards.stop and shards.start < int(found[2]):
                    _refuse_living(other, int(found[1]), int(found[2]))
        except OSError as error:
            raise disk_error(error, path, 0) from error
        yield
    finally:
        (folder / f"{name}.new").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        os.close(handle)


def _refuse_living(path: Path, first: int, end: int) -> None:
    """Raise when the owner of a claim lives; else remove it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError as error:
        owner = _named(os.pread(handle, 1000, 0).decode(errors="replace"))
        raise SynthError(
            f"another run makes shards {first} to {end - 1} in this folder: {owner}",
            where=path.parent,
            remedy="wait until it ends, or choose other shards",
        ) from error
    finally:
        os.close(handle)


def _acquire(path: Path, kind: int) -> int:
    patience = _PATIENCE if kind == fcntl.LOCK_SH else 0
    while True:
        try:
            handle = _locked(path, kind)
        except SynthError:
            if not patience:
                raise
            patience -= 1  # the last owner of a part may just be putting the file away
            time.sleep(0.1)
            continue
        if _still_there(handle, path):
            return handle
        os.close(handle)  # the owner before us removed the file between our open and our lock


def _locked(path: Path, kind: int) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise disk_error(error, path, 0) from error
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
    except BlockingIOError as error:
        owner = os.pread(handle, 1000, 0).decode(errors="replace")
        os.close(handle)
        raise SynthError(
            f"another run writes into this folder: {_named(owner)}", where=path.parent, remedy=_REMEDY
        ) from error
    except OSError as error:
        os.close(handle)
        raise disk_error(error, path, 0) from error
    return handle


def _still_there(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _named(owner: str) -> str:
    try:
        content = json.loads(owner)
        return f"process {int(content['pid'])} on {str(content['host'])[:100]}"
    except (ValueError, KeyError, TypeError):
        return "its process is not known"
