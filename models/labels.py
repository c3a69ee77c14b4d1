"""From probabilities to labels: the task's decision rules.

A clip's labels are ``(batch, slots)`` class indices, sorted, then filled up with the index of silence,
which is the number of classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

MAX_SOURCES = 3


def decide(weak_BC: Tensor, *, threshold: float = 0.5, most: int = MAX_SOURCES) -> Tensor:
    """Return which classes sound, as the task's rule says.

    Classes at or above the threshold, at most the `most` best of them; if there is none, the best one.

    Args:
        weak_BC: Probabilities ``(batch, classes)``.
        threshold: Least probability.
        most: Greatest number of classes.

    Returns:
        Booleans ``(batch, classes)``, at least one true in each row.
    """
    best = weak_BC.topk(min(most, weak_BC.shape[1]), dim=1)
    keep = best.values >= threshold
    keep[:, 0] = True
    return torch.zeros_like(weak_BC, dtype=torch.bool).scatter(1, best.indices, keep)


def to_slots(multihot_BC: Tensor, *, slots: int = MAX_SOURCES) -> Tensor:
    """Return class indices ``(batch, slots)`` of boolean ``(batch, classes)``; silence is `classes`.

    More than `slots` true classes in a row: the first ones stay.
    """
    classes = multihot_BC.shape[1]
    index = torch.arange(classes, device=multihot_BC.device)
    ranked = torch.where(multihot_BC.bool(), index, classes).sort(1).values
    filler = ranked.new_full((len(ranked), max(0, slots - classes)), classes)
    return torch.cat([ranked[:, :slots], filler], 1)


def decide_tracks(scores_BKC: Tensor) -> Tensor:
    """Return the best class of each track ``(batch, tracks)``, silent tracks (the last class) moved last.

    The other tracks keep their order; a class may occur twice.

    Args:
        scores_BKC: Logits or probabilities ``(batch, tracks, classes)``.
    """
    best = scores_BKC.argmax(-1)
    silent = (best == scores_BKC.shape[-1] - 1).long()
    return best.gather(1, silent.argsort(dim=1, stable=True))
