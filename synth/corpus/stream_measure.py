"""What this machine can feed: scenes per second of every stage, of loaders, of stored corpora, of a GPU."""

from __future__ import annotations

import importlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..assets.catalog import Catalog
from ..rendering.sample import SampleFormat, scene_sample
from ..rendering.scene import Renderer
from ..scenes.plan import plan
from ..scenes.recipe import Recipe
from ..units import Seconds
from .corpus import write_corpus
from .encode import encode_scene
from .live import corpus_of
from .reader import CorpusReader

WARM_UP = 3
_SEED = 1_000_003
"""A series that nobody trains on, so that nothing of it is in a cache."""


@dataclass(frozen=True, slots=True)
class LoaderRate:
    """What a loader gives.

    Attributes:
        workers: Its processes; 0: the caller's own.
        scenes_per_s: Scenes per second, handed out as batches.
        worker_mb: Proportional memory (PSS) of the largest worker in MB; None: not known.
    """

    workers: int
    scenes_per_s: float
    worker_mb: float | None


def measure_stages(recipe: Recipe, catalog: Catalog, scenes: int) -> dict[str, float]:
    """Return the median milliseconds per scene of each stage, in this process, warm.

    The stages: plan, render (mixture and dry), sample (labels and slots), encode (16-bit FLAC and
    JSON), and what reading a stored corpus takes: read (with checksums) and decode.
    """
    identity, _ = corpus_of(recipe, catalog, seed=_SEED, shard_size=max(scenes, 1))
    form = SampleFormat.of(recipe, catalog)
    renderer = Renderer(catalog)
    specs = [plan(recipe, catalog, _SEED, index) for index in range(scenes)]
    made = [renderer.render(spec) for spec in specs[:WARM_UP]]
    for spec in specs[WARM_UP:]:  # what is on disk comes into memory now
        renderer.render(spec)
    numbers = range(scenes)
    found = {
        "plan": _median(lambda n: plan(recipe, catalog, _SEED + 1, n), numbers),
        "render": _median(lambda n: renderer.render(specs[n]), numbers),
        "sample": _median(lambda n: scene_sample(made[n % len(made)], form.classes, form.slots), numbers),
        "encode": _median(lambda n: encode_scene(identity, n, made[n % len(made)]), numbers),
    }
    return {**found, **_measure_reading(recipe, catalog, min(scenes, 20))}


def measure_loader(
    recipe: Recipe, catalog: Catalog, workers: int, *, batch_size: int = 8, seconds: Seconds = 3.0
) -> LoaderRate:
    """Let a `SceneStream` run for some seconds and return what comes out."""
    stream = importlib.import_module(f"{__package__}.stream")
    batches = iter(stream.SceneStream(recipe, catalog, _SEED, batch_size=batch_size).loader(workers))
    try:
        for _ in range(2 + max(2 * workers // batch_size, 1)):
            next(batches)
        count, begin = 0, time.perf_counter()
        while count < 3 or time.perf_counter() - begin < seconds:
            next(batches)
            count += 1
        rate = count * batch_size / (time.perf_counter() - begin)
        memory = max(_children_mb(), default=None) if workers else None
    finally:
        batches.close()
    return LoaderRate(workers, rate, memory)


def measure_gpu(recipe: Recipe, catalog: Catalog, *, batch_size: int = 64, batches: int = 10) -> float | None:
    """Return how many scenes per second the GPU renders, plans given; None without one."""
    if not has_gpu():
        return None
    batch = importlib.import_module("..rendering.batch", __package__)
    renderer = batch.BatchRenderer(catalog, "cuda")
    form = SampleFormat.of(recipe, catalog)
    specs = [
        [plan(recipe, catalog, _SEED, number * batch_size + n) for n in range(batch_size)]
        for number in range(batches)
    ]
    for some in specs[:WARM_UP]:
        renderer.render(some, form)
    begin = time.perf_counter()
    for some in specs:
        renderer.render(some, form)
    return batches * batch_size / (time.perf_counter() - begin)


def measure_shards(recipe: Recipe, catalog: Catalog, scenes: int) -> tuple[float, int]:
    """Return scenes per second of one process that writes shards, and the bytes of a scene in them."""
    with tempfile.TemporaryDirectory(prefix="s5kit-measure-") as folder:
        begin = time.perf_counter()
        report = write_corpus(
            recipe, catalog, Path(folder) / "corpus", num_scenes=scenes, shard_size=scenes, seed=_SEED
        )
        return scenes / (time.perf_counter() - begin), report.index.size // scenes


def has_gpu() -> bool:
    """Say whether torch is installed and sees a CUDA device."""
    with suppress(ModuleNotFoundError):
        return bool(importlib.import_module("torch").cuda.is_available())
    return False


def _measure_reading(recipe: Recipe, catalog: Catalog, scenes: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="s5kit-measure-") as folder:
        write_corpus(recipe, catalog, folder, num_scenes=scenes, shard_size=scenes, seed=_SEED)
        reader = CorpusReader(folder)
        reader.read_scene(0)
        read = _median(reader.read_members, range(scenes))
        return {"read": read, "read+decode": _median(reader.read_scene, range(scenes))}


def _median(work: Callable[[int], object], numbers: Iterable[int]) -> float:
    """Return the median milliseconds of a piece of work."""
    times = []
    for number in numbers:
        begin = time.perf_counter()
        work(number)
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times)


def _children_mb() -> Iterator[float]:
    """Yield the proportional memory of this process's children, where the system tells."""
    me = str(os.getpid())
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            if status.read_text().rpartition(")")[2].split()[1] == me:
                yield _pss_mb(status.with_name("smaps_rollup"))


def _pss_mb(path: Path) -> float:
    fields: dict[str, Any] = dict(line.split(":", 1) for line in path.read_text().splitlines()[1:])
    return int(fields["Pss"].split()[0]) / 1024
