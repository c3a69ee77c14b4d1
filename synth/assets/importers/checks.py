"""What can be said about a collection as a whole: leaks between splits, absent classes, licences."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, TypeAlias

from ...errors import Problem
from ..classes import target_classes
from ..tables import SPLITS
from .ledger import Ledger
from .tree import EVENTS, INTERFERERS, NOISES, PLACES

Rows: TypeAlias = dict[str, list[dict[str, Any]]]
"""Rows of every table of a catalog in the making."""


def leaks(root: Path, rows: Rows, notes: list[str]) -> list[Problem]:
    """Find content that two splits share, and drop all but the copy of the last split from the rows."""
    problems = []
    for table in (EVENTS, INTERFERERS, NOISES, PLACES):
        same: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows[table]:
            same[row["sha256"]].append(row)
        leaked: set[str] = set()
        for copies in same.values():
            kept = max(copies, key=lambda row: SPLITS.index(row["split"]))
            for row in copies:
                if row["split"] != kept["split"]:
                    leaked.add(row["path"])
                    what = f"the same content is in the split {kept['split']}: {kept['path']}"
                    problems.append(Problem(str(root / row["path"]), what, "keep it in one split only"))
        drop(rows, leaked)
        twice = sum(len(copies) - 1 for copies in same.values()) - len(leaked)
        if twice > 0:
            notes.append(f"{twice} of the {table} are exact copies of another of their split")
    return problems


def drop(rows: Rows, paths: set[str]) -> None:
    """Take rows out of all tables by their path."""
    if paths:
        for table in rows:
            rows[table] = [row for row in rows[table] if row["path"] not in paths]


def absent(rows: Rows) -> list[str]:
    """Say which classes have no sound in a split that has some."""
    notes = []
    for split in dict.fromkeys(row["split"] for row in rows[EVENTS]):
        there = {row["label"] for row in rows[EVENTS] if row["split"] == split}
        absent = [label for label in target_classes() if label not in there]
        if absent:
            notes.append(f"no {split} sounds of {', '.join(absent)}")
    return notes


def ledger_notes(ledger: Ledger, licence: str, rows: Rows) -> list[str]:
    """Say how far the table of licences and the collection go together."""
    notes = []
    unused = len(ledger) - len(ledger.used)
    if unused:
        notes.append(f"{unused} entries of the table of licences match no file")
    unlisted = sum(row["licence"] == licence for table in rows for row in rows[table] if "licence" in row)
    if unlisted:
        notes.append(f"{unlisted} file(s) are not in the table of licences: {licence}")
    return notes
