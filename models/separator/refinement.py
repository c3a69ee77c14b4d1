"""Iterative refinement: the estimate goes back in as an input, gradients flow through the last pass only."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def refine(step: Callable[[Tensor], Tensor], start: Tensor, iterations: int) -> Iterator[Tensor]:
    """Yield the estimate of every pass; only the last one carries gradients.

    Args:
        step: One pass: the previous estimate in, the next one out.
        start: What the first pass is fed with (zeros).
        iterations: Number of passes, at least 1.
    """
    estimate = start
    for _ in range(iterations - 1):
        with torch.no_grad():
            estimate = step(estimate.detach())
        yield estimate
    yield step(estimate.detach())


def draw_iterations(maximum: int, generator: torch.Generator) -> int:
    """Draw the passes of one training batch from 1 … `maximum`; all ranks must use the same state."""
    return int(torch.randint(1, maximum + 1, (), generator=generator))
