"""What a net is told of its error. Everything is computed in float32 or better, autocast or not."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from models import SedOutput
from synth import SynthError

_EPSILON = 1.1920929e-7  # float32 eps, as the official scorers add it


def sed_loss(
    output: SedOutput, strong_BKF: Tensor, weak_BK: Tensor, *, strong_weight: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return ``w BCE(strong) + (1 - w) BCE(weak)`` on probabilities, and both parts.

    The paper's lambda weighs the strong loss and is `strong_weight`; the published code's `weak_loss_weight`
    is 1 - lambda. A part of no weight is not computed.

    Args:
        output: A first-stage model's verdict.
        strong_BKF: Targets per frame.
        weak_BK: Targets of the clip.
        strong_weight: 0 (tagging) to 1.

    Raises:
        SynthError: The model has no strong output, or another number of frames, and they weigh.
    """
    parts: dict[str, Tensor] = {}
    if strong_weight > 0:
        parts["strong"] = _bce(_strong_of(output, strong_BKF), strong_BKF)
    if strong_weight < 1:
        parts["weak"] = _bce(output.weak, weak_BK)
    weights = {"strong": strong_weight, "weak": 1 - strong_weight}
    return sum_of([weights[name] * part for name, part in parts.items()]), parts


def track_loss(logits_BKC: Tensor, labels_BK: Tensor) -> Tensor:
    """Return the permutation-invariant cross-entropy of tracks: the best assignment's mean over tracks.

    Args:
        logits_BKC: One set of logits per track; the last class is silence.
        labels_BK: As many labels, in any order.
    """
    log_BKC = logits_BKC.float().log_softmax(-1)
    tracks = logits_BKC.shape[1]
    cost_BKK = -log_BKC.gather(2, labels_BK[:, None].expand(-1, tracks, -1))  # (track, label)
    return _best_order(cost_BKK)[0].mean()


def neg_snr(estimate: Tensor, target: Tensor) -> Tensor:
    """Return minus the SNR in dB of every signal: ``(..., samples)`` to ``(...)``."""
    estimate, target = estimate.float(), target.float()
    signal = target.square().sum(-1) + _EPSILON
    error = (target - estimate).square().sum(-1) + _EPSILON
    return 10 * (error.log10() - signal.log10())


def query_loss(
    estimate_QL: Tensor,
    target_QL: Tensor,
    mixture_QL: Tensor,
    absent_Q: Tensor,
    weight_Q: Tensor,
    floor_db: float,
) -> Tensor:
    """Return the mean over queries of minus SNR, and of what is left where the target is silent.

    The mean is that of the queries given: where some weigh 0, parts of a step's batch (`loop.accumulate`, ranks)
    count alike though they hold different numbers of questions.

    The SNR of a silent target is no measure (its target's energy is the epsilon). There the loss is the energy
    of the estimate in dB below the mixture, bent off at `floor_db`:
    ``10 log10(|estimate|^2 / |mixture|^2 + 10^(-floor/10))`` (Wisdom et al., "What's all the fuss about free
    universal sound separation data?", ICASSP 2021, eq. 2, relative to the mixture).

    Args:
        estimate_QL: One estimate per query.
        target_QL: Its target.
        mixture_QL: The mixture that it was asked of, one channel.
        absent_Q: True where the class asked for is not in the mixture.
        weight_Q: 0 takes a query out of the mean.
        floor_db: How far below the mixture silence is silent enough.
    """
    with torch.autocast(estimate_QL.device.type, enabled=False):
        present_Q = neg_snr(estimate_QL, target_QL)
        left_Q = estimate_QL.float().square().sum(-1) / (mixture_QL.float().square().sum(-1) + _EPSILON)
        silent_Q = 10 * (left_Q + 10 ** (-floor_db / 10)).log10()
        loss_Q = torch.where(absent_Q, silent_Q, present_Q)
        return (loss_Q * weight_Q).sum() / weight_Q.sum().clamp(min=1.0)


def masked_snr_loss(estimate_BSL: Tensor, target_BSL: Tensor, active_BS: Tensor) -> Tensor:
    """Return minus the SNR averaged over all slots; a slot that is not active counts 0 (ResUNetK, 2025)."""
    with torch.autocast(estimate_BSL.device.type, enabled=False):
        return (neg_snr(estimate_BSL, target_BSL) * active_BS).mean()


def class_aware_pit_loss(
    estimate_BSL: Tensor, target_BSL: Tensor, labels_BS: Tensor, silence: int
) -> tuple[Tensor, Tensor]:
    """Return the class-aware permutation-invariant minus SNR (2026), and the best order per item ``(B, S)``.

    Estimate j may answer target i only where their labels are equal; silent slots stay where they are and cost 0.
    An order costs the mean over the slots; the batch's mean is taken in float64.

    Args:
        estimate_BSL: Estimate j answers label j.
        target_BSL: The targets.
        labels_BS: Labels of both.
        silence: The label of an empty slot.
    """
    with torch.autocast(estimate_BSL.device.type, enabled=False):
        slots = estimate_BSL.shape[1]
        pair_BSS = neg_snr(estimate_BSL[:, None], target_BSL[:, :, None])  # (target i, estimate j)
        silent_BS = labels_BS == silence
        same_BSS = (labels_BS[:, :, None] == labels_BS[:, None]) & ~silent_BS[:, :, None]
        diagonal = torch.eye(slots, dtype=torch.bool, device=labels_BS.device)
        stays_BSS = silent_BS[:, :, None] & diagonal
        cost_BSS = torch.where(same_BSS, pair_BSS.double(), torch.inf)
        cost_BSS = torch.where(stays_BSS, 0.0, cost_BSS)
        best_B, order_BS = _best_order(cost_BSS)
        return best_B.mean().float(), order_BS


def sum_of(parts: list[Tensor]) -> Tensor:
    """Return the sum of scalars, at least one."""
    return torch.stack(parts).sum()


def _best_order(cost_BSS: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least mean cost over assignments of columns to rows ``(B,)``, and that assignment ``(B, S)``."""
    slots = cost_BSS.shape[1]
    orders_PS = torch.tensor(list(permutations(range(slots))), device=cost_BSS.device)
    rows = torch.arange(slots, device=cost_BSS.device)
    costs_BP = cost_BSS[:, rows, orders_PS].mean(-1)
    best = costs_BP.min(1)
    return best.values, orders_PS[best.indices]


def _bce(probability: Tensor, target: Tensor) -> Tensor:
    with torch.autocast(probability.device.type, enabled=False):
        return F.binary_cross_entropy(probability.float(), target.float())


def _strong_of(output: SedOutput, strong_BKF: Tensor) -> Tensor:
    if output.strong is None:
        raise SynthError(
            "the model has no output per frame",
            where="loss.strong_weight",
            remedy="give 0, or a head that has one (model.head=attention)",
        )
    if output.strong.shape != strong_BKF.shape:
        raise SynthError(
            f"the model says {tuple(output.strong.shape[1:])} classes and frames, the labels "
            f"{tuple(strong_BKF.shape[1:])}",
            where="strong labels",
            remedy="train on scenes of the length and label frame that the model was made for",
        )
    return output.strong
