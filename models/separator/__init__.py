"""Label-queried source separation: one ResUNet with switches, the published separators as presets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from ..weights import load_weights
from .conditioning import Hints
from .guided import GuidedSeparator
from .presets import SEPARATORS, SeparatorConfig, preset
from .refinement import draw_iterations
from .separator import Separator

__all__ = [
    "SEPARATORS",
    "GuidedSeparator",
    "Hints",
    "Separator",
    "SeparatorConfig",
    "create_separator",
    "draw_iterations",
    "preset",
    "separator_settings",
]


def separator_settings(name: str, **overrides: object) -> SeparatorConfig:
    """Return a published separator's settings, with some of them replaced; arguments as for `create_separator`."""
    return preset(name, **overrides)


def create_separator(
    name: str = "cpjku_iterative",
    *,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    **overrides: object,
) -> Separator:
    """Build a separator.

    Args:
        name: One of `SEPARATORS`, or with the suffix ``-tiny`` its small form.
        weights: Our safetensors file or state dictionary to start from; None for initial weights.
        overrides: Settings of `SeparatorConfig` that differ from the preset's.

    Raises:
        ModelError: An unknown preset or setting, a value out of range, weights that do not fit.
    """
    model = Separator(preset(name, **overrides))
    if weights is not None:
        load_weights(model, weights)
    return model
