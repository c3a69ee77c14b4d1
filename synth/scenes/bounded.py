"""The bounded door for JSON and YAML that others wrote: size, depth, duplicates, paths."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import yaml

from ..errors import SynthError

MAX_TEXT_BYTES = 1 << 20
MAX_LIST_BYTES = 64 << 20
MAX_DEPTH = 20


def read_bounded(path: Path, limit: int = MAX_TEXT_BYTES) -> bytes:
    """Return the bytes of a file that is at most `limit` bytes long.

    Raises:
        SynthError: The file cannot be read or is longer.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise SynthError(
            f"cannot be read: {getattr(error, 'strerror', None) or error}",
            where=path,
            remedy="check the name and the permissions of the file",
        ) from error
    if len(data) > limit:
        raise _too_long(limit, path)
    return data


def load_json(text: str | bytes, *, where: str | Path, limit: int = MAX_TEXT_BYTES) -> Any:
    """Parse JSON strictly: no NaN or Infinity, no key twice, bounded size and depth.

    Raises:
        SynthError: The text is anything else.
    """
    text = _decoded(text, where, limit)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_pairs)
    except RecursionError as error:
        raise _too_deep(where) from error
    except ValueError as error:
        raise SynthError(f"not valid JSON: {error}", where=where, remedy="correct the file") from error
    _check_depth(value, where)
    return value


def load_yaml(text: str | bytes, *, where: str | Path, limit: int = MAX_TEXT_BYTES) -> Any:
    """Parse YAML strictly: plain types only, no aliases, no key twice, bounded size and depth.

    Raises:
        SynthError: The text is anything else.
    """
    text = _decoded(text, where, limit)
    try:
        value = _StrictLoader(text).get_single_data()
    except RecursionError as error:
        raise _too_deep(where) from error
    except (yaml.YAMLError, ValueError) as error:
        what = " ".join(str(error).split())
        raise SynthError(f"not valid YAML: {what}", where=where, remedy="correct the text") from error
    _check_depth(value, where)
    return value


def path_inside(root: Path, path: str | PurePosixPath, *, where: str | Path) -> str:
    """Return `path` in POSIX form when it is relative and stays inside `root`, links followed.

    Raises:
        SynthError: The path is absolute, has `..` or NUL in it, or a link leads out of `root`.
    """
    pure = PurePosixPath(path)
    if "\0" in str(path) or pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise SynthError(
            f"{str(path)!r} is not a relative path inside {root}",
            where=where,
            remedy="write paths relative to the data root, without '..'",
        )
    try:
        inside = (root / pure).resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError) as error:
        raise SynthError(
            f"{str(path)!r} cannot be followed: {error}", where=where, remedy="mend the link"
        ) from error
    if not inside:
        raise SynthError(
            f"{str(path)!r} leads out of {root} through a link",
            where=where,
            remedy="give a data root that holds the files themselves",
        )
    return str(pure)


class _StrictLoader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases, merges and repeated keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuse aliases: a few bytes of them can stand for gigabytes."""
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that is given twice: one of the two values would silently be lost."""
        seen = set()
        for key in (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key in seen:
                raise yaml.YAMLError(f"key {key!r} is given twice, line {node.start_mark.line + 1}")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _decoded(text: str | bytes, where: str | Path, limit: int) -> str:
    if len(text) > limit:
        raise _too_long(limit, where)
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise SynthError(f"not UTF-8: {error}", where=where, remedy="save the file as UTF-8") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"key {twice!r} is given twice")
    return value


def _check_depth(value: Any, where: str | Path) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise _too_deep(where)


def _too_long(limit: int, where: str | Path) -> SynthError:
    return SynthError(f"longer than {limit} bytes", where=where, remedy="check that this is the right file")


def _too_deep(where: str | Path) -> SynthError:
    return SynthError(f"nested deeper than {MAX_DEPTH} levels", where=where, remedy="correct the file")
