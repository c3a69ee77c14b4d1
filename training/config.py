"""The configuration of a training run: validated YAML, `base:` files, `key.path=value` on top."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from synth import SynthError, apply_overrides, recipe_problems

from .presets import read_layers, resolve
from .sections import (
    AugmentSection,
    CheckpointSection,
    DataSection,
    LoopSection,
    Place,
    ScheduleSection,
    Section,
    SedLossSection,
    SedModelSection,
    SedOptimSection,
    SeparatorLossSection,
    SeparatorModelSection,
    SeparatorOptimSection,
    ValidationSection,
    Words,
)

_CHANGES = ("data.set.", "validation.set.")
_REMEDY = "correct the configuration or the KEY=VALUE arguments"


class TrainConfig(Section):
    """What every training run has; `SedConfig` and `SeparatorConfig` add their model, loss and rates."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="a-z, 0-9, - and _, at most 64")
    title: str = Field("", max_length=200, description="one line, at most 200 characters")
    task: Literal["tagger", "sed", "separator"] = Field(description="tagger, sed or separator")
    out: Place = Field(description="the folder of the run; not given: runs/NAME")
    data: DataSection = DataSection()
    schedule: ScheduleSection = ScheduleSection()
    loop: LoopSection = LoopSection()
    validation: ValidationSection = ValidationSection()
    checkpoint: CheckpointSection = CheckpointSection()
    trackers: Words = Field(("tensorboard",), description="a list of tensorboard, wandb, mlflow; or []")

    def to_yaml(self) -> str:
        """Return every key with its value; reading it back gives the same configuration."""
        text: str = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        return text

    @cached_property
    def config_hash(self) -> str:
        """SHA-256 (hex) of the content."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()


class SedConfig(TrainConfig):
    """A run of the first stage: an SED model or a tagger."""

    task: Literal["tagger", "sed"] = Field(description="tagger or sed")
    model: SedModelSection = SedModelSection()
    loss: SedLossSection = SedLossSection()
    augment: AugmentSection = AugmentSection()
    optim: SedOptimSection = SedOptimSection()


class SeparatorConfig(TrainConfig):
    """A run of the second stage."""

    task: Literal["separator"] = Field(description="separator")
    model: SeparatorModelSection = SeparatorModelSection()
    loss: SeparatorLossSection = SeparatorLossSection()
    optim: SeparatorOptimSection = SeparatorOptimSection()


Config = SedConfig | SeparatorConfig
_KINDS: dict[Any, type[SedConfig] | type[SeparatorConfig]] = {
    "tagger": SedConfig,
    "sed": SedConfig,
    "separator": SeparatorConfig,
}


def load_config(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a preset or a configuration file.

    Args:
        name_or_path: One of `presets.list_presets()` (with `-tiny` its small form), or a YAML file.
        overrides: `key.path=value`; values are YAML. `data.set.KEY=VALUE` changes the recipe of the scenes.

    Raises:
        SynthError: There is no such preset or file, or a key or value in it is wrong; the error names every
            faulty key, what is allowed and, for an unknown key, the nearest valid one.
    """
    return parse_config(resolve(read_layers(name_or_path)), overrides, where=str(name_or_path))


def parse_config(content: dict[str, Any], overrides: Sequence[str] = (), *, where: str) -> Config:
    """Validate a configuration's content with overrides set.

    Raises:
        SynthError: As `load_config`.
    """
    for override in overrides:
        if "=" not in override:
            raise SynthError(
                f"{override!r} is not KEY=VALUE", where=where, remedy="write for example loop.steps=1000"
            )
    content = _with_overrides(content, overrides)
    kind = _KINDS.get(content.get("task") if isinstance(content.get("task"), str) else None)
    if kind is None:
        raise SynthError(
            f"task {content.get('task')!r} is not one of {', '.join(_KINDS)}",
            where=f"{where}: task",
            remedy="say what is trained, or start from a preset (`s5kit train list`)",
        )
    if content.get("out") is None and isinstance(content.get("name"), str):
        content["out"] = f"runs/{content['name']}"
    try:
        config = kind.model_validate(content)
    except ValidationError as error:
        raise recipe_problems(error, kind, where, remedy=_REMEDY) from error
    _check_together(config, where)
    return config


def _with_overrides(content: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Set overrides; `data.set.KEY=VALUE` adds a change to the recipe, which needs no quotes in a shell."""
    own = [text for text in overrides if not text.startswith(_CHANGES)]
    content = apply_overrides(content, own)
    for text in overrides:
        if text.startswith(_CHANGES):
            section, _, change = text.split(".", 2)
            place = content.setdefault(section, {})
            changes = place.get("set") if isinstance(place, dict) else None
            if isinstance(place, dict) and isinstance(changes, list | None):
                place["set"] = [*(changes or []), change]
    return content


def _check_together(config: Config, where: str) -> None:
    """Refuse keys that contradict each other.

    Raises:
        SynthError: Naming both.
    """
    loop, schedule = config.loop, config.schedule
    if loop.batch_size % loop.accumulate:
        raise SynthError(
            f"{loop.batch_size} scenes cannot be taken in {loop.accumulate} equal parts",
            where=f"{where}: loop.accumulate",
            remedy="give a divisor of loop.batch_size",
        )
    if schedule.kind == "cosine" and schedule.warmup_steps >= loop.steps:
        raise SynthError(
            f"the warm-up of {schedule.warmup_steps} steps fills all {loop.steps} steps",
            where=f"{where}: schedule.warmup_steps",
            remedy="shorten it or raise loop.steps",
        )
    if isinstance(config, SeparatorConfig):
        kind, _, figure = config.validation.metric.removeprefix("raw/").partition("/")
        if figure and kind not in config.validation.labels:
            raise SynthError(
                f"{config.validation.metric!r} is not measured with validation.labels="
                f"[{', '.join(config.validation.labels)}]",
                where=f"{where}: validation.metric",
                remedy="choose a figure of these labels, such as "
                f"{config.validation.labels[0]}/ca_sdri, or add to them",
            )
