"""What a saved net is called and how it is built again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ..backbones import Backbone, create_backbone
from ..errors import ModelError
from ..sed import SedModel, create_sed
from ..separator import GuidedSeparator, Separator, SeparatorConfig
from ..system import S5System
from ..taggers import Tagger, create_tagger


def describe(model: nn.Module) -> tuple[str, dict[str, Any]]:
    """Return a net's family and the settings that build it again (JSON values).

    Raises:
        ModelError: A net that no function of ours made.
    """
    if isinstance(model, Separator):
        return "separator", model.config.to_json()
    if isinstance(model, GuidedSeparator):
        parts = {"separator": describe(model.separator)[1], "sed": describe(model.sed)[1]}
        return "guided_separator", {**parts, "frozen": model.frozen}
    if isinstance(model, S5System):
        stages = {"taggers": model.taggers, "separators": model.separators}
        listed = {
            name: [dict(zip(("family", "config"), describe(net), strict=True)) for net in stage]
            for name, stage in stages.items()
        }
        return "system", {**listed, **model.settings()}
    for kind, family in ((SedModel, "sed"), (Tagger, "tagger"), (Backbone, "backbone")):
        config = getattr(model, "config", None)
        if isinstance(model, kind) and isinstance(config, Mapping) and config:
            return family, dict(config)
    raise ModelError(
        f"a {type(model).__name__} cannot be described",
        where="model",
        remedy="make it with create_sed, create_tagger, create_backbone or create_separator",
    )


def build(family: str, config: Mapping[str, Any]) -> nn.Module:
    """Build a net with initial weights from its description.

    Raises:
        ModelError: An unknown family, or settings that do not fit.
    """
    if family not in _BUILDERS:
        raise ModelError(
            f"unknown family {family!r}", where="family", remedy=f"one of {', '.join(_BUILDERS)}"
        )
    try:
        return _BUILDERS[family](**config)
    except (TypeError, KeyError) as error:
        raise ModelError(
            f"settings that do not fit: {error}",
            where=family,
            remedy="save the model again with this version",
        ) from error


def _backbone(**config: Any) -> Backbone:
    net = create_backbone(**config)
    net.config = dict(config)
    return net


def _separator(**config: Any) -> Separator:
    return Separator(SeparatorConfig.from_json(config))


def _guided(separator: Mapping[str, Any], sed: Mapping[str, Any], frozen: bool = False) -> GuidedSeparator:
    return GuidedSeparator(_separator(**separator), create_sed(**sed), frozen=frozen)


def _system(
    taggers: list[Mapping[str, Any]], separators: list[Mapping[str, Any]], **settings: Any
) -> S5System:
    stages: list[list[Any]] = [
        [build(part["family"], part["config"]) for part in parts] for parts in (taggers, separators)
    ]
    return S5System(*stages, **settings)


_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "backbone": _backbone,
    "sed": create_sed,
    "tagger": create_tagger,
    "separator": _separator,
    "guided_separator": _guided,
    "system": _system,
}
