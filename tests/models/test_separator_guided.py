"""A separator and the SED model that guides it work, learn and compile as one."""

from __future__ import annotations

import pytest
import torch

from models.errors import ModelError
from models.sed import create_sed
from models.separator import GuidedSeparator, create_separator


def guided(backbone: str = "m2d", *, frozen: bool = False) -> GuidedSeparator:
    sed = create_sed(backbone, size="tiny", sample_rate=32000)
    maps = {"features": sed.backbone.feature_maps, "feature_width": sed.backbone.feature_dim}
    return GuidedSeparator(create_separator("cpjku_iterative-tiny", **maps), sed, frozen=frozen)


def inputs() -> tuple[torch.Tensor, torch.Tensor]:
    mixture = torch.linspace(0, 900, 2 * 4 * 16000).sin().reshape(2, 4, 16000) * 0.1
    return mixture, torch.eye(18)[None, [3, 7]].transpose(0, 1)


def test_a_separator_made_for_another_sed_model_is_refused_with_the_remedy() -> None:
    sed = create_sed("m2d", size="tiny", sample_rate=32000)
    with pytest.raises(ModelError, match=f"features={sed.backbone.feature_maps}, feature_width="):
        GuidedSeparator(create_separator("cpjku_iterative-tiny"), sed)


@pytest.mark.parametrize("backbone", ["m2d", "beats"])
def test_gradients_reach_the_sed_model_through_both_hints(backbone: str) -> None:
    model = guided(backbone).eval()  # in training BEATs leaves out blocks by chance
    model(*inputs()).square().sum().backward()
    reached = {
        key for key, p in model.sed.named_parameters() if p.grad is not None and p.grad.abs().max() > 0
    }
    assert any(key.startswith("head.strong") for key in reached)
    assert any(key.startswith("backbone.blocks.0") for key in reached)
    assert any("patch_embed" in key for key in reached)


def test_a_frozen_sed_model_stays_as_it_is() -> None:
    model = guided(frozen=True).train()
    assert model.separator.training
    assert not model.sed.training
    model(*inputs()).square().sum().backward()
    assert all(p.grad is None for p in model.sed.parameters())
    assert all(not part.requires_grad for part in model.hints(inputs()[0]) if part is not None)
    assert all(p.grad is not None for p in model.separator.parameters())


def test_both_are_one_graph() -> None:
    torch._dynamo.reset()
    model = guided().eval()
    expected = model(*inputs())
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*inputs()), expected, atol=1e-5, rtol=1e-4)
