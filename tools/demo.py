"""`s5kit demo`: the embedded synthetic sounds and rooms."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

import synth as s5

from . import catalog, inspect, synth, verify

app = typer.Typer(no_args_is_help=True, help="The embedded default: synthetic sounds and simulated rooms.")
console = Console()


@app.callback()
def demo() -> None:
    """The embedded default: synthetic sounds and simulated rooms."""


@app.command()
def run(
    out: Annotated[
        Path, typer.Option(help="Folder for everything: data, catalog, corpus, nets, report.")
    ] = Path("demo"),
    num_scenes: Annotated[int, typer.Option(min=1, help="Scenes to write.")] = 200,
    seed: Annotated[int, typer.Option(help="Which series of scenes.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
    train: Annotated[bool, typer.Option(help="Train two small nets on the sounds, and score them.")] = True,
) -> None:
    """Build synthetic sounds, write scenes as shards, verify them, train two small nets, look and listen."""
    data, tables, corpus = out / "data", out / "catalog", out / "corpus"
    build(data, workers=workers, hint=False)
    catalog.build(
        data / "dev_set",
        layout="dcase2026",
        out=tables,
        workers=workers,
        licences=data / "licences.tsv",
        skip_bad=False,
        no_cache=False,
    )
    synth.synth(
        "demo",
        catalog=tables,
        out=str(corpus),
        num_scenes=num_scenes,
        seed=seed,
        split=None,
        workers=workers,
        shard_size=50,
        stems="mixture,dry",
        overrides=None,
    )
    verify.verify(str(corpus), catalog=tables, rerender=5, workers=workers, table=False)
    system = _learn(tables, out / "training") if train else None
    heldout = out / "training" / "heldout"
    inspect.inspect(
        corpus if system is None else heldout,
        out=out / "report",
        scenes=None,
        num=12,
        catalog=tables,
        data_root=Path(),
        system=None if system is None else str(system),
        models=None,
        labels=inspect.Labels.predicted,
        estimates=None,
        device="cpu",
    )
    s5kit = _command()
    _say(
        f"""
{num_scenes} synthetic scenes are in {corpus}, a report to look at and listen to is in {out / "report" / "index.html"}
Where to look next:
  scene 0 on paper               {s5kit} plan --recipe demo --catalog {tables} --index 0 > scene.json
  the same scene as WAV files    {s5kit} render scene.json --catalog {tables} --out {out / "scene"} --stems all
  training, the real presets     {s5kit} train list
  your own data                  {s5kit} catalog build --layout dcase2025 DEV_SET --out CATALOG"""
    )


def _learn(tables: Path, out: Path) -> Path | None:
    """Train and score; None where training is not installed."""
    missing = [name for name in ("torch", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        _say(f"no training: {', '.join(missing)} not installed (pip install 's5kit[train]')")
        return None
    from training.demo import learn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(f"training {stage}", total=total)
            bar.update(tasks[stage], completed=done)

        figures = learn(tables, out, progress=show)
    table = Table(title=f"{figures.scenes} held-out synthetic scenes, {figures.seconds:.0f} s of training")
    for heading in ("", "this system", "without listening"):
        table.add_column(heading)
    table.add_row(
        "label accuracy", f"{figures.label_accuracy:.1f} %", f"{figures.chance:.1f} % (always the same class)"
    )
    table.add_row("CA-SDRi", f"{figures.ca_sdri:.2f} dB", "0 dB (the mixture itself)")
    table.add_row(
        "CA-SDRi, true labels given", f"{figures.oracle_ca_sdri:.2f} dB", "0 dB (the mixture itself)"
    )
    console.print(table)
    return out / "system.yaml"


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder for the demo; it appears when complete.")] = Path(
        "demo/data"
    ),
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
    hint: Annotated[bool, typer.Option(help="Say what to do next.")] = True,
) -> None:
    """Build the demo sounds and rooms (all synthetic, CC0), unless they are there and whole."""
    columns = (
        TextColumn("synthetic sounds and rooms"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1)
        root = s5.build_demo(
            out,
            workers=workers or s5.available_cores(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
        bar.update(task, completed=bar.tasks[task].total)
    _say(f"synthetic development set in {root}")
    if not hint:
        return
    _say(
        f"next: s5kit catalog build {root} --layout dcase2025 "
        f"--licences {root.parent / 'licences.tsv'} --out CATALOG"
    )


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True, highlight=False)


def _command() -> str:
    """Return how this program is called from here: by its name, or by the path it was started with."""
    return "s5kit" if shutil.which("s5kit") else sys.argv[0]
