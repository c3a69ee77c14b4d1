"""Tables that describe places: the notes of FOA-MEIR, and positions beside WAV files."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import Problem, ProblemsError, SynthError
from ..paths import path_fault
from ..tables import SPLITS
from .place_jobs import Kind

_MAX_BYTES = 64 << 20
_ANGLES = ("azimuth", "elevation", "distance")
_POINT = ("x", "y", "z")


def read_place_notes(path: Path, notes: list[str]) -> dict[str, str]:
    """Read what placeinfo.csv says about places: text by place id, leading zeros taken off.

    Its columns are not documented: the first whose name holds `pid` or `place`, else the first, is the
    id, the others are kept as text. Nothing depends on it.
    """
    if not path.is_file():
        notes.append(f"{path.name} is missing: places are described by their numbers only")
        return {}
    try:
        header, rows = _rows(path)
    except SynthError as error:
        notes.append(f"{path.name} was not used: {error.what}")
        return {}
    named = [c for c in header if "pid" in c.lower()] or [c for c in header if "place" in c.lower()]
    key = (named or header)[0]
    table = {}
    for _, row in rows:
        pid = (row[key] or "").strip().removeprefix("pid").lstrip("0") or "0"
        facts = [f"{k.strip()} {v.strip()}" for k, v in row.items() if k and k != key and v and v.strip()]
        table[pid] = ", ".join(facts)
    return table


class PositionRow:
    """One line of a table of positions: file, place, split and where the source was."""

    __slots__ = ("file", "line", "place", "position", "split")

    def __init__(self, file: str, place: str, split: str, position: tuple[float, ...], line: int) -> None:
        self.file, self.place, self.split, self.position, self.line = file, place, split, position, line


def read_positions(path: Path, split: str) -> tuple[Kind, list[PositionRow]]:
    """Read a table with `file`, and `azimuth, elevation, distance` (degrees, metres) or `x, y, z`.

    Optional columns: `place` (else the folder of the file, else "place") and `split` (else `split`).

    Raises:
        ProblemsError: Some lines are wrong; all of them are named.
        SynthError: The table is unreadable or lacks columns.
    """
    header, rows = _rows(path)
    kind: Kind = "spherical" if set(_ANGLES) <= set(header) else "cartesian"
    columns = _ANGLES if kind == "spherical" else _POINT
    if not {"file", *columns} <= set(header):
        raise SynthError(
            f"its columns are {', '.join(header)}; file and {', '.join(_ANGLES)} or {', '.join(_POINT)} "
            "are needed",
            where=path,
            remedy="add a heading line with these names",
        )
    found: list[PositionRow] = []
    problems: list[Problem] = []
    for line, row in rows:
        fault, parsed = _position_row(row, columns, split, line)
        if parsed is not None:
            found.append(parsed)
        else:
            problems.append(Problem(f"{path}:{line}", fault, "correct the line"))
    if problems:
        raise ProblemsError(problems, remedy="correct the table of positions")
    return kind, found


def position_fault(position: NDArray[np.float64] | tuple[float, ...], kind: Kind) -> str | None:
    """Say why three numbers are no position of a source; None when they are."""
    p = np.asarray(position, np.float64)
    if p.shape != (3,) or not np.isfinite(p).all():
        return "the position is not three finite numbers"
    if kind == "spherical" and (abs(p[0]) > 360 or abs(p[1]) > 90 or p[2] <= 0):
        return f"azimuth {p[0]:g}, elevation {p[1]:g} degrees, distance {p[2]:g} m are no position"
    if kind == "cartesian" and not np.any(p):
        return "the source is at the listener's place"
    return None


def _position_row(
    row: dict[str, str], columns: tuple[str, ...], split: str, line: int
) -> tuple[str, PositionRow | None]:
    file = (row["file"] or "").strip()
    fault = path_fault(file)
    try:
        position = tuple(float(row[column] or "") for column in columns)
    except ValueError:
        return "the position is not three numbers", None
    fault = fault or position_fault(position, "spherical" if columns == _ANGLES else "cartesian")
    where = (row.get("split") or "").strip() or split
    if where not in SPLITS:
        fault = fault or f"there is no split {where!r}, choose one of {', '.join(SPLITS)}"
    if fault is not None:
        return fault, None
    place = (row.get("place") or "").strip() or "_".join(file.split("/")[:-1]) or "place"
    return "", PositionRow(file, place, where, position, line)


def _rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Heading and lines (with their numbers) of a CSV or TSV table."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES:,} bytes")
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise SynthError(f"it cannot be read: {error}", where=path, remedy="give a UTF-8 table") from error
    delimiter = "\t" if "\t" in text.split("\n", 1)[0] else ","
    try:
        reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
        header = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = header
        rows = [(reader.line_num, {k: v for k, v in row.items() if k is not None}) for row in reader]
    except csv.Error as error:
        raise SynthError(f"it is no table: {error}", where=path, remedy="give a CSV or TSV table") from error
    if not header:
        raise SynthError("it is empty", where=path, remedy="give a table with a heading line")
    return header, rows
