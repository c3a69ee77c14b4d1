"""What is wrong with a recipe, in words: key path, what is allowed, the nearest valid key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ..errors import Problem, ProblemsError, SynthError

Schema = type[BaseModel]


def recipe_problems(
    error: ValidationError,
    schema: Schema,
    where: str,
    *,
    remedy: str = "correct the recipe or the --set options",
) -> SynthError:
    """Return pydantic's findings as one error of ours, all faults at once.

    Args:
        error: What validation of a recipe, or of another file of keys, raised.
        schema: The recipe's class.
        where: Name or file of the recipe.
        remedy: What to do when several keys are wrong.
    """
    found = (_problem(fault, schema, where) for fault in error.errors(include_url=False))
    problems = list(dict.fromkeys(found))
    if len(problems) == 1:
        return problems[0].error()
    return ProblemsError(problems, remedy=remedy)


def nearest_key(key: str, schema: Schema) -> str | None:
    """Return the valid dotted key that looks most like `key`; None when none does."""
    keys = [*_keys(schema)]
    ends = {name.rsplit(".", 1)[-1] for name in keys}
    near = difflib.get_close_matches(key.rsplit(".", 1)[-1], sorted(ends), 1)
    if not near:
        return next(iter(difflib.get_close_matches(key, keys, 1)), None)
    alike = [name for name in keys if name.rsplit(".", 1)[-1] == near[0]]
    return max(alike, key=lambda name: difflib.SequenceMatcher(None, key, name).ratio())


def _problem(fault: Any, schema: Schema, where: str) -> Problem:
    names = [str(part) for part in fault["loc"]]
    # A position inside a list is no key: the fault is the list's.
    key = ".".join(name for name in names if not name.isdigit())
    spot = f"{where}: {key}"
    if fault["type"] == "extra_forbidden":
        section, _ = _walk(schema, names[:-1])
        near = nearest_key(key, schema)
        hint = f"did you mean {near}? " if near else ""
        return Problem(spot, "unknown key", f"{hint}allowed here: {', '.join(section.model_fields)}")
    section, field = _walk(schema, names)
    if fault["type"] == "model_type":
        return Problem(spot, "is a section of keys", f"its keys: {', '.join(section.model_fields)}")
    allowed = field.description if field is not None and field.description else "see `s5kit recipes show`"
    if fault["type"] == "missing":
        return Problem(spot, "is missing", f"allowed: {allowed}")
    what = fault["msg"].removeprefix("Value error, ")
    return Problem(spot, f"{what}, got {_short(fault['input'])}", f"allowed: {allowed}")


def _walk(schema: Schema, names: list[str]) -> tuple[Schema, FieldInfo | None]:
    """Return the section that a key path ends in, and its field if it names one."""
    field = None
    for name in names:
        found = schema.model_fields.get(name)
        if found is None:
            break
        field = found
        if isinstance(found.annotation, type) and issubclass(found.annotation, BaseModel):
            schema = found.annotation
    return schema, field


def _keys(schema: Schema, prefix: str = "") -> Iterator[str]:
    for name, field in schema.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
