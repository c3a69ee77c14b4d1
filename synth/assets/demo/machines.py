"""Motors and moving air: blender, hair dryer, fans, vacuum cleaner.

Each maker takes two generators, of the object (`thing`: which machine) and of the performance
(`take`: switching and load), and a wished duration; it returns a raw mono signal.
"""

from __future__ import annotations

import numpy as np

from .draws import Draw, chance, log_uniform, style
from .dsp import Signal, clock, drive, length, line, noise, peaks, ring, rotor, smooth, strikes, unit, wander


def _power(take: Draw, seconds: float, up: float, down: float) -> Signal:
    """Speed of a motor as a share of full speed: perhaps switched on, perhaps switched off."""
    n = length(seconds)
    t = clock(n)
    speed = np.ones(n)
    if chance(take, 0.55):
        speed *= 1 - 0.92 * np.exp(-t / up)
    if seconds > 1.5 and chance(take, 0.4):
        off = seconds - take.uniform(0.5, 0.35 * seconds)
        speed *= np.where(t > off, np.exp(-np.maximum(t - off, 0) / down), 1.0)
    return speed


def blender(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A howling universal motor under load; lumps hit the jar; often pulsed by hand."""
    n = length(seconds)
    full = log_uniform(thing, 210, 420)
    speed = _pulses(take, seconds) if chance(take, 0.45) else _power(take, seconds, 0.18, 0.2)
    chunks = np.clip(wander(take, n, 14), -2, 2) * np.exp(-clock(n) / take.uniform(0.8, 4.0))
    speed = speed * (1 - 0.05 * np.maximum(chunks, 0) + 0.006 * wander(take, n, 5))
    blades = int(thing.choice([2, 4]))
    k = np.arange(1, 40)
    gains = k**-0.55 * thing.uniform(0.2, 1.0, k.size) * np.where(k % blades == 0, 2.2, 1.0)
    howl = drive(rotor(np.maximum(full * speed, 5.0), gains, thing), 1.2)
    churn = noise(take, n, 250, 6_500, thing.uniform(1.0, 3.5)) * (1 + 0.35 * chunks)
    lumps = _lumps(thing, take, seconds, speed)
    out = unit(howl) * speed**1.5 + thing.uniform(0.35, 0.8) * churn * speed**3 + lumps
    jar = list(thing.uniform([350, 900, 2_000, 4_000], [800, 1_900, 3_800, 7_000]))
    return peaks(out, jar, list(thing.uniform(3, 11, 4)), 4)


def _pulses(take: Draw, seconds: float) -> Signal:
    """The speed when the button is pressed in bursts: quick rise, coasting fall."""
    n = length(seconds)
    gate = np.zeros(n)
    at = 0.0
    while at < seconds:
        held = take.uniform(0.35, 1.5)
        gate[length(at) : length(min(at + held, seconds))] = 1.0
        at += held + take.uniform(0.25, 0.8)
    speed = np.zeros(n)
    rise, fall, step = 1 - np.exp(-1 / 12), 1 - np.exp(-1 / 25), 160  # per 5 ms: 60 and 125 ms
    value, knots = 0.05, []
    for target in gate[::step]:
        value += (target - value) * (rise if target > value else fall)
        knots.append(value)
    speed[:] = np.interp(np.arange(n), np.arange(len(knots)) * step, knots)
    return speed


def _lumps(thing: Draw, take: Draw, seconds: float, speed: Signal) -> Signal:
    """Ice or nuts against the jar: dense random clicks that thin out as things get smooth."""
    count = int(thing.uniform(0, 60) * seconds)
    if count == 0:
        return np.zeros(speed.size)
    times = take.beta(0.9, 2.5, count) * seconds
    knock = ring(thing.uniform(700, 4_500, 6), thing.uniform(0.003, 0.012, 6), 1.0, seconds=0.06)
    loud = take.exponential(0.5, count) * speed[np.minimum((times * 32_000).astype(int), speed.size - 1)] ** 2
    return strikes(speed.size, times, loud, knock)


def hair_dryer(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Rushing air with a broad hump, a thin steady whine, two speeds; little else."""
    n = length(seconds)
    speed = _power(take, seconds, 0.25, 0.3)
    if seconds > 2 and chance(take, 0.4):  # the second speed
        switch = take.uniform(0.3, 0.7) * seconds
        low = take.uniform(0.72, 0.88)
        steps = [1.0, low] if chance(take, 0.5) else [low, 1.0]
        speed = speed * line(n, [switch, switch + 0.35], steps)
    hump = log_uniform(thing, 1_600, 4_200)
    air = noise(take, n, 0.30 * hump, 2.2 * hump, thing.uniform(0.0, 2.0))
    air = air + 0.35 * noise(take, n, 2_500, 13_000, thing.uniform(0.0, 4.0))
    nozzle = list(thing.uniform([900, 2_500, 5_000], [2_200, 5_000, 9_000]))
    air = peaks(air, nozzle, list(thing.uniform(1, 6, 3)), 3)
    hand = 1 + 0.10 * np.clip(wander(take, n, 1.5), -2, 2)
    whine = rotor(log_uniform(thing, 900, 2_400) * np.maximum(speed, 0.05), [1.0, 0.4, 0.15], thing)
    hum = rotor(100.0 if chance(thing, 0.5) else 120.0, [1, 0.5, 0.4, 0.2], thing, n)
    level = thing.uniform(0.03, 0.16)
    return unit(air) * speed**2.5 * hand + level * whine * speed**2 + thing.uniform(0.0, 0.06) * hum


def mechanical_fans(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Slow blades: low rumble that pulses at the blade rate, mains hum, a tick or a wobble."""
    n = length(seconds)
    small = (
        style(thing, {"room": 0.7, "computer": 0.3}) == "computer"
    )  # a computer fan rather than a desk or ceiling fan
    turns = thing.uniform(22, 45) if small else log_uniform(thing, 4, 24)
    blades = int(thing.integers(5, 10)) if small else int(thing.integers(3, 6))
    speed = _power(take, seconds, 0.7, 1.2) * (1 + 0.004 * wander(take, n, 1))
    passing = 2 * np.pi * np.cumsum(turns * blades * speed) / 32_000
    turning = 2 * np.pi * np.cumsum(turns * speed) / 32_000
    depth = thing.uniform(0.1, 0.5)
    beat = 1 + depth * np.sin(passing) + thing.uniform(0.03, 0.25) * np.sin(turning)
    air = noise(take, n, 30, thing.uniform(250, 900), thing.uniform(3.0, 6.5)) * beat
    k = np.arange(1, 9)
    tone = rotor(np.maximum(turns * blades * speed, 1.0), k**-1.0 * thing.uniform(0.3, 1, 8), thing)
    hum = rotor(100.0 if chance(thing, 0.5) else 120.0, thing.uniform(0, 1, 5) / np.arange(1, 6), thing, n)
    out = (
        unit(air) * speed**2
        + thing.uniform(0.1, 0.5) * unit(tone) * speed**2
        + thing.uniform(0.05, 0.3) * hum
    )
    if chance(thing, 0.5):
        ticks = np.flatnonzero(np.diff(np.floor(turning / (2 * np.pi)), prepend=0.0) > 0) / 32_000
        tick = ring(thing.uniform(300, 2_200, 4), 0.006, thing.uniform(0.3, 1, 4), seconds=0.05)
        out += thing.uniform(0.1, 0.5) * strikes(n, ticks, take.uniform(0.5, 1, ticks.size), tick)
    return out


def vacuum_cleaner(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Motor and suction together: a strong whine over a roar that strokes change in colour."""
    n = length(seconds)
    speed = _power(take, seconds, 0.45, 0.9)
    stroke = np.sin(
        2 * np.pi * np.cumsum(thing.uniform(0.35, 0.9) * (1 + 0.2 * wander(take, n, 0.7))) / 32_000
    )
    load = smooth(np.clip(1.5 * stroke, -1, 1), 0.08)
    full = log_uniform(thing, 430, 760) * (1 + 0.02 * load)
    k = np.arange(1, 16)
    gains = k**-0.8 * thing.uniform(0.2, 1.0, k.size)
    gains[0] = 1.0
    whine = rotor(np.maximum(full * speed, 5.0), gains, thing)
    roar = noise(take, n, 150, thing.uniform(2_200, 4_500), thing.uniform(2.0, 4.5))
    hose = list(thing.uniform([250, 600, 1_200], [500, 1_100, 2_400]))
    roar = peaks(roar, hose, list(thing.uniform(4, 10, 3)), 4)
    hiss = noise(take, n, 2_000, 9_000, 3.0)
    tone = thing.uniform(0.25, 0.6)
    out = unit(roar) * (1 - 0.25 * load) + 0.25 * hiss * (1 + 0.6 * load)
    out = out * speed**2.5 + tone * unit(whine) * speed**1.5
    grit = np.sort(take.uniform(0, seconds, int(take.uniform(0, 12) * seconds)))
    patter = ring(thing.uniform(900, 5_000, 5), 0.004, 1.0, seconds=0.04)
    return out + strikes(n, grit, take.exponential(0.6, grit.size), patter)
