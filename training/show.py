"""A configuration as text: every key, its value, and what it means or where the number comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from .config import Config, SeparatorConfig, load_config
from .presets import comments_of, read_layers

_WIDTH = 34
_ORDER = ("name", "title", "task", "out", "model", "loss", "augment", "optim", "schedule", "loop", "data")


def config_text(name_or_path: str | Path, overrides: Sequence[str] = ()) -> str:
    """Return a configuration as YAML that reads back as itself, a comment behind every value.

    The comment is that of the file which set the value, else what the key means.

    Raises:
        SynthError: As `load_config`.
    """
    config = load_config(name_or_path, overrides)
    comments = comments_of(read_layers(name_or_path))
    for override in overrides:
        comments[override.partition("=")[0].strip()] = "set by hand"
    return "\n".join([*_lines(config, comments, ""), ""])


def _lines(section: BaseModel, comments: dict[str, str], prefix: str) -> Iterator[str]:
    kind = type(section)
    for key in sorted(kind.model_fields, key=_rank) if not prefix else kind.model_fields:
        value, path = getattr(section, key), f"{prefix}{key}"
        if isinstance(value, BaseModel):
            yield f"{_indent(prefix)}{key}:"
            yield from _lines(value, comments, f"{path}.")
        elif isinstance(value, dict) and value:
            yield f"{_indent(prefix)}{key}:"
            for name, setting in value.items():
                comment = comments.get(f"{path}.{name}") or comments.get(path)
                yield _line(f"{path}.", name, setting, comment)
        else:
            plain = section.model_dump(mode="json", include={key})[key]
            yield _line(prefix, key, plain, comments.get(path) or kind.model_fields[key].description)


def _line(prefix: str, key: str, value: Any, comment: str | None) -> str:
    line = f"{_indent(prefix)}{key}: {_flow(value)}"
    return line if not comment else f"{line.ljust(_WIDTH)} # {comment}"


def _indent(prefix: str) -> str:
    return "  " * prefix.count(".")


def _rank(key: str) -> int:
    return _ORDER.index(key) if key in _ORDER else len(_ORDER)


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1 << 20)
    return text.removesuffix("...\n").strip()


def summary(config: Config) -> dict[str, Any]:
    """Return what a table of presets shows of one."""
    return {
        "name": config.name,
        "task": config.task,
        "net": config.model.preset if isinstance(config, SeparatorConfig) else config.model.name,
        "steps": config.loop.steps,
        "batch_size": config.loop.batch_size,
        "precision": config.loop.precision,
        "title": config.title,
    }
