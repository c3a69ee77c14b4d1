"""What came over the network, kept in a folder of this machine that never grows beyond its limit.

Processes and runs share it. What lies in it is not trusted: whoever reads it compares checksums, and
fetches again what was damaged. So nothing is synced to disk here.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import SynthError
from ..units import Seconds

CACHE_BYTES = 16 << 30
"""The most that a cache holds, unless told otherwise."""

_LOCK = ".s5kit-cache.lock"
_ENDING = ".part"
_STALE: Seconds = 3600.0
_EMPTIED = 0.9
"""When the limit is reached, the entries used longest ago go until so much of it is left."""


class FileCache:
    """Bytes by key, one file each.

    Args:
        folder: Made if needed.
        limit: The most bytes in it.

    Raises:
        SynthError: The folder cannot be made, or the limit is no positive number.
    """

    def __init__(self, folder: str | Path, limit: int = CACHE_BYTES) -> None:
        if limit <= 0:
            raise SynthError(f"is {limit}", where="cache_bytes", remedy="give bytes, above 0")
        self.folder, self._limit = Path(folder), limit
        self._usable = True
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / _LOCK).open("ab").close()
        except OSError as error:
            raise SynthError(
                f"it cannot be written: {error.strerror or error}",
                where=folder,
                remedy="give another folder as cache, or none",
            ) from error

    def get(self, key: str) -> bytes | None:
        """Return what is kept under a key (hex digits), or None; its place in the queue is renewed."""
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes under a key; older entries go when the limit is reached.

        A cache that cannot be written (no space, no right) warns once and keeps nothing more: training
        needs it only to be faster.
        """
        if not self._usable or len(data) > self._limit:
            return
        path = self._path(key)
        temporary = path.with_name(f"{key}.{secrets.token_hex(4)}{_ENDING}.tmp")
        try:
            path.parent.mkdir(exist_ok=True)
            with self._account() as account:
                account.reserve(len(data))
                try:
                    temporary.write_bytes(data)
                    os.replace(temporary, path)
                finally:
                    temporary.unlink(missing_ok=True)
        except OSError as error:
            self._usable = False
            warnings.warn(
                f"{self.folder}: the cache cannot be written ({error.strerror or error}); nothing more is "
                "kept in it",
                stacklevel=2,
            )

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_ENDING}"

    @contextmanager
    def _account(self) -> Iterator[_Account]:
        """Hold the lock of the folder, and know how full it is."""
        with (self.folder / _LOCK).open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            text = file.read(32)
            account = _Account(self.folder, self._limit, int(text) if text.isdigit() else None)
            try:
                yield account
            finally:
                file.seek(0)
                file.write(str(account.total).encode())
                file.truncate()


class _Account:
    """How many bytes a cache holds; at most too high, after a process died while it wrote."""

    def __init__(self, folder: Path, limit: int, total: int | None) -> None:
        self._folder, self._limit = folder, limit
        self.total = self._swept(limit) if total is None else total

    def reserve(self, size: int) -> None:
        """Make room for so many bytes and count them."""
        if self.total + size > self._limit:
            self.total = self._swept(max(int(_EMPTIED * self._limit), size) - size)
        self.total += size

    def _swept(self, target: int) -> int:
        """Remove the entries used longest ago until at most `target` bytes are left; return how many are."""
        entries = []
        now = time.time()
        for path in self._folder.glob(f"[0-9a-f][0-9a-f]/*{_ENDING}*"):
            try:
                found = path.stat()
            except FileNotFoundError:
                continue
            if path.suffix == ".tmp" and now - found.st_mtime > _STALE:
                path.unlink(missing_ok=True)
            else:
                entries.append((found.st_mtime_ns, found.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= target:
                break
            path.unlink(missing_ok=True)
            total -= size
        return total
