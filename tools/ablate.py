"""`s5kit ablate`: a grid of choices, trained, scored and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from synth import Engine, LocalEngine, RayEngine, available_cores

console = Console()


def ablate(
    plan: Annotated[str | None, typer.Argument(help="A plan of `--list`, or a YAML file.")] = None,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Changes to it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of everything; by default ablations/NAME.")] = None,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="Who runs the cells.")] = "local",
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster.")] = None,
    jobs: Annotated[
        int, typer.Option(min=1, help="Cells at the same time; each gets its share of the cores.")
    ] = 1,
    devices: Annotated[
        str, typer.Option(help="GPUs that the cells of a machine share out: 0,1,2. Ray shows them no others.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the plan and list its cells only.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the plan with its comments.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the plans that come with s5kit.")] = False,
) -> None:
    """Train and score every combination of choices, once per seed, and compare them on the same scenes.

    Run the same command again to go on after an interruption; axes, levels and seeds may be added to a finished one.
    """
    from training.ablate import check_plan, run_ablation
    from training.ablation_plan import list_ablations, load_ablation, plan_text

    if list_ or plan is None:
        for name, title in list_ablations().items():
            console.print(f"{name:<24}{title}", markup=False, highlight=False, soft_wrap=True)
        return
    if show:
        print(plan_text(plan), end="")
        return
    chosen = load_ablation(plan, changes or ())
    cells = chosen.cells()
    if dry_run:
        check_plan(chosen)
        for cell in cells:
            own = [f"{part}: {x}" for part in ("sed", "separator") for x in getattr(cell, part)]
            said = " ".join((*cell.recipe, *cell.train, *own))
            console.print(f"{cell.name}: {said}", markup=False, soft_wrap=True, highlight=False)
        return
    columns = (TextColumn("cells"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=len(cells))
        report = run_ablation(
            chosen,
            out or Path("ablations") / chosen.name,
            engine=_engine(engine, address, jobs),
            devices=tuple(part for part in devices.split(",") if part),
            threads=None if engine == "ray" else max(available_cores() // min(jobs, len(cells)), 1),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    table = RichTable(title=report.table.title)
    for heading in (*report.table.axes, "metric", "mean", "95 %", "difference", "95 %"):
        table.add_column(heading)
    for row in report.table.rows:
        spread, gap = _span(row.low, row.high), _span(row.difference_low, row.difference_high)
        table.add_row(*row.levels, row.metric, f"{row.mean:.2f}", spread, _number(row.difference), gap)
    console.print(table)
    console.print(f"{report.csv}\n{report.figure}", markup=False, soft_wrap=True, highlight=False)


def _engine(name: str, address: str | None, jobs: int) -> Engine:
    return RayEngine(address, None if address else jobs) if name == "ray" else LocalEngine(jobs)


def _number(value: float) -> str:
    return "" if value != value else f"{value:+.2f}"


def _span(low: float, high: float) -> str:
    return "" if low != low else f"{low:.2f} to {high:.2f}"
