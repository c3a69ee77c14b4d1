"""Recipe: how scenes are drawn. Ranges, sets and rules, validated."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from ..errors import SynthError
from ..units import SCENE_RATE, Decibels, Degrees, Hertz, Seconds
from .bounded import load_yaml
from .effect_sections import NO_EFFECTS, EffectsSection
from .overrides import apply_overrides, substituted
from .presets import list_recipes as list_recipes
from .presets import recipe_source
from .ranges import CLASSES, COUNTS, LEVELS, MAX_EVENTS, SETS, Counts, Levels, Names, Section
from .recipe_errors import recipe_problems
from .spec import Finite, Support

MAX_RECIPE_BYTES = 1 << 18


class SceneSection(Section):
    """What holds for the scene as a whole."""

    duration: Seconds = Field(10.0, ge=0.1, le=600, description="seconds, 0.1 to 600")
    sample_rate: Hertz = Field(SCENE_RATE, ge=8_000, le=192_000, description="Hz, 8000 to 192000")
    ref_db: Decibels = Field(ge=-120, le=0, description="dB re full scale, -120 to 0")
    max_overlap: int = Field(3, ge=1, le=MAX_EVENTS, description=f"1 to {MAX_EVENTS}")
    max_event_duration: Seconds = Field(10.0, ge=0.01, le=600, description="seconds, 0.01 to 600")


class SameClassSection(Section):
    """When two and more targets of one scene share a class, and how far apart they are."""

    rate: float = Field(0.0, ge=0, le=1, description="0 to 1")
    max_duplicates: int = Field(2, ge=1, le=MAX_EVENTS - 1, description=f"1 to {MAX_EVENTS - 1}")
    min_angle: Degrees = Field(60.0, ge=0, lt=180, description="degrees, 0 to below 180")
    exclusion_depth: int = Field(1, ge=0, le=16, description="0 to 16 folders")


class TargetsSection(Section):
    """The events that a system has to find."""

    count: Counts = Field((1, 3), description=COUNTS)
    snr_db: Levels = Field((5.0, 20.0), description=LEVELS)
    classes: Names = Field(None, description=CLASSES)
    same_class: SameClassSection = SameClassSection()


class InterferenceSection(Section):
    """The events that a system has to ignore."""

    count: Counts = Field((1, 2), description=COUNTS)
    snr_db: Levels = Field((0.0, 15.0), description=LEVELS)
    classes: Names = Field(None, description=CLASSES)
    sets: Names = Field(None, description=SETS)


class NoiseSection(Section):
    """The background."""

    snr_db: Decibels = Field(0.0, ge=-100, le=100, description="dB, -100 to 100")
    sets: Names = Field(None, description=SETS)
    start: Literal["seconds", "samples"] = Field("seconds", description="seconds or samples")


class TrimSection(Section):
    """How RIRs are shortened before use."""

    seconds: Annotated[Finite, Field(gt=0, le=60)] | None = Field(None, description="up to 60 s, or null")
    at_noise_floor: bool = Field(False, description="true or false")


class RirsSection(Section):
    """The places."""

    sets: Names = Field(None, description=SETS)
    trim: TrimSection = TrimSection()


class EventsSection(Section):
    """Which target recordings may be used."""

    sets: Names = Field(None, description=SETS)


class DrySection(Section):
    """The window of the RIR that makes the dry target."""

    channel: int = Field(0, ge=0, le=63, description="0 to 63")
    before_ms: float = Field(6.0, ge=0, le=1000, description="milliseconds, 0 to 1000")
    after_ms: float = Field(50.0, gt=0, le=1000, description="milliseconds, above 0 to 1000")


class LabelsSection(Section):
    """What strong labels enclose."""

    support: Support = Field("event", description="event, active or tail")
    active_db: Decibels = Field(30.0, gt=0, le=200, description="dB, above 0 to 200")
    frame: Seconds = Field(0.04, ge=0.001, le=1, description="seconds, 0.001 to 1")


class Recipe(Section):
    """How scenes are drawn; see the presets for a comment on every number.

    `rules` is what the planned scenes say of themselves: which year's window and peak rule the
    renderer applies.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="a-z, 0-9, - and _, at most 64")
    title: str = Field("", max_length=200, description="one line, at most 200 characters")
    synthetic: bool = Field(False, description="true or false")
    rules: Literal["s5kit2025", "s5kit2026"] = Field(description="s5kit2025 or s5kit2026")
    split: Literal["train", "valid", "test", "train-valid"] = Field(
        "train", description="train, valid or test; train-valid for both"
    )
    scene: SceneSection
    targets: TargetsSection = TargetsSection()
    interference: InterferenceSection = InterferenceSection()
    noise: NoiseSection = NoiseSection()
    rirs: RirsSection = RirsSection()
    events: EventsSection = EventsSection()
    dry: DrySection = DrySection()
    labels: LabelsSection = LabelsSection()
    effects: EffectsSection = NO_EFFECTS

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A recipe without effects has the content, and so the hash, that it had before there were any.
        fields: dict[str, Any] = handler(self)
        if self.effects == NO_EFFECTS:
            fields.pop("effects", None)
        return fields

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of the catalog that scenes are drawn from, their sounds and places pooled."""
        return tuple(self.split.split("-"))

    @cached_property
    def recipe_hash(self) -> str:
        """SHA-256 (hex) of the content; comments, key order and `5` for `5.0` do not matter."""
        content = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a preset or a recipe file.

    Args:
        name_or_path: One of `list_recipes()`, or a YAML file.
        overrides: `key.path=value` as given to `--set`; values are YAML.

    Raises:
        SynthError: There is no such recipe, or a key or value in it is wrong; the error names
            every faulty key, what is allowed and, for an unknown key, the nearest valid one.
    """
    text, where = recipe_source(name_or_path, MAX_RECIPE_BYTES)
    content = load_yaml(text, where=where, limit=MAX_RECIPE_BYTES)
    if not isinstance(content, dict):
        raise SynthError(
            "is not a mapping of keys", where=where, remedy="start from `s5kit recipes show demo`"
        )
    try:
        return Recipe.model_validate(apply_overrides(content, overrides))
    except ValidationError as error:
        raise recipe_problems(error, Recipe, where) from error


def recipe_text(name_or_path: str | Path, overrides: Sequence[str] = ()) -> str:
    """Return a recipe as YAML with its comments, with the overrides in place.

    Raises:
        SynthError: As `load_recipe`.
    """
    load_recipe(name_or_path, overrides)
    text, _ = recipe_source(name_or_path, MAX_RECIPE_BYTES)
    return substituted(text, overrides)
