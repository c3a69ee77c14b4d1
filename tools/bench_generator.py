"""`s5kit bench generator`: scenes per second and core, stage by stage."""

from __future__ import annotations

import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import synth as s5

if TYPE_CHECKING:  # the rest is loaded when the command runs
    from synth import Catalog, Recipe, Scene, SceneSpec, Sounds

console = Console()
WARM_UP = 3


def generator(
    catalog: Annotated[Path, typer.Option(help="Catalog directory.")],
    recipe: Annotated[str, typer.Option(help="Recipe name or file.")] = "dcase2025",
    overrides: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE, several times.")] = None,
    scenes: Annotated[int, typer.Option(min=1, help="Scenes per stage.")] = 60,
    processes: Annotated[int, typer.Option(min=1, help="Also plan and render in this many processes.")] = 2,
    peer: Annotated[
        bool, typer.Option(help="Compare with one float64 convolution per event and channel.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure plan, decode, render (mixture + dry), encode and the whole, per core."""
    chosen = s5.load_recipe(recipe, overrides or [])
    tables = s5.Catalog.load(catalog)
    report = measure(chosen, tables, scenes)
    if peer and chosen.effects == s5.load_recipe("dcase2025").effects:  # the usual pattern knows no effects
        report["peer"] = compare_with_peer(chosen, tables, max(scenes // 6, 3))
    if processes > 1:
        report["processes"] = scaling(recipe, overrides or [], catalog, scenes, processes)
    report["memory_mb"] = memory()
    console.print_json(json.dumps(report)) if as_json else show(report)


def measure(recipe: Recipe, catalog: Catalog, count: int) -> dict[str, Any]:
    """Time each stage over the same scenes, once they have been rendered, in this process."""
    sounds = s5.open_sounds(catalog)
    renderer = s5.Renderer(catalog)
    specs = [s5.plan(recipe, catalog, 0, index) for index in range(count)]
    scenes: list[Scene] = [renderer.render(spec) for spec in specs[:WARM_UP]]
    for spec in specs[WARM_UP:]:  # what is on disk comes into memory now, not while the clock runs
        renderer.render(spec)
    encoded = [encode(scene) for scene in scenes]
    stages = {
        "plan": timed(lambda index: s5.plan(recipe, catalog, 1, index), range(count)),
        "decode": timed(lambda spec: decode(spec, sounds), specs),
        "render": timed(renderer.render, specs),
        "encode": timed(lambda n: encode(scenes[n % len(scenes)]), range(min(count, 30))),
        "plan+render": timed(lambda i: renderer.render(s5.plan(recipe, catalog, 2, i)), range(count)),
        "whole": whole(recipe, catalog, count),
    }
    everything = stages["whole"]["ms"]
    return {
        "recipe": recipe.name,
        "scenes": count,
        "taps": int(catalog.places["taps"].max()),
        "stages": {
            name: {**stage, "scenes_per_s": 1000 / stage["ms"], "share": stage["ms"] / everything}
            for name, stage in stages.items()
        },
        "bytes_per_scene": int(statistics.mean(encoded)),
    }


def timed(work: Callable[[Any], object], items: Any) -> dict[str, float]:
    """Return the mean and the least time of `work` over the items, in milliseconds."""
    times = []
    for item in items:
        start = time.perf_counter()
        work(item)
        times.append(1000 * (time.perf_counter() - start))
    return {"ms": statistics.mean(times), "min_ms": min(times)}


def encode(scene: Scene) -> int:
    """Encode mixture and dry targets as shards hold them; return the number of bytes."""
    sounds = [scene.mixture, *(scene.dry if scene.dry is not None else ())]
    return sum(
        len(s5.encode_flac16(s5.to_int16(x)[0], scene.spec.sample_rate)) for x in sounds if x is not None
    )


def whole(recipe: Recipe, catalog: Catalog, count: int) -> dict[str, float]:
    """Time a corpus of `count` scenes: plan to renamed shard, hashes and syncs included."""
    with tempfile.TemporaryDirectory(prefix="s5kit-bench-") as folder:
        s5.write_corpus(recipe, catalog, Path(folder) / "warm", num_scenes=1, workers=1)
        start = time.perf_counter()
        s5.write_corpus(
            recipe, catalog, Path(folder) / "timed", num_scenes=count, seed=3, workers=1, shard_size=count
        )
        mean = 1000 * (time.perf_counter() - start) / count
    return {"ms": mean, "min_ms": mean}


def decode(spec: SceneSpec, sounds: Sounds) -> None:
    """Read every sound of a scene out of its memory map, and apply the effects of its events."""
    for event in (*spec.targets, *spec.interferers):
        np.array(s5.read_event(sounds, event, spec.rules, spec.sample_rate))
    if spec.noise is not None:
        np.array(sounds.noise(spec.noise, spec.rules, spec.sample_rate))


def compare_with_peer(recipe: Recipe, catalog: Catalog, count: int) -> dict[str, float]:
    """Render the same scenes by turns with the usual pattern and with ours.

    The pattern: `scipy.signal.fftconvolve` in float64 per event and channel, level from the
    whole wet signal, a second convolution for the dry target. Both read the same memory maps.

    Raises:
        SynthError: The two mixtures differ by more than 2e-6 (relative L2).
    """
    sounds, renderer = s5.open_sounds(catalog), s5.Renderer(catalog)
    ours, theirs, worst = [], [], 0.0
    for index in range(count + 1):
        spec = s5.plan(recipe, catalog, 4, index)
        start = time.perf_counter()
        expected = peer_mixture(spec, sounds)
        middle = time.perf_counter()
        got = renderer.render(spec).mixture
        end = time.perf_counter()
        if got is None or index == 0:
            continue
        worst = max(worst, float(np.linalg.norm(got - expected) / np.linalg.norm(expected)))
        theirs.append(middle - start)
        ours.append(end - middle)
    if worst > 2e-6:
        raise s5.SynthError(
            f"the renderers differ by {worst:.1e}", remedy="report this as a bug with the catalog"
        )
    return {
        "peer_scenes_per_s": count / sum(theirs),
        "ours_scenes_per_s": count / sum(ours),
        "ratio": sum(theirs) / sum(ours),
        "worst_relative_difference": worst,
    }


def peer_mixture(spec: SceneSpec, sounds: Sounds) -> np.ndarray:
    """Render mixture and dry targets by the usual pattern; return the mixture, (4, T) float64."""
    from scipy.signal import fftconvolve

    rules = s5.RULES[spec.rules]
    out = np.zeros((4, spec.duration))
    for n, event in enumerate((*spec.targets, *spec.interferers)):
        x = sounds.event(event, spec.rules, spec.sample_rate).astype(np.float64)
        rir = sounds.rir(spec.place, event.position, spec.rules, spec.sample_rate)
        h = rir.taps.astype(np.float64)
        wet = np.stack([fftconvolve(x, line) for line in h])
        gain = 10 ** ((spec.ref_db + event.snr_db) / 20) / np.sqrt(np.mean(wet**2))
        end = min(event.onset + wet.shape[1], spec.duration)
        out[:, event.onset : end] += gain * wet[:, : end - event.onset]
        if n < len(spec.targets):
            peak = rir.peak(0, absolute=rules.absolute_peak)
            first, last = s5.early_window(peak, h.shape[1], spec.sample_rate, spec.dry, rules)
            early = np.zeros(h.shape[1])
            early[first:last] = h[0, first:last]
            fftconvolve(x, gain * early)
    if spec.noise is not None:
        noise = sounds.noise(spec.noise, spec.rules, spec.sample_rate).astype(np.float64)
        noise = np.tile(noise, (1, -(-spec.duration // noise.shape[1])))[:, : spec.duration]
        out += noise * (10 ** (spec.ref_db / 20) / np.sqrt(np.mean(noise**2)))
    return out


def scaling(recipe: str, overrides: list[str], catalog: Path, count: int, processes: int) -> dict[str, float]:
    """Return plan + render rates of one process and of several at once, measured by turns."""
    jobs = [(recipe, tuple(overrides), str(catalog), count, n) for n in range(processes)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        one = pool.map(_rate, jobs[:1])[0]
        several = sum(pool.map(_rate, jobs, chunksize=1))
        one = max(one, pool.map(_rate, jobs[:1])[0])
    return {"processes": processes, "one": one, "together": several, "ratio": several / one}


def _rate(job: tuple[str, tuple[str, ...], str, int, int]) -> float:
    recipe, overrides, directory, count, seed = job
    chosen, catalog = s5.load_recipe(recipe, list(overrides)), s5.Catalog.load(Path(directory))
    renderer = s5.Renderer(catalog)
    for index in range(count):  # brings what the scenes need into this process's memory
        renderer.render(s5.plan(chosen, catalog, seed, index))
    start = time.perf_counter()
    for index in range(count):
        renderer.render(s5.plan(chosen, catalog, seed, index))
    return count / (time.perf_counter() - start)


def memory() -> dict[str, float]:
    """Return the peak resident memory in MB, and how much of the present one is no mapped file."""
    found = {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    status = Path("/proc/self/status")
    if status.exists():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        found["own"] = int(fields["RssAnon"].split()[0]) / 1024
    return found


def show(report: dict[str, Any]) -> None:
    """Print the figures as a table."""
    table = Table(
        title=f"{report['recipe']}: {report['scenes']} scenes, RIRs of {report['taps']} taps, one core"
    )
    for column in ("stage", "scenes/s", "ms (mean)", "ms (least)", "of the whole"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for name, stage in report["stages"].items():
        table.add_row(
            name,
            f"{stage['scenes_per_s']:,.1f}",
            f"{stage['ms']:.2f}",
            f"{stage['min_ms']:.2f}",
            f"{100 * stage['share']:.0f} %",
        )
    console.print(table)
    used = report["memory_mb"]
    own = f"; at the end {used['own']:.0f} MB that are no mapped files" if "own" in used else ""
    console.print(
        f"encoded: {report['bytes_per_scene'] / 1e6:.2f} MB a scene; peak memory {used['peak']:.0f} MB{own}"
    )
    if peer := report.get("peer"):
        console.print(
            f"usual pattern (float64, per event and channel): {peer['peer_scenes_per_s']:.1f} scenes/s; "
            f"ours {peer['ours_scenes_per_s']:.1f}: {peer['ratio']:.1f}x, difference {peer['worst_relative_difference']:.1e}"
        )
    if several := report.get("processes"):
        console.print(
            f"plan + render: one process {several['one']:.1f} scenes/s, {several['processes']} together "
            f"{several['together']:.1f} ({several['ratio']:.2f}x)"
        )
