"""Effects as a SceneSpec states them: every number decided, nothing drawn when they are applied.

`EventEffect`s change the dry sound of one event before it is convolved, in the order of their list.
`SceneEffects` change the scene as a whole. What is a matter of time only (shift, crop, the SNR
curriculum) leaves no effect behind: it is in the events' onsets, durations and SNRs themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from ..units import Decibels, Degrees, Samples
from .plain import Finite, Plain

_Frequency = Annotated[Finite, Field(gt=0, le=96_000)]
_Seed = Annotated[int, Field(ge=0, lt=1 << 48)]
_Gain = Annotated[Finite, Field(ge=-100, le=100)]


class Gain(Plain):
    """A gain. The plan adds it to the event's SNR, which states the level of the wet sound."""

    kind: Literal["gain"] = "gain"
    db: _Gain


class Polarity(Plain):
    """The sound upside down."""

    kind: Literal["polarity"] = "polarity"


class PitchShift(Plain):
    """Higher or lower by `semitones`, as long as before."""

    kind: Literal["pitch_shift"] = "pitch_shift"
    semitones: Annotated[Finite, Field(ge=-12, le=12)]


class TimeStretch(Plain):
    """Longer (`factor` above 1) or shorter, as high as before.

    `samples` of the file become round(samples * factor): the event's `cut_before` + `duration`.
    """

    kind: Literal["time_stretch"] = "time_stretch"
    factor: Annotated[Finite, Field(ge=0.25, le=4)]
    samples: Annotated[int, Field(gt=0)]


class HighPass(Plain):
    """Without what is below `cutoff_hz` (-6 dB there)."""

    kind: Literal["high_pass"] = "high_pass"
    cutoff_hz: _Frequency


class LowPass(Plain):
    """Without what is above `cutoff_hz` (-6 dB there)."""

    kind: Literal["low_pass"] = "low_pass"
    cutoff_hz: _Frequency


class BandPass(Plain):
    """Only what is within `centre_hz` * (1 - width / 2) to `centre_hz` * (1 + width / 2)."""

    kind: Literal["band_pass"] = "band_pass"
    centre_hz: _Frequency
    width: Annotated[Finite, Field(gt=0, lt=2)]


class ColouredNoise(Plain):
    """With noise `snr_db` below it; decay -1 is bluish, 0 white, 1 pinkish, 2 darker still."""

    kind: Literal["coloured_noise"] = "coloured_noise"
    snr_db: _Gain
    decay: Annotated[Finite, Field(ge=-4, le=4)]
    seed: _Seed


EventEffect = Annotated[
    Gain | Polarity | PitchShift | TimeStretch | HighPass | LowPass | BandPass | ColouredNoise,
    Field(discriminator="kind"),
]


class SpaceEffect(Plain):
    """A symmetry of the sphere that first-order Ambisonics is closed under.

    A direction (azimuth a, elevation e) goes to (yaw + a, e), with -a for a when `mirror` and -e
    for e when `flip`. Yaws of whole quarter turns are the 16 channel swaps of Mazzon et al.,
    "First order Ambisonics domain spatial augmentation" (DCASE 2019).
    """

    mirror: bool = False
    yaw: Annotated[Finite, Field(ge=-360, le=360)] = 0.0
    flip: bool = False


class EqBand(Plain):
    """One second-order section of the Audio EQ Cookbook (R. Bristow-Johnson)."""

    kind: Literal["low_shelf", "peak", "high_shelf"]
    frequency_hz: Annotated[Finite, Field(ge=20, le=96_000)]
    gain_db: Annotated[Finite, Field(ge=-24, le=24)]
    q: Annotated[Finite, Field(ge=0.1, le=10)]


class SelfNoise(Plain):
    """The microphone's own noise: white, independent in its four capsules.

    `level_db` is the mean power over the four channels W Y Z X, dB re full scale.
    """

    level_db: Annotated[Finite, Field(ge=-200, le=0)]
    seed: _Seed


class SceneEffects(Plain):
    """What happens to the whole scene, in this order.

    Attributes:
        space: Turned or mirrored: all stems and directions.
        mismatch_db: Gains of the capsules front-left-up, front-right-down, back-left-down and
            back-right-up; all stems but `dry`, which stays what an ideal microphone gives.
        eq: All stems, `dry` as well: a system that separates need not undo the colour.
        level_db: All stems.
        self_noise: Added to the noise and the mixture, at its own level.
    """

    space: SpaceEffect | None = None
    mismatch_db: tuple[_Gain, _Gain, _Gain, _Gain] | None = None
    eq: tuple[EqBand, ...] = ()
    level_db: _Gain = 0.0
    self_noise: SelfNoise | None = None


def read_samples(effects: Sequence[EventEffect], samples: Samples) -> Samples:
    """Return how many samples of the file become `samples` of the scene."""
    return next((effect.samples for effect in effects if isinstance(effect, TimeStretch)), samples)


def stretched(samples: Samples, factor: float) -> Samples:
    """Return the length of a stretched sound."""
    return max(round(samples * factor), 1)


def stretch_fault(effects: Sequence[EventEffect], samples: Samples) -> str | None:
    """Say what is wrong with the time stretch of an event of `samples`, if anything is."""
    found = [effect for effect in effects if isinstance(effect, TimeStretch)]
    if len(found) > 1:
        return "effects: more than one time_stretch"
    if found and stretched(found[0].samples, found[0].factor) != samples:
        return (
            f"effects: {found[0].samples} samples stretched by {found[0].factor:g} are "
            f"{stretched(found[0].samples, found[0].factor)}, the event has {samples}"
        )
    return None


def turned(point: tuple[float, float, float], space: SpaceEffect | None) -> tuple[float, float, float]:
    """Return where a point (x front, y left, z up) is after a space effect."""
    if space is None:
        return point
    x, y, z = point
    cosine, sine = quarter_exact(space.yaw)
    y = -y if space.mirror else y
    return x * cosine - y * sine, x * sine + y * cosine, -z if space.flip else z


def quarter_exact(yaw: Degrees) -> tuple[float, float]:
    """Return cosine and sine of an angle, exact for whole quarter turns."""
    quarters, rest = divmod(yaw, 90.0)
    if rest == 0:
        return ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))[int(quarters) % 4]
    return math.cos(math.radians(yaw)), math.sin(math.radians(yaw))


def gain_of(effects: Sequence[EventEffect]) -> Decibels:
    """Return the sum of an event's gains."""
    return sum(effect.db for effect in effects if isinstance(effect, Gain))
