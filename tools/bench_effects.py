"""`s5kit bench effects`: milliseconds that every augmentation takes for a clip of 10 s."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import synth as s5

console = Console()
RATE, SECONDS = 32_000, 10
SAMPLES = RATE * SECONDS
BATCH = 8
WARM_UP = 2


def effects(
    repeats: Annotated[int, typer.Option(min=1, help="Runs per effect; medians are shown.")] = 7,
    device: Annotated[str, typer.Option(help="cpu, or cuda for event effects on a GPU.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Threads of torch.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure every effect on 10 s at 32 kHz: event effects on one channel, scene effects on four."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = {name: measure(work, repeats, device) for name, work in (*event_jobs(device), *scene_jobs())}
        for name, work in training_jobs():
            wall, processor = measure(work, repeats, "cpu")
            found[name] = wall / BATCH, processor / BATCH
    finally:
        torch.set_num_threads(before)
    report = {
        "device": device,
        "threads": threads,
        "seconds": SECONDS,
        "ms": {name: wall for name, (wall, _) in found.items()},
        "cpu_ms": {name: processor for name, (_, processor) in found.items()},
    }
    console.print_json(json.dumps(report)) if as_json else show(report)


def event_jobs(device: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the effects of one event, (T,)."""
    import torch

    sound = torch.randn(SAMPLES, generator=torch.Generator().manual_seed(0)).to(device)
    every: list[Any] = [
        s5.Gain(db=3),
        s5.Polarity(),
        s5.HighPass(cutoff_hz=200),
        s5.LowPass(cutoff_hz=4000),
        s5.BandPass(centre_hz=1000, width=1),
        s5.ColouredNoise(snr_db=20, decay=1, seed=1),
        s5.TimeStretch(factor=1.1, samples=SAMPLES),
        s5.PitchShift(semitones=2),
    ]
    for effect in every:
        yield f"event: {effect.kind}", partial(s5.apply_event_effects, sound, (effect,), RATE)


def scene_jobs() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield the effects of a scene on its mixture, (4, T), by the CPU renderer."""
    sound = np.ones((4, SAMPLES), dtype=np.float32)
    band = s5.EqBand(kind="peak", frequency_hz=500, gain_db=6, q=1)
    every = {
        "space": s5.SceneEffects(space=s5.SpaceEffect(mirror=True, yaw=33.0, flip=True)),
        "mismatch": s5.SceneEffects(mismatch_db=(0.5, -0.5, 1, -1)),
        "level": s5.SceneEffects(level_db=3),
        "eq": s5.SceneEffects(eq=(band, band)),
    }
    for name, chosen in every.items():
        chain = s5.scene_chain(_scene(chosen))
        yield f"scene: {name}", partial(chain.of_spatial, sound)
    noisy = s5.scene_chain(_scene(s5.SceneEffects(self_noise=s5.SelfNoise(level_db=-80, seed=1))))
    yield "scene: self_noise", partial(noisy.of_noise, sound, SAMPLES)


def training_jobs() -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield what training does to batches: sound (B, 4, T), or 128 mels and 1000 frames."""
    import torch

    from training.augment import MelAugment, mixup
    from training.sections import AugmentSection

    batch = {"mixture": torch.ones(BATCH, 4, SAMPLES)}
    mel = torch.ones(BATCH, 1, 128, 1000)
    yield "training: mixup", partial(mixup, batch, torch.Generator().manual_seed(0))
    for name, section in (
        ("freq_warp", AugmentSection(freq_warp=(0.6, 1.0))),
        ("filter", AugmentSection(filter_db=(-6.0, 6.0))),
        ("masks", AugmentSection(time_masks=2, mel_masks=2)),
    ):
        augment = MelAugment(section)
        yield f"training: {name}", partial(augment, mel, torch.Generator().manual_seed(0))


def measure(work: Callable[[], object], repeats: int, device: str) -> tuple[float, float]:
    """Return the medians of elapsed and of processor time of some work, in milliseconds."""
    import torch

    elapsed, used = [], []
    for n in range(WARM_UP + repeats):
        start, processor = time.perf_counter(), time.process_time()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        if n >= WARM_UP:
            elapsed.append(1000 * (time.perf_counter() - start))
            used.append(1000 * (time.process_time() - processor))
    return statistics.median(elapsed), statistics.median(used)


def show(report: dict[str, Any]) -> None:
    """Print the figures as a table."""
    title = f"ms per {report['seconds']} s clip at 32 kHz ({report['device']}, {report['threads']} thread(s))"
    table = Table("effect", title=title)
    for column in ("ms", "CPU ms"):
        table.add_column(column, justify="right")
    for name, ms in report["ms"].items():
        table.add_row(name, f"{ms:.2f}", f"{report['cpu_ms'][name]:.2f}")
    console.print(table)


def _scene(effects: s5.SceneEffects) -> s5.SceneSpec:
    return s5.SceneSpec(
        rules="s5kit2026", duration=SAMPLES, ref_db=-50, place="none", targets=(), effects=effects
    )
