"""Large tables: checked once, then mapped from files by column, so that processes share them.

A table of a million rows as Python strings takes a gigabyte per process. Beside such a CSV its
columns are kept under `cache/`, under a name that follows from the bytes of the CSV. What is checked
here is what `tables.read_table` checks; whatever looks wrong or odd is left to it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np

from ..errors import SynthError
from ..files import sha256_file
from .cache import building
from .mapped import map_array

if TYPE_CHECKING:
    from pandas import DataFrame

LARGE_BYTES = 8 << 20
"""Smaller tables are read as they are."""

_FORMAT = 1
_CHUNK = 4 << 20
_HEX = str.maketrans("", "", "0123456789abcdef")
_NUMBERS: dict[str, tuple[Any, str, float]] = {
    "count": (int, "<i8", 1),
    "index": (int, "<i8", 0),
    "real": (float, "<f8", -math.inf),
}
_DIGITS = str.maketrans("", "", "0123456789,")
_SAFE_DIGITS = 18
_ODD_PATHS = ("//", "\0/", "\0\\", "/\0")
_DOTS = re.compile("[\0/]\\.{1,2}[\0/]")
_DRIVE = re.compile("\0[^\0]:")
_TEXTS = ("path", "source", "sha256", "place")
"""Columns with as many values as rows; other text has few values and becomes a category."""


def read_large(
    path: Path, name: str, columns: dict[str, str], splits: Sequence[str], cache: Path
) -> tuple[DataFrame, str] | None:
    """Read a large table by way of its cache.

    Args:
        path: The CSV.
        name: Of the table.
        columns: What each column holds; see `tables.TABLES`.
        splits: Which splits there are.
        cache: Folder of the caches.

    Returns:
        The table and the hash of its cells; None when the table is small, has anything wrong or odd
        in it, or the cache cannot be written.
    """
    try:
        if path.stat().st_size < LARGE_BYTES:
            return None
        final = cache / f"table-{name}-{_FORMAT}-{sha256_file(path)[:32]}"
        if final.is_dir():
            with suppress(SynthError):
                return _open(final, columns)
            shutil.rmtree(final)  # damaged
        with building(final) as staged:
            if staged is not None:
                _fill(path, staged, columns, splits)
        _remove_others(final, f"table-{name}-*")
        return _open(final, columns)
    except (_OddError, OSError, SynthError):
        return None


class _OddError(Exception):
    """The careful reader has to look at this table."""


def _open(folder: Path, columns: dict[str, str]) -> tuple[DataFrame, str]:
    """Map the columns of a cached table."""
    import pandas as pd

    from .text_array import TextArray

    try:
        head = json.loads((folder / "table.json").read_text("utf-8"))
        rows, categories = int(head["rows"]), head["categories"]
        data: dict[str, Any] = {}
        for column, kind in columns.items():
            if kind in _NUMBERS:
                data[column] = _mapped(folder / f"{column}.values", _NUMBERS[kind][1], rows)
            elif column in categories:
                codes = _mapped(folder / f"{column}.values", "<i4", rows)
                data[column] = pd.Categorical.from_codes(codes, categories[column])
            else:
                ends = _mapped(folder / f"{column}.values", "<i8", rows)
                data[column] = TextArray(_mapped(folder / f"{column}.text", "u1", int(ends[-1])), ends)
        return pd.DataFrame(data, copy=False), str(head["digest"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SynthError(
            f"it cannot be read: {error}", where=folder, remedy="delete the folder: it is made anew"
        ) from error


def _mapped(path: Path, dtype: str, count: int) -> Any:
    return map_array(path, np.dtype(dtype), count)


def _fill(path: Path, folder: Path, columns: dict[str, str], splits: Sequence[str]) -> None:
    """Check a table and write its columns.

    Raises:
        _OddError: Something in it is wrong, or is not seen often enough to be read here.
    """
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        head = _head(file.readline(), columns)
        large = {column for column in columns if column in _TEXTS and "position" not in columns}
        kinds = {column: ("split" if kind == "split" else kind) for column, kind in columns.items()}
        writers = {
            column: stack.enter_context(_Column(folder, column, kind, column in large))
            for column, kind in kinds.items()
        }
        keys: list[Any] = []
        for chunk in _chunks(file):
            cells = _cells(chunk, len(head))
            named = {column: cells[head.index(column)] for column in columns}
            for column, values in named.items():
                writers[column].add(values)
            paths = named["path"]
            unique = zip(paths, named["position"], strict=True) if "position" in named else paths
            keys.append(np.fromiter(map(hash, unique), np.int64, len(paths)))
    if not keys or not set(writers["split"].codes if "split" in writers else ()) <= set(splits):
        raise _OddError
    seen = np.sort(np.concatenate(keys))
    if (seen[1:] == seen[:-1]).any():
        raise _OddError
    _seal(folder, writers, len(seen))


def _seal(folder: Path, writers: dict[str, _Column], rows: int) -> None:
    """Hash all cells as `read_table` does, and write the head."""
    digest = hashlib.sha256()
    for column, writer in writers.items():
        digest.update(f"{column}\0{rows}\0".encode())
        with (folder / f"{column}.text").open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
        if not writer.large:
            (folder / f"{column}.text").unlink()
    categories = {column: list(writer.codes) for column, writer in writers.items() if writer.codes}
    head = {"rows": rows, "digest": digest.hexdigest(), "categories": categories}
    (folder / "table.json").write_text(json.dumps(head), "utf-8")


class _Column:
    """Checks and writes one column: its texts, and what stands for them."""

    def __init__(self, folder: Path, name: str, kind: str, large: bool) -> None:
        self.kind, self.large = kind, large
        self.codes: dict[str, int] = {}
        self._end = 0
        self._text: IO[bytes] = (folder / f"{name}.text").open("wb")
        self._values: IO[bytes] = (folder / f"{name}.values").open("wb")

    def __enter__(self) -> _Column:
        return self

    def __exit__(self, *error: object) -> None:
        self._text.close()
        self._values.close()

    def add(self, cells: list[str]) -> None:
        """Append some rows.

        Raises:
            _OddError: A cell is wrong.
        """
        joined = "\0".join(cells)
        text = f"{joined}\0".encode()
        self._text.write(text)
        self._check(cells, f"\0{joined}\0")
        self._values.write(self._represent(cells, text).tobytes())

    def _check(self, cells: list[str], text: str) -> None:
        odd = "" in cells
        if self.kind == "path":
            # What `path_fault` refuses, looked for in all paths at once.
            odd = odd or any(part in text for part in _ODD_PATHS) or _drive_or_dots(text)
        elif self.kind == "sha256":
            odd = odd or set(map(len, cells)) != {64} or bool("".join(cells).translate(_HEX))
        if odd:
            raise _OddError

    def _represent(self, cells: list[str], text: bytes) -> Any:
        if self.kind in _NUMBERS:
            return self._numbers(cells)
        if self.large:
            ends = np.flatnonzero(np.frombuffer(text, np.uint8) == 0).astype("<i8") + (1 + self._end)
            self._end += len(text)
            return ends
        for cell in set(cells) - self.codes.keys():
            self.codes[cell] = len(self.codes)
        return np.fromiter(map(self.codes.__getitem__, cells), "<i4", len(cells))

    def _numbers(self, cells: list[str]) -> Any:
        parse, dtype, least = _NUMBERS[self.kind]
        text = ",".join(cells)
        if parse is int and not text.translate(_DIGITS) and max(map(len, cells)) <= _SAFE_DIGITS:
            values = np.fromstring(text, dtype, sep=",")
            return values if (values >= least).all() else _refuse()
        try:
            known = {cell: parse(cell) for cell in set(cells)}
            values = np.fromiter(map(known.__getitem__, cells), dtype, len(cells))
        except (ValueError, OverflowError) as error:
            raise _OddError from error
        if not np.isfinite(values).all() or (values < least).any():
            raise _OddError
        return values


def _drive_or_dots(text: str) -> bool:
    drive = ":" in text and _DRIVE.search(text) is not None
    return drive or (("/." in text or "\0." in text) and _DOTS.search(text) is not None)


def _refuse() -> NoReturn:
    raise _OddError


def _head(line: bytes, columns: dict[str, str]) -> list[str]:
    try:
        head = line.decode("utf-8-sig").rstrip("\r\n").split(",")
    except UnicodeDecodeError as error:
        raise _OddError from error
    if not set(columns) <= set(head) or any('"' in cell for cell in head):
        raise _OddError
    return head


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    """Yield parts of a file that end with a line."""
    rest = b""
    while part := file.read(_CHUNK):
        lines, newline, rest = (rest + part).rpartition(b"\n")
        if newline:
            yield lines + newline
    if rest:
        yield rest + b"\n"


def _cells(chunk: bytes, width: int) -> list[list[str]]:
    """Split lines into columns of text, (width, lines)."""
    try:
        text = chunk.decode()
    except UnicodeDecodeError as error:
        raise _OddError from error
    if "\0" in text:
        raise _OddError
    if '"' not in text and "\r" not in text:
        # One split for all lines; a line of another width puts the line breaks out of step.
        flat = text.replace("\n", ",\n,").split(",")
        lines = text.count("\n")
        if len(flat) == (width + 1) * lines + 1 and flat[width :: width + 1].count("\n") == lines:
            return [flat[n : -1 : width + 1] for n in range(width)]
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise _OddError from error
    if any(len(row) != width for row in rows):
        raise _OddError
    return [[row[n] for row in rows] for n in range(width)]


def _remove_others(final: Path, pattern: str) -> None:
    """Remove the caches of earlier states of the same table."""
    for folder in final.parent.glob(pattern):
        if folder != final:
            with suppress(OSError):
                shutil.rmtree(folder)
