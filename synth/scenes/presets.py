"""Where recipes come from: the presets that s5kit ships, and files."""

from __future__ import annotations

import difflib
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from ..errors import SynthError
from .bounded import read_bounded

_SUFFIXES = (".yaml", ".yml")


def list_recipes() -> list[str]:
    """Return the names of the presets."""
    return sorted(
        item.name.removesuffix(".yaml") for item in _folder().iterdir() if item.name.endswith(".yaml")
    )


def recipe_source(name_or_path: str | Path, limit: int) -> tuple[str, str]:
    """Return the YAML text of a preset or file, and what to call it in messages.

    Raises:
        SynthError: There is neither, or the file is longer than `limit` bytes or not UTF-8.
    """
    name = str(name_or_path)
    presets = list_recipes()
    if name in presets:
        return (_folder() / f"{name}.yaml").read_text(encoding="utf-8"), name
    path = Path(name_or_path)
    if not (name.endswith(_SUFFIXES) or path.is_file()):
        near = difflib.get_close_matches(name, presets, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SynthError(
            "no such recipe",
            where=name,
            remedy=f"{hint}choose from {', '.join(presets)}, or give a .yaml file",
        )
    try:
        return read_bounded(path, limit).decode(), name
    except UnicodeDecodeError as error:
        raise SynthError(f"not UTF-8: {error}", where=path, remedy="save the file as UTF-8") from error


def _folder() -> Traversable:
    return resources.files("manifests") / "recipes"
