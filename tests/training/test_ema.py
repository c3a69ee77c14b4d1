"""Averaged weights are what is published: a wrong average is a worse model that nobody notices."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from training.ema import Ema


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_the_average_is_that_of_the_formula() -> None:
    """a ← d a + (1 - d) w with d = min(decay, (1 + n) / (10 + n)), in float64."""
    model, decay = net(), 0.3
    ema = Ema(model, decay)
    expected = model[0].weight.detach().double().numpy()  # type: ignore[union-attr]
    for n in range(12):
        with torch.no_grad():
            model[0].weight.add_(0.1 * (n + 1))  # type: ignore[operator]
        ema.update(n)
        d = min(decay, (1 + n) / (10 + n))
        expected = d * expected + (1 - d) * model[0].weight.detach().double().numpy()  # type: ignore[union-attr]
    with ema.applied():
        np.testing.assert_allclose(model[0].weight.detach().numpy(), expected, rtol=1e-6)  # type: ignore[union-attr]


def test_the_net_is_as_before_to_the_bit() -> None:
    model = net()
    ema = Ema(model, 0.9)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.7)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with ema.applied():
        assert not torch.equal(model[0].weight, before["0.weight"])  # type: ignore[arg-type]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_what_is_loaded_into_the_applied_average_stays_there() -> None:
    """How a resumed run gets its average back."""
    model = net()
    ema = Ema(model, 0.9)
    wanted = {name: torch.full_like(tensor, 3) for name, tensor in model.state_dict().items()}
    with ema.applied():
        model.load_state_dict(wanted)
    assert not torch.equal(model[0].weight, wanted["0.weight"])  # type: ignore[arg-type]
    with ema.applied():
        assert torch.equal(model[0].weight, wanted["0.weight"])  # type: ignore[arg-type]
        assert torch.equal(model[1].running_mean, wanted["1.running_mean"])  # type: ignore[arg-type]


def test_frozen_weights_take_no_memory() -> None:
    model = net()
    model[0].requires_grad_(False)
    held = Ema(model, 0.9)._average
    assert sorted(tuple(tensor.shape) for tensor in held) == [(2,), (2,), (2,), (2,)]
