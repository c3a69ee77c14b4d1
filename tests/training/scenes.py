"""A batch as the streams give it, made from a seed, with targets that a net can learn by heart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from training.config import SedConfig, SeparatorConfig, load_config
from training.facts import SceneFacts
from training.keyed import KeyedDraws
from training.optim import make_optimizer
from training.sed import SedTask
from training.separator import SeparatorTask
from training.task import Task

CLASSES = tuple(f"class{n}" for n in range(18))
SILENCE = 18


def facts(seconds: float = 1.0, slots: int = 3) -> SceneFacts:
    return SceneFacts(CLASSES, slots, round(seconds / 0.04), round(seconds * 32_000), 32_000)


def scenes(
    count: int = 3, *, seconds: float = 1.0, slots: int = 3, seed: int = 0, empty: int = 1
) -> dict[str, Tensor]:
    """`count` scenes of `slots` targets; the first one has `empty` empty slots."""
    draw = torch.Generator().manual_seed(seed)
    samples = round(seconds * 32_000)
    labels = torch.stack([torch.randperm(18, generator=draw)[:slots] for _ in range(count)])
    labels[0, slots - empty :] = SILENCE
    weak = torch.nn.functional.one_hot(labels, 19).sum(1)[:, :-1].float()
    strong = torch.zeros(count, 18, round(seconds / 0.04))
    t = torch.arange(samples) / 32_000
    tones = torch.sin(2 * torch.pi * (200.0 + 400.0 * labels[..., None]) * t)
    dry = 0.1 * tones * (labels < SILENCE)[..., None]
    for n in range(count):
        for label in labels[n][labels[n] < SILENCE].tolist():
            onset = int(torch.randint(0, max(strong.shape[-1] // 2, 1), (), generator=draw))
            strong[n, label, onset:] = 1
    direction = torch.tensor([1.0, 0.6, -0.3, 0.5])
    noise = 0.02 * torch.randn(count, 4, samples, generator=draw)
    mixture = direction[:, None] * dry.sum(1)[:, None] + noise
    return {
        "position": torch.arange(count),
        "mixture": mixture,
        "dry": dry,
        "labels": labels,
        "strong": strong,
        "weak": weak,
    }


def task_of(name: str, *overrides: str, seconds: float = 1.0) -> Task:
    """The task of a preset for scenes of a length."""
    config = load_config(name, overrides)
    if isinstance(config, SedConfig):
        return SedTask(config, facts(seconds))
    assert isinstance(config, SeparatorConfig)
    return SeparatorTask(config, facts(seconds))


def drive(task: Any, batch: dict[str, Tensor], steps: int, *, lr: float | None = None) -> list[float]:
    """Learn one batch by heart; the loss of every step."""
    net = task.build()
    groups = task.groups(net)
    optimizer = make_optimizer([{**g, "lr": lr or g["lr"]} for g in groups], task.config.optim)
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for step in range(steps):
            loss, _ = task.loss(net, batch, step=step, draws=KeyedDraws(0, step))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
    return losses
