"""A two-stage system that decides as its file says: thresholds per class, silence, passes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models import S5System, Tags

from .thresholds import Decision


class TunedSystem(S5System):
    """`S5System` with a `Decision` of its own.

    Args:
        taggers: First-stage models.
        separators: Second-stage models.
        decision: How outputs become labels.
        iterations: Passes of iterative separators; None takes their setting.
        queries: Greatest number of (scene, label) pairs separated at once.
    """

    def __init__(
        self,
        taggers: Sequence[nn.Module],
        separators: Sequence[nn.Module],
        *,
        decision: Decision,
        iterations: int | None = None,
        queries: int = 8,
    ) -> None:
        lone = decision.threshold if isinstance(decision.threshold, float) else 0.5
        super().__init__(taggers, separators, threshold=lone, slots=decision.slots, queries=queries)
        self.decision = decision
        self.iterations = iterations

    @torch.no_grad()
    def tag(self, mixture_BML: Tensor) -> Tags:
        """Run the first stage alone."""
        return self.hear(mixture_BML)[0]

    @torch.no_grad()
    def hear(self, mixture_BML: Tensor) -> tuple[Tags, Tensor | None]:
        """Run the first stage; also return the mean weak probabilities ``(batch, classes)``, if there are any."""
        return self.decision.tags([net(mixture_BML) for net in self.taggers])

    @torch.no_grad()
    def separate(self, mixture_BML: Tensor, labels_BSK: Tensor, *, iterations: int | None = None) -> Tensor:
        """Run the second stage alone, with labels given; see `S5System.separate`."""
        return super().separate(mixture_BML, labels_BSK, iterations=iterations or self.iterations)
