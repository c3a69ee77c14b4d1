"""Where scenes should come from for a training step of a given speed: live, from the GPU, from shards, from elsewhere.

The order of preference is that of what the trainer gains: live scenes are never seen twice, and
need no disk; a GPU that renders loses some of its time to that; shards are seen again every epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import SynthError

STEPS = {
    "sed": (1200.0, "a ViT-B tagger or SED net on 310 tokens, bf16, compiled"),
    "sed-496": (850.0, "a ViT-B on 496 tokens (128 mel bands), bf16, compiled"),
    "separator": (60.0, "ResUNet30 at hop 160, bf16"),
    "separator-hop320": (135.0, "ResUNet30 at hop 320, bf16"),
}
"""Clips of 10 s per second that a step of a kind can eat on one H200 when nothing makes it wait (design targets)."""

HEADROOM = 1.2
"""So much more than is eaten on average must come, or the step waits now and then."""

MAX_GPU_SHARE = 0.25
"""More of the GPU's time than this is better spent on the net."""

CORPUS_SCENES = 100_000
"""A corpus that is worth an epoch: 278 hours of scenes of 10 s."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What was measured here, in scenes per second.

    Attributes:
        live: Of one loader worker that plans, renders and makes samples.
        plan: Of one process that only plans.
        stored: Of one process that reads and decodes a corpus.
        written: Of one process that writes a corpus.
        scene_bytes: Of a scene in a corpus.
        gpu: Of the GPU, when there is one.
    """

    live: float
    plan: float
    stored: float
    written: float
    scene_bytes: int
    gpu: float | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A way to feed the step.

    Attributes:
        name: Which one.
        workers: Loader workers that it takes.
        capacity: Scenes per second that it can give with the cores there are.
        fits: Whether that is enough.
        note: What it costs.
        how: What to do.
    """

    name: str
    workers: int
    capacity: float
    fits: bool
    note: str
    how: str


@dataclass(frozen=True, slots=True)
class Advice:
    """All ways, in order of preference, and the first that is enough.

    Attributes:
        need: Clips per second that the step eats.
        cores: Cores left for loader workers, beside the trainer.
        options: The ways.
        chosen: The first that fits, else the one that gives most.
    """

    need: float
    cores: int
    options: tuple[Option, ...]
    chosen: Option


def advise(rates: Rates, need: float, *, cores: int, free_disk: int) -> Advice:
    """Return how to feed a step.

    Args:
        rates: What was measured here.
        need: Clips per second that the step eats.
        cores: Of this machine; one is left to the trainer when there are more.
        free_disk: Bytes for a corpus.

    Raises:
        SynthError: The need is no number above 0.
    """
    need = step_need(need)
    free = max(cores - 1, 1)
    options = [_live(rates, need, free)]
    if rates.gpu is not None:
        options.append(_gpu(rates, need, free))
    options += [_shards(rates, need, free, free_disk), _elsewhere(rates, need, free)]
    best = max(options, key=lambda option: option.capacity)
    return Advice(need, free, tuple(options), next((option for option in options if option.fits), best))


def step_need(step: str | float) -> float:
    """Return the clips per second that a step eats: one of `STEPS`, or the number given.

    Raises:
        SynthError: There is no such step, or the number is none above 0.
    """
    if not isinstance(step, str):
        if not 0 < step < 1e6:
            raise SynthError(
                f"is {step}, expected clips per second, above 0",
                where="need",
                remedy="60 is usual for a separator",
            )
        return step
    if step not in STEPS:
        raise SynthError(
            f"there is no step {step!r}",
            where="step",
            remedy=f"choose from {', '.join(STEPS)}, or give clips per second",
        )
    return STEPS[step][0]


def _workers(need: float, rate: float) -> int:
    return max(math.ceil(need * HEADROOM / rate), 1)


def _live(rates: Rates, need: float, free: int) -> Option:
    workers = _workers(need, rates.live)
    return Option(
        "live, rendered by CPU workers",
        workers,
        free * rates.live,
        workers <= free,
        f"{workers} worker(s), {free} core(s) are free",
        f"data.source=live data.workers={min(workers, free)}",
    )


def _gpu(rates: Rates, need: float, free: int) -> Option:
    assert rates.gpu is not None
    workers = _workers(need, rates.plan)
    share = need / rates.gpu
    return Option(
        "live, rendered by the GPU",
        workers,
        min(MAX_GPU_SHARE * rates.gpu, free * rates.plan),
        share <= MAX_GPU_SHARE and workers <= free,
        f"{share:.0%} of the GPU's time, {workers} worker(s) that plan",
        f"data.source=gpu data.workers={min(workers, free)}",
    )


def _shards(rates: Rates, need: float, free: int, free_disk: int) -> Option:
    workers = _workers(need, rates.stored)
    hours = CORPUS_SCENES / (rates.written * (free + 1)) / 3600
    size = CORPUS_SCENES * rates.scene_bytes
    return Option(
        "shards on this machine's disk",
        workers,
        free * rates.stored,
        workers <= free and size <= free_disk,
        f"{workers} worker(s) that decode, {need * rates.scene_bytes / 1e6:,.0f} MB/s from disk; "
        f"{CORPUS_SCENES:,} scenes take {size / 1e9:,.0f} GB ({free_disk / 1e9:,.0f} GB are free) "
        f"and {hours:.1f} h to make here",
        f"s5kit synth --workers {free + 1}, then data.source=corpus data.workers={min(workers, free)}",
    )


def _elsewhere(rates: Rates, need: float, free: int) -> Option:
    workers = _workers(need, rates.stored)
    return Option(
        "shards of other machines",
        workers,
        free * rates.stored,
        workers <= free,
        f"{workers} worker(s) that decode, {need * rates.scene_bytes / 1e6:,.0f} MB/s over the net; "
        f"{_workers(need, rates.written)} cores like these make shards as fast as they are eaten",
        "s5kit serve on machines with cores to spare, or s5kit synth --engine ray --out s3://…",
    )
