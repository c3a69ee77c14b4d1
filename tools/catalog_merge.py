"""`s5kit catalog merge`: several catalogs as one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synth import Catalog, merge_catalogs

console = Console()


def merge(
    catalogs: Annotated[list[Path], typer.Argument(help="Folders of two or more catalogs.")],
    out: Annotated[Path, typer.Option(help="Folder for the merged tables.")],
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out what contradicts or leaks, and say so.")
    ] = False,
) -> None:
    """Put the rows of several catalogs into a new one; sounds stay where they are."""
    report = merge_catalogs([Catalog.load(folder) for folder in catalogs], out, skip_bad=skip_bad)
    for note in report.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True, highlight=False)
    for problem in report.problems:
        console.print("problem:", style="bold red", end=" ")
        text = f"{problem.where}: {problem.what} ({problem.remedy})"
        console.print(text, markup=False, soft_wrap=True, highlight=False)
    if report.result is None:
        text = f"{len(report.problems)} problem(s): nothing was written. Mend them, or leave these files out by --skip-bad."
        console.print(text, markup=False, soft_wrap=True, highlight=False)
        raise typer.Exit(1)
    text = f"{report.result!r} in {out} (content {report.result.content_hash[:12]})"
    console.print(text, markup=False, soft_wrap=True, highlight=False)
