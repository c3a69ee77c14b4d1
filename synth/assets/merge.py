"""Several catalogs into one: their rows under a common root."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import Problem, SynthError
from .catalog import Catalog, write_catalog
from .importers.checks import Rows, absent, drop, leaks
from .importers.report import BuildReport, summarise
from .tables import SPLITS, TABLES


def merge_catalogs(catalogs: Sequence[Catalog], out: str | Path, *, skip_bad: bool = False) -> BuildReport:
    """Write one catalog with the rows of several; sounds are neither moved nor copied.

    The root of the new catalog is the folder that holds all their roots; paths are lengthened
    accordingly. A file that several list is listed once. Its caches are made at first use, or by
    `build_spectra`.

    Args:
        catalogs: At least two.
        out: Folder of the new catalog, none of theirs.
        skip_bad: Leave out what contradicts or leaks, instead of refusing the whole.

    Returns:
        The report; without `skip_bad` it holds no catalog if there is any problem: a file with two
        different lines, or the same content in two splits.

    Raises:
        SynthError: There is only one catalog, `out` is one of them, or it cannot be written.
    """
    out = Path(out)
    if len(catalogs) < 2:
        raise SynthError("one catalog is nothing to merge", where=out, remedy="give two or more")
    for catalog in catalogs:
        if os.path.realpath(out) == os.path.realpath(catalog.directory):
            raise SynthError("it is one of those to be merged", where=out, remedy="choose a new --out")
    root = Path(os.path.commonpath([os.path.realpath(catalog.root) for catalog in catalogs]))
    problems: list[Problem] = []
    notes: list[str] = []
    rows = _gather(catalogs, root, problems, notes)
    problems += leaks(root, rows, notes)
    _sort(rows)
    notes += absent(rows)
    merged: Catalog | None = None
    if skip_bad or not problems:
        layout = "+".join(dict.fromkeys(catalog.layout for catalog in catalogs))
        merged = write_catalog(out, layout=layout, root=root, tables=rows, skipped=problems)
    return BuildReport(merged, tuple(problems), tuple(notes), summarise(rows))


def _gather(catalogs: Sequence[Catalog], root: Path, problems: list[Problem], notes: list[str]) -> Rows:
    rows: Rows = {name: [] for name in TABLES}
    first: dict[str, tuple[str, dict[str, Any], Catalog]] = {}
    twice = 0
    contradicted: set[str] = set()
    for catalog in catalogs:
        prefix = Path(os.path.realpath(catalog.root)).relative_to(root).as_posix()
        known: set[str] = set()
        for name in TABLES:
            for row in getattr(catalog, name).to_dict("records"):
                row = {column: row[column] for column in TABLES[name]}
                row["path"] = row["path"] if prefix == "." else f"{prefix}/{row['path']}"
                if name == "positions":
                    if row["path"] not in known:
                        rows[name].append(row)
                    continue
                if row["path"] not in first:
                    first[row["path"]] = (name, row, catalog)
                    rows[name].append(row)
                    continue
                known.add(row["path"])
                twice += 1
                table, other, origin = first[row["path"]]
                if (table, other) != (name, row):
                    contradicted.add(row["path"])
                    problems.append(_contradiction(root, table, other, origin, name, row, catalog))
    drop(rows, contradicted)
    if same := twice - len(contradicted):
        notes.append(f"{same} file(s) are in several of the catalogs with the same line: taken once")
    return rows


def _contradiction(
    root: Path,
    table: str,
    other: dict[str, Any],
    origin: Catalog,
    name: str,
    row: dict[str, Any],
    catalog: Catalog,
) -> Problem:
    if table != name:
        what = f"it is one of the {table} in {origin.directory}, one of the {name} in {catalog.directory}"
    else:
        column = next(column for column in row if row[column] != other[column])
        what = (
            f"its {column} is {other[column]!r} in {origin.directory}, {row[column]!r} in {catalog.directory}"
        )
    return Problem(str(root / row["path"]), what, "correct one of the catalogs, or leave the file out of it")


def _sort(rows: Rows) -> None:
    """Put rows in the order that a catalog has them in."""
    for name, table in rows.items():
        if name == "positions":
            order = {row["path"]: n for n, row in enumerate(rows["places"])}
            table.sort(key=lambda row: (order.get(row["path"], -1), row["position"]))
        else:
            table.sort(key=lambda row: (SPLITS.index(row["split"]), row.get("label", ""), row["path"]))
