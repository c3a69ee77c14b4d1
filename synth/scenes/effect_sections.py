"""The recipe's section `effects`: which augmentations scenes get, how often, within which ranges.

Everything is off by default, and a recipe that leaves all of it so has the hash, and draws the
scenes, of one without the section.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ..units import Decibels, Seconds
from .plain import Finite
from .ranges import (
    LEVELS,
    Angles,
    Counts,
    Decays,
    EqGains,
    Factors,
    Frequencies,
    FullScaleLevels,
    Lengths,
    Levels,
    Offsets,
    Section,
    Semitones,
    Widths,
    as_tuple,
)

_RATE = "0 to 1"
_HERTZ = "[low, high] in Hz, 20 to below half the scene's rate"
Role = Literal["targets", "interference"]


class _Effect(Section):
    rate: float = Field(0.0, ge=0, le=1, description=_RATE)


class GainSection(_Effect):
    """Louder or softer than the SNR drawn."""

    db: Levels = Field((-6.0, 6.0), description=LEVELS)


class PolaritySection(_Effect):
    """Upside down."""


class PitchShiftSection(_Effect):
    """Higher or lower at the same length."""

    semitones: Semitones = Field((-2.0, 2.0), description="[low, high] in semitones, -12 to 12")


class TimeStretchSection(_Effect):
    """Longer or shorter at the same pitch; labels follow."""

    factor: Factors = Field((0.8, 1.25), description="[low, high] of length after / before, 0.5 to 2")


class HighPassSection(_Effect):
    """Without the lowest frequencies."""

    cutoff_hz: Frequencies = Field((50.0, 500.0), description=_HERTZ)


class LowPassSection(_Effect):
    """Without the highest frequencies."""

    cutoff_hz: Frequencies = Field((3000.0, 12000.0), description=_HERTZ)


class BandPassSection(_Effect):
    """A filter with two edges."""

    centre_hz: Frequencies = Field((300.0, 3000.0), description=_HERTZ)
    width: Widths = Field((0.5, 1.5), description="[low, high], bandwidth / centre, 0.05 to 1.9")


class ColouredNoiseSection(_Effect):
    """Noise within the recording of the event."""

    snr_db: Levels = Field((10.0, 40.0), description=LEVELS)
    decay: Decays = Field((-1.0, 2.0), description="[low, high], -2 (violet) to 2 (brown)")


class EventEffectsSection(Section):
    """Of each event on its own, before the room."""

    apply_to: Annotated[tuple[Role, ...], as_tuple] = Field(
        ("targets", "interference"), min_length=1, description="a list of targets, interference"
    )
    time_stretch: TimeStretchSection = TimeStretchSection()
    pitch_shift: PitchShiftSection = PitchShiftSection()
    high_pass: HighPassSection = HighPassSection()
    low_pass: LowPassSection = LowPassSection()
    band_pass: BandPassSection = BandPassSection()
    gain: GainSection = GainSection()
    polarity: PolaritySection = PolaritySection()
    coloured_noise: ColouredNoiseSection = ColouredNoiseSection()


class SwapSection(_Effect):
    """One of the 16 channel swaps of first-order Ambisonics, uniform."""


class YawSection(_Effect):
    """A turn about the vertical axis."""

    degrees: Angles = Field((-180.0, 180.0), description="[low, high] in degrees, -180 to 180")


class FlipSection(_Effect):
    """Up becomes down."""


class SpaceSection(Section):
    """Where everything comes from; labels follow."""

    swap: SwapSection = SwapSection()
    yaw: YawSection = YawSection()
    elevation_flip: FlipSection = FlipSection()


class LevelSection(_Effect):
    """The scene as a whole louder or softer."""

    db: Levels = Field((-6.0, 6.0), description=LEVELS)


class EqSection(_Effect):
    """The colour of the recording: peaks and shelves."""

    bands: Counts = Field((1, 3), description="[low, high], both included, 0 to 32")
    frequency_hz: Frequencies = Field((100.0, 8000.0), description=_HERTZ)
    gain_db: EqGains = Field((-6.0, 6.0), description="[low, high] in dB, -24 to 24")
    q: Widths = Field((0.5, 1.5), description="[low, high], 0.05 to 1.9")


class ShiftSection(_Effect):
    """All events earlier or later; what leaves the scene is cut, labels follow."""

    seconds: Offsets = Field((-2.0, 2.0), description="[low, high] in seconds, -600 to 600")


class CropSection(_Effect):
    """The scene as a window of a longer one."""

    extra: Lengths = Field((1.0, 5.0), description="[low, high] in seconds beyond the scene, 0 to 600")


class CurriculumSection(Section):
    """SNR ranges that move from these to the recipe's own over the first scenes."""

    scenes: int = Field(0, ge=0, le=1 << 40, description="0 (off) or the number of scenes")
    targets: Levels = Field((15.0, 30.0), description=LEVELS)
    interference: Levels = Field((-10.0, 0.0), description=LEVELS)


class SelfNoiseSection(_Effect):
    """The microphone's own noise."""

    level_db: FullScaleLevels = Field((-95.0, -75.0), description="[low, high], dB re full scale, -160 to 0")


class MismatchSection(_Effect):
    """Capsules of unequal gain."""

    db: Annotated[Finite, Field(ge=0, le=12)] = Field(1.0, description="dB, 0 to 12, either way")


class SceneEffectsSection(Section):
    """Of the scene as a whole."""

    shift: ShiftSection = ShiftSection()
    crop: CropSection = CropSection()
    snr_curriculum: CurriculumSection = CurriculumSection()
    mismatch: MismatchSection = MismatchSection()
    eq: EqSection = EqSection()
    level: LevelSection = LevelSection()
    self_noise: SelfNoiseSection = SelfNoiseSection()
    keep: Seconds = Field(0.1, gt=0, le=10, description="seconds, above 0 to 10")


class EffectsSection(Section):
    """Augmentation. Each effect draws from a stream of its own."""

    events: EventEffectsSection = EventEffectsSection()
    space: SpaceSection = SpaceSection()
    scene: SceneEffectsSection = SceneEffectsSection()


NO_EFFECTS = EffectsSection()


def snr_range(
    curriculum: CurriculumSection, role: Role, final: tuple[Decibels, Decibels], index: int
) -> tuple[Decibels, Decibels]:
    """Return the SNR range of scene `index`: on the straight line from the curriculum's to the recipe's."""
    if index >= curriculum.scenes:
        return final
    first: tuple[Decibels, Decibels] = getattr(curriculum, role)
    part = index / curriculum.scenes
    return first[0] + (final[0] - first[0]) * part, first[1] + (final[1] - first[1]) * part
