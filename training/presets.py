"""Where training configurations come from: presets that s5kit ships, files, and what they build on.

A file may name a `base:` and then holds only what differs from it. The name of any preset with `-tiny` behind
it is its small form: the same run with a tiny net, for a CPU.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from synth import SynthError, load_yaml, read_bounded

MAX_CONFIG_BYTES = 1 << 18
TINY = "-tiny"
_MAX_LAYERS = 16
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Layer:
    """One file of a configuration: its content, and the comment behind every key."""

    where: str
    content: dict[str, Any]
    comments: dict[str, str]


def list_presets() -> list[str]:
    """Return the names of the presets; each has a small form, `NAME-tiny`, too."""
    return list(_names())


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    files = (item.name for item in _folder().iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml")))


def read_layers(name_or_path: str | Path) -> list[Layer]:
    """Return the files of a configuration, from what it builds on to itself.

    Raises:
        SynthError: There is no such preset or file, it is no mapping, or its bases go round in a circle.
    """
    return _chain(str(name_or_path), None)


def resolve(layers: Sequence[Layer]) -> dict[str, Any]:
    """Return the content of a configuration: later files win, key by key."""
    content: dict[str, Any] = {}
    for layer in layers:
        content = _merged(content, layer.content)
    return content


def comments_of(layers: Sequence[Layer]) -> dict[str, str]:
    """Return the comment of every dotted key, from the file that set it last."""
    out: dict[str, str] = {}
    for layer in layers:
        for key in _leaves(layer.content):
            out.pop(key, None)
        out |= layer.comments
    return out


def _chain(name: str, beside: Path | None) -> list[Layer]:
    layers: list[Layer] = []
    wanted: str | None = name
    while wanted is not None:
        if wanted.endswith(TINY) and wanted.removesuffix(TINY) in list_presets():
            layers.insert(0, _tiny(wanted))
            wanted = wanted.removesuffix(TINY)
        layer, beside = _read(wanted, beside)
        base = layer.content.pop("base", None)
        if base is not None and not isinstance(base, str):
            raise SynthError("is no name", where=f"{layer.where}: base", remedy="name a preset or a file")
        layers.insert(0, layer)
        if len(layers) > _MAX_LAYERS:
            raise SynthError(
                f"builds on more than {_MAX_LAYERS} files, or on itself",
                where=f"{name}: base",
                remedy="shorten the chain of bases",
            )
        wanted = base
    return layers


def _tiny(name: str) -> Layer:
    """Return what makes a preset its small form `name`."""
    task = resolve(_chain(name.removesuffix(TINY), None)).get("task")
    layer, _ = _read(f"base/tiny-{'separator' if task == 'separator' else 'sed'}", None)
    return replace(layer, content={**layer.content, "name": name})


def _read(name: str, beside: Path | None) -> tuple[Layer, Path | None]:
    """Read a preset, a base of presets or a file; and say where that file's own base would lie."""
    preset = _preset(name)
    if preset is not None:
        text, folder = preset.read_text(encoding="utf-8"), None
    else:
        path = Path(name) if beside is None else beside / name
        if not (name.endswith(_SUFFIXES) or path.is_file()):
            near = difflib.get_close_matches(name, list_presets(), 1)
            raise SynthError(
                "no such configuration",
                where=name,
                remedy=f"{f'did you mean {near[0]}? ' if near else ''}"
                "choose from `s5kit train list` (or one of these with -tiny), or give a .yaml file",
            )
        try:
            text, folder = read_bounded(path, MAX_CONFIG_BYTES).decode(), path.parent
        except UnicodeDecodeError as error:
            raise SynthError(f"not UTF-8: {error}", where=path, remedy="save the file as UTF-8") from error
    return replace(layer := _parsed(text, name), content=deepcopy(layer.content)), folder


@lru_cache(maxsize=256)
def _parsed(text: str, name: str) -> Layer:
    content = load_yaml(text, where=name, limit=MAX_CONFIG_BYTES)
    if not isinstance(content, dict):
        raise SynthError(
            "is not a mapping of keys", where=name, remedy="start from `s5kit train show sed-m2d`"
        )
    return Layer(name, content, dict(_comments(text)))


def _preset(name: str) -> Traversable | None:
    known = name in list_presets() or (name.startswith("base/") and name.count("/") == 1 and ".." not in name)
    file = _folder().joinpath(*f"{name}.yaml".split("/")) if known else None
    return file if file is not None and file.is_file() else None


def _folder() -> Traversable:
    return resources.files("manifests") / "training"


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    out = deepcopy(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = _merged(out[key], value)
        else:
            out[key] = deepcopy(value)
    return out


def _leaves(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _comments(text: str) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, comment) for every value with a comment behind it on its line."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pending = [("", root)] if isinstance(root, yaml.MappingNode) else []
    while pending:
        prefix, node = pending.pop()
        for key, value in node.value:
            path = f"{prefix}{key.value}"
            if isinstance(value, yaml.MappingNode) and not value.flow_style:
                pending.append((f"{path}.", value))
                continue
            rest = text[value.end_mark.index :].partition("\n")[0].strip()
            if rest.startswith("#"):
                yield path, rest.lstrip("# ")
