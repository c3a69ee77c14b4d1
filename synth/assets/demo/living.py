"""Interferers with a throat or wings: dog, bird, cricket.

Each maker takes two generators, of the animal (`thing`) and of the performance (`take`), and a
wished duration; it returns a raw mono signal. None is one of the 18 target classes.
"""

from __future__ import annotations

import numpy as np

from .draws import Draw, chance, log_uniform
from .dsp import Signal, clock, length, noise, place, smooth, unit, wander
from .tract import FRAME, glottis, tract


def dog(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Barks: a pitch that jumps up and falls, through a snout that opens and shuts."""
    base = log_uniform(thing, 170, 620)
    scale = (base / 300) ** 0.35
    out = np.zeros(length(seconds))
    at = 0.0
    while at < max(seconds - 0.2, 0.01):
        for _ in range(int(take.integers(1, 5))):
            bark = _bark(take, base * take.uniform(0.9, 1.1), scale, take.uniform(0.11, 0.24))
            place(out, at, bark, take.uniform(0.7, 1.0))
            at += bark.size / 32_000 + take.uniform(0.06, 0.25)
        at += take.uniform(0.2, 0.9)
    return out


def _bark(take: Draw, base: float, scale: float, seconds: float) -> Signal:
    n = length(seconds)
    u = clock(n) / seconds
    pitch = base * (0.75 + 0.9 * np.sin(np.pi * np.minimum(1, u * 1.4)) * (1 - 0.3 * u))
    pulses, _ = glottis(take, pitch, open_share=0.5, jitter=0.05)
    shape = np.minimum(1, u / 0.08) * np.minimum(1, (1 - u) / 0.35) ** 1.5
    air = noise(take, n, 400, 9_000, 2.0)
    mouth = (
        np.array([500, 1_150, 2_300])
        * (0.8 + 0.5 * np.sin(np.pi * np.linspace(0, 1, -(-n // FRAME))))[:, None]
    )
    return unit(tract((6 * pulses + 0.5 * air) * shape, mouth, scale=scale, widening=1.6))


def bird(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A song of one to three syllables, whistled sweeps and trills, sung again and again."""
    base = log_uniform(thing, 2_200, 5_200)
    song = [_syllable(thing, base * thing.uniform(0.75, 1.4)) for _ in range(int(thing.integers(1, 4)))]
    repeats = thing.integers(1, 6, len(song))
    out = np.zeros(length(seconds))
    at = 0.0
    while at < max(seconds - 0.15, 0.01):
        for syllable, times in zip(song, repeats, strict=True):
            for _ in range(int(times)):
                place(out, at, syllable, take.uniform(0.7, 1.0))
                at += syllable.size / 32_000 + take.uniform(0.015, 0.08)
        at += take.uniform(0.25, 1.2)
    return out


def _syllable(thing: Draw, pitch: float) -> Signal:
    seconds = thing.uniform(0.04, 0.22)
    n = length(seconds)
    u = clock(n) / seconds
    track = pitch * (1 + thing.uniform(-0.35, 0.35) * u + thing.uniform(-0.2, 0.2) * np.sin(np.pi * u))
    if chance(thing, 0.4):
        track = track * (1 + 0.09 * np.sin(2 * np.pi * thing.uniform(25, 60) * clock(n)))
    phase = 2 * np.pi * np.cumsum(track) / 32_000
    return (np.sin(phase) + thing.uniform(0, 0.15) * np.sin(2 * phase)) * np.hanning(n + 2)[1:-1] ** 0.7


def cricket(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Stridulation: groups of short pulses of one high tone, and a few more insects behind."""
    n = length(seconds)
    out = np.zeros(n)
    for k in range(int(thing.integers(1, 4))):
        pitch = log_uniform(thing, 3_400, 6_800)
        pulse, pulses = thing.uniform(0.010, 0.02), int(thing.integers(2, 7))
        period = pulses * 1.8 * pulse + thing.uniform(0.1, 0.6)
        gate = np.zeros(n)
        for start in np.arange(take.uniform(0, 0.04 if k == 0 else period), seconds, period):
            for j in range(pulses):
                a = length(start + 1.8 * pulse * j)
                gate[a : a + length(pulse)] = 0.6 + 0.4 * j / pulses
        tone = np.sin(2 * np.pi * np.cumsum(pitch * (1 + 0.002 * wander(take, n, 20))) / 32_000)
        out += smooth(gate, 0.006) * tone * (1.0 if k == 0 else thing.uniform(0.1, 0.5))
    return out + 0.01 * noise(take, n, 2_000, 9_000)
