"""Pouring: bubbles that ring and rise in pitch, over the air column of a filling vessel.

A bubble of radius a rings near f = 3.26 / a (Minnaert); as it nears the surface its pitch
rises. Sources: K. van den Doel, Physically based models for liquid sounds, ACM TAP 2005.
"""

from __future__ import annotations

import numpy as np

from .draws import Draw, log_uniform, style
from .dsp import Signal, clock, length, line, noise, place, smooth, unit, wander


def pour(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A liquid poured into a cup, a glass or a pot; from a bottle it also glugs."""
    n = length(seconds)
    wide = log_uniform(thing, 0.7, 1.9)
    flow = line(n, [0, 0.15, 0.8 * seconds, seconds], [0.15, 1, 0.9, 0.1])
    flow = np.clip(flow * (1 + 0.25 * wander(take, n, 4)), 0.02, 1.6)
    if style(thing, {"jug": 0.65, "bottle": 0.35}) == "bottle":
        flow = flow * _glugs(thing, take, seconds)
    splash = bubbles(take, flow, thing.uniform(90, 260), 480 / wide, 4_200 / wide)
    out = unit(splash) + thing.uniform(0.05, 0.16) * noise(take, n, 900, 9_000, 3.0) * flow
    return unit(out) + thing.uniform(0.15, 0.5) * _column(thing, take, flow)


def _glugs(thing: Draw, take: Draw, seconds: float) -> Signal:
    """The gulps of a bottle: flow that starts and stops at three to six per second."""
    n = length(seconds)
    rate = thing.uniform(2.8, 6.0) * (1 + 0.15 * wander(take, n, 2))
    phase = np.cumsum(rate) / 32_000 % 1.0
    return smooth(0.12 + 1.5 * (phase < 0.55).astype(np.float64), 0.03)


def bubbles(take: Draw, flow: Signal, rate: float, low: float, high: float) -> Signal:
    """Return bubbles whose number follows `flow`, `rate` per second at flow one.

    Args:
        take: Draws time, pitch, size and rise of every bubble.
        flow: Relative rate, `(samples,)`.
        rate: Bubbles per second at flow one.
        low: Lowest pitch in Hz (the largest bubble).
        high: Highest pitch in Hz.
    """
    seconds = flow.size / 32_000
    count = int(take.poisson(rate * flow.mean() * seconds))
    share = np.cumsum(flow) / flow.sum()
    times = np.searchsorted(share, np.sort(take.uniform(0, 1, count))) / 32_000
    out = np.zeros(flow.size)
    for at in times:
        u = float(take.uniform() ** 1.6)
        pitch = low * (high / low) ** u
        out_size = (low / pitch) ** 0.9 * take.uniform(0.1, 1.0) ** 1.5
        place(out, float(at), _bubble(take, pitch), out_size)
    return out


def _bubble(take: Draw, pitch: float) -> Signal:
    damping = 0.13 * pitch + 0.0072 * pitch**1.5  # van den Doel (2005), eq. 8, pitch in Hz
    damping = min(damping, 900.0)
    t = clock(length(min(0.15, 5.5 / damping)))
    rise = take.uniform(0.0, 0.35) * damping * 0.4
    phase = 2 * np.pi * pitch * t * (1 + 0.5 * rise * t)
    return np.asarray(np.sin(phase) * np.exp(-damping * t) * np.minimum(1.0, t / 0.0006))


def _column(thing: Draw, take: Draw, flow: Signal) -> Signal:
    """The vessel's air column, a quarter wave that shortens: a rising whistle in the noise."""
    n = flow.size
    start = log_uniform(thing, 260, 700)
    filled = np.cumsum(flow) / flow.sum() * thing.uniform(0.4, 0.8)
    track = start / (1 - filled)
    source = noise(take, n, 150, 8_000, 2.0)
    out = np.zeros(n)
    for order, gain in ((1, 1.0), (3, 0.45), (5, 0.2)):
        out += gain * _moving_band(source, np.minimum(order * track, 12_000), 0.2 * start * order)
    return unit(out) * flow


def _moving_band(source: Signal, centre: Signal, width: float) -> Signal:
    """A narrow band around a moving centre: shift to zero, smooth, shift back."""
    phase = 2 * np.pi * np.cumsum(centre) / 32_000
    i = smooth(source * np.cos(phase), 1 / width)
    q = smooth(source * np.sin(phase), 1 / width)
    return unit(i * np.cos(phase) + q * np.sin(phase))
