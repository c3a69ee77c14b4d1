"""From probabilities to labels with thresholds of one's own, and how to find them on validation data.

Nothing here looks at test data: `check_split` refuses it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from synth import SynthError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models import SedOutput, Tags

    from .scenes_to_score import Split

_GRID = 199
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Decision:
    """How the first stage's outputs become labels.

    Attributes:
        threshold: Least probability of a label: one for all classes, or one per class.
        slots: Greatest number of labels.
        at_least_one: When no class reaches its threshold, take the likeliest, as the rules of 2025 have it;
            otherwise the scene is silent. Taggers with tracks decide by themselves.
    """

    threshold: float | tuple[float, ...] = 0.5
    slots: int = 3
    at_least_one: bool = True

    def tags(self, outputs: Sequence[SedOutput | Tensor]) -> tuple[Tags, Tensor | None]:
        """Decide by the average of several models' outputs on one batch.

        Returns:
            The verdict, and the mean weak probabilities ``(batch, classes)``; None from taggers with tracks.
        """
        import torch

        from models import SedOutput, tag

        said = [_said(output) for output in outputs]
        lone = self.threshold if isinstance(self.threshold, float) else 0.5
        tags = tag(said, torch.zeros(0), threshold=lone, slots=self.slots)
        weak = [output.weak for output in outputs if isinstance(output, SedOutput)]
        if not weak:
            return tags, None
        weak_BK = torch.stack(weak).mean(dim=0)
        if isinstance(self.threshold, float) and self.at_least_one:
            return tags, weak_BK
        kept = torch.from_numpy(decide_by_class(weak_BK.cpu().numpy(), self)).to(weak_BK.device)
        labels = (
            torch.where(kept, torch.arange(kept.shape[1], device=kept.device), kept.shape[1]).sort(1).values
        )
        filler = labels.new_full((len(labels), max(0, self.slots - labels.shape[1])), kept.shape[1])
        labels = torch.cat([labels[:, : self.slots], filler], 1)
        scores = torch.nn.functional.pad(weak_BK, (0, 1)).gather(1, labels)
        return replace(tags, labels=labels, scores=scores), weak_BK

    def vector(self, classes: int) -> NDArray[np.float64]:
        """Return the threshold of every class."""
        if isinstance(self.threshold, tuple) and len(self.threshold) != classes:
            raise SynthError(
                f"{len(self.threshold)} thresholds for {classes} classes",
                where="threshold",
                remedy="give one number, or one per class",
            )
        return np.broadcast_to(np.asarray(self.threshold, dtype=np.float64), (classes,))


def decide_by_class(weak_BK: NDArray[Any], decision: Decision) -> NDArray[np.bool_]:
    """Return which classes sound ``(batch, classes)``.

    Of the classes at or above their own threshold the `slots` likeliest; if there is none and one is wanted, the
    likeliest of all. With equal thresholds this is the task's rule.
    """
    reached = weak_BK >= decision.vector(weak_BK.shape[1]).astype(weak_BK.dtype)
    order = np.argsort(-np.where(reached, weak_BK, -1.0), axis=1, kind="stable")[:, : decision.slots]
    kept = np.zeros_like(reached)
    np.put_along_axis(kept, order, True, axis=1)
    kept &= reached
    if decision.at_least_one:
        none = ~kept.any(axis=1)
        kept[none, weak_BK[none].argmax(axis=1)] = True
    return kept


@dataclass(frozen=True, slots=True)
class Tuned:
    """Thresholds that were found.

    Attributes:
        decision: The decision with them.
        before: Share of scenes with the right label set before, in percent.
        after: The same with them, on the scenes they were found on.
    """

    decision: Decision
    before: float
    after: float


def tune(
    weak_NK: NDArray[Any], truth_NK: NDArray[np.bool_], decision: Decision, *, per_class: bool = False
) -> Tuned:
    """Find the thresholds of the greatest label accuracy on validation scenes.

    One threshold for all classes is tried on 0.005, 0.01 … 0.995; per class, coordinate ascent starts from it. Of
    equally good ones that with the greater TP / (TP + FP + FN) is taken, then the one nearest to 0.5.

    Args:
        weak_NK: Mean weak probabilities of every scene.
        truth_NK: Which classes sound.
        decision: What it starts from; its slots and `at_least_one` stay.
        per_class: One threshold per class.

    Raises:
        SynthError: No scene, or arrays that do not fit.
    """
    if weak_NK.shape != truth_NK.shape or not len(weak_NK):
        raise SynthError(
            f"probabilities {weak_NK.shape}, truth {truth_NK.shape}",
            where="thresholds",
            remedy="give at least one scene and both for the same scenes and classes",
        )
    grid = [float(step / (_GRID + 1)) for step in range(1, _GRID + 1)]
    options = [replace(decision, threshold=value) for value in grid]
    best = max(options, key=lambda option: _merit(weak_NK, truth_NK, option))
    if per_class:
        best = _per_class(weak_NK, truth_NK, best, grid)
    return Tuned(best, *(_merit(weak_NK, truth_NK, option)[0] for option in (decision, best)))


def check_split(split: Split, where: str) -> None:
    """Refuse to tune or choose on anything but validation data.

    Raises:
        SynthError: Test data, training data, or data that does not say what it is.
    """
    if split != "valid":
        kind = "its part of the data is not known" if split == "unknown" else f"it is {split} data"
        raise SynthError(
            f"{kind}; thresholds and ensembles are chosen on validation data only",
            where=where,
            remedy="give a corpus or scene list of the split `valid`, or a folder that is named so",
        )


def _per_class(
    weak_NK: NDArray[Any], truth_NK: NDArray[np.bool_], start: Decision, grid: Sequence[float]
) -> Decision:
    classes = weak_NK.shape[1]
    best = replace(start, threshold=tuple(start.vector(classes).tolist()))
    for _ in range(_ROUNDS):
        before = best
        for k in range(classes):
            options = [best, *(_with(best, k, value) for value in grid)]
            best = max(options, key=lambda option: _merit(weak_NK, truth_NK, option))
        if best == before:
            break
    return best


def _with(decision: Decision, k: int, value: float) -> Decision:
    assert isinstance(decision.threshold, tuple)
    return replace(decision, threshold=(*decision.threshold[:k], value, *decision.threshold[k + 1 :]))


def _merit(
    weak_NK: NDArray[Any], truth_NK: NDArray[np.bool_], decision: Decision
) -> tuple[float, float, float]:
    kept = decide_by_class(weak_NK, decision)
    hits, either = (kept & truth_NK).sum(), (kept | truth_NK).sum()
    distance = float(np.abs(decision.vector(weak_NK.shape[1]) - 0.5).sum())
    return 100.0 * float((kept == truth_NK).all(axis=1).mean()), float(hits / max(either, 1)), -distance


def _said(output: SedOutput | Tensor) -> nn.Module:
    """Return a model that answers with what another one said."""
    from torch import nn

    class Said(nn.Module):
        def forward(self, _: Tensor) -> SedOutput | Tensor:
            return output

    return Said()


def threshold_of(values: float | Mapping[str, float], classes: Sequence[str]) -> float | tuple[float, ...]:
    """Return a threshold from a file: a number, or one per class by name.

    Raises:
        SynthError: A class that does not exist or is left out.
    """
    if not isinstance(values, Mapping):
        return float(values)
    if wrong := sorted(set(values) ^ set(classes)):
        raise SynthError(
            f"{wrong[0]!r} has no threshold or is no class", where="threshold", remedy="give one per class"
        )
    return tuple(float(values[label]) for label in classes)
