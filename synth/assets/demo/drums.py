"""Percussion: a drawn kit of drums and small instruments, playing a drawn pattern."""

from __future__ import annotations

import numpy as np

from .draws import Draw, chance, log_uniform
from .dsp import Signal, bandpass, clock, decay, highpass, length, noise, place, ring


def percussion(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A kit of two to five instruments in a sixteenth-note pattern with fills."""
    makers = [_kick, _snare, _tom, _hat, _conga, _clave, _cowbell, _tambourine]
    chosen = thing.choice(len(makers), int(thing.integers(2, 6)), replace=False)
    kit = [makers[int(i)](thing) for i in chosen]
    dense = thing.uniform(0.15, 0.45, len(kit))
    pattern = take.uniform(0, 1, (len(kit), 16)) < dense[:, None]
    pattern[0, [0, 8]] = True
    step = 60 / take.uniform(75, 150) / 4
    out = np.zeros(length(seconds + 0.8))
    for tick in range(int(max(1.0, (seconds - 0.1) / step))):
        accent = 1.0 if tick % 4 == 0 else 0.7
        for sound, row in zip(kit, pattern, strict=True):
            if row[tick % 16] or chance(take, 0.03):
                late = abs(take.normal(0, 0.004))
                place(out, tick * step + late, sound, accent * take.uniform(0.6, 1.0))
    return out


def _peak(x: Signal, gain: float = 1.0) -> Signal:
    return gain * x / float(np.abs(x).max())


def _kick(thing: Draw) -> Signal:
    t = clock(length(0.4))
    low, sweep = thing.uniform(42, 65), thing.uniform(60, 180)
    phase = 2 * np.pi * np.cumsum(low + sweep * np.exp(-t / 0.025)) / 32_000
    beater = noise(thing, t.size, 800, 5_000) * np.exp(-t / 0.003)
    return _peak(np.sin(phase) * np.exp(-t / thing.uniform(0.08, 0.16)) + 0.15 * beater)


def _snare(thing: Draw) -> Signal:
    shell = ring(thing.uniform(170, 240) * np.array([1, 1.6, 2.2]), 0.05, [1, 0.7, 0.4], seconds=0.3)
    wires = highpass(noise(thing, shell.size, 1_000, 12_000), 1_200) * decay(0.3, thing.uniform(0.05, 0.11))
    return _peak(shell + 0.5 * wires, 0.8)


def _tom(thing: Draw) -> Signal:
    modes = log_uniform(thing, 75, 210) * np.array([1, 1.59, 2.14, 2.3, 2.65, 2.92])
    return _peak(ring(modes, thing.uniform(0.1, 0.25), [1, 0.6, 0.4, 0.3, 0.25, 0.2], contact=2e-4), 0.9)


def _hat(thing: Draw) -> Signal:
    metal = thing.uniform(3_500, 14_000, 24)
    tau = thing.uniform(0.015, 0.2)
    hiss = highpass(noise(thing, length(5 * tau), 5_000, 15_000), 5_000) * decay(5 * tau, tau)
    sound = ring(metal, tau, thing.uniform(0.3, 1, 24), seconds=5 * tau) / 6
    place(sound, 0.0, hiss, 0.6)
    return _peak(sound, 0.45)


def _conga(thing: Draw) -> Signal:
    modes = log_uniform(thing, 180, 380) * np.array([1, 1.5, 1.98, 2.44, 3.1])
    slap = bandpass(noise(thing, length(0.05), 600, 6_000), 900, 5_000) * decay(0.05, 0.006)
    sound = ring(modes, thing.uniform(0.05, 0.12), [1, 0.5, 0.35, 0.2, 0.2], contact=1e-4)
    place(sound, 0.0, slap, thing.uniform(0.1, 0.4))
    return _peak(sound, 0.8)


def _clave(thing: Draw) -> Signal:
    pitch = log_uniform(thing, 1_100, 2_500)
    return _peak(ring(pitch * np.array([1, 2.71, 5.1]), 0.022, [1, 0.25, 0.1], seconds=0.15), 0.6)


def _cowbell(thing: Draw) -> Signal:
    pitch = log_uniform(thing, 480, 720)
    modes = pitch * np.array([1, 1.48, 2.53, 3.9, 5.3])
    return _peak(ring(modes, thing.uniform(0.06, 0.14), [1, 0.9, 0.4, 0.3, 0.2]), 0.6)


def _tambourine(thing: Draw) -> Signal:
    out = np.zeros(length(0.22))
    for at in np.sort(thing.exponential(0.02, 14)):
        jingle = ring(thing.uniform(5_000, 13_000, 5), thing.uniform(0.01, 0.05), 1.0, seconds=0.15)
        place(out, float(at), jingle, thing.uniform(0.2, 1.0))
    return _peak(out, 0.45)
