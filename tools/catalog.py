"""`s5kit catalog`: from folders of sound to typed tables and their caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from synth import BuildReport, Problem, SummaryRow, available_cores, build_catalog, build_spectra, open_sounds

app = typer.Typer(no_args_is_help=True, help="Make catalogs: what sound there is, and where.")
console = Console()

_TITLES = {"events": "Target events", "interferers": "Interferers", "noises": "Noises", "places": "Rooms"}
_STAGES = {"headers": "reading headers", "rooms": "room responses", "spectra": "room spectra"}


@app.callback()
def catalog() -> None:
    """Make catalogs: what sound there is, and where."""


@app.command()
def build(
    root: Annotated[Path, typer.Argument(help="The dev_set, or the folder that holds it.")],
    layout: Annotated[
        str, typer.Option(help="dcase2025, dcase2026, or prepared (what `s5kit prepare` wrote).")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the tables and their cache.")],
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out, and say which.")] = False,
    licences: Annotated[
        Path | None, typer.Option(help="TSV or CSV with the columns file, licence[, source][, set].")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Name of the data set, where --licences states none. [the layout]")
    ] = None,
    set_name: Annotated[
        str, typer.Option("--set", help="Named set that recipes choose by, where --licences states none.")
    ] = "dev",
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Look at headers only; decode when first used.")
    ] = False,
) -> None:
    """Read a dev_set tree into a catalog; every problem found is listed at the end."""
    with Bars() as bars:
        report = build_catalog(
            layout,
            root,
            out,
            workers=workers or available_cores(),
            skip_bad=skip_bad,
            licences=licences,
            cache=not no_cache,
            dataset=dataset,
            set_name=set_name,
            progress=bars.show,
        )
        if report.result is not None and not no_cache:
            build_spectra(
                open_sounds(report.result), progress=lambda done, total: bars.show("spectra", done, total)
            )
    show(report, out)


def show(report: BuildReport, out: Path) -> None:
    """Print what an import found; end the command with status 1 when there is no catalog."""
    _print_summary(report.summary)
    for note in report.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True, highlight=False)
    _print_problems(report.problems)
    _print_outcome(report, out)
    if report.result is None:
        raise typer.Exit(1)


class Bars:
    """One progress bar per stage, on stderr."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description:>16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, stage: str, done: int, total: int) -> None:
        """Move the bar of a stage."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(_STAGES.get(stage, stage), total=total)
        self._progress.update(self._tasks[stage], completed=done)


def _print_summary(summary: Sequence[SummaryRow]) -> None:
    for name, title in _TITLES.items():
        rows = [row for row in summary if row.table == name]
        if not rows:
            continue
        splits = list(dict.fromkeys(row.split for row in rows))
        table = Table(title=title, title_justify="left")
        table.add_column("class" if rows[0].label else "")
        for split in splits:
            table.add_column(split, justify="right")
            table.add_column("positions" if name == "places" else "hours", justify="right")
        for label in dict.fromkeys(row.label for row in rows):
            found = {row.split: row for row in rows if row.label == label}
            if label:
                table.add_row(label, *_cells(splits, found))
        total = {split: _sum([row for row in rows if row.split == split]) for split in splits}
        table.add_section()
        table.add_row("all", *_cells(splits, total))
        console.print(table)


def _cells(splits: Sequence[str], rows: dict[str, SummaryRow]) -> list[str]:
    cells = []
    for split in splits:
        row = rows.get(split)
        if row is None:
            cells += ["-", "-"]
        else:
            cells += [str(row.files), str(row.positions) if row.positions else f"{row.hours:.3f}"]
    return cells


def _sum(rows: Sequence[SummaryRow]) -> SummaryRow:
    return replace(
        rows[0],
        label="",
        files=sum(row.files for row in rows),
        hours=sum(row.hours for row in rows),
        positions=sum(row.positions for row in rows),
    )


def _print_problems(problems: Sequence[Problem]) -> None:
    for problem in problems:
        console.print("problem:", style="bold red", end=" ")
        console.print(
            f"{problem.where}: {problem.what} ({problem.remedy})",
            markup=False,
            soft_wrap=True,
            highlight=False,
        )


def _print_outcome(report: BuildReport, out: Path) -> None:
    count = len(report.problems)
    if report.result is None:
        text = (
            f"{count} problem(s): no catalog was written. Mend them, or leave these files out by --skip-bad."
        )
    else:
        left_out = f", {count} problem(s) left out" if count else ""
        text = f"catalog in {out}{left_out} (content {report.result.content_hash[:12]})"
    console.print(text, markup=False, soft_wrap=True, highlight=False)
