"""One optimiser step: parts of a batch in, gradients checked on all ranks, weights changed or left alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from synth import SynthError

from .keyed import KeyedDraws, seeded
from .task import Batch, Task


class LossModule(nn.Module):
    """A net with its loss, as one module: DDP and autocast wrap this, so a task sees the bare net.

    A net that is called several times in a step (refinement) is then still one forward pass for DDP.
    """

    def __init__(self, model: nn.Module, task: Task) -> None:
        super().__init__()
        self.model = model
        self._task = task

    def forward(self, batch: Batch, step: int, draws: KeyedDraws) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss and the figures of one part of a step's batch."""
        return self._task.loss(self.model, batch, step=step, draws=draws)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step, equal on all ranks.

    Attributes:
        figures: Means over parts and ranks: `loss`, `grad_norm`, and what the task logs.
        fault: What was not finite, or None.
        updated: Whether the weights changed; an fp16 overflow is no fault but changes nothing either.
        stop: Whether any rank was asked to stop.
    """

    figures: dict[str, float]
    fault: str | None
    updated: bool
    stop: bool


class Updater:
    """Does optimiser steps.

    Args:
        accelerator: Of the run.
        module: The prepared `LossModule`.
        optimizer: The prepared optimiser.
        seed: Of the run.
        accumulate: Parts that a step's batch is taken in.
        clip: Largest norm of the gradient, or None.
        protect: Put buffers (batch norm's averages) back after a step that is left out.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        module: nn.Module,
        optimizer: Any,
        *,
        seed: int,
        accumulate: int,
        clip: float | None,
        protect: bool,
    ) -> None:
        self._accelerator, self._module, self._optimizer = accelerator, module, optimizer
        self._seed, self._parts, self._clip = seed, accumulate, clip
        self._trained = [p for group in optimizer.param_groups for p in group["params"]]
        self._buffers = list(module.buffers()) if protect else []
        self.positions: list[Tensor] = []  # of the last step's scenes, one tensor per part

    def step(self, number: int, batches: Callable[[], Batch], asked_to_stop: Callable[[], bool]) -> Outcome:
        """Do step `number`.

        The finite check, the mean loss and the wish to stop travel in one small all-reduce and one read by the
        host, between backward pass and update: an update that must not happen has then not been started.

        Args:
            number: From 0.
            batches: Gives the next part.
            asked_to_stop: Says whether this process was, by the end of the backward pass.
        """
        kept = [buffer.clone() for buffer in self._buffers]
        figures = self._backward(number, batches)
        figures["grad_norm"] = self._grad_norm()
        values, faults, stop = self._agree(figures, asked_to_stop())
        overflow = faults == ["gradient"] and self._may_rescale()
        fault = None if overflow or not faults else " and ".join(faults)
        if fault is None:
            self._optimizer.step()
        else:
            self._leave_out(kept)
        self._optimizer.zero_grad(set_to_none=True)
        return Outcome(values, fault, updated=not faults, stop=stop)

    def _leave_out(self, kept: list[Tensor]) -> None:
        for buffer, before in zip(self._buffers, kept, strict=True):
            buffer.copy_(before)
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.update()

    def _backward(self, number: int, batches: Callable[[], Batch]) -> dict[str, Tensor]:
        """Add up the gradients of all parts; return their mean figures on this rank."""
        sums: dict[str, Tensor] = {}
        self.positions = []
        rank, device = self._accelerator.process_index, self._accelerator.device
        for part in range(self._parts):
            batch = batches()
            self.positions.append(batch["position"])
            with self._reducing(part), seeded(self._seed, number, part, f"rank {rank}", device):
                loss, figures = self._module(batch, number, KeyedDraws(self._seed, number, part))
                if loss.ndim != 0:
                    raise SynthError(
                        f"the loss has shape {tuple(loss.shape)}",
                        where="loss",
                        remedy="return a scalar from Task.loss",
                    )
                self._accelerator.backward(loss / self._parts)
            for name, value in {"loss": loss, **figures}.items():
                value = value.detach().double() / self._parts
                sums[name] = sums[name] + value if name in sums else value
        return sums

    def _reducing(self, part: int) -> AbstractContextManager[Any]:
        """Exchange gradients between ranks in the last part only."""
        last = part == self._parts - 1
        return nullcontext() if last else self._accelerator.no_sync(self._module)

    def _grad_norm(self) -> Tensor:
        if self._clip is not None:
            norm: Tensor = self._accelerator.clip_grad_norm_(self._trained, self._clip)
        else:
            self._accelerator.unscale_gradients()
            norm = torch.nn.utils.get_total_norm(p.grad for p in self._trained if p.grad is not None)
        return norm.detach().double()

    def _agree(self, figures: dict[str, Tensor], stop: bool) -> tuple[dict[str, float], list[str], bool]:
        """Return the figures' means over the ranks, what is not finite on any, and whether any must stop."""
        device = self._accelerator.device
        names = sorted(figures)
        own = torch.stack([figures[name].to(device) for name in names])
        checked = torch.stack([figures["loss"].to(device), figures["grad_norm"].to(device)])
        asked = torch.full((1,), float(stop), dtype=torch.float64, device=device)
        vector = torch.cat([own, (~checked.isfinite()).double(), asked])
        ranks = self._accelerator.num_processes
        if ranks > 1:
            torch.distributed.all_reduce(vector)
        *means, bad_loss, bad_norm, stops = vector.tolist()  # the step's one wait for the device
        values = {name: mean / ranks for name, mean in zip(names, means, strict=True)}
        return values, ["loss"] * (bad_loss > 0) + ["gradient"] * (bad_norm > 0), stops > 0

    def _may_rescale(self) -> bool:
        """Say whether fp16's loss scale can still be lowered."""
        scaler = self._accelerator.scaler
        return scaler is not None and scaler.get_scale() > 1.0


def scenes_of(accelerator: Accelerator, positions: list[Tensor]) -> list[int]:
    """Return the positions of a step's scenes on all ranks, in order."""
    own = torch.cat([part.reshape(-1).to(accelerator.device) for part in positions])
    return sorted(int(position) for position in accelerator.gather(own).tolist())


def share_buffers(model: nn.Module, accelerator: Accelerator) -> None:
    """Give every rank the buffers of rank 0, as DDP does before a training step."""
    if accelerator.num_processes > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)


def batches_of(feed: Iterator[Batch], where: str) -> Callable[[], Batch]:
    """Return a function for the next batch.

    Raises:
        SynthError: (the function) The data has an end and it is reached.
    """

    def following() -> Batch:
        try:
            return next(feed)
        except StopIteration:
            raise SynthError(
                "the data ended before the run",
                where=where,
                remedy="give data without an end (epochs: null), or fewer loop.steps",
            ) from None

    return following
