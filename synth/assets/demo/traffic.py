"""Interferers that people made: engine, siren, telephone, train horn and rails.

Each maker takes two generators, of the object (`thing`) and of the performance (`take`), and a
wished duration; it returns a raw mono signal. None is one of the 18 target classes.
"""

from __future__ import annotations

import numpy as np

from .draws import Draw, chance, log_uniform, style
from .dsp import (
    Signal,
    clock,
    drive,
    length,
    line,
    lowpass,
    noise,
    peaks,
    place,
    ring,
    rotor,
    smooth,
    strikes,
    unit,
    wander,
)


def engine(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A combustion engine: firing pulses through an exhaust, idling or revved."""
    n = length(seconds)
    idle = log_uniform(thing, 18, 45)
    revs = 1 + (thing.uniform(0.5, 2.5) if chance(take, 0.6) else 0.05) * np.clip(wander(take, n, 0.6), 0, 2)
    firing = idle * smooth(revs, 0.3) * (1 + 0.02 * wander(take, n, 15))
    phase = np.cumsum(firing) / 32_000
    shot = np.exp(-(phase % 1.0) * thing.uniform(8, 20)) * (1 + 0.25 * np.sin(np.pi * np.floor(phase) * 0.5))
    air = noise(take, n, 40, 1_200, 3.0)
    out = peaks(shot - shot.mean(), list(thing.uniform(60, 500, 4)), list(thing.uniform(6, 16, 4)), 3)
    out = unit(lowpass(out, 1_800, 1)) + thing.uniform(0.2, 0.6) * air * (0.3 + shot)
    clatter = noise(take, n, 1_200, 5_000, 2.0) * (0.15 + shot) * thing.uniform(0.03, 0.2)
    return drive(out + clatter, 0.8)


def siren(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Wail, yelp or two tones, from a horn, with the fading of distance."""
    n = length(seconds)
    t = clock(n) + take.uniform(0, 4)
    low = log_uniform(thing, 420, 700)
    kind = style(thing, {"wail": 1, "yelp": 1, "two": 1})
    if kind == "two":
        high = low * thing.uniform(1.25, 1.4)
        pitch = smooth(np.where((t * thing.uniform(0.8, 1.2)) % 1.0 < 0.5, low, high), 0.02)
    else:
        rate = thing.uniform(0.15, 0.35) if kind == "wail" else thing.uniform(2.0, 4.0)
        pitch = low * (1 + thing.uniform(0.8, 1.4) * (0.5 - 0.5 * np.cos(2 * np.pi * rate * t)))
    tone = rotor(pitch, np.arange(1, 12) ** -thing.uniform(0.8, 1.6), thing)
    horn = peaks(drive(tone, 1.0), list(thing.uniform(700, 3_000, 3)), list(thing.uniform(3, 9, 3)))
    passing = np.exp(-(((t - t.mean()) / (0.7 * seconds)) ** 2) * thing.uniform(0.2, 2.5))
    return np.asarray(horn * passing)


def telephone(thing: Draw, take: Draw, seconds: float) -> Signal:
    """The old double ring of two bells, or a warbling electronic ringer."""
    n = length(seconds)
    on, off = thing.uniform(0.4, 1.0), thing.uniform(0.2, 0.6)
    double = chance(thing, 0.5)
    gate = np.zeros(n)
    at = 0.0
    while at < seconds:
        for start in (at, at + on + off) if double else (at,):
            gate[length(start) : length(start + on)] = 1.0
        at += (2 * on + off if double else on) + thing.uniform(0.8, 1.8)
    if style(thing, {"bells": 0.5, "electronic": 0.5}) == "electronic":
        low, high = thing.uniform(600, 1_100), thing.uniform(1.15, 1.4)
        warble = (clock(n) * thing.uniform(12, 25)) % 1.0 < 0.5
        tone = rotor(smooth(np.where(warble, low, low * high), 0.003), [1, 0.5, 0.35, 0.2, 0.1], thing)
        return np.asarray(tone * smooth(gate, 0.01))
    out = np.zeros(n)
    for side, pitch in enumerate(log_uniform(thing, 700, 1_100) * np.array([1.0, thing.uniform(1.15, 1.3)])):
        times = np.arange(side * 0.025, seconds, 0.05)
        hits = gate[np.minimum((times * 32_000).astype(int), n - 1)] * take.uniform(0.7, 1.0, times.size)
        modes = pitch * np.array([1, 2.4, 4.1, 5.9])
        out += strikes(n, times, hits, ring(modes, thing.uniform(0.15, 0.5), [1, 0.7, 0.3, 0.1]))
    return out


def train(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Wheels over rail joints in pairs, rolling rumble, and sometimes a chord of horns."""
    n = length(seconds)
    pace = thing.uniform(0.45, 1.1)
    joints = np.arange(0, seconds, pace)
    times = np.concatenate([joints, joints + 0.16 * pace, joints + 0.45 * pace, joints + 0.61 * pace])
    modes = thing.uniform(90, 1_400, 9)
    clack = ring(modes, 0.04 * (90 / modes) ** 0.5, thing.uniform(0.3, 1, 9), contact=1e-4)
    wheels = strikes(n, times, take.uniform(0.6, 1.0, times.size), clack)
    rumble = noise(take, n, 35, 900, 4.0) * (1 + 0.3 * wander(take, n, 6))
    squeal = noise(take, n, 2_500, 5_000, 3.0) * np.maximum(wander(take, n, 1.5), 0) ** 2
    out: Signal = unit(wheels) + thing.uniform(0.3, 0.9) * rumble + thing.uniform(0.0, 0.08) * squeal
    if chance(take, 0.5):
        held = min(seconds, thing.uniform(0.8, 2.0))
        chord = thing.uniform(250, 330) * np.array([1, 1.19, 1.5, 1.78])
        horn = np.sum([rotor(p, np.arange(1, 14) ** -0.9, thing, length(held)) for p in chord], axis=0)
        shape = line(horn.size, [0, 0.08, held - 0.15, held], [0, 1, 1, 0])
        place(out, take.uniform(0, max(0.0, seconds - held)), unit(horn) * shape, 1.5)
    return out
