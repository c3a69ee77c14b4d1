"""One writer per folder: a lock that dies with its owner and says who that is."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SynthError
from .disk import disk_error

LOCK_NAME = ".s5kit.lock"


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of an existing folder.

    The system frees the lock when its owner ends in any way, so a file left behind by a killed
    run locks nobody out.

    Raises:
        SynthError: Another process holds it (named), or the folder cannot be written.
    """
    path = folder / LOCK_NAME
    handle = _acquire(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquire(path: Path) -> int:
    while True:
        handle = _locked(path)
        if _still_there(handle, path):
            return handle
        os.close(handle)  # the owner before us removed the file between our open and our lock


def _locked(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise disk_error(error, path, 0) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
    except BlockingIOError as error:
        owner = os.pread(handle, 1000, 0).decode(errors="replace")
        os.close(handle)
        raise SynthError(
            f"another run writes into this folder: {_named(owner)}",
            where=path.parent,
            remedy="wait until it ends, or choose another folder",
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
