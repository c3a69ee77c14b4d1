"""A loss that is not the published one trains another system than the one reported."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models import SedOutput
from synth import SynthError
from tests.models.filling import noise
from training.losses import class_aware_pit_loss, masked_snr_loss, neg_snr, query_loss, sed_loss, track_loss

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "training" / "losses.json").read_text())
SILENCE = 18


def signal(name: str) -> Tensor:
    return torch.from_numpy(np.concatenate(list(noise(f"metric/{name}", 3200))).astype(np.float32))


A, B, C, E, F, G = (signal(x) for x in "abcefg")
Z = torch.zeros_like(A)
E1, E2, E3 = A + 0.2 * E, B + 0.5 * F, C + 0.8 * G


@pytest.mark.parametrize(
    ("name", "estimate", "target"),
    [("snr_e1_a", E1, A), ("snr_zero_a", Z, A), ("snr_perfect", A, A), ("snr_zero_target", E1, Z)],
)
def test_snr_is_the_official_one(name: str, estimate: Tensor, target: Tensor) -> None:
    assert float(-neg_snr(estimate, target)) == pytest.approx(GOLDEN[name], abs=2e-5)


def test_masked_snr_is_the_baselines() -> None:
    """Silent slots count 0 in the mean over all slots."""
    estimate, target = torch.stack([E1, E2, Z])[None], torch.stack([A, B, Z])[None]
    loss = masked_snr_loss(estimate, target, torch.tensor([[True, True, False]]))
    assert float(loss) == pytest.approx(GOLDEN["loss_snr_masked_one_silent"], abs=1e-5)
    both = neg_snr(torch.stack([E1, E2]), torch.stack([A, B])).mean()
    assert float(both) == pytest.approx(GOLDEN["loss_snr_two_sources"], abs=1e-5)


def test_class_aware_pit_is_the_2026_baselines() -> None:
    estimate = torch.stack([torch.stack([E2, E1, Z]), torch.stack([E1, E2, E3])])
    target = torch.stack([torch.stack([A, B, Z]), torch.stack([A, B, C])])
    labels = torch.tensor([[15, 15, SILENCE], [15, 5, 14]])
    loss, order = class_aware_pit_loss(estimate, target, labels, SILENCE)
    assert float(loss) == pytest.approx(GOLDEN["class_aware_pit_loss"], abs=1e-5)
    assert order.tolist() == GOLDEN["class_aware_pit_perm"]
    for n, expected in enumerate(GOLDEN["class_aware_pit_per_item"]):
        one, _ = class_aware_pit_loss(estimate[n : n + 1], target[n : n + 1], labels[n : n + 1], SILENCE)
        assert float(one) == pytest.approx(expected, abs=1e-5)


def test_class_aware_pit_teaches_the_best_order_and_nothing_else() -> None:
    """The gradient is that of the matched pairs; silent slots and other orders leave no trace."""
    estimate = torch.stack([E2, E1, E3])[None].requires_grad_()
    target = torch.stack([A, B, Z])[None]
    class_aware_pit_loss(estimate, target, torch.tensor([[3, 3, SILENCE]]), SILENCE)[0].backward()
    matched = torch.stack([E2, E1])[None].requires_grad_()
    (neg_snr(matched, torch.stack([B, A])[None]).sum() / 3).backward()
    assert estimate.grad is not None
    assert matched.grad is not None
    torch.testing.assert_close(estimate.grad[:, :2], matched.grad, rtol=1e-4, atol=1e-9)
    assert float(estimate.grad[:, 2].abs().max()) == 0


def test_track_loss_is_the_2026_taggers() -> None:
    logits = np.concatenate(list(noise("metric/logits", 2 * 3 * 19))).astype(np.float32).reshape(2, 3, 19)
    loss = track_loss(torch.from_numpy(logits), torch.tensor([[15, 2, 18], [18, 18, 3]]))
    assert float(loss) == pytest.approx(GOLDEN["label_loss_pit_ce"], abs=1e-5)


def test_sed_loss_weighs_frames_and_clip() -> None:
    p, t = torch.tensor([[0.9, 0.2, 0.4]]), torch.tensor([[1.0, 0.0, 1.0]])
    output = SedOutput(weak=p, strong=1 - p[..., None].expand(1, 3, 4))
    wrong = -sum(math.log(x) for x in (0.1, 0.2, 0.6)) / 3
    strong = t[..., None].expand(1, 3, 4)
    clip, parts = sed_loss(output, strong, t, strong_weight=0.0)
    assert float(clip) == pytest.approx(GOLDEN["loss_bce"], abs=1e-6)
    assert "strong" not in parts
    both, parts = sed_loss(output, strong, t, strong_weight=0.3)
    assert float(both) == pytest.approx(0.3 * wrong + 0.7 * GOLDEN["loss_bce"], abs=1e-6)
    assert float(parts["strong"]) == pytest.approx(wrong, abs=1e-6)
    frames, parts = sed_loss(output, strong, t, strong_weight=1.0)
    assert float(frames) == pytest.approx(wrong, abs=1e-6)
    assert "weak" not in parts


def test_labels_of_another_length_are_refused_with_the_remedy() -> None:
    """Else 8-second scenes would silently be compared with frames stretched to 10."""
    output = SedOutput(weak=torch.rand(1, 3), strong=torch.rand(1, 3, 250))
    with pytest.raises(SynthError, match="label frame that the model was made for"):
        sed_loss(output, torch.zeros(1, 3, 200), torch.zeros(1, 3), strong_weight=0.5)
    with pytest.raises(SynthError, match="no output per frame"):
        sed_loss(
            SedOutput(weak=torch.rand(1, 3)), torch.zeros(1, 3, 200), torch.zeros(1, 3), strong_weight=0.5
        )


def test_a_silent_target_is_judged_by_what_is_left_of_the_mixture() -> None:
    """SNR of silence would punish -60 dB as hard as -20 dB, a hundred times harder than a wrong voice."""
    mixture = torch.stack([A + B] * 3)
    estimate = torch.stack([A + B, 0.01 * (A + B), E1])
    absent = torch.tensor([True, True, False])
    target = torch.stack([Z, Z, A])
    each = [
        float(
            query_loss(
                estimate[n : n + 1], target[n : n + 1], mixture[:1], absent[n : n + 1], torch.ones(1), 30.0
            )
        )
        for n in range(3)
    ]
    assert each[0] == pytest.approx(10 * math.log10(1 + 1e-3), abs=1e-4)
    assert each[1] == pytest.approx(10 * math.log10(1e-4 + 1e-3), abs=1e-4)
    assert each[2] == pytest.approx(-GOLDEN["snr_e1_a"], abs=2e-5)
    loss = query_loss(estimate, target, mixture, absent, torch.ones(3), 30.0)
    assert float(loss) == pytest.approx(sum(each) / 3, abs=1e-5)
    part = query_loss(estimate, target, mixture, absent, torch.tensor([0.0, 1.0, 1.0]), 30.0)
    assert float(part) == pytest.approx((each[1] + each[2]) / 2, abs=1e-5)


def test_a_batch_without_any_question_teaches_nothing() -> None:
    estimate = E1[None].clone().requires_grad_()
    loss = query_loss(estimate, Z[None], A[None], torch.tensor([False]), torch.zeros(1), 30.0)
    loss.backward()
    assert float(loss.detach()) == 0
    assert estimate.grad is not None
    assert float(estimate.grad.abs().max()) == 0


def test_losses_stay_float32_under_autocast() -> None:
    """bfloat16 has 8 bits: a loss in it could not see an improvement of 1 %."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        snr = masked_snr_loss(E1[None, None], A[None, None], torch.ones(1, 1))
        pit, _ = class_aware_pit_loss(E1[None, None], A[None, None], torch.tensor([[3]]), SILENCE)
        tracks = track_loss(torch.eye(19)[None, :3].bfloat16(), torch.tensor([[0, 1, 2]]))
        asked = query_loss(E1[None], A[None], A[None], torch.tensor([False]), torch.ones(1), 30.0)
        p = torch.tensor([[0.9, 0.2, 0.4]])
        sed, _ = sed_loss(
            SedOutput(weak=p), torch.zeros(1, 3, 1), torch.tensor([[1.0, 0, 1.0]]), strong_weight=0
        )
    assert {x.dtype for x in (snr, pit, tracks, asked, sed)} == {torch.float32}
    assert float(snr) == float(asked) == pytest.approx(-GOLDEN["snr_e1_a"], abs=2e-5)
    assert float(pit) == pytest.approx(-GOLDEN["snr_e1_a"], abs=2e-5)
    assert float(sed) == pytest.approx(GOLDEN["loss_bce"], abs=1e-6)
