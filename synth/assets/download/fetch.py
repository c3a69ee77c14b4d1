"""Fetching one file: resumed where it broke off, checked, and under its final name only when whole."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from ...errors import SynthError
from ...files import fsync_directory, write_text
from . import http
from .table import RemoteFile

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called with the name of a file, the bytes that are here, and how many there are (None: not known)."""

_CHUNK = 1 << 20
_MOST_ATTEMPTS = 200
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskError(SynthError):
    """The disk refuses: what comes next would fail as well."""


@dataclass(frozen=True, slots=True)
class Digests:
    """Size and hashes of a file."""

    bytes: int
    md5: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to try.

    Attributes:
        attempts: In a row that bring nothing new, before giving up.
        pause: Seconds before the second of them; doubled each time, at most a minute.
        seconds: To wait for any one answer.
    """

    attempts: int = 5
    pause: float = 1.0
    seconds: float = 60.0


PATIENT = Patience()
"""What a person at a desk expects."""


def fetch(
    file: RemoteFile, folder: Path, *, patience: Patience = PATIENT, progress: Progress | None = None
) -> Digests:
    """Bring a file to `folder / file.name`.

    What came before a broken transfer is kept in a hidden `.part` file and gone on with, unless the
    file at the server is another one by then. A transfer that does not match a known size or
    checksum is thrown away, repeated once, and then an error.

    Raises:
        SynthError: The server refuses, fails too often, or has other content than the table says;
            the disk is full.
    """
    part = _Part(folder, file)
    for last in (False, True):
        _transfer(file, part, patience, progress)
        try:
            found = digests(part.path)
            fault = mismatch(file, found)
            if fault is None:
                part.publish()
                return found
        except OSError as error:
            raise _disk_error(error, part.final) from error
        part.clear()
        if last:
            raise SynthError(
                f"{fault}, in two transfers",
                where=file.address,
                remedy="the published file is another one than the table (or downloads.json) says, or is "
                "damaged on the way: compare with its page, then correct the table or remove downloads.json",
            )
    raise AssertionError("not reached")


def digests(path: Path) -> Digests:
    """Return size and hashes of a file, read once."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            md5.update(chunk)
            sha256.update(chunk)
            size += len(chunk)
    return Digests(size, md5.hexdigest(), sha256.hexdigest())


def mismatch(file: RemoteFile, found: Digests) -> str | None:
    """Say in what a file is not the one of the table; None when it is, as far as that is known."""
    if file.bytes is not None and file.bytes != found.bytes:
        return f"{file.name} has {found.bytes:,} bytes, expected are {file.bytes:,}"
    for kind in ("sha256", "md5"):
        expected, got = getattr(file, kind), getattr(found, kind)
        if expected is not None and expected != got:
            return f"{file.name} has the {kind.upper()} {got}, expected is {expected}"
    return None


class _Part:
    """The unfinished file and what its bytes came with."""

    def __init__(self, folder: Path, file: RemoteFile) -> None:
        self.final = folder / file.name
        self.path = folder / f".{file.name}.part"
        self._state = folder / f".{file.name}.part.json"
        self._address = file.address
        self._checked = file.md5 is not None or file.sha256 is not None

    def resume(self) -> tuple[int, str | None]:
        """Return how many bytes are here that may be gone on with, and their validator."""
        try:
            state: Any = json.loads(self._state.read_text("utf-8"))
            size = self.path.stat().st_size
        except (OSError, ValueError):
            return 0, None
        if not isinstance(state, dict) or state.get("address") != self._address:
            return 0, None
        validator = state.get("validator")
        # Without a validator only a checksum can tell that the halves belong together.
        if not isinstance(validator, str) and not self._checked:
            return 0, None
        return size, validator if isinstance(validator, str) else None

    def note(self, answer: http.Answer) -> None:
        """Remember what the bytes came with, before any of them is kept."""
        state = {"address": self._address, "validator": answer.validator, "total": answer.total}
        write_text(self._state, json.dumps(state) + "\n")

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)
        self._state.unlink(missing_ok=True)

    def publish(self) -> None:
        with self.path.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(self.path, self.final)
        self._state.unlink(missing_ok=True)
        fsync_directory(self.final.parent)


