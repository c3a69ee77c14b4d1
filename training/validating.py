"""Figures of the fixed validation scenes, over all ranks, and what can be seen and heard of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from synth import SynthError

from .ema import Ema
from .keyed import seeded
from .panels import Panel, first_scenes
from .sections import ValidationSection
from .task import Batch, Sums, Task
from .update import share_buffers


class MetricError(SynthError):
    """The figure that is to choose the best weights is not measured; every rank finds it so."""


@dataclass(frozen=True, slots=True)
class Validation:
    """One validation.

    Attributes:
        figures: By name.
        value: The one that chooses the best weights.
        panels: On rank 0.
    """

    figures: dict[str, float]
    value: float
    panels: list[Panel] = field(default_factory=list)


class Validator:
    """Validates a net.

    Args:
        accelerator: Of the run.
        task: What is learnt.
        model: The bare net.
        ema: Its average, if there is one.
        section: Of the configuration.
        batches: This rank's share of the fixed scenes; iterated once per validation and kind of weights.
        asked_to_stop: Whether this process was: a validation is then abandoned and done after the resume.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        task: Task,
        model: nn.Module,
        ema: Ema | None,
        section: ValidationSection,
        batches: Iterable[Batch],
        asked_to_stop: Callable[[], bool],
    ) -> None:
        self._accelerator, self._task, self._model = accelerator, task, model
        self._ema, self._section, self._batches = ema, section, batches
        self._asked_to_stop = asked_to_stop
        self._shown: Batch | None = None

    def run(self, seed: int, step: int) -> Validation | None:
        """Validate after `step` steps; None when any rank was asked to stop meanwhile.

        Raises:
            MetricError: The task does not give the figure that is to choose the best.
        """
        figures: dict[str, float] = {}
        panels: list[Panel] = []
        for prefix, weights in self._kinds():
            with weights, seeded(seed, step, 0, "validation", self._accelerator.device), torch.no_grad():
                share_buffers(self._model, self._accelerator)
                sums = self._sums()
                if sums is None:
                    return None
                figures |= {
                    f"{prefix}{name}": total / count for name, (total, count) in sums.items() if count
                }
                panels = panels or self._panels()
        return Validation(figures, self._chosen(figures), panels)

    def better(self, value: float, best: float | None) -> bool:
        """Say whether a value beats the best so far; one that is not a number never does."""
        if value != value:
            return False
        return best is None or (value > best if self._section.mode == "max" else value < best)

    def best_weights(self) -> AbstractContextManager[None]:
        """Put the weights that the metric was measured on into the net for a body."""
        return self._kinds()[0][1]

    def _kinds(self) -> list[tuple[str, AbstractContextManager[None]]]:
        """Return (prefix of the figures, weights in place) of what is to be measured, the metric's first."""
        if self._ema is None or self._section.weights == "raw":
            return [("", nullcontext())]
        averaged = ("", self._ema.applied())
        return [averaged, ("raw/", nullcontext())] if self._section.weights == "both" else [averaged]

    def _sums(self) -> Sums | None:
        """Return the task's sums over all ranks."""
        with self._accelerator.autocast():
            own = self._task.validate(self._model, self._interruptible())
        shares = gather_object([(own, self._asked_to_stop())])
        if any(stop for _, stop in shares):
            return None
        totals: Sums = {}
        for share, _ in shares:
            for name, (total, count) in share.items():
                before = totals.get(name, (0.0, 0.0))
                totals[name] = (before[0] + float(total), before[1] + float(count))
        return totals

    def _interruptible(self) -> Iterator[Batch]:
        self._shown = None
        for batch in self._batches:
            if self._asked_to_stop():
                return
            if self._shown is None and self._section.panels:
                self._shown = first_scenes(batch, self._section.panels)
            yield batch

    def _panels(self) -> list[Panel]:
        if self._shown is None or not self._accelerator.is_main_process:
            return []
        with self._accelerator.autocast():
            return self._task.panels(self._model, self._shown)

    def _chosen(self, figures: dict[str, float]) -> float:
        name = self._section.metric
        if name not in figures:
            raise MetricError(
                f"{name!r} is not among the figures: {', '.join(sorted(figures)) or 'none'}",
                where="validation.metric",
                remedy="choose one of these, and validation scenes that there is at least one of",
            )
        return figures[name]
