"""The tables of a catalog as CSV files: their columns, and how they are written, read and checked.

The schema in words is `manifests/README.md`. Reading reports every fault at once, with line numbers.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import Problem
from .column_cache import read_large
from .paths import path_fault

if TYPE_CHECKING:
    from pandas import DataFrame

SPLITS = ("train", "valid", "test")

_SOUND = {"dataset": "text", "set": "text", "licence": "text", "rate": "count", "channels": "count"}
_EVENTS = {
    **{"path": "path", "label": "text", "split": "split", "source": "text", "depth": "index"},
    **_SOUND,
    **{"frames": "count", "samples": "count", "sha256": "sha256"},
}
TABLES: dict[str, dict[str, str]] = {
    "events": _EVENTS,
    "interferers": _EVENTS,
    "noises": {
        **{"path": "path", "split": "split", "source": "text"},
        **_SOUND,
        **{"frames": "count", "samples": "count", "sha256": "sha256"},
    },
    "places": {
        **{"path": "path", "place": "text", "split": "split"},
        **_SOUND,
        **{"taps": "count", "positions": "count", "sha256": "sha256"},
    },
    "positions": {
        **{"path": "path", "position": "index", "x": "real", "y": "real", "z": "real"},
        **{"azimuth": "real", "elevation": "real", "distance": "real"},
    },
}
"""Columns of every table and what each holds."""

_REMEDY = "correct the line, or build the catalog again"
_SHA256 = re.compile("[0-9a-f]{64}")
_LARGEST = 2**63 - 1
_SPECIAL = frozenset(',"\r\n')
_DTYPES = {"count": np.int64, "index": np.int64, "real": np.float64}


def frame_of(name: str, rows: Iterable[dict[str, Any]]) -> DataFrame:
    """Make a typed table from rows."""
    import pandas as pd

    columns = TABLES[name]
    frame = pd.DataFrame(list(rows), columns=list(columns))
    return frame.astype({column: _DTYPES.get(kind, object) for column, kind in columns.items()})


def to_csv(name: str, frame: DataFrame) -> str:
    """Return a table as CSV: columns in order, LF, floats that read back exactly."""
    cells = [map(_quoted, map(str, frame[column].tolist())) for column in TABLES[name]]
    lines = (",".join(row) for row in zip(*cells, strict=True))
    return "".join(f"{line}\n" for line in (",".join(TABLES[name]), *lines))


def read_table(path: Path, name: str, cache: Path | None = None) -> tuple[DataFrame, str, list[Problem]]:
    """Read a table and look at every cell.

    Args:
        path: The CSV.
        name: Of the table.
        cache: Where the columns of a large table are kept; None: nowhere.

    Returns:
        The typed table, a hash of all its cells, and all problems; with problems the table is empty.
        Columns of a large table are mapped from its cache: text as `TextArray` or as categories.
    """
    columns = TABLES[name]
    if cache is not None and (large := read_large(path, name, columns, SPLITS, cache)) is not None:
        return *large, []
    cells, lines, problems = _parse(path, columns)
    if not problems:
        problems = [*_cell_problems(cells, columns, lines), *_duplicates(cells, lines)]
    if problems:
        return frame_of(name, ()), "", problems
    import pandas as pd

    typed = {
        c: np.array(cells[c], dtype=object).astype(_DTYPES[k]) for c, k in columns.items() if k in _DTYPES
    }
    return pd.DataFrame({column: typed.get(column, cells[column]) for column in columns}), _digest(cells), []


def link_problems(root: Path, paths: Iterable[str], table: Path) -> list[Problem]:
    """Find paths that symbolic links lead out of the root; a root that is not there has none."""
    base = os.path.realpath(root)
    folders = _Folders(base)
    problems = []
    folder, inside = "", folders.inside("")
    for path in paths if os.path.isdir(base) else ():
        above, _, name = path.rpartition("/")
        if above != folder:
            folder, inside = above, folders.inside(above)
        if inside is None or (name in inside.links and not folders.ends_inside(path)):
            what = f"{path!r} leads out of {root} by a symbolic link"
            problems.append(Problem(str(table), what, "copy the file under the root, or give another root"))
    return problems


class _Names(NamedTuple):
    """Names in a folder: symbolic links, and folders."""

    links: frozenset[str]
    folders: frozenset[str]


_NOTHING = _Names(frozenset(), frozenset())


class _Folders:
    """Knows the links of every folder under a root after one look at each that is there."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._known: dict[str, _Names | None] = {}

    def inside(self, folder: str) -> _Names | None:
        """Return what is in a folder, nothing when it is not there; None when it lies outside."""
        if folder not in self._known:
            self._known[folder] = self._look(folder)
        return self._known[folder]

    def ends_inside(self, path: str) -> bool:
        """Tell whether the links of a path end under the root."""
        return (
            os.path.commonpath((os.path.realpath(os.path.join(self._base, path)), self._base)) == self._base
        )

    def _look(self, folder: str) -> _Names | None:
        if folder:
            above, _, name = folder.rpartition("/")
            names = self.inside(above)
            if names is None or (name in names.links and not self.ends_inside(folder)):
                return None
            if name not in names.links and name not in names.folders:
                return _NOTHING
        try:
            with os.scandir(os.path.join(self._base, folder)) as entries:
                found = [(entry.name, entry.is_symlink(), entry.is_dir()) for entry in entries]
        except OSError:
            return _NOTHING
        return _Names(
            frozenset(name for name, link, _ in found if link),
            frozenset(name for name, link, is_folder in found if is_folder and not link),
        )


