"""What an official scene file may say: the 2025 and the 2026 form, as far as rendering needs it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..errors import Problem, ProblemsError
from .spec import Finite, Point

Form = Literal["dcase2025", "dcase2026"]
"""Which year's scene file."""

Seconds = Annotated[Finite, Field(ge=0)]
Milliseconds = Annotated[Finite, Field(ge=0)]


class _Official(BaseModel):
    # The official writers and their users add keys that do not change the sound.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Config(_Official):
    """The `config` object, both years."""

    foreground_dir: str
    background_dir: str | None = None
    interference_dir: str | None = None
    rir_dir: str | None = None
    duration: Annotated[Finite, Field(gt=0, le=3600)]
    sr: Annotated[int, Field(ge=8_000, le=192_000)]
    ref_db: Finite
    return_dry: bool = True
    ref_channel: int | None = 0
    spatialize_direct_path_time_ms: tuple[Milliseconds, Milliseconds] = (6.0, 50.0)


class Event(_Official):
    """One entry of `fg_events` or `int_events`; times in seconds."""

    label: str
    source_file: str
    source_time: Seconds
    event_time: Seconds
    event_duration: Annotated[Finite, Field(gt=0)]
    event_position: tuple[Point]
    snr: Finite
    pitch_shift: None = None
    time_stretch: None = None


class Background(_Official):
    """The entry of `bg_events`; `source_time` None stands for the whole file."""

    source_file: str
    source_time: Seconds | None
    event_time: Seconds = 0.0
    event_duration: Annotated[Finite, Field(gt=0)]
    snr: Finite = 0.0


class SofaFacts(_Official):
    """What a 2026 file states about its room."""

    sofa_path: str
    direct_range_ms: tuple[Milliseconds, Milliseconds] = (6.0, 50.0)


class RoomArguments(_Official):
    """The arguments of the 2026 room."""

    metadata: SofaFacts


class Room(_Official):
    """The `room` object of a 2026 file."""

    args: RoomArguments


class SceneFile(_Official):
    """A whole scene file. `room` is a file name in 2025 and an object in 2026."""

    config: Config
    fg_events: tuple[Event, ...]
    bg_events: Annotated[tuple[Background, ...], Field(max_length=1)] = ()
    int_events: tuple[Event, ...] = ()
    room: str | Room

    @model_validator(mode="before")
    @classmethod
    def _old_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and "config" not in data and "init_args" in data:
            return {**data, "config": data["init_args"]}
        return data

    @field_validator("room", mode="before")
    @classmethod
    def _one_of_two(cls, room: Any) -> Any:
        """Choose by shape, so that a fault inside a 2026 room is reported as such."""
        return Room.model_validate(room) if isinstance(room, dict) else room


class ListedScene(_Official):
    """One entry of a `valid.json` list."""

    metadata_path: str
    ref_event: tuple[str, ...] | None = None


def problems_in(error: ValidationError, where: str) -> ProblemsError:
    """Return the faults that pydantic found as one error that names every field."""
    problems = [
        Problem(
            f"{where}: {'.'.join(map(str, fault['loc'])) or '(whole)'}",
            f"{fault['msg']}, got {_short(fault.get('input'))}",
            "compare with a scene file of the official generator",
        )
        for fault in error.errors(include_url=False)
    ]
    return ProblemsError(problems, remedy="correct the scene file")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
