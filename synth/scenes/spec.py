"""SceneSpec: one scene on paper. Plain immutable data; JSON in and out; no audio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from ..errors import Problem, ProblemsError, SynthError
from ..units import SCENE_RATE
from .bounded import load_json
from .effect_specs import EventEffect, SceneEffects, stretch_fault
from .plain import Finite as Finite
from .plain import Plain as _Plain

Rules = Literal["dcase2025", "dcase2026", "s5kit2025", "s5kit2026", "spatialscaper"]
Support = Literal["event", "active", "tail"]


def _one_name(value: str) -> str:
    # Labels become parts of file names and of table rows.
    if not value or value in (".", "..") or "/" in value or not value.isprintable():
        raise ValueError("must be a name of printable characters without '/'")
    return value


def _relative(value: str) -> str:
    if not value or "\0" in value or value.startswith("/") or ".." in value.split("/"):
        raise ValueError("must be a relative path without '..'")
    return value


Label = Annotated[str, AfterValidator(_one_name)]
RelativePath = Annotated[str, AfterValidator(_relative)]
Point = tuple[Finite, Finite, Finite]


class FileTimes(_Plain):
    """Times exactly as an official scene file states them, in seconds.

    Only scenes read from official files carry them: their rules cut files by truncated
    float seconds at the rate of the file, which integer samples cannot express.
    """

    source_time: Finite | None
    event_time: Finite
    event_duration: Finite


class EventSpec(_Plain):
    """One sound from one direction.

    `start`, `duration` and `onset` are samples at the scene rate; `start` counts in the file
    after it was brought to that rate. `position` is the row of the RIR in its place; `xyz`
    is that position in metres (x front, y left, z up). `path` is relative to the data root.

    `effects` change the dry sound, in this order. `cut_before` samples of the sound lie before the
    scene: they are read (from `start` on) and ring into it, but are no part of `duration`.
    """

    label: Label
    path: RelativePath
    start: Annotated[int, Field(ge=0)]
    duration: Annotated[int, Field(gt=0)]
    onset: Annotated[int, Field(ge=0)]
    position: Annotated[int, Field(ge=0)]
    xyz: Point
    snr_db: Finite
    source: str | None = None
    file_times: FileTimes | None = None
    cut_before: Annotated[int, Field(ge=0)] = 0
    effects: tuple[EventEffect, ...] = ()

    @model_validator(mode="after")
    def _effects_fit(self) -> EventSpec:
        if self.cut_before and self.onset:
            raise ValueError(f"cut_before is {self.cut_before}, but the onset is not 0 but {self.onset}")
        if (self.effects or self.cut_before) and self.file_times is not None:
            raise ValueError("an event of an official scene file takes no effects")
        if fault := stretch_fault(self.effects, self.cut_before + self.duration):
            raise ValueError(fault)
        return self

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _dropped(handler(self), cut_before=self.cut_before, effects=self.effects)


class NoiseSpec(_Plain):
    """The background. `start` and `duration` are samples at the scene rate; a noise shorter
    than the scene (`duration` < scene) is repeated as the rules of the scene say."""

    path: RelativePath
    start: Annotated[int, Field(ge=0)]
    duration: Annotated[int, Field(gt=0)]
    snr_db: Finite = 0.0
    file_times: FileTimes | None = None


class DrySpec(_Plain):
    """The dry target: the RIR of `channel` from `before_ms` before its direct peak to
    `after_ms` after it, convolved with the event."""

    channel: Annotated[int, Field(ge=0)] = 0
    before_ms: Annotated[Finite, Field(ge=0)] = 6.0
    after_ms: Annotated[Finite, Field(gt=0)] = 50.0


class LabelSpec(_Plain):
    """Which support strong labels have, and the threshold of the `active` one in dB below the
    level of the dry target."""

    support: Support = "event"
    active_db: Annotated[Finite, Field(gt=0)] = 30.0


class TrimSpec(_Plain):
    """How RIRs are shortened before use: to `seconds`, or where their decay meets the noise
    floor. None and False leave them whole, as the presets do."""

    seconds: Annotated[Finite, Field(gt=0)] | None = None
    at_noise_floor: bool = False


class Origin(_Plain):
    """Where a planned scene comes from: the four arguments of `plan`, by name and hash."""

    recipe: str
    recipe_hash: str
    catalog_hash: str
    split: str
    seed: int
    index: Annotated[int, Field(ge=0)]


class SceneSpec(_Plain):
    """One scene, decided. `render` turns it into sound without drawing anything.

    `place` is the path of the SOFA file, relative to the data root like all paths here.
    """

    version: Literal[1] = 1
    rules: Rules
    sample_rate: Annotated[int, Field(ge=8_000, le=192_000)] = SCENE_RATE
    duration: Annotated[int, Field(gt=0)]
    ref_db: Finite
    place: RelativePath
    targets: tuple[EventSpec, ...]
    interferers: tuple[EventSpec, ...] = ()
    noise: NoiseSpec | None = None
    dry: DrySpec = DrySpec()
    labels: LabelSpec = LabelSpec()
    trim: TrimSpec = TrimSpec()
    origin: Origin | None = None
    effects: SceneEffects | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _dropped(handler(self), effects=self.effects)

    @model_validator(mode="after")
    def _events_start_inside(self) -> SceneSpec:
        for kind in ("targets", "interferers"):
            for n, event in enumerate(getattr(self, kind)):
                if event.onset >= self.duration:
                    raise ValueError(
                        f"{kind}[{n}].onset is {event.onset}, at or after the end of the scene "
                        f"({self.duration} samples)"
                    )
        return self

    def to_json(self, *, indent: int | None = None) -> str:
        """Return the spec as JSON; `from_json` gives back an equal spec."""
        return self.model_dump_json(indent=indent)

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str | Path | None = None) -> SceneSpec:
        """Read a spec from JSON.

        Raises:
            SynthError: The text is too long (1 MiB), no strict JSON (NaN, a key twice), or no valid
                SceneSpec; every faulty field is named.
        """
        data = load_json(text, where="SceneSpec" if where is None else where)
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise _spec_error(error, where) from error


def _dropped(fields: dict[str, Any], **values: object) -> dict[str, Any]:
    """Leave out the named fields that hold nothing: a scene without effects says nothing of them."""
    for name, value in values.items():
        if not value:
            fields.pop(name, None)
    return fields


def _spec_error(error: ValidationError, where: str | Path | None) -> SynthError:
    base = "SceneSpec" if where is None else str(where)
    problems = [
        Problem(
            f"{base}: {'.'.join(map(str, fault['loc'])) or '(whole)'}",
            f"{fault['msg']}, got {_short(fault.get('input'))}",
            "see `SceneSpec` in the documentation for the allowed fields",
        )
        for fault in error.errors()
    ]
    return ProblemsError(problems, remedy="correct the scene file or plan the scene again")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
