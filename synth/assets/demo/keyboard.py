"""Musical keyboards: struck strings, tines, drawbar organ; melody, chords, arpeggios."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .draws import Draw, chance, log_uniform, style
from .dsp import Signal, clock, decay, length, line, noise, place, ring, rotor

_MODES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10))

Note = Callable[[float, float, float], Signal]
"""(pitch in Hz, held seconds, velocity 0..1) -> sound."""


def musical_keyboard(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Someone plays: `thing` is the instrument, `take` the tune."""
    makers = {"piano": _piano, "electric": _electric, "organ": _organ}
    instrument = makers[style(thing, {"piano": 0.5, "electric": 0.25, "organ": 0.25})](thing)
    scale = np.array(_MODES[int(take.integers(len(_MODES)))])
    tonic = int(take.integers(45, 57))
    beat = take.uniform(0.26, 0.6)
    texture = take.choice(["melody", "chords", "arpeggio", "both"])
    out = np.zeros(length(seconds + 1.5))
    degree, at = int(take.integers(5, 10)), 0.0

    def pitch(step: int) -> float:
        octave, index = divmod(step, scale.size)
        return 440.0 * 2 ** ((tonic + 12 * octave + int(scale[index]) - 69) / 12)

    while at < max(seconds - 0.15, 0.01):
        beats = float(take.choice([0.5, 1.0, 1.0, 2.0]))
        held = beats * beat
        touch = take.uniform(0.4, 1.0)
        if texture in ("melody", "both"):
            degree = int(np.clip(degree + take.integers(-3, 4), 3, 2 * scale.size + 2))
            place(out, at, instrument(pitch(degree), held * take.uniform(0.7, 1.1), touch))
        if texture in ("chords", "both"):
            root = int(take.integers(0, scale.size))
            for step in (0, 2, 4):
                strum = abs(take.normal(0, 0.008))
                place(out, at + strum, instrument(pitch(root + step), held * 1.6, 0.7 * touch), 0.7)
        if texture == "arpeggio":
            for k, step in enumerate((0, 2, 4, scale.size)):
                place(out, at + k * held / 4, instrument(pitch(degree - 2 + step), held, touch), 0.9)
        at += held
    return out


def _piano(thing: Draw) -> Note:
    """Strings: stretched partials, hammer tone by velocity, two-stage decay, damper at key-up."""
    stiff = log_uniform(thing, 1.5e-4, 9e-4)
    strike_point = thing.uniform(0.10, 0.14)
    bright = thing.uniform(0.7, 1.4)
    long = thing.uniform(0.6, 1.3)

    def note(pitch: float, held: float, velocity: float) -> Signal:
        k = np.arange(1, 1 + min(28, int(12_000 / pitch)))
        partials = pitch * k * np.sqrt(1 + stiff * k**2)
        gains = np.abs(np.sin(np.pi * k * strike_point)) * np.exp(
            -k * pitch / (bright * (500 + 1_800 * velocity))
        )
        taus = long * (220 / pitch) ** 0.5 / (1 + 0.12 * k)
        total = held + 0.3
        fast = ring(partials, 0.25 * taus, gains, seconds=total)
        sound = 0.6 * fast + 0.5 * ring(partials * 1.0006, taus, gains, seconds=total)
        thump = noise(thing, length(0.03), 80, 900) * decay(0.03, 0.008)
        place(sound, 0.0, thump, 0.05 * velocity)
        return velocity * sound * line(sound.size, [held, held + 0.12], [1.0, 0.0])

    return note


def _electric(thing: Draw) -> Note:
    """A tine piano: two-operator frequency modulation with a bell-like attack."""
    depth = thing.uniform(0.8, 2.2)
    tine = float(thing.choice([7.0, 11.0, 14.0]))
    tremolo, wobble = thing.uniform(4.0, 6.5), thing.uniform(0.0, 0.3)

    def note(pitch: float, held: float, velocity: float) -> Signal:
        t = clock(length(held + 0.25))
        w = 2 * np.pi * pitch * t
        body = np.sin(w + depth * velocity * np.exp(-t / 0.6) * np.sin(w))
        bell = np.sin(w + 0.6 * velocity * np.exp(-t / 0.15) * np.sin(min(tine, 14_000 / pitch) * w))
        fade = np.exp(-t * (1.2 + pitch / 700)) * (1 + wobble * np.sin(2 * np.pi * tremolo * t))
        gate = line(t.size, [0, 0.004, held, held + 0.1], [0, 1, 1, 0])
        return velocity * (0.7 * body + 0.3 * bell) * fade * gate

    return note


def _organ(thing: Draw) -> Note:
    """Drawbars over the key's sub-octave, steady while held, key click, rotating speaker."""
    bars = np.zeros(16)
    bars[[0, 2, 1, 3, 5, 7, 9, 11, 15]] = thing.uniform(0, 1, 9) * [0.7, 0.6, 1, 0.8, 0.5, 0.6, 0.3, 0.3, 0.4]
    bars[1] = 1.0
    if chance(thing, 0.3):
        bars = 1.0 / np.arange(1, 17)
    spin = thing.uniform(0.7, 6.5)

    def note(pitch: float, held: float, velocity: float) -> Signal:
        n = length(held + 0.06)
        t = clock(n)
        vibrato = 1 + 0.003 * np.sin(2 * np.pi * spin * t)
        gate = line(n, [0, 0.006, held, held + 0.05], [0, 1, 1, 0])
        sound = rotor(0.5 * pitch * vibrato, bars, thing) * gate
        click = noise(thing, length(0.006), 1_500, 6_000) * decay(0.006, 0.002)
        place(sound, 0.0, click, 0.1)
        return 0.35 * (0.7 + 0.3 * velocity) * sound * (1 + 0.15 * np.sin(2 * np.pi * spin * t))

    return note
