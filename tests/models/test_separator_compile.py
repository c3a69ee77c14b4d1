"""Compiled training steps: one graph, no breaks, the same numbers."""

from __future__ import annotations

import copy

import pytest
import torch

from models.separator import create_separator
from models.separator.gru import BiGru, gru_layer
from tests.models.separating import small_hints, small_labels, small_mixture


@pytest.fixture(autouse=True)
def _fresh_compiler() -> None:
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("name", "overrides"),
    [("baseline_resunetk", {}), ("cpjku_iterative", {"checkpointed": 2})],
)
def test_a_training_step_is_one_graph(name: str, overrides: dict[str, int]) -> None:
    eager = create_separator(f"{name}-tiny", **overrides).train()
    for module in eager.modules():
        module.dropout = 0.0  # type: ignore[assignment]
    traced = copy.deepcopy(eager)
    config = eager.config
    inputs = small_mixture(config, 2), small_labels(config, 2), small_hints(config, 2)
    expected = eager(*inputs)
    estimate = torch.compile(traced, fullgraph=True, backend="eager")(*inputs)
    torch.testing.assert_close(estimate, expected, atol=1e-5, rtol=1e-4)
    expected.square().sum().backward()
    estimate.square().sum().backward()
    for (key, one), two in zip(eager.named_parameters(), traced.parameters(), strict=True):
        torch.testing.assert_close(two.grad, one.grad, atol=1e-4, rtol=1e-3, msg=key)
    for (key, one), two in zip(eager.named_buffers(), traced.named_buffers(), strict=True):
        torch.testing.assert_close(two[1], one, msg=key)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_the_recurrence_equals_torchs_own(backend: str) -> None:
    ours = BiGru(12, 8, layers=2, dropout=0.0)
    theirs = torch.nn.GRU(12, 8, 2, batch_first=True, bidirectional=True)
    theirs.load_state_dict(ours.state_dict())
    x = torch.linspace(-1, 1, 3 * 7 * 12).sin().reshape(3, 7, 12).requires_grad_()
    expected = theirs(x)[0]
    for run in (ours, torch.compile(ours, fullgraph=True, backend=backend)):
        out = run(x)
        torch.testing.assert_close(out, expected)
        gradients = torch.autograd.grad(out.square().sum(), [x, *ours.parameters()])
        wanted = torch.autograd.grad(expected.square().sum(), [x, *theirs.parameters()], retain_graph=True)
        for got, want in zip(gradients, wanted, strict=True):
            torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-5)


def test_the_recurrences_operator_keeps_torchs_contract() -> None:
    layer = BiGru(6, 4, layers=1, dropout=0.0)
    arguments = (torch.randn(2, 5, 6, requires_grad=True), list(layer.parameters()))
    torch.library.opcheck(gru_layer, arguments)


def test_dropout_acts_in_compiled_training_only() -> None:
    net = BiGru(6, 4, layers=2, dropout=0.5)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    x = torch.randn(2, 5, 6)
    with torch.no_grad():
        net.train()
        assert not torch.equal(compiled(x), compiled(x))
        net.eval()
        torch.testing.assert_close(compiled(x), net(x))
