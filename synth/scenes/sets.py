"""Named sets: what `rirs.sets`, `noise.sets` and the like of a recipe stand for in a catalog.

The names are those of `manifests/sets.yaml`, and the values of the catalog's column `set`.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ..errors import Problem, SynthError
from .bounded import load_yaml

if TYPE_CHECKING:
    from pandas import DataFrame

Kind: TypeAlias = Literal["rirs", "noise", "events", "interference"]
"""The section of a recipe that names sets; `rirs` and `noise` have named ones."""

_Rows: TypeAlias = NDArray[np.bool_]
_MAX_DEPTH = 16


class NamedSet(BaseModel):
    """One entry of `manifests/sets.yaml`.

    Attributes:
        about: What it is, in a line.
        set: Values of the column `set` that belong to it; None: its own name.
        dataset: Values of the column `dataset` that belong to it.
        union: Other sets that belong to it.
        without: Sets, places or sources that do not, although the above say so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str = ""
    set: tuple[str, ...] | None = None
    dataset: tuple[str, ...] = ()
    union: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


_NamedSets: TypeAlias = dict[Literal["rirs", "noise"], dict[str, NamedSet]]


@cache
def named_sets() -> dict[str, dict[str, NamedSet]]:
    """Return the sets of `manifests/sets.yaml` by kind ("rirs", "noise") and name.

    Raises:
        SynthError: The file is not as it should be.
    """
    text = (resources.files("manifests") / "sets.yaml").read_text(encoding="utf-8")
    return parse_sets(text)


def parse_sets(text: str, where: str = "sets.yaml") -> dict[str, dict[str, NamedSet]]:
    """Read named sets from YAML; see `named_sets`."""
    content = load_yaml(text, where=where)
    try:
        found = TypeAdapter(_NamedSets).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise SynthError(
            f"{key}: {first['msg']}",
            where=where,
            remedy="correct the file; its head says what keys there are",
        ) from error
    sets: dict[str, dict[str, NamedSet]] = dict(found.items())
    for kind, entries in sets.items():
        for name, entry in entries.items():
            if lost := sorted(set(entry.union) - entries.keys()):
                raise SynthError(
                    f"{kind}.{name}: there is no set {lost[0]!r}", where=where, remedy="correct its union"
                )
            _refuse_circle(entries, name, where)
    return sets


def chosen_rows(table: DataFrame, kind: Kind, names: Sequence[str] | None) -> _Rows:
    """Tell which rows of a table a recipe's list of sets stands for, (rows,).

    Args:
        table: Places for "rirs", noises for "noise", else sounds.
        kind: Whose sets.
        names: As in the recipe: sets, and with "-" before it what is taken out; None: all rows.
    """
    if names is None:
        return np.ones(len(table), dtype=bool)
    rows = np.zeros(len(table), dtype=bool)
    if all(name.startswith("-") for name in names):
        rows[:] = True
    for name in names:
        if not name.startswith("-"):
            rows |= _of_set(table, kind, name)
    for name in names:
        if name.startswith("-"):
            rows &= ~_taken_out(table, kind, name[1:])
    return rows


def set_problems(where: str, table: DataFrame, kind: Kind, names: Sequence[str] | None) -> list[Problem]:
    """Find names of a recipe that stand for nothing in a table.

    Args:
        where: The key of the recipe.
        table: The rows of its split.
        kind: Whose sets.
        names: As in the recipe.
    """
    problems = []
    known = known_sets(table, kind)
    for name in names or ():
        out = name.startswith("-")
        rows = _taken_out(table, kind, name[1:]) if out else _of_set(table, kind, name)
        if not rows.any():
            near = difflib.get_close_matches(name.lstrip("-"), known, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            what = f"the catalog has nothing of {name.lstrip('-')!r} in this split"
            problems.append(Problem(where, what, f"{hint}choose from {', '.join(known) or 'nothing'}"))
    if not problems and names and len(table) and not chosen_rows(table, kind, names).any():
        problems.append(Problem(where, f"{', '.join(names)} leave nothing over", "take out less"))
    return problems


def known_sets(table: DataFrame, kind: Kind) -> list[str]:
    """Return the sets that a table has rows of."""
    names = {*map(str, table["set"].unique().tolist()), *named_sets().get(kind, {})}
    return sorted(name for name in names if _of_set(table, kind, name).any())


def _of_set(table: DataFrame, kind: Kind, name: str) -> _Rows:
    entry = named_sets().get(kind, {}).get(name)
    if entry is None:
        return _equal(table, "set", (name,))
    own = (name,) if entry.set is None else entry.set
    rows = _equal(table, "set", own) | _equal(table, "dataset", entry.dataset)
    for other in entry.union:
        rows |= _of_set(table, kind, other)
    for other in entry.without:
        rows &= ~_taken_out(table, kind, other)
    return rows


def _taken_out(table: DataFrame, kind: Kind, name: str) -> _Rows:
    """Tell which rows belong to a set, or to a place or source of that name or pattern."""
    rows = _of_set(table, kind, name)
    column = "place" if kind == "rirs" else "source"
    if column in table:
        names = map(str, table[column].tolist())
        rows = rows | np.fromiter((fnmatch.fnmatchcase(n, name) for n in names), bool, len(table))
    return rows


def _equal(table: DataFrame, column: str, values: Sequence[str]) -> _Rows:
    if not values or column not in table:
        return np.zeros(len(table), dtype=bool)
    return np.asarray(table[column].isin(list(values)), dtype=bool)


def _refuse_circle(entries: dict[str, NamedSet], name: str, where: str) -> None:
    level = {name}
    for _ in range(_MAX_DEPTH):
        level = {other for one in level for other in entries[one].union if other in entries}
        if not level:
            return
    raise SynthError(f"{name}: its union leads back to itself", where=where, remedy="correct its union")
