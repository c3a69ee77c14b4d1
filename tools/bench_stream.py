"""`s5kit bench stream`: scenes per second of every stage, and of loaders by their number of workers."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import synth as s5

console = Console()


def stream(
    catalog: Annotated[Path, typer.Option(help="Catalog directory.")],
    recipe: Annotated[str, typer.Option(help="Recipe name or file.")] = "dcase2025",
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, several times.")] = None,
    scenes: Annotated[int, typer.Option(min=4, help="Scenes per stage.")] = 40,
    workers: Annotated[str, typer.Option(help="Loader workers to try, with commas; 0: none.")] = "0,1,2",
    batch_size: Annotated[int, typer.Option(min=1, help="Samples of a batch.")] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each loader runs.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure plan, render, sample, encode, read and decode of one process, then whole loaders, then the GPU."""
    counts = _numbers(workers)
    chosen, tables = s5.load_recipe(recipe, overrides or []), s5.Catalog.load(catalog)
    stages = s5.measure_stages(chosen, tables, scenes)
    loaders = [
        s5.measure_loader(chosen, tables, count, batch_size=batch_size, seconds=seconds) for count in counts
    ]
    report = {
        "recipe": chosen.name,
        "scenes": scenes,
        "batch_size": batch_size,
        "stages_ms": stages,
        "loaders": [asdict(loader) for loader in loaders],
        "gpu_scenes_per_s": s5.measure_gpu(chosen, tables),
    }
    console.print_json(json.dumps(report)) if as_json else _show(report)


def _numbers(text: str) -> list[int]:
    if not re.fullmatch("[0-9]{1,4}(,[0-9]{1,4})*", text):
        raise s5.SynthError(
            f"{text!r} is no list of numbers", where="--workers", remedy="write them as 0,1,2"
        )
    return [int(part) for part in text.split(",")]


def _show(report: dict[str, Any]) -> None:
    table = Table(title=f"{report['recipe']}: one process, {report['scenes']} scenes")
    for column in ("stage", "ms (median)", "scenes/s"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, ms in report["stages_ms"].items():
        table.add_row(name, f"{ms:.2f}", f"{1000 / ms:,.1f}")
    console.print(table)
    table = Table(title=f"SceneStream.loader, batches of {report['batch_size']}")
    for column in ("workers", "scenes/s", "per worker", "MB per worker (PSS)"):
        table.add_column(column, justify="right")
    for loader in report["loaders"]:
        count, rate, memory = loader["workers"], loader["scenes_per_s"], loader["worker_mb"]
        each = f"{rate / max(count, 1):,.1f}"
        table.add_row(str(count), f"{rate:,.1f}", each, "" if memory is None else f"{memory:.0f}")
    console.print(table)
    gpu = report["gpu_scenes_per_s"]
    console.print(
        "no GPU was found" if gpu is None else f"GPU: {gpu:,.0f} scenes/s, {1e6 / gpu:,.0f} µs a scene"
    )
