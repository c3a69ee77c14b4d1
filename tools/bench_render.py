"""`s5kit bench render`: how fast batches of scenes become tensors on a device, and how equal they are."""

from __future__ import annotations

import json
import resource
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import synth as s5

if TYPE_CHECKING:  # torch is loaded when the command runs
    from synth import BatchRenderer, Catalog, Recipe, SampleFormat, SceneSpec

console = Console()
STAGES = {
    "noise": ("noise",),
    "mixture": ("mixture",),
    "mixture + dry": ("mixture", "dry"),
    "all stems": ("mixture", "dry", "wet", "interference", "noise"),
}
MAIN = "mixture + dry"
TIMED = {"cuda": (20, 100), "cpu": (1, 4)}


def render(
    catalog: Annotated[Path, typer.Option(help="Catalog directory.")],
    recipe: Annotated[str, typer.Option(help="Recipe name or file.")] = "dcase2025",
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, several times.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")] = "cpu",
    batch: Annotated[int, typer.Option(min=1, help="Scenes per batch.")] = 64,
    batches: Annotated[
        int | None, typer.Option(min=1, help="Timed batches; default 100 on CUDA, 4 elsewhere.")
    ] = None,
    check: Annotated[int, typer.Option(min=0, help="Compare so many scenes with the CPU renderer.")] = 32,
    max_mb: Annotated[int | None, typer.Option(min=1, help="Bound on intermediate tensors [MB].")] = None,
    resident_mb: Annotated[
        int | None, typer.Option(min=0, help="Bound on pools and spectra on the device [MB].")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of torch.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Time the batch renderer stem by stem, on batches that are all different, and check its scenes.

    On CUDA the time is that between events on the renderer's stream (20 warm-ups, median of 100); `host`
    is what the calling thread spends on queueing. Two medians of the same kind of batch show the noise.
    """
    import torch

    torch.set_num_threads(threads)
    chosen, tables = s5.load_recipe(recipe, overrides or []), s5.Catalog.load(catalog)
    renderer = s5.BatchRenderer(tables, device, max_bytes=_bytes(max_mb), resident_bytes=_bytes(resident_mb))
    warm, timed = TIMED.get(renderer.device.type, TIMED["cpu"])
    work = [_plan(chosen, tables, n, batch) for n in range(warm + (batches or timed))]
    report: dict[str, Any] = {
        "device": device,
        "name": _name(renderer),
        "torch": torch.__version__,
        "recipe": chosen.name,
        "batch": batch,
        "batches": len(work) - warm,
        "stages": {name: _time(renderer, _form(chosen, tables, name), work, warm) for name in STAGES},
    }
    report["again"] = _time(renderer, _form(chosen, tables, MAIN), work, warm)
    report["one_by_one_us"] = _one_by_one(tables, work[0][:32])
    report["memory_mb"] = _memory(renderer, _form(chosen, tables, MAIN), work[0])
    if check:
        report["check"] = _differences(renderer, chosen, tables, check)
    typer.echo(json.dumps(report)) if as_json else _show(report)


def _plan(recipe: Recipe, catalog: Catalog, number: int, batch: int) -> list[SceneSpec]:
    return [s5.plan(recipe, catalog, 0, number * batch + n) for n in range(batch)]


def _form(recipe: Recipe, catalog: Catalog, stage: str) -> SampleFormat:
    return s5.SampleFormat.of(recipe, catalog, stems=STAGES[stage])


def _time(
    renderer: BatchRenderer, form: SampleFormat, work: list[list[SceneSpec]], warm: int
) -> dict[str, float]:
    """Return times per scene [us], one batch being queued while another is made.

    `us`: median between events on the device (on the CPU: of the call); `host_us`: median of the call
    that queues; `wall_us`: mean over all timed batches.
    """
    import torch

    host, marks, waiting = [], [], None
    begin = 0.0
    for n, specs in enumerate(work):
        start = time.perf_counter()
        begin = start if n == warm else begin
        if renderer.stream is not None:
            marks.append([torch.cuda.Event(enable_timing=True) for _ in range(2)])
            marks[-1][0].record(renderer.stream)
        pending = renderer.submit(specs, form)
        if renderer.stream is not None:
            marks[-1][1].record(renderer.stream)
        host.append(time.perf_counter() - start)
        if waiting is not None:
            waiting.take()
        waiting = pending
    if waiting is not None:
        waiting.take()
    wall = (time.perf_counter() - begin) / (len(work) - warm)
    device = [a.elapsed_time(b) / 1e3 for a, b in marks] or host
    medians = {
        "us": statistics.median(device[warm:]),
        "host_us": statistics.median(host[warm:]),
        "wall_us": wall,
    }
    return {name: 1e6 * seconds / len(work[0]) for name, seconds in medians.items()}


def _one_by_one(catalog: Catalog, specs: list[SceneSpec]) -> float:
    """Return the median time per scene of the CPU renderer, mixture and dry targets [us]."""
    renderer, times = s5.Renderer(catalog), []
    for spec in [*specs, *specs]:  # the first round brings the sounds into memory
        start = time.perf_counter()
        renderer.render(spec, STAGES[MAIN])
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times[len(specs) :])


def _differences(renderer: BatchRenderer, recipe: Recipe, catalog: Catalog, count: int) -> dict[str, float]:
    """Return the worst relative L2 difference to the CPU renderer by stem.

    Raises:
        SynthError: It is above 1e-5.
    """
    form, alone = _form(recipe, catalog, "all stems"), s5.Renderer(catalog)
    worst = dict.fromkeys(form.stems, 0.0)
    for first in range(0, count, 16):
        specs = [s5.plan(recipe, catalog, 1, n) for n in range(first, min(first + 16, count))]
        batch = renderer.render(specs, form)
        for n, spec in enumerate(specs):
            scene = alone.render(spec, form.stems)
            for stem in form.stems:
                expected = getattr(scene, stem)
                got = batch[stem][n, : len(expected)].cpu().numpy()
                error = float(np.linalg.norm(got - expected)) / (float(np.linalg.norm(expected)) or 1.0)
                worst[stem] = max(worst[stem], error)
    if max(worst.values()) > 1e-5:
        raise s5.SynthError(f"the renderers differ: {worst}", remedy="report this as a bug with the catalog")
    return {"scenes": count, **worst}


def _memory(renderer: BatchRenderer, form: SampleFormat, specs: list[SceneSpec]) -> dict[str, float]:
    """Return the memory that stays on the device, and the peak above it while a batch is made [MB]."""
    import torch

    if renderer.stream is None:
        return {"process_peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    torch.cuda.synchronize(renderer.device)
    torch.cuda.reset_peak_memory_stats(renderer.device)
    resident = torch.cuda.memory_allocated(renderer.device)
    renderer.render(specs, form)
    peak = torch.cuda.max_memory_allocated(renderer.device) - resident
    return {"resident": resident / 1e6, "batch_peak": peak / 1e6, "bound": renderer.max_bytes / 1e6}


def _name(renderer: BatchRenderer) -> str:
    import torch

    return "CPU" if renderer.stream is None else torch.cuda.get_device_name(renderer.device)


def _bytes(megabytes: int | None) -> int | None:
    return None if megabytes is None else megabytes * 1_000_000


def _show(report: dict[str, Any]) -> None:
    table = Table(
        title=f"{report['recipe']}: batches of {report['batch']} scenes on {report['name']}, "
        f"median of {report['batches']}"
    )
    for column in ("stems", "scenes/s", "us/scene", "host us/scene", "wall us/scene"):
        table.add_column(column, justify="left" if column == "stems" else "right")
    for name, stage in {**report["stages"], f"{MAIN}, again": report["again"]}.items():
        times = [f"{stage[key]:,.1f}" for key in ("us", "host_us", "wall_us")]
        table.add_row(name, f"{1e6 / stage['us']:,.0f}", *times)
    console.print(table)
    if report["name"] == "CPU":
        console.print("rendered on CPU tensors: the figures say nothing about a GPU, and `host` is all of it")
    figures = ", ".join(
        f"{name.replace('_', ' ')} {value:,.0f}" for name, value in report["memory_mb"].items()
    )
    console.print(f"the CPU renderer, scene by scene ({MAIN}): {report['one_by_one_us']:,.0f} us/scene")
    console.print(f"memory [MB]: {figures}")
    if found := report.get("check"):
        stems = ", ".join(f"{name} {value:.1e}" for name, value in found.items() if name != "scenes")
        console.print(f"worst difference to the CPU renderer over {found['scenes']} scenes: {stems}")
