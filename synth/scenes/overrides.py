"""`--set key.path=value`: changes to a recipe, in its content and in its text."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import yaml

from ..errors import SynthError
from .bounded import load_yaml

_MAX_VALUE_BYTES = 1 << 14


def apply_overrides(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a copy of a recipe's content with the overrides set, the last one winning.

    Whether a key exists and a value fits is for the recipe's schema to say.

    Raises:
        SynthError: An override is not `key.path=value` with a YAML value, or leads through
            something that is no section.
    """
    content = deepcopy(content)
    for override in overrides:
        keys, value = parse_override(override)
        section = content
        for n, key in enumerate(keys[:-1]):
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                where = ".".join(keys[: n + 1])
                raise SynthError(
                    f"{where} is a value, not a section",
                    where=f"--set {override}",
                    remedy="see `s5kit recipes show` for the keys",
                )
        section[keys[-1]] = value
    return content


def parse_override(override: str) -> tuple[list[str], Any]:
    """Return the key path and the value of one override.

    Raises:
        SynthError: It is not `key.path=value`, or the value is no YAML or a whole section.
    """
    path, equals, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not equals or not all(keys):
        raise SynthError(
            f"{override!r} is not KEY=VALUE", where="--set", remedy="write for example targets.snr_db=[5,20]"
        )
    where = f"--set {'.'.join(keys)}"
    value = load_yaml(text, where=where, limit=_MAX_VALUE_BYTES)
    if isinstance(value, dict):
        raise SynthError("sets a whole section", where=where, remedy="set its keys one by one")
    return keys, value


def substituted(text: str, overrides: Sequence[str]) -> str:
    """Return a recipe's YAML text with the overrides in place of its values; comments stay."""
    for override in overrides:
        keys, value = parse_override(override)
        text = _substitute(text, keys, _flow(value))
    return text


def _substitute(text: str, keys: list[str], value: str) -> str:
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    for depth, key in enumerate(keys):
        found = next((v for k, v in node.value if k.value == key), None)
        if found is None:
            return _insert(text, node, keys[depth:], value)
        node = found
    return text[: node.start_mark.index] + value + text[node.end_mark.index :]


def _insert(text: str, section: Any, keys: list[str], value: str) -> str:
    """Return the text with a key that it does not have, as the first one of its section."""
    for key in reversed(keys[1:]):
        value = f"{{{key}: {value}}}"
    mark = section.start_mark
    if section.flow_style:
        at, line = mark.index + 1, f"{keys[0]}: {value}, "
    else:
        at, line = mark.index, f"{keys[0]}: {value}\n{' ' * mark.column}"
    return text[:at] + line + text[at:]


def _flow(value: Any) -> str:
    line: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1 << 20)
    return line.removesuffix("...\n").strip()
