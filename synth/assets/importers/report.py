"""What an import ends with: the catalog, every problem, and a summary by class and split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import Problem, ProblemsError
from ..catalog import Catalog


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """Sounds of one class in one split; `label` is "" where there are no classes.

    For places, `files` counts them, `hours` is 0 and `positions` counts theirs.
    """

    table: str
    split: str
    label: str
    files: int
    hours: float
    positions: int = 0


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The outcome of an import.

    Attributes:
        result: The catalog, or None when problems forbade it.
        problems: Every fault found, with its file and a remedy.
        notes: What is worth knowing and forbids nothing.
        summary: What there is, without the faulty files.
    """

    result: Catalog | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    summary: tuple[SummaryRow, ...]

    @property
    def catalog(self) -> Catalog:
        """The catalog that was built.

        Raises:
            ProblemsError: None was, because of the problems.
        """
        if self.result is None:
            raise ProblemsError(
                self.problems, remedy="mend or remove these files, or import with skip_bad to leave them out"
            )
        return self.result


def summarise(tables: Mapping[str, Sequence[dict[str, Any]]]) -> tuple[SummaryRow, ...]:
    """Count files and hours by table, class and split."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for table in ("events", "interferers", "noises", "places"):
        for row in tables[table]:
            groups.setdefault((table, row.get("label", ""), row["split"]), []).append(row)
    return tuple(
        SummaryRow(
            table,
            split,
            label,
            len(rows),
            sum(row.get("frames", 0) / row["rate"] for row in rows) / 3600,
            sum(row.get("positions", 0) for row in rows),
        )
        for (table, label, split), rows in groups.items()
    )
