"""Licences of single files, from a table that somebody keeps beside the collection."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from ...errors import Problem, ProblemsError, SynthError

_MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which licence a file may be used, where it is from, its named set (None: not stated)."""

    licence: str
    source: str | None = None
    set: str | None = None


class Ledger:
    """Terms by file. A file's path must end in the path that the ledger states.

    Args:
        entries: Terms by path, as the ledger states it.
    """

    def __init__(self, entries: dict[str, Terms] | None = None) -> None:
        self._entries = entries or {}
        self.used: set[str] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, file: Path) -> Terms | None:
        """Return the terms of a file; the longest matching entry decides."""
        parts = file.as_posix().split("/")
        for n in range(len(parts)):
            key = "/".join(parts[n:])
            if key in self._entries:
                self.used.add(key)
                return self._entries[key]
        return None


def read_ledger(path: Path) -> Ledger:
    """Read a TSV or CSV table with the columns `file`, `licence` and perhaps `source` and `set`.

    Raises:
        ProblemsError: Some lines are wrong; all of them are named.
        SynthError: The file cannot be read.
    """
    text = _read(path)
    head = text.split("\n", 1)[0]
    reader = csv.DictReader(text.splitlines(), delimiter="\t" if "\t" in head else ",")
    columns = reader.fieldnames or ()
    if "file" not in columns or "licence" not in columns:
        raise SynthError(
            f"its columns are {', '.join(columns)}; file and licence are needed",
            where=path,
            remedy="give a TSV or CSV table with a heading line",
        )
    entries: dict[str, Terms] = {}
    problems: list[Problem] = []
    for line in reader:
        file, licence = (line["file"] or "").strip(), (line["licence"] or "").strip()
        source, named = ((line.get(column) or "").strip() or None for column in ("source", "set"))
        terms = Terms(licence, source, named)
        if not file or not licence:
            what = "file or licence is empty"
        elif entries.get(file, terms) != terms:
            what = f"{file!r} is listed twice, with different terms"
        else:
            entries[file] = terms
            continue
        problems.append(Problem(f"{path}:{reader.line_num}", what, "correct the line"))
    if problems:
        raise ProblemsError(problems, remedy="correct the table of licences")
    return Ledger(entries)


def _read(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise ValueError(f"it is {size:,} bytes long, at most {_MAX_BYTES:,} are read")
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise SynthError(f"it cannot be read: {error}", where=path, remedy="give a UTF-8 table") from error
