"""`s5kit demo`: the embedded synthetic sounds and rooms."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import synth as s5

from . import catalog, synth, verify

app = typer.Typer(no_args_is_help=True, help="The embedded default: synthetic sounds and simulated rooms.")
console = Console()


@app.callback()
def demo() -> None:
    """The embedded default: synthetic sounds and simulated rooms."""


@app.command()
def run(
    out: Annotated[Path, typer.Option(help="Folder for everything: data, catalog, corpus.")] = Path("demo"),
    num_scenes: Annotated[int, typer.Option(min=1, help="Scenes to write.")] = 200,
    seed: Annotated[int, typer.Option(help="Which series of scenes.")] = 0,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
) -> None:
    """Build the synthetic sounds, make a catalog of them, write scenes as shards, verify them."""
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
        out=corpus,
        num_scenes=num_scenes,
        seed=seed,
        split=None,
        workers=workers,
        shard_size=50,
        stems="mixture,dry",
        overrides=None,
    )
    verify.verify(corpus, catalog=tables, rerender=5, workers=workers, table=False)
    s5kit = _command()
    console.print(
        f"""
{num_scenes} synthetic scenes are in {corpus}. Where to look next:
  scene 0 on paper               {s5kit} plan --recipe demo --catalog {tables} --index 0 > scene.json
  the same scene as WAV files    {s5kit} render scene.json --catalog {tables} --out {out / "scene"} --stems all
  scenes of the held-out rooms   {s5kit} synth --recipe demo --split valid --catalog {tables} --out {out / "valid"} --num-scenes 50
  your own data                  {s5kit} catalog build --layout dcase2025 DEV_SET --out CATALOG""",
        markup=False,
        soft_wrap=True,
        highlight=False,
    )


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
    console.print(f"synthetic development set in {root}", markup=False, soft_wrap=True, highlight=False)
    if not hint:
        return
    console.print(
        f"next: s5kit catalog build {root} --layout dcase2025 "
        f"--licences {root.parent / 'licences.tsv'} --out CATALOG",
        markup=False,
        soft_wrap=True,
        highlight=False,
    )


def _command() -> str:
    """Return how this program is called from here: by its name, or by the path it was started with."""
    return "s5kit" if shutil.which("s5kit") else sys.argv[0]
