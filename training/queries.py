"""What is asked of mixtures in one training step: classes that are there, and some that are not.

Every choice is a function of (seed, position of the scene), so that it depends on no batch, rank or worker.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from synth import draws_for

from .task import Batch

_PURPOSE = "training/query"


@dataclass(frozen=True)
class Queries:
    """Q = B * each questions, those of one mixture next to each other.

    Attributes:
        labels: One-hot ``(Q, K)``; all zero in a question that is not asked.
        target: ``(Q, T)``, zero for classes that are not there.
        absent: ``(Q,)`` bool: the class is not in the mixture.
        weight: ``(Q,)``: 0 for a question that is not asked (a scene with too few targets).
    """

    labels: Tensor
    target: Tensor
    absent: Tensor
    weight: Tensor


def draw_queries(batch: Batch, classes: int, *, each: int, negatives: float, seed: int) -> Queries:
    """Draw the questions of a batch.

    Different classes are asked of one mixture; where several of its targets share a class, their sum is wanted:
    a separator that is asked for a class cannot tell them apart.

    Args:
        batch: `position`, `labels` (B, S) and `dry` (B, S, T).
        classes: K.
        each: Questions per mixture.
        negatives: Probability that a question is for an absent class instead.
        seed: Of the run.
    """
    positions, slots = batch["position"].tolist(), batch["labels"].tolist()
    wanted = [
        _choose([label for label in row if label < classes], classes, each, negatives, seed, position)
        for position, row in zip(positions, slots, strict=True)
    ]
    device = batch["dry"].device
    class_BE = torch.tensor(wanted, dtype=torch.long, device=device)
    asked_BE = class_BE >= 0
    match_BES = (batch["labels"][:, None] == class_BE[..., None]).to(batch["dry"].dtype)
    target_BET = match_BES @ batch["dry"]
    onehot_BEK = F.one_hot(class_BE.clamp(min=0), classes) * asked_BE[..., None]
    absent_BE = asked_BE & (match_BES.sum(-1) == 0)
    return Queries(
        labels=onehot_BEK.float().flatten(0, 1),
        target=target_BET.flatten(0, 1),
        absent=absent_BE.flatten(),
        weight=asked_BE.float().flatten(),
    )


def _choose(
    labels: list[int], classes: int, each: int, negatives: float, seed: int, position: int
) -> list[int]:
    """Return the classes asked of one scene; -1 is no question."""
    draws = draws_for(seed, position, _PURPOSE)
    present = sorted(set(labels))
    missing = [k for k in range(classes) if k not in present]
    draws.shuffle(present)
    draws.shuffle(missing)
    chosen = []
    for _ in range(each):
        negative = negatives > 0 and draws.uniform(0, 1) < negatives
        pool = missing if negative else present
        chosen.append(pool.pop() if pool else -1)
    return chosen
