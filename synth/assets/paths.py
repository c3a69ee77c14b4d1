"""Paths from tables and scene files: they stay inside their root."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import SynthError


def path_fault(path: str) -> str | None:
    """Say why a relative path may not be used, by its text alone; None when it may."""
    if not path:
        return "the path is empty"
    if "\0" in path:
        return "the path contains a NUL character"
    if path.startswith(("/", "\\")) or (len(path) > 1 and path[1] == ":" and path[0].isalpha()):
        return "the path is absolute"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "the path has an empty, '.' or '..' component"
    return None


def inside(root: Path, path: str) -> Path:
    """Join a relative path to its root.

    Raises:
        SynthError: The result lies outside the root, also by way of symbolic links.
    """
    fault = path_fault(path)
    full = root / path
    if fault is None:
        real = os.path.realpath(full)
        if os.path.commonpath((real, os.path.realpath(root))) == os.path.realpath(root):
            return full
        fault = f"it leads out of {root}, to {real}"
    raise SynthError(
        fault,
        where=path,
        remedy="paths start from the root and stay inside it: copy the file there or give another root",
    )


def safe_part(text: str) -> str:
    """Make one component of a path out of any text: letters, digits, `.`, `-` and `_` stay."""
    part = "".join(c if c.isalnum() or c in "._-" else "_" for c in text).lstrip(".-")
    return part[:120] or "_"


def target_path(root: Path, relative: str) -> Path:
    """Return the full path of a file to be made, with its folder.

    Raises:
        SynthError: The path would leave the tree.
    """
    fault = path_fault(relative)
    if fault is not None:
        raise SynthError(fault, where=relative, remedy="correct the table that names it")
    path = root / relative
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
