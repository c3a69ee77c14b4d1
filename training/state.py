"""What a run is at a step boundary, into a checkpoint and back to the bit."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from models import load_weights
from synth import SynthError, load_json, read_bounded, write_text

from .checkpoint import read_tensors, write_tensors
from .config import TrainConfig
from .ema import Ema
from .optimizer_state import flatten, restore
from .run_folder import check_same_run, described_origin, save_net

_STATE_BYTES = 64 << 20


class Best(BaseModel):
    """The best validation so far."""

    model_config = ConfigDict(extra="forbid", strict=True)
    step: int
    value: float


class Counters(BaseModel):
    """All that a run remembers beside tensors; JSON keeps every bit of it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    step: int = Field(0, ge=0)  # optimiser steps done
    updates: int = Field(0, ge=0)  # of them those that changed the weights
    skipped: int = Field(0, ge=0)  # of them those skipped because something was not finite
    validated: int = Field(0, ge=0)  # the step that was last validated
    best: Best | None = None
    since_best: int = Field(0, ge=0)  # validations without a better one
    window: dict[str, tuple[float, int]] = {}  # sums of what is logged next, and of how many steps
    feed: dict[str, Any] = {}  # the data's own state, its position among it

    def remember(self, figures: dict[str, float]) -> None:
        """Add a step's figures to the window; those that are not finite do not count."""
        for name, value in figures.items():
            if math.isfinite(value):
                total, count = self.window.get(name, (0.0, 0))
                self.window[name] = (total + value, count + 1)

    def means(self) -> dict[str, float]:
        """Return the window's means and begin a new one."""
        window, self.window = self.window, {}
        return {name: total / count for name, (total, count) in window.items()}


class _Saved(BaseModel):
    """The content of `state.json`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int = Field(1, ge=1, le=1)
    counters: Counters
    groups: list[list[str]]  # parameter names, per group of the optimiser
    scaler: dict[str, float | int] | None = None
    config: dict[str, Any]
    versions: dict[str, str]


@dataclass
class TrainState:
    """A run between two steps.

    Attributes:
        config: Its configuration.
        model: The bare net.
        optimizer: The bare optimiser.
        ema: The averaged weights, if there are any.
        scaler: Of fp16 losses, if there is one.
        counters: The rest.
    """

    config: TrainConfig
    model: nn.Module
    optimizer: torch.optim.Optimizer
    ema: Ema | None = None
    scaler: torch.amp.GradScaler | None = None
    counters: Counters = field(default_factory=Counters)

    def write(self, folder: Path) -> None:
        """Write everything into an empty folder.

        Raises:
            OSError: The file system refuses.
        """
        origin = described_origin(self.model, f"s5kit run {self.config.name}, step {self.counters.step}", {})
        save_net(self.model, folder / "model.safetensors", origin)
        if self.ema is not None:
            with self.ema.applied():
                save_net(self.model, folder / "ema.safetensors", origin)
        tensors, groups = flatten(self.optimizer, self.model)
        write_tensors(tensors, folder / "optimizer.safetensors")
        saved = _Saved(
            counters=self.counters,
            groups=groups,
            scaler=None if self.scaler is None else self.scaler.state_dict(),
            config=self.config.model_dump(mode="json"),
            versions=versions(),
        )
        write_text(folder / "state.json", json.dumps(saved.model_dump(mode="json"), allow_nan=False) + "\n")

    def read(self, folder: Path) -> None:
        """Take everything from a verified checkpoint.

        Raises:
            SynthError: It is of another run, or its state is not what a run of ours writes.
            ModelError: Its weights do not fit the net.
        """
        saved = _read_saved(folder / "state.json")
        check_same_run(saved.config, self.config, folder)
        load_weights(self.model, folder / "model.safetensors")
        if self.ema is not None:
            with self.ema.applied():
                load_weights(self.model, folder / "ema.safetensors")
        place = folder / "optimizer.safetensors"
        restore(self.optimizer, self.model, read_tensors(place), saved.groups, place)
        if self.scaler is not None and saved.scaler is not None:
            _load_scaler(self.scaler, saved.scaler, folder / "state.json")
        self.counters = saved.counters


def versions() -> dict[str, str]:
    """Return what the figures of a run depend on."""
    return {"torch": str(torch.__version__), "numpy": np.__version__}


def _read_saved(path: Path) -> _Saved:
    content = load_json(read_bounded(path, _STATE_BYTES), where=path, limit=_STATE_BYTES)
    try:
        return _Saved.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SynthError(
            f"{place}: {first['msg']}",
            where=path,
            remedy="remove this checkpoint to continue from an older one",
        ) from error


def _load_scaler(scaler: torch.amp.GradScaler, saved: dict[str, float | int], where: Path) -> None:
    try:
        scaler.load_state_dict(saved)
    except (KeyError, RuntimeError, TypeError) as error:
        raise SynthError(
            f"scaler: {error}", where=where, remedy="remove this checkpoint to continue from an older one"
        ) from error
