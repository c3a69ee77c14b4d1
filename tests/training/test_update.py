"""fp16 without a GPU: Accelerate refuses it on a CPU, torch's GradScaler does not, so the scaler is real here."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.update import Outcome, Updater


class ScaledAccelerator:
    """What the loop uses of Accelerate, for one process with a loss scaler."""

    process_index, num_processes, device = 0, 1, torch.device("cpu")

    def __init__(self, optimizer: torch.optim.Optimizer, scale: float) -> None:
        self.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=1000)
        self.optimizer = optimizer
        self.param_groups = optimizer.param_groups

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def unscale_gradients(self) -> None:
        self.scaler.unscale_(self.optimizer)

    def clip_grad_norm_(self, parameters: Any, clip: float) -> Tensor:
        self.unscale_gradients()
        return nn.utils.clip_grad_norm_(parameters, clip)

    def no_sync(self, _: nn.Module) -> Any:
        return nullcontext()

    def step(self) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def zero_grad(self, set_to_none: bool) -> None:
        self.optimizer.zero_grad(set_to_none=set_to_none)


class Scaled(nn.Module):
    """The loss is the weight times what the batch holds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch: dict[str, Tensor], step: int, draws: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return self.weight * batch["x"], {}


def steps(
    *values: float, scale: float = 1024.0, clip: float | None = 1.0
) -> tuple[list[Outcome], list[float], float]:
    """Return outcomes, the weight after every step, and the scale in the end."""
    net = Scaled()
    accelerator = ScaledAccelerator(torch.optim.SGD(net.parameters(), lr=1.0), scale)
    updater = Updater(
        accelerator,  # type: ignore[arg-type]
        net,
        accelerator,
        seed=0,
        accumulate=1,
        clip=clip,
        protect=True,
    )
    outcomes, weights = [], []
    for number, value in enumerate(values):
        batch = {"x": torch.tensor(value), "position": torch.tensor([number])}
        outcomes.append(updater.step(number, lambda batch=batch: batch, lambda: False))  # type: ignore[misc]
        weights.append(float(net.weight.detach()))
    return outcomes, weights, accelerator.scaler.get_scale()


@pytest.mark.parametrize("clip", [None, 1.0])
def test_an_overflow_lowers_the_scale_and_is_no_fault(clip: float | None) -> None:
    """1e36 x 1024 is beyond float32: the step is left out and the run goes on, as fp16 training must."""
    outcomes, weights, scale = steps(0.5, 1e36, 0.5, clip=clip)
    assert [outcome.fault for outcome in outcomes] == [None, None, None]
    assert [outcome.updated for outcome in outcomes] == [True, False, True]
    assert weights == [0.5, 0.5, 0.0]
    assert scale == 512


def test_an_overflow_without_a_scale_to_lower_is_a_fault() -> None:
    outcomes, weights, _ = steps(0.5, float("inf"), scale=1.0)
    assert outcomes[1].fault == "loss and gradient"
    outcomes, weights, _ = steps(0.5, 3e38, scale=2.0)
    assert [outcome.fault for outcome in outcomes] == [None, None]
    assert weights == [0.5, 0.5]


def test_a_loss_that_is_not_finite_is_a_fault_and_the_next_step_works() -> None:
    outcomes, weights, scale = steps(0.5, float("nan"), 0.5)
    assert [outcome.fault for outcome in outcomes] == [None, "loss and gradient", None]
    assert weights == [0.5, 0.5, 0.0]
    assert scale == 512
