"""A disk that fails at the n-th thing that is asked of it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest


class FaultyDisk:
    """Counts writes, syncs, renames and new folders, and lets the n-th one fail.

    Args:
        monkeypatch: Puts the disk in and takes it out again.
        fails_at: Which call fails; 0: none.
        code: How, e.g. `errno.ENOSPC`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails_at: int, code: int = errno.ENOSPC) -> None:
        self.calls = 0
        self._fails_at = fails_at
        self._code = code
        open_path = Path.open

        def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            file = open_path(path, mode, *args, **kwargs)
            return _Written(file, self) if "w" in mode else file

        monkeypatch.setattr(Path, "open", opened)
        for owner, name in (
            (os, "fsync"),
            (os, "replace"),
            (Path, "rename"),
            (Path, "mkdir"),
            (Path, "write_text"),
        ):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    @property
    def failed(self) -> bool:
        """Whether the fault has come."""
        return 0 < self._fails_at <= self.calls

    def tick(self) -> None:
        self.calls += 1
        if self.calls == self._fails_at:
            raise OSError(self._code, os.strerror(self._code))

    def _counted(self, function: Any) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            return function(*args, **kwargs)

        return counted


class _Written:
    def __init__(self, file: Any, disk: FaultyDisk) -> None:
        self._file, self._disk = file, disk

    def write(self, data: Any) -> int:
        self._disk.tick()
        return int(self._file.write(data))

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def names(folder: Path) -> set[str]:
    """Final names in a folder: all but hidden ones."""
    return (
        {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        if folder.is_dir()
        else set()
    )


def leftovers(folder: Path) -> list[str]:
    """Half-made things that nobody took away."""
    return [path.name for path in folder.rglob("*.partial")] if folder.is_dir() else []
