"""Interferers, the weather and the fire: rain, wind, thunder, crackle.

Each maker takes two generators, of the object (`thing`) and of the performance (`take`), and a
wished duration; it returns a raw mono signal. None is one of the 18 target classes.
"""

from __future__ import annotations

import numpy as np

from .draws import Draw, chance, log_uniform
from .dsp import Signal, clock, decay, length, lowpass, noise, peaks, place, ring, strikes, unit, wander
from .water import bubbles


def rain(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Steady hiss of many drops, single drops on a near surface, and a gutter now and then."""
    n = length(seconds)
    shower = 1 + 0.2 * np.clip(wander(take, n, 0.8), -2, 2)
    far = noise(take, n, thing.uniform(500, 1_500), 14_000, thing.uniform(0.5, 3.0)) * shower
    count = int(thing.uniform(30, 250) * seconds)
    surface = ring(thing.uniform(900, 6_000, 8), thing.uniform(0.001, 0.006, 8), 1.0, seconds=0.03)
    near = strikes(n, take.uniform(0, seconds, count), take.exponential(1.0, count) ** 1.5, surface)
    out = far + thing.uniform(0.3, 1.2) * unit(near)
    if chance(thing, 0.35):
        out += 0.3 * unit(bubbles(take, np.ones(n), 25, 600, 2_500))
    return out


def wind(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Gusts: low noise whose level moves, and a band that howls higher as they grow."""
    n = length(seconds)
    gust = np.exp(0.6 * wander(take, n, 0.9))
    low = noise(take, n, 30, thing.uniform(150, 400), 5.0) * gust**1.5
    base = log_uniform(thing, 250, 700)
    phase = 2 * np.pi * np.cumsum(base * gust**0.5) / 32_000
    i, q = (lowpass(noise(take, n, 0.5, 60), 35) for _ in range(2))
    howl = (i * np.cos(phase) + q * np.sin(phase)) * gust**2
    leaves = noise(take, n, 1_500, 8_000, 3.0) * gust**2
    return unit(low) + thing.uniform(0.1, 0.6) * unit(howl) + thing.uniform(0.02, 0.12) * unit(leaves)


def thunder(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A crack (when near) and a long roll of peals that lose their top with time."""
    n = length(seconds)
    t = clock(n)
    out = np.zeros(n)
    near = thing.uniform(0, 1)
    for k in range(int(take.integers(5, 14))):
        at = 0.0 if k == 0 else float(take.beta(1.0, 2.2)) * 0.8 * seconds
        top = (200 + 3_000 * near) * np.exp(-2.5 * at / seconds) + 80
        peal = noise(take, n, 25, top, 4.0)
        swell = np.minimum(1, np.maximum(0, t - at) / take.uniform(0.01, 0.2)) * (t >= at)
        out += take.uniform(0.3, 1.0) * peal * swell * np.exp(-np.maximum(t - at, 0) / take.uniform(0.2, 0.8))
    if near > 0.5:
        for at in np.cumsum(take.exponential(0.02, 6)):
            place(
                out,
                float(at),
                noise(take, length(0.12), 200, 9_000, 1.0) * decay(0.12, 0.02, 0.0005),
                2 * near,
            )
    return out * np.exp(-t / (0.6 * seconds)) * (1 + 0.3 * wander(take, n, 12))


def crackle(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A wood fire: clicks of very different loudness over the flutter of flames."""
    n = length(seconds)
    flames = noise(take, n, 60, thing.uniform(300, 900), 3.0) * np.exp(0.4 * wander(take, n, 9))
    count = int(thing.uniform(8, 45) * seconds)
    out = thing.uniform(0.08, 0.3) * unit(flames)
    times = np.sort(take.uniform(0, seconds, count))
    times += 0.05 * np.sin(17 * times)  # snaps come in flurries
    for at in times:
        pitch = log_uniform(take, 700, 7_000)
        tau = take.uniform(0.0006, 0.004)
        snap = ring(pitch * np.array([1, 1.8, 2.9]), tau, [1, 0.7, 0.4], seconds=0.03)
        place(out, float(at), snap, float(take.pareto(1.8) * 0.25))
    return peaks(np.clip(out, -6, 6), list(thing.uniform(500, 4_000, 2)), list(thing.uniform(0, 5, 2)))