class _Lines:
    """Tells the line of a row; quoted cells may hold line breaks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.starts: list[int] = []

    def problem(self, row: int, what: str) -> Problem:
        return Problem(f"{self._path}:{self.starts[row]}", what, _REMEDY)


def _parse(path: Path, columns: dict[str, str]) -> tuple[dict[str, list[str]], _Lines, list[Problem]]:
    """Split a table into columns of text."""
    lines = _Lines(path)
    rows: list[list[str]] = []
    line = 1
    try:
        text = path.read_bytes().decode("utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        head = next(reader, [])
        missing = [column for column in columns if column not in head]
        if missing:
            what = f"column(s) {', '.join(missing)} missing; expected are {', '.join(columns)}"
            return {}, lines, [Problem(f"{path}:1", what, "build the catalog again")]
        line = reader.line_num + 1
        for row in reader:
            if row and len(row) != len(head):
                what = f"the line has {len(row)} cells, the heading {len(head)}"
                return {}, lines, [Problem(f"{path}:{line}", what, _REMEDY)]
            if row:
                rows.append(row)
                lines.starts.append(line)
            line = reader.line_num + 1
    except OSError as error:
        return (
            {},
            lines,
            [Problem(str(path), f"it cannot be read: {error.strerror}", "build the catalog again")],
        )
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        return {}, lines, [Problem(f"{path}:{line}", "it is not UTF-8 text", "save the table as UTF-8")]
    except csv.Error as error:
        return {}, lines, [Problem(f"{path}:{line}", f"it is no CSV: {error}", _REMEDY)]
    order = [(column, head.index(column)) for column in columns]
    return {column: [row[n] for row in rows] for column, n in order}, lines, []


def _cell_problems(cells: dict[str, list[str]], columns: dict[str, str], lines: _Lines) -> Iterator[Problem]:
    for column, kind in columns.items():
        if kind in _DTYPES and _all_numbers(cells[column], kind):
            continue
        faults = {cell: _FAULTS[kind](cell) for cell in set(cells[column])}
        if any(fault is not None for fault in faults.values()):
            for row, cell in enumerate(cells[column]):
                if faults[cell] is not None:
                    yield lines.problem(row, f"{column} is {cell!r}: {faults[cell]}")


def _all_numbers(cells: list[str], kind: str) -> bool:
    try:
        values = np.array(cells, dtype=object).astype(_DTYPES[kind])
    except (ValueError, OverflowError):
        return False
    least = {"count": 1, "index": 0, "real": -math.inf}[kind]
    return bool(np.isfinite(values).all() and (values >= least).all())


def _duplicates(cells: dict[str, list[str]], lines: _Lines) -> Iterator[Problem]:
    names = ["path", "position"] if "position" in cells else ["path"]
    seen: set[tuple[str, ...]] = set()
    for row, key in enumerate(zip(*(cells[name] for name in names), strict=True)):
        if key in seen:
            named = ", ".join(f"{name} {value!r}" for name, value in zip(names, key, strict=True))
            yield lines.problem(row, f"{named} is listed twice")
        seen.add(key)


def _digest(cells: dict[str, list[str]]) -> str:
    """Hash of all cells; none of them holds the separator."""
    digest = hashlib.sha256()
    for column, values in cells.items():
        digest.update("\0".join((column, str(len(values)), *values, "")).encode())
    return digest.hexdigest()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if any(c in _SPECIAL for c in cell) else cell


def _number_fault(least: int, kind: type[int] | type[float]) -> Callable[[str], str | None]:
    word = "a finite number" if kind is float else f"a whole number of at least {least}"

    def fault(cell: str) -> str | None:
        try:
            value = kind(cell)
        except ValueError:
            return f"expected is {word}"
        fits = math.isfinite(value) if kind is float else least <= value <= _LARGEST
        return None if fits else f"expected is {word}"

    return fault


def _split_fault(cell: str) -> str | None:
    return None if cell in SPLITS else f"expected is one of {', '.join(SPLITS)}"


def _text_fault(cell: str) -> str | None:
    if "\0" in cell:
        return "it contains a NUL character"
    return None if cell else "it is empty"


def _sha256_fault(cell: str) -> str | None:
    return None if _SHA256.fullmatch(cell) else "expected are 64 hexadecimal digits"


_FAULTS: dict[str, Callable[[str], str | None]] = {
    "path": path_fault,
    "text": _text_fault,
    "split": _split_fault,
    "sha256": _sha256_fault,
    "count": _number_fault(1, int),
    "index": _number_fault(0, int),
    "real": _number_fault(0, float),
}