def _transfer(file: RemoteFile, part: _Part, patience: Patience, progress: Progress | None) -> None:
    """Bring the part file to its full length, however often the connection breaks."""
    idle, why = 0, ""
    for _ in range(_MOST_ATTEMPTS):
        before, validator = part.resume()
        wait: float | None = None
        try:
            with http.get(
                file.address, first=before, validator=validator, seconds=patience.seconds
            ) as answer:
                if _receive(file, part, answer, before, validator, progress):
                    return
            why = "the connection ended early"
        except http.BrokenError as error:
            why, wait = str(error), error.wait
        except http.RefusedError as error:
            raise SynthError(str(error), where=file.address, remedy=_by_hand(part)) from error
        except OSError as error:
            raise _disk_error(error, part.final) from error
        idle = 0 if part.resume()[0] > before else idle + 1
        if idle >= patience.attempts:
            break
        time.sleep(min(60.0, wait if wait is not None else patience.pause * 2 ** max(idle - 1, 0)))
    raise SynthError(
        f"it cannot be fetched: {why}",
        where=file.address,
        remedy=f"check the network and run the command again, it goes on where it broke off; or {_by_hand(part)}",
    )


def _receive(
    file: RemoteFile,
    part: _Part,
    answer: http.Answer,
    before: int,
    validator: str | None,
    progress: Progress | None,
) -> bool:
    """Append what a server sends; return whether the file is whole now."""
    if answer.first and validator is not None and answer.validator not in (None, validator):
        part.clear()  # The server went on with another file, whatever If-Range asked.
        return False
    if answer.total is not None and file.bytes is not None and answer.total != file.bytes:
        raise http.RefusedError(
            f"the server offers {answer.total:,} bytes, the table says {file.bytes:,}: the content was changed"
        )
    if not answer.bounded and file.bytes is None and file.md5 is None and file.sha256 is None:
        raise http.RefusedError(
            "the server does not say how long the file is, nor does the table: a part could pass for the whole"
        )
    if answer.first and answer.count == 0 and answer.first == answer.total == before:
        return True
    if answer.first > before or (answer.count == 0 and answer.first):
        part.clear()
        return False
    if answer.total is not None:
        _require_space(part, answer.total - answer.first)
    if not answer.first:
        part.clear()
    part.note(answer)
    end = None if answer.count is None else answer.first + answer.count
    with part.path.open("r+b" if answer.first else "wb") as out:
        out.truncate(answer.first)
        out.seek(answer.first)
        size = _copy(file, answer, out, end, progress)
    total = answer.total if answer.total is not None else file.bytes
    return size == total if total is not None else end is None or size == end


def _copy(
    file: RemoteFile, answer: http.Answer, out: IO[bytes], end: int | None, progress: Progress | None
) -> int:
    size = answer.first
    known = answer.total if answer.total is not None else file.bytes
    try:
        while chunk := http.read_some(answer.body, _CHUNK):
            size += len(chunk)
            limit = end if end is not None else file.bytes
            if limit is not None and size > limit:
                raise http.RefusedError(f"more than the {limit:,} bytes that were announced came")
            out.write(chunk)
            if progress is not None:
                progress(file.name, size, known)
    finally:
        out.flush()
    return size


def _require_space(part: _Part, needed: int) -> None:
    status = os.statvfs(part.path.parent)
    free = status.f_bavail * status.f_frsize
    if needed > free:
        raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed, {free:,} are free")


def _disk_error(error: OSError, where: Path) -> DiskError:
    if error.errno in _NO_SPACE:
        return DiskError(
            f"the disk is full: {error.strerror}",
            where=where,
            remedy="free some space or give another --out; what came so far is kept and gone on with",
        )
    return DiskError(
        f"it cannot be written: {error.strerror or error}",
        where=where,
        remedy="check that the folder may be written, then run the command again",
    )


def _by_hand(part: _Part) -> str:
    return f"get it by hand, put it at {part.final} and run the command again"
