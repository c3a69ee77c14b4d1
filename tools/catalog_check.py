"""`s5kit catalog check`: leaks, near-duplicates, thin classes, licences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from synth import Catalog, Finding, audit_catalog, available_cores

from .licence_table import licence_table, redistribution_line

console = Console()


def check(
    directory: Annotated[Path, typer.Argument(help="Folder that `s5kit catalog build` wrote.")],
    listen: Annotated[
        bool, typer.Option("--listen/--no-listen", help="Compare sounds by fingerprint (decodes them all).")
    ] = True,
    min_sources: Annotated[
        int, typer.Option(min=0, help="Mention classes with fewer sources in training.")
    ] = 3,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
) -> None:
    """Look for leaks between splits, copies, classes with few sources, and list all licences."""
    columns = (TextColumn("listening"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not listen) as bar:
        task = bar.add_task("", total=None)
        report = audit_catalog(
            Catalog.load(directory),
            listen=listen,
            min_sources=min_sources,
            workers=workers or available_cores(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.print(licence_table(report.ledger, "files"))
    console.print(redistribution_line(report.ledger), soft_wrap=True, highlight=False, markup=False)
    for finding in report.findings:
        _print(finding)
    heard = f"{report.listened} sounds compared by fingerprint" if listen else "no sound was listened to"
    text = f"{len(report.leaks)} leak(s), {len(report.findings) - len(report.leaks)} note(s); {heard}"
    console.print(text, highlight=False)
    if report.leaks:
        raise typer.Exit(1)


def _print(finding: Finding) -> None:
    word, style = ("leak", "bold red") if finding.leak else ("note", "yellow")
    problem = finding.problem
    console.print(f"{word} ({finding.kind}):", style=style, end=" ", highlight=False)
    text = f"{problem.where}: {problem.what} ({problem.remedy})"
    console.print(text, markup=False, soft_wrap=True, highlight=False)
