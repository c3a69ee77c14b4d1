"""An exponential moving average of a net's weights, kept beside the net."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """The average, updated after every optimiser step.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that the random start is soon forgotten
    (the ramp of `tf.train.ExponentialMovingAverage`). Trained parameters and floating-point buffers are
    averaged; the rest is the net's own.

    Args:
        model: The bare net, on its device.
        decay: Per step, such as 0.999.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._live = _averaged(model)
        self._average = [tensor.detach().clone() for tensor in self._live]

    @torch.no_grad()
    def update(self, updates: int) -> None:
        """Take the net's present weights in.

        Args:
            updates: How many updates there were before this one.
        """
        decay = min(self.decay, (1 + updates) / (10 + updates))
        torch._foreach_lerp_(self._average, [tensor.detach() for tensor in self._live], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the net for the body; what the body writes into the net goes to the average."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for live, average in zip(self._live, self._average, strict=True):
            kept = live.detach().clone()
            live.copy_(average)
            average.copy_(kept)


def _averaged(model: nn.Module) -> list[Tensor]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [*trained, *(buffer for buffer in model.buffers() if buffer.is_floating_point())]
