"""A task that takes milliseconds: a small net with dropout and batch norm, on data made from positions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synth import SynthError
from training.config import SedConfig, TrainConfig, parse_config
from training.panels import Panel, sound_panel
from training.task import Batch, Draws, Group, Sums, Task

INPUTS = 6


def toy_config(out: Path, *overrides: str) -> SedConfig:
    """The configuration of a run of 8 steps."""
    content = {
        "name": "toy",
        "task": "sed",
        "out": str(out),
        "loop": {"steps": 8, "batch_size": 4, "log_every": 3, "clip": 0.5, "ema": 0.9, "device": "cpu"},
        "optim": {"lr": 0.01, "optimizer": "adamw", "weight_decay": 0.01},
        "schedule": {"kind": "cosine", "warmup_steps": 2},
        "validation": {"every": 4, "panels": 1},
        "checkpoint": {"every": 1, "keep": 100},
        "trackers": [],
    }
    config = parse_config(content, overrides, where="toy")
    assert isinstance(config, SedConfig)
    return config


class ToyTask(Task):
    """Regression of the first input; the loss of chosen scenes can be spoilt.

    Args:
        nan_at: Positions of scenes whose loss is not a number.
        before: Called with every step's number before its loss.
        plain: A linear net, and no draws: what a few lines of torch can do as well.
    """

    def __init__(
        self,
        nan_at: Iterable[int] = (),
        before: Callable[[int], None] = lambda _: None,
        *,
        plain: bool = False,
    ) -> None:
        self.nan_at = set(nan_at)
        self.plain = plain
        self.before = before
        self.losses: dict[int, list[float]] = {}
        self.seen: dict[int, list[int]] = {}
        self.model: nn.Module | None = None

    def build(self) -> nn.Module:
        layers: list[nn.Module] = [nn.Linear(INPUTS, 1)]
        if not self.plain:
            layers = [nn.Linear(INPUTS, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 1)]
        self.model = nn.Sequential(*layers)
        return self.model

    def groups(self, model: nn.Module) -> list[Group]:
        wide = [p for p in model.parameters() if p.ndim > 1]
        flat = [p for p in model.parameters() if p.ndim == 1]
        return [
            {"name": "wide", "params": wide, "lr": 0.01, "weight_decay": 0.01},
            {"name": "flat", "params": flat, "lr": 0.02, "weight_decay": 0.0},
        ]

    def loss(
        self, model: nn.Module, batch: Batch, *, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, Tensor]]:
        self.before(step)
        noise = 0.0 if self.plain else torch.randn(batch["x"].shape, generator=draws("noise"))
        error = (model(batch["x"] + 0.1 * noise) - batch["x"][:, :1]).float()
        loss = error.square().mean()
        self.losses.setdefault(step, []).append(float(loss.detach()))
        self.seen.setdefault(step, []).extend(batch["position"].tolist())
        if self.nan_at & set(batch["position"].tolist()):
            loss = loss * float("nan")
        return loss, {"error": error.detach().abs().mean()}

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> Sums:
        model.eval()
        total, count = 0.0, 0
        for batch in batches:
            total += float((model(batch["x"]) - batch["x"][:, :1]).float().square().sum())
            count += len(batch["x"])
        model.train()
        return {"loss": (total, count)}

    def panels(self, model: nn.Module, batch: Batch) -> list[Panel]:
        return [sound_panel(f"scene-{int(batch['position'][0])}", batch["x"][0].repeat(500), 8000)]


class ToyFeed:
    """Batches by the order law of the streams: batch n of rank r holds positions n*G + r*B + 0 … B-1.

    Args:
        size: Scenes per batch of a rank.
        rank: Of this process.
        world_size: Ranks.
        length: Scenes in all; None: without an end.
        fail_at: A batch with this position raises, as when a worker dies.
        slow: Seconds that every batch takes.
    """

    def __init__(
        self,
        size: int,
        rank: int,
        world_size: int,
        length: int | None = None,
        fail_at: int | None = None,
        slow: float = 0.0,
    ) -> None:
        self.size, self.rank, self.world_size, self.length = size, rank, world_size, length
        self.fail_at, self.slow = fail_at, slow
        self.position = 0
        self.closed = False

    def __iter__(self) -> Iterator[Batch]:
        start = self.position if self.length is None else 0
        while self.length is None or start < self.length:
            first = start + self.rank * self.size
            positions = list(range(first, min(first + self.size, self.length or first + self.size)))
            start += self.size * self.world_size
            if self.length is None:
                self.position = start
            if self.fail_at in positions:
                self.position = start - self.size * self.world_size
                raise SynthError("a worker died", where=f"position {self.fail_at}", remedy="run it again")
            time.sleep(self.slow)
            if positions:
                yield {"position": torch.tensor(positions), "x": torch.stack([scene(p) for p in positions])}

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "catalog_hash": "toy"}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]

    def close(self) -> None:
        self.closed = True


def scene(position: int) -> Tensor:
    return torch.randn(INPUTS, generator=torch.Generator().manual_seed(position))


def toy_feed(config: TrainConfig, rank: int, world_size: int, device: torch.device, **faults: Any) -> ToyFeed:
    loop = config.loop
    return ToyFeed(loop.batch_size // loop.accumulate // world_size, rank, world_size, **faults)


def toy_scenes(config: TrainConfig, rank: int, world_size: int, device: torch.device) -> ToyFeed:
    return ToyFeed(config.validation.batch_size, rank, world_size, length=10)
