"""What the training loop asks of a task: a net, its groups, a loss, figures, something to look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from .panels import Panel

Batch: TypeAlias = Mapping[str, Tensor]
"""Tensors by name, batch first; see `synth.scene_sample` for their shapes."""

Draws: TypeAlias = Callable[[str], torch.Generator]
"""Purpose -> a CPU generator seeded by (seed, step, purpose): the same on all ranks."""

Group: TypeAlias = dict[str, Any]
"""A parameter group: `name`, `params`, `lr`, `weight_decay`."""

Sums: TypeAlias = dict[str, tuple[float, float]]
"""Figures as (sum, count), to be added over processes before dividing."""


class Task(ABC):
    """One kind of training: `training.sed.SedTask` or `training.separator.SeparatorTask`."""

    unused_parameters: bool = False
    """Whether a loss may leave trained parameters without a gradient; DDP then looks for them in every step."""

    @abstractmethod
    def build(self) -> nn.Module:
        """Return the net in training mode, on the CPU, with its initial or given weights.

        The same configuration gives the same weights on every process. Parameters that no group trains have
        `requires_grad` off.

        Raises:
            SynthError: A weights file that is missing.
            ModelError: Weights that do not fit, or settings that contradict each other.
        """

    @abstractmethod
    def groups(self, model: nn.Module) -> list[Group]:
        """Return the parameter groups of the bare net (no DDP, not compiled); empty ones are left out."""

    @abstractmethod
    def loss(
        self, model: nn.Module, batch: Batch, *, step: int, draws: Draws
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the scalar loss (float32) and figures to log, each a detached scalar.

        It is called under autocast, with the net as the loop wraps it (DDP, compiled): the net is only ever
        called, never looked into.

        Args:
            model: The wrapped net in training mode.
            batch: One part of a step's batch, on the net's device.
            step: Number of the optimiser step, from 0.
            draws: Generators of this step.
        """

    @abstractmethod
    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> Sums:
        """Return the figures of the scenes given, as sums.

        Args:
            model: The bare net; it is put into evaluation mode, and back as it was afterwards.
            batches: This process' share of the fixed scenes, on any device.
        """

    @abstractmethod
    def panels(self, model: nn.Module, batch: Batch) -> list[Panel]:
        """Return sounds and pictures of some fixed scenes."""
