"""Small zip archives."""

from __future__ import annotations

import zipfile
from pathlib import Path


def make_zip(path: Path, tree: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """Write an archive with a folder entry `set/` and the files of `tree`."""
    with zipfile.ZipFile(path, "w", method) as file:
        file.mkdir("set")
        for name, data in tree.items():
            file.writestr(name, data)
    return path
