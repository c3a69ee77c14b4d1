"""The kinds of values that a recipe's keys take: ranges, counts, lists of names."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from .spec import Finite

MAX_EVENTS = 32

Number = TypeVar("Number", int, float)


class Section(BaseModel):
    """A part of a recipe: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _pair(value: Any) -> Any:
    """Read a list of two as a range and a single number as a range of one."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, int | float):
        return (value, value)
    return value


def _ordered(value: tuple[Number, Number]) -> tuple[Number, Number]:
    if value[0] > value[1]:
        raise ValueError(f"the low end {value[0]} is above the high end {value[1]}")
    return value


def _names(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _distinct(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if value is not None and (not value or len(set(value)) < len(value)):
        raise ValueError("must be null or a list of different names, at least one")
    return value


_Count = Annotated[int, Field(ge=0, le=MAX_EVENTS)]
_Level = Annotated[Finite, Field(ge=-100, le=100)]
_Shift = Annotated[Finite, Field(ge=-12, le=12)]
_Factor = Annotated[Finite, Field(ge=0.5, le=2)]
_Frequency = Annotated[Finite, Field(ge=20, le=96_000)]
_Width = Annotated[Finite, Field(ge=0.05, le=1.9)]
_Decay = Annotated[Finite, Field(ge=-2, le=2)]
_Angle = Annotated[Finite, Field(ge=-180, le=180)]
_Offset = Annotated[Finite, Field(ge=-600, le=600)]
_Length = Annotated[Finite, Field(ge=0, le=600)]
_EqGain = Annotated[Finite, Field(ge=-24, le=24)]
_FullScale = Annotated[Finite, Field(ge=-160, le=0)]

_PAIR, _ORDER = BeforeValidator(_pair), AfterValidator(_ordered)

Counts = Annotated[tuple[_Count, _Count], _PAIR, _ORDER]
Levels = Annotated[tuple[_Level, _Level], _PAIR, _ORDER]
Semitones = Annotated[tuple[_Shift, _Shift], _PAIR, _ORDER]
Factors = Annotated[tuple[_Factor, _Factor], _PAIR, _ORDER]
Frequencies = Annotated[tuple[_Frequency, _Frequency], _PAIR, _ORDER]
Widths = Annotated[tuple[_Width, _Width], _PAIR, _ORDER]
Decays = Annotated[tuple[_Decay, _Decay], _PAIR, _ORDER]
Angles = Annotated[tuple[_Angle, _Angle], _PAIR, _ORDER]
Offsets = Annotated[tuple[_Offset, _Offset], _PAIR, _ORDER]
Lengths = Annotated[tuple[_Length, _Length], _PAIR, _ORDER]
EqGains = Annotated[tuple[_EqGain, _EqGain], _PAIR, _ORDER]
FullScaleLevels = Annotated[tuple[_FullScale, _FullScale], _PAIR, _ORDER]
Names = Annotated[tuple[str, ...] | None, BeforeValidator(_names), AfterValidator(_distinct)]
as_tuple = BeforeValidator(_names)

COUNTS = f"[low, high], both included, 0 to {MAX_EVENTS}"
LEVELS = "[low, high] in dB, -100 to 100"
CLASSES = "a list of class names, or null for all that the catalog has"
SETS = "a list of names (of manifests/sets.yaml or the catalog's column `set`; -name takes out), null: all"
