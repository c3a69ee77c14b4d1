"""Bells, beeps and buzzes: alarm clock, bicycle bell, buzzer, doorbell.

Each maker takes two generators, of the object (`thing`: which bell) and of the performance
(`take`: how it is rung), and a wished duration; it returns a raw mono signal.
"""

from __future__ import annotations

import numpy as np

from .draws import Draw, chance, log_uniform, style
from .dsp import (
    Signal,
    bandpass,
    clock,
    decay,
    drive,
    length,
    line,
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


def alarm_clock(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A bedside clock: groups of piezo beeps, a fast beeper, or two gongs and a hammer."""
    kind = style(thing, {"groups": 0.45, "twin bell": 0.35, "steady": 0.2})
    if kind == "twin bell":
        return _twin_bell(thing, take, seconds)
    out = np.zeros(length(seconds))
    pitch = log_uniform(thing, 1_900, 3_400)
    beep = thing.uniform(0.045, 0.11) if kind == "groups" else thing.uniform(0.12, 0.25)
    gap = beep * thing.uniform(0.8, 1.1)
    group = int(thing.integers(2, 5)) if kind == "groups" else 1
    period = group * (beep + gap) + (thing.uniform(0.25, 0.55) if kind == "groups" else 0.0)
    sound = _piezo(thing, pitch, beep)
    at = 0.0
    while at < seconds:
        for k in range(group):
            place(out, at + k * (beep + gap), sound, take.uniform(0.97, 1.0))
        at += period
    return peaks(out, [pitch * 0.8, pitch * 2.2], [thing.uniform(0, 6), thing.uniform(0, 6)])


def _piezo(thing: Draw, pitch: float, seconds: float) -> Signal:
    odd = thing.uniform(0.15, 0.5)
    gains = [1.0, thing.uniform(0.02, 0.25), odd, 0.03, odd * 0.5, 0.0, odd * 0.25]
    tone = rotor(pitch, gains, thing, length(seconds))
    edge = thing.uniform(0.001, 0.004)
    return tone * line(tone.size, [0, edge, seconds - 2 * edge, seconds], [0, 1, 0.95, 0])


def _twin_bell(thing: Draw, take: Draw, seconds: float) -> Signal:
    n = length(seconds)
    rate = thing.uniform(13, 22)
    base = log_uniform(thing, 1_100, 2_100)
    out = np.zeros(n)
    for side, pitch in enumerate((base, base * thing.uniform(1.03, 1.14))):
        times = np.arange(side / (2 * rate), seconds, 1 / rate)
        times += take.normal(0, 0.04 / rate, times.size)
        gong = _gong(thing, pitch, thing.uniform(0.12, 0.45), contact=2e-5)
        out += strikes(n, times, take.uniform(0.6, 1.0, times.size), gong)
    rattle = noise(take, n, 800, 5_000) * (1 + np.sin(2 * np.pi * 2 * rate * clock(n)))
    winding_down = line(n, [0, seconds], [1.0, thing.uniform(0.5, 1.0)])
    return np.asarray((unit(out) + thing.uniform(0.02, 0.08) * rattle) * winding_down)


def _gong(thing: Draw, pitch: float, tau: float, *, contact: float) -> Signal:
    """A small steel cup: inharmonic partials, each a doublet that beats."""
    ratios = np.array([1.0, 2.32, 2.71, 4.25, 6.63, 9.38]) * thing.uniform(0.97, 1.03, 6)
    split = thing.uniform(1.0, 7.0, 6)
    frequencies = np.concatenate([pitch * ratios, pitch * ratios + split])
    gains = np.tile(np.array([1.0, 0.55, 0.4, 0.5, 0.3, 0.18]) * thing.uniform(0.5, 1.3, 6), 2)
    gains[6:] *= thing.uniform(0.4, 0.9, 6)
    return ring(frequencies, np.tile(tau * ratios**-0.7, 2), gains, contact=contact)


def bicycle_bell(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A thumb bell: the ding of the lever and of its return, or the trill of a rotary bell."""
    n = length(seconds + 1.5)  # rings out after the last stroke
    pitch = log_uniform(thing, 2_100, 3_900)
    bell = _gong(thing, pitch, thing.uniform(0.25, 0.7), contact=thing.uniform(0.5e-5, 2e-5))
    trill = style(thing, {"lever": 0.6, "trill": 0.4}) == "trill"
    times: list[float] = []
    gains: list[float] = []
    at = 0.0
    while at < max(seconds - 0.3, 0.01):
        if trill:
            ticks = int(take.integers(8, 18))
            steps = np.cumsum(take.uniform(0.8, 1.2, ticks)) * take.uniform(0.024, 0.042)
            times += list(at + steps - steps[0])
            gains += list(np.hanning(ticks + 4)[2:-2] * take.uniform(0.7, 1.0, ticks))
            at += steps[-1]
        else:
            back = take.uniform(0.10, 0.22)
            times += [at, at + back]
            gains += [1.0, take.uniform(0.35, 0.8)]
            at += back
        at += take.uniform(0.3, 1.2)
    clicks = strikes(n, times, gains, noise(thing, length(0.004), 2_000, 9_000) * decay(0.004, 0.001))
    return strikes(n, times, gains, bell) + thing.uniform(0.05, 0.25) * clicks


def buzzer(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A harsh low buzz: mains relay, saw-tooth oscillator, or two detuned ones (game show)."""
    n = length(seconds)
    kind = style(thing, {"relay": 0.35, "saw": 0.35, "duo": 0.3})
    low, high = {"relay": (95, 125), "saw": (150, 480), "duo": (90, 240)}[kind]
    pitch = log_uniform(thing, low, high)
    flutter = 1 + 0.002 * wander(take, n, 8)
    k = np.arange(1, int(9_000 / pitch))
    gains = k ** -thing.uniform(0.7, 1.1) * (1.0 if kind == "saw" else thing.uniform(0.4, 1.0, k.size))
    tone = rotor(pitch * flutter, gains, thing)
    if kind == "duo":
        tone += rotor(pitch * thing.uniform(1.01, 1.06) * flutter, gains, thing)
    if kind == "relay":
        tone = tone * (1 + 0.3 * wander(take, n, 60)) + 0.2 * unit(tone) * noise(take, n, 1_000, 8_000)
    tone = drive(tone, thing.uniform(0.8, 2.0))
    tone = peaks(
        bandpass(tone, 120, 7_000, 1), list(thing.uniform(300, 3_500, 3)), list(thing.uniform(2, 10, 3))
    )
    return unit(tone) * _presses(take, n, seconds)


def _presses(take: Draw, n: int, seconds: float) -> Signal:
    """On and off as a thumb holds a button: one long press or several."""
    gate = np.zeros(n)
    at = 0.0
    while at < seconds:
        held = min(take.uniform(0.3, 1.6), seconds - at)
        gate[length(at) : length(at + held)] = take.uniform(0.9, 1.0)
        at += held + take.uniform(0.12, 0.6)
    return smooth(gate, 0.012)


def doorbell(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Ding-dong on two tone bars, an electronic melody, or a trembler gong."""
    kind = style(thing, {"bars": 0.5, "melody": 0.3, "trembler": 0.2})
    n = length(seconds)
    if kind == "trembler":
        gate = _presses(take, n, max(0.4, seconds - 0.5))
        times = np.arange(0, seconds, 1 / thing.uniform(16, 26))
        gong = _gong(thing, log_uniform(thing, 600, 1_000), thing.uniform(0.2, 0.5), contact=6e-5)
        loud = gate[np.minimum((times * n / seconds).astype(int), n - 1)]
        return strikes(n, times, loud * take.uniform(0.7, 1.0, times.size), gong)
    tonic = log_uniform(thing, 420, 820)
    out = np.zeros(length(seconds + 2.5))  # the last note rings out
    scale = tonic * 2 ** (np.array([0, 2, 4, 5, 7, 9, 12]) / 12)
    if kind == "bars":
        tune = (
            [float(scale[2]), float(scale[0])] if chance(thing, 0.7) else [float(scale[4]), float(scale[1])]
        )
        step, tau = thing.uniform(0.4, 0.8), thing.uniform(0.45, 1.0)
    else:
        tune = [float(scale[i]) for i in thing.integers(0, 7, int(thing.integers(4, 9)))]
        step, tau = thing.uniform(0.18, 0.35), thing.uniform(0.2, 0.5)
    bar = thing.uniform(0.1, 0.4, 3)
    at = 0.0
    while at < max(seconds - step, 0.01):
        for note in tune:
            ratios = np.array([1, 2.756, 5.404, 8.93]) if kind == "bars" else np.array([1, 2, 3, 4])
            decays = tau * ratios**-0.9
            place(out, at, ring(note * ratios, decays, [1.0, *bar], contact=5e-5), take.uniform(0.85, 1.0))
            at += step
        at += take.uniform(0.6, 1.4)
    return out
