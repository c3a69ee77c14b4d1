"""Draw the effects of a scene. Every one has streams of its own, so that switching one on changes no other.

The purposes are `effects/targets/<effect>`, `effects/interference/<effect>` (one block of numbers per
event, in the order in which the events are drawn) and `effects/scene/<effect>`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..units import Decibels, Hertz, Samples
from .effect_sections import NO_EFFECTS, EffectsSection, EqSection, EventEffectsSection, Role
from .effect_specs import (
    BandPass,
    ColouredNoise,
    EqBand,
    EventEffect,
    Gain,
    HighPass,
    LowPass,
    PitchShift,
    Polarity,
    SceneEffects,
    SelfNoise,
    SpaceEffect,
    TimeStretch,
    gain_of,
    stretched,
)
from .seeding import Draws, draws_for

_SEEDS = 1 << 48
_MAX_STEPS = 200


@dataclass(frozen=True, slots=True)
class DrawnEffects:
    """What one event gets, before its recording is known.

    Attributes:
        factor: Of the time stretch; None: no stretch.
        rest: The other effects, in the order in which they are applied.
    """

    factor: float | None = None
    rest: tuple[EventEffect, ...] = ()

    @property
    def gain_db(self) -> Decibels:
        """What the event's SNR gains."""
        return gain_of(self.rest)

    def fit(self, available: Samples, longest: Samples) -> tuple[Samples, Samples, tuple[EventEffect, ...]]:
        """Return the samples to read, their length in the scene, and all effects.

        Args:
            available: Length of the recording.
            longest: Length that the event may have in the scene.
        """
        if self.factor is None:
            samples = min(available, longest)
            return samples, samples, self.rest
        samples = max(min(available, int(longest / self.factor)), 1)
        length = stretched(samples, self.factor)
        return samples, length, (TimeStretch(factor=self.factor, samples=samples), *self.rest)


NOTHING = DrawnEffects()


def draw_event_effects(
    section: EffectsSection, seed: int, index: int, role: Role, count: int, rate: Hertz
) -> list[DrawnEffects]:
    """Draw the effects of `count` events of a scene.

    Args:
        section: The recipe's.
        seed: Of the series.
        index: Of the scene.
        role: Which events.
        count: How many.
        rate: Of the scene in Hz.
    """
    events = section.events
    found = [NOTHING] * count
    if role not in events.apply_to:
        return found
    for name, make in _MAKERS.items():
        chosen = getattr(events, name)
        if chosen.rate <= 0:
            continue
        draws = draws_for(seed, index, f"effects/{role}/{name}")
        for n in range(count):
            # Drawn whether applied or not, so that every event keeps its numbers.
            applied = draws.uniform(0, 1) < chosen.rate
            made = make(chosen, draws, rate)
            if not applied:
                continue
            if isinstance(made, float):
                found[n] = replace(found[n], factor=made)
            else:
                found[n] = replace(found[n], rest=(*found[n].rest, made))
    return found


def _stretch(section: Any, draws: Draws, rate: Hertz) -> float:
    return draws.uniform(*section.factor)


def _pitch(section: Any, draws: Draws, rate: Hertz) -> PitchShift:
    return PitchShift(semitones=pitch_on_grid(draws.uniform(*section.semitones), rate))


def _cutoff(kind: type[HighPass] | type[LowPass], section: Any, draws: Draws, rate: Hertz) -> Any:
    return kind(cutoff_hz=_logarithmic(draws, section.cutoff_hz))


def _band(section: Any, draws: Draws, rate: Hertz) -> BandPass:
    centre = _logarithmic(draws, section.centre_hz)
    # The upper edge stays below half the rate.
    widest = 2 * (rate / 2 / centre - 1)
    return BandPass(centre_hz=centre, width=min(draws.uniform(*section.width), widest))


def _gain(section: Any, draws: Draws, rate: Hertz) -> Gain:
    return Gain(db=draws.uniform(*section.db))


def _polarity(section: Any, draws: Draws, rate: Hertz) -> Polarity:
    return Polarity()


def _noise(section: Any, draws: Draws, rate: Hertz) -> ColouredNoise:
    snr, decay = draws.uniform(*section.snr_db), draws.uniform(*section.decay)
    return ColouredNoise(snr_db=snr, decay=decay, seed=draws.choice(_SEEDS))


