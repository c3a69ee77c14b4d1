"""The first stage: which classes sound in a mixture, when, by one model or by many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor, nn

from .errors import ModelError
from .heads import SedOutput
from .labels import MAX_SOURCES, decide, decide_tracks, to_slots

Spans = tuple[tuple[float, float], ...]
"""Onset and offset [s] of the stretches in which a class sounds."""


@dataclass(frozen=True)
class Tags:
    """The first stage's verdict on a batch of mixtures.

    Attributes:
        labels: Class index per slot ``(batch, slots)``; `classes` means silence.
        scores: Probability of each label ``(batch, slots)``.
        strong: Probability per class and frame ``(batch, classes, frames)``; None from taggers.
        classes: Number of classes, silence left out.
    """

    labels: Tensor
    scores: Tensor
    strong: Tensor | None
    classes: int

    def vectors(self) -> Tensor:
        """Return one-hot label vectors ``(batch, slots, classes)``; silence is all zero."""
        return nn.functional.one_hot(self.labels, self.classes + 1)[..., :-1].float()


def tag(
    models: Sequence[nn.Module], mixture_BML: Tensor, *, threshold: float = 0.5, slots: int = MAX_SOURCES
) -> Tags:
    """Decide the labels by the average of the models' probabilities.

    Models with tracks have no common order of tracks: each is brought to the order that agrees best with the
    first model's before averaging.

    Args:
        models: SED models and taggers for label sets, or taggers with tracks; not both.
        mixture_BML: ``(batch, microphones, samples)``.
        threshold: Least probability of a label (label sets only).
        slots: Greatest number of labels (label sets only).

    Raises:
        ModelError: Models whose outputs cannot be averaged.
    """
    outputs = [model(mixture_BML) for model in models]
    if all(isinstance(output, SedOutput) for output in outputs):
        return _by_sets(outputs, threshold, slots)
    if any(isinstance(output, SedOutput) for output in outputs):
        raise _cannot("label sets and tracks")
    return _by_tracks(outputs)


def spans(strong_T: Tensor, seconds: float, *, threshold: float = 0.5) -> Spans:
    """Return the stretches [s] in which a class sounds.

    Args:
        strong_T: Probability per frame.
        seconds: Length of the clip.
        threshold: Least probability; where no frame reaches it, the frames of the highest one count.
    """
    active = (strong_T >= min(threshold, float(strong_T.max()))).int()
    edges = torch.diff(active, prepend=active.new_zeros(1), append=active.new_zeros(1))
    onsets, offsets = (edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist()
    step = seconds / len(strong_T)
    return tuple((onset * step, offset * step) for onset, offset in zip(onsets, offsets, strict=True))


def _by_sets(outputs: Sequence[SedOutput], threshold: float, slots: int) -> Tags:
    weak_BC = _mean([output.weak for output in outputs], "weak probabilities")
    strong = [output.strong for output in outputs if output.strong is not None]
    labels = to_slots(decide(weak_BC, threshold=threshold, most=slots), slots=slots)
    padded = nn.functional.pad(weak_BC, (0, 1))
    strong_BCT = _mean(strong, "strong probabilities") if strong else None
    return Tags(labels, padded.gather(1, labels), strong_BCT, weak_BC.shape[1])


def _by_tracks(outputs: Sequence[Tensor]) -> Tags:
    first, *others = (logits_BKC.softmax(-1) for logits_BKC in outputs)
    mean_BKC = _mean([first, *(_aligned(other, first) for other in others)], "track probabilities")
    silence = mean_BKC.shape[-1] - 1
    best_BK, index_BK = mean_BKC.max(-1)
    order = (index_BK == silence).long().argsort(dim=1, stable=True)
    labels = decide_tracks(mean_BKC)
    return Tags(labels, best_BK.gather(1, order) * (labels != silence), None, silence)


def _aligned(tracks_BKC: Tensor, first_BKC: Tensor) -> Tensor:
    """Reorder the tracks of each item for the greatest agreement with the first model's."""
    if tracks_BKC.shape != first_BKC.shape:
        raise _cannot(f"tracks {tuple(first_BKC.shape[1:])} and {tuple(tracks_BKC.shape[1:])}")
    orders = torch.tensor(list(permutations(range(tracks_BKC.shape[1]))), device=tracks_BKC.device)
    agreement_BP = (tracks_BKC[:, orders] * first_BKC[:, None]).sum(dim=(2, 3))
    best = orders[agreement_BP.argmax(dim=1)]
    return tracks_BKC.gather(1, best[..., None].expand_as(tracks_BKC))


def _mean(values: Sequence[Tensor], what: str) -> Tensor:
    shapes = {tuple(value.shape) for value in values}
    if len(shapes) > 1:
        raise _cannot(f"{what} of shapes {sorted(shapes)}")
    return torch.stack(list(values)).mean(dim=0)


def _cannot(what: str) -> ModelError:
    return ModelError(
        f"cannot average {what}",
        where="ensemble",
        remedy="give first-stage models with the same kind of output",
    )
