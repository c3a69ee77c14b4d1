"""One stage scored without the other: labels without separation, separation with the true labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models import SedOutput

from .estimates import Estimate, SceneEstimate, SystemEstimator
from .scenes_to_score import SceneToScore
from .thresholds import Decision
from .tuned_system import TunedSystem


class LabelsAlone:
    """A first stage; the estimate of every label it finds is channel 0 of the mixture, which improves by 0 dB.

    Args:
        taggers: First-stage models, averaged.
        classes: Names of their classes.
        decision: How outputs become labels.
    """

    def __init__(
        self, taggers: Sequence[nn.Module], classes: Sequence[str], decision: Decision | None = None
    ) -> None:
        self.taggers, self.decision = list(taggers), decision or Decision()
        self.classes = tuple(classes)

    @torch.no_grad()
    def __call__(self, scenes: Sequence[SceneToScore]) -> list[SceneEstimate]:
        """Return the estimates of each scene."""
        return [self._one(scene) for scene in scenes]

    def _one(self, scene: SceneToScore) -> SceneEstimate:
        mixture_1ML = torch.from_numpy(scene.mixture)[None]
        tags, weak = self.decision.tags([net(mixture_1ML) for net in self.taggers])
        found = tuple(
            Estimate(self.classes[label], scene.mixture[0], float(score))
            for label, score in zip(tags.labels[0].tolist(), tags.scores[0], strict=True)
            if label < tags.classes
        )
        strong = None if tags.strong is None else tags.strong[0].numpy()
        return SceneEstimate(found, strong, None if weak is None else weak[0].numpy())


class SeparationAlone(SystemEstimator):
    """A second stage, given the true labels.

    Args:
        separators: Separators, averaged.
        classes: Names of their classes.
    """

    def __init__(self, separators: Sequence[nn.Module], classes: Sequence[str]) -> None:
        system = TunedSystem([_Nobody(len(classes))], separators, decision=Decision())
        super().__init__(system, classes, labels="oracle")


class _Nobody(nn.Module):
    """Stands where a system has its first stage, and hears nothing."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.count = classes

    def forward(self, mixture_BML: Tensor) -> SedOutput:
        return SedOutput(mixture_BML.new_zeros(len(mixture_BML), self.count))