_MAKERS: dict[str, Callable[[Any, Draws, Hertz], float | EventEffect]] = {
    "time_stretch": _stretch,
    "pitch_shift": _pitch,
    "high_pass": partial(_cutoff, HighPass),
    "low_pass": partial(_cutoff, LowPass),
    "band_pass": _band,
    "gain": _gain,
    "polarity": _polarity,
    "coloured_noise": _noise,
}
"""In the order in which they are applied."""


def pitch_steps(rate: Hertz) -> int:
    """Return the largest divisor of the rate up to 200.

    Pitch shifts are ratios steps / k with a whole k: only then has the resampler behind them a short
    filter. At 32 kHz that is a grid of 0.09 semitones near 0.
    """
    return max(steps for steps in range(1, _MAX_STEPS + 1) if rate % steps == 0)


def pitch_on_grid(semitones: float, rate: Hertz) -> float:
    """Return the nearest pitch shift that can be made, in semitones."""
    steps = pitch_steps(rate)
    return 12 * math.log2(steps / max(round(steps / 2 ** (semitones / 12)), 1))


def draw_scene_effects(section: EffectsSection, seed: int, index: int) -> SceneEffects | None:
    """Draw what happens to the scene as a whole; None when that is nothing."""
    if section == NO_EFFECTS:
        return None
    scene = section.scene
    draws = partial(stream_if, seed, index)
    found: dict[str, Any] = {"space": _space(section, seed, index)}
    if stream := draws("mismatch", scene.mismatch.rate):
        found["mismatch_db"] = tuple(stream.uniform(-scene.mismatch.db, scene.mismatch.db) for _ in range(4))
    if stream := draws("eq", scene.eq.rate):
        found["eq"] = _bands(scene.eq, stream)
    if stream := draws("level", scene.level.rate):
        found["level_db"] = stream.uniform(*scene.level.db)
    if stream := draws("self_noise", scene.self_noise.rate):
        level = stream.uniform(*scene.self_noise.level_db)
        found["self_noise"] = SelfNoise(level_db=level, seed=stream.choice(_SEEDS))
    effects = SceneEffects(**found)
    return None if effects == SceneEffects() else effects


def _space(section: EffectsSection, seed: int, index: int) -> SpaceEffect | None:
    space, draws = section.space, partial(stream_if, seed, index)
    pattern, yaw, flip = 0, 0.0, False
    if stream := draws("swap", space.swap.rate):
        pattern = stream.choice(16)
    if stream := draws("yaw", space.yaw.rate):
        yaw = stream.uniform(*space.yaw.degrees)
    if draws("elevation_flip", space.elevation_flip.rate):
        flip = True
    yaw += 90.0 * (pattern & 3)
    effect = SpaceEffect(
        mirror=bool(pattern & 4), yaw=yaw - 360 * (yaw > 180), flip=bool(pattern & 8) is not flip
    )
    return None if effect == SpaceEffect() else effect


def _bands(section: EqSection, draws: Draws) -> tuple[EqBand, ...]:
    bands = []
    for _ in range(draws.integer(*section.bands)):
        kind = ("low_shelf", "peak", "high_shelf")[draws.choice(3)]
        frequency = _logarithmic(draws, section.frequency_hz)
        gain, q = draws.uniform(*section.gain_db), draws.uniform(*section.q)
        bands.append(EqBand(kind=kind, frequency_hz=frequency, gain_db=gain, q=q))
    return tuple(bands)


def stream_if(seed: int, index: int, name: str, rate: float) -> Draws | None:
    """Return the stream of a scene effect if it is applied, after the number that decided it."""
    if rate <= 0:
        return None
    draws = draws_for(seed, index, f"effects/scene/{name}")
    return draws if draws.uniform(0, 1) < rate else None


def _logarithmic(draws: Draws, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return min(max(math.exp(draws.uniform(math.log(low), math.log(high))), low), high)


def effect_frequencies(section: EffectsSection) -> dict[str, float]:
    """Return the highest frequency of each effect that is on, by key."""
    events, eq = section.events, section.scene.eq
    highest = {
        "events.high_pass.cutoff_hz": (events.high_pass.rate, events.high_pass.cutoff_hz),
        "events.low_pass.cutoff_hz": (events.low_pass.rate, events.low_pass.cutoff_hz),
        "events.band_pass.centre_hz": (events.band_pass.rate, events.band_pass.centre_hz),
        "scene.eq.frequency_hz": (eq.rate, eq.frequency_hz),
    }
    return {key: bounds[1] for key, (rate, bounds) in highest.items() if rate > 0}


def uses_pitch(section: EventEffectsSection) -> bool:
    """Tell whether events may be shifted in pitch."""
    return section.pitch_shift.rate > 0
