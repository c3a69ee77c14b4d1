"""`s5kit doctor`: what this machine has, what it can feed, and how to feed a training step with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

import synth as s5

console = Console(highlight=False, soft_wrap=True)

_GB = 1e9


def doctor(
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog to measure with; without one nothing is measured.")
    ] = None,
    recipe: Annotated[str, typer.Option(help="A preset (see `s5kit recipes`) or a YAML file.")] = "dcase2025",
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, several times.")] = None,
    step: Annotated[
        str, typer.Option(help="Training step to feed: sed, sed-496, separator, separator-hop320.")
    ] = "sed",
    step_clips_per_second: Annotated[
        float | None, typer.Option(help="What your step eats, if you know it, instead of --step.")
    ] = None,
    scenes: Annotated[int, typer.Option(min=4, help="Scenes to measure with.")] = 24,
    folder: Annotated[Path, typer.Option(help="Where corpora would go.")] = Path("."),
) -> None:
    """Look at this machine, measure for some seconds, and say where scenes should come from."""
    need = s5.step_need(step if step_clips_per_second is None else step_clips_per_second)
    machine = s5.look_at_machine(folder)
    _show_machine(machine)
    if catalog is None:
        console.print("nothing was measured: give --catalog (s5kit demo build makes one) for advice")
        return
    chosen, tables = s5.load_recipe(recipe, overrides or []), s5.Catalog.load(catalog)
    stages = s5.measure_stages(chosen, tables, scenes)
    written, size = s5.measure_shards(chosen, tables, scenes)
    live = sum(stages[name] for name in ("plan", "render", "sample"))
    rates = s5.Rates(
        live=1000 / live,
        plan=1000 / stages["plan"],
        stored=1000 / stages["read+decode"],
        written=written,
        scene_bytes=size,
        gpu=s5.measure_gpu(chosen, tables),
    )
    _show_rates(rates, chosen.name)
    name = "your step" if step_clips_per_second is not None else f"{step}: {s5.STEPS[step][1]}"
    _show_advice(s5.advise(rates, need, cores=machine.cores, free_disk=machine.free_disk), name)


def _show_machine(machine: s5.Machine) -> None:
    table = Table(title="this machine", title_justify="left", show_header=False)
    table.add_row("system", machine.system)
    table.add_row("cores", str(machine.cores))
    if machine.memory is not None and machine.free_memory is not None:
        table.add_row("memory", f"{machine.memory / _GB:.1f} GB, {machine.free_memory / _GB:.1f} GB free")
    table.add_row("disk", f"{machine.free_disk / _GB:,.0f} GB free")
    gpus = [f"{gpu.name}, {gpu.memory / _GB:.0f} GB" for gpu in machine.gpus]
    table.add_row("GPU", "\n".join(gpus) or "none that torch sees")
    versions = [f"{name} {version or '(not installed)'}" for name, version in machine.versions.items()]
    table.add_row("versions", ", ".join(versions))
    table.add_row("extras", ", ".join(name for name, there in machine.extras.items() if there) or "none")
    missing = [name for name, there in machine.extras.items() if not there]
    if missing:
        table.add_row("not installed", ", ".join(f"s5kit[{name}]" for name in missing))
    console.print(table)


def _show_rates(rates: s5.Rates, recipe: str) -> None:
    table = Table(title=f"what one core does with {recipe}, measured now", title_justify="left")
    table.add_column("work")
    table.add_column("scenes/s", justify="right")
    rows = {
        "live scenes (plan, render, sample)": rates.live,
        "plan only": rates.plan,
        "shards read and decoded": rates.stored,
        "shards written": rates.written,
        "the GPU renders": rates.gpu,
    }
    for name, rate in rows.items():
        table.add_row(name, "no GPU" if rate is None else f"{rate:,.1f}")
    console.print(table)


def _show_advice(advice: s5.Advice, step: str) -> None:
    table = Table(title=f"to feed {advice.need:,.0f} clips/s ({step})", title_justify="left")
    for column in ("way", "gives at most", "enough", "costs"):
        table.add_column(column, justify="right" if column == "gives at most" else "left")
    for option in advice.options:
        enough = "yes" if option.fits else "no"
        table.add_row(option.name, f"{option.capacity:,.0f}/s", enough, option.note)
    console.print(table)
    chosen = advice.chosen
    if chosen.fits:
        console.print(f"advice: {chosen.name}: {chosen.how}", markup=False)
    else:
        console.print(
            f"advice: this machine alone cannot feed it; {chosen.name} comes nearest with "
            f"{chosen.capacity:,.0f} of {advice.need:,.0f} clips/s: {chosen.how}; or take a machine with more "
            "cores, or with a GPU that renders",
            markup=False,
        )
