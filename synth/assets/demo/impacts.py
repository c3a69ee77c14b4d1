"""Things that hit things: hands, doors, crockery, feet, keys.

Each maker takes two generators, of the object (`thing`) and of the performance (`take`), and a
wished duration; it returns a raw mono signal.
"""

from __future__ import annotations

import numpy as np

from .draws import Draw, chance, log_uniform, style
from .dsp import (
    Signal,
    bandpass,
    decay,
    highpass,
    length,
    line,
    lowpass,
    noise,
    peaks,
    place,
    ring,
    strikes,
    unit,
    wander,
)


def clapping(thing: Draw, take: Draw, seconds: float) -> Signal:
    """One pair of hands in time, or a small audience: millisecond bursts through cupped palms."""
    n = length(seconds)
    people = 1 if style(thing, {"one": 0.65, "audience": 0.35}) == "one" else int(thing.integers(4, 26))
    out = np.zeros(n)
    for _ in range(people):
        cup = log_uniform(thing, 650, 1_900)
        period = 1 / thing.uniform(2.2, 4.8)
        times = take.uniform(0, 0.02 if people == 1 else period) + np.arange(0, seconds, period)
        times = times + take.normal(0, 0.02, times.size)
        loud = thing.uniform(0.3, 1.0) if people > 1 else 1.0
        for at in times:
            place(out, at, _clap(take, cup * take.uniform(0.9, 1.1)), loud * take.uniform(0.6, 1.0))
    return out


def _clap(take: Draw, cup: float) -> Signal:
    burst = noise(take, length(0.05), 300, 9_000) * decay(0.05, take.uniform(0.002, 0.004), 0.0004)
    flam = take.uniform(0.001, 0.005)
    hands = np.zeros(length(0.06))
    place(hands, 0.0, burst, 0.6)
    place(hands, flam, noise(take, length(0.05), 300, 9_000) * decay(0.05, 0.004, 0.0003), 1.0)
    palm = noise(take, length(0.06), cup * 0.7, cup * 1.4) * decay(0.06, take.uniform(0.007, 0.014), 0.0005)
    return hands + 0.9 * palm


def cupboard_open_close(thing: Draw, take: Draw, seconds: float) -> Signal:
    """A cupboard or drawer: catch, creak or slide, pause, and the thud of closing."""
    panel = _panel(thing)
    out = np.zeros(length(seconds + 3.0))  # what was opened is closed
    kind = style(thing, {"oiled": 0.3, "creaky": 0.4, "drawer": 0.3})
    at = 0.0
    while at < max(seconds - 0.5, 0.01):
        _catch(out, at, take, panel)
        moving = take.uniform(0.25, 0.9)
        for start in (at + 0.06, at + 0.06 + moving + take.uniform(0.15, 0.7)):
            if kind == "drawer":
                place(out, start, _slide(take, moving), thing.uniform(0.10, 0.25))
            elif kind == "creaky":
                place(out, start, _creak(take, moving, panel), thing.uniform(0.15, 0.4))
            else:  # an oiled hinge: the door rubs and shifts the air
                place(out, start, _slide(take, moving), thing.uniform(0.02, 0.06))
        closing = start + moving * take.uniform(0.9, 1.1)
        _thud(out, closing, thing, take, panel)
        at = closing + take.uniform(0.5, 1.6)
    return out


def _panel(thing: Draw) -> Signal:
    """A wooden panel: a dozen low, quickly damped plate modes."""
    base = log_uniform(thing, 75, 190)
    modes = base * np.array([1, 1.6, 2.1, 2.9, 3.7, 4.4, 5.9, 7.3, 9.1, 11.7, 14.9, 19.0])
    modes *= thing.uniform(0.93, 1.07, 12)
    taus = thing.uniform(0.03, 0.07) * (base / modes) ** 0.5
    return ring(modes, taus, thing.uniform(0.4, 1.0, 12) * (base / modes) ** 0.35)


def _catch(out: Signal, at: float, take: Draw, panel: Signal) -> None:
    click = ring(take.uniform(1_500, 6_000, 4), 0.004, take.uniform(0.3, 1, 4), seconds=0.03)
    place(out, at, click, 0.5)
    place(out, at + take.uniform(0.008, 0.03), click, 0.35)
    place(out, at, panel, 0.15)


def _creak(take: Draw, seconds: float, panel: Signal) -> Signal:
    """Stick and slip: pulses at a rate that follows the speed of the hinge, through the wood."""
    n = length(seconds)
    speed = log_uniform(take, 60, 180) * np.exp(0.5 * wander(take, n, 5))
    cycle = np.cumsum(speed) / 32_000
    slips = np.flatnonzero(np.diff(np.floor(cycle), prepend=0.0) > 0)
    gains = take.uniform(0.4, 1.0, slips.size)
    body = ring(take.uniform(500, 3_200, 5), take.uniform(0.003, 0.009, 5), 1.0, seconds=0.06)
    wood = strikes(n, slips / 32_000, gains, body) + 0.25 * strikes(n, slips / 32_000, gains, panel)
    return unit(wood) * np.hanning(n) ** 0.5


def _slide(take: Draw, seconds: float) -> Signal:
    n = length(seconds)
    rumble = noise(take, n, 90, 1_800, 3) * (1 + 0.5 * wander(take, n, 35))
    rollers = strikes(
        n,
        np.sort(take.uniform(0, seconds, int(30 * seconds) + 1)),
        take.uniform(0, 1),
        ring(take.uniform(400, 2_500, 4), 0.006, 1.0, seconds=0.04),
    )
    return (unit(rumble) + 2 * rollers) * np.hanning(n) ** 0.6


def _thud(out: Signal, at: float, thing: Draw, take: Draw, panel: Signal) -> None:
    knock = np.concatenate([noise(take, length(0.02), 60, 3_000) * decay(0.02, 0.004, 0.0005), np.zeros(64)])
    place(out, at, lowpass(np.convolve(panel, knock), 2_500), 0.35)
    for bounce in np.cumsum(take.uniform(0.03, 0.09, int(take.integers(0, 3)))):
        place(out, at + bounce, panel, 0.35 * np.exp(-bounce / 0.06))
    for _ in range(int(thing.integers(0, 6))):  # what stands inside rattles
        clink = ring(take.uniform(1_800, 6_500, 3), take.uniform(0.01, 0.04), 1.0)
        place(out, at + take.uniform(0.0, 0.12), clink, take.uniform(0.01, 0.06))


def dishes(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Plates, glasses and cutlery: inharmonic clinks in clusters, now and then a scrape."""
    shelf = [_crockery(thing) for _ in range(int(thing.integers(3, 7)))]
    out = np.zeros(length(seconds + 0.8))
    at = 0.0
    while at < max(seconds - 0.2, 0.01):
        for _ in range(int(take.integers(1, 7))):
            piece = shelf[int(take.integers(len(shelf)))]
            loud = take.uniform(0.15, 1.0) ** 1.5
            place(out, at, piece, loud)
            if chance(take, 0.4):  # set down: it settles in ever faster bounces
                gap = take.uniform(0.03, 0.07)
                for k in range(4):
                    place(out, at + gap * (1 - 0.6**k) / 0.4, piece, loud * 0.5 ** (k + 1))
            at += take.uniform(0.03, 0.28)
        if chance(take, 0.25):
            place(out, at, _scrape(take, take.uniform(0.12, 0.4)), take.uniform(0.1, 0.25))
        at += take.uniform(0.1, 0.7)
    return out


def _crockery(thing: Draw) -> Signal:
    """One piece: stoneware is low and dull, glass rings long, steel is bright and dense."""
    kind = thing.choice(["stone", "glass", "steel"], p=[0.5, 0.25, 0.25])
    low, high, tau = {
        "stone": (900, 2_400, 0.035),
        "glass": (1_500, 3_600, 0.22),
        "steel": (1_800, 4_200, 0.09),
    }[str(kind)]
    base = log_uniform(thing, low, high)
    ratios = np.cumsum(np.concatenate([[1.0], thing.uniform(0.35, 1.1, 8)]))
    gains = thing.uniform(0.3, 1.0, 9) * ratios ** -thing.uniform(0.2, 0.9)
    tau *= thing.uniform(0.6, 1.6)
    tick = highpass(noise(thing, length(0.003), 2_000, 12_000) * decay(0.003, 0.0006, 0.0002), 1_500)
    body = ring(base * ratios, tau * ratios**-0.8, gains)
    place(body, 0.0, tick, 0.5)
    return body / float(np.abs(body).max())


def _scrape(take: Draw, seconds: float) -> Signal:
    n = length(seconds)
    rub = noise(take, n, 2_000, 9_000) * np.abs(wander(take, n, 120))
    return unit(peaks(rub, list(take.uniform(2_000, 7_000, 3)), [18, 15, 15], 25)) * np.hanning(n)


_FLOORS = {"boards": 0.3, "stone": 0.3, "gravel": 0.16, "carpet": 0.12, "snow": 0.12}


def foot_steps(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Walking: heel, then ball of the foot, through the resonances of a drawn floor."""
    floor = style(thing, _FLOORS)
    sole = log_uniform(thing, 0.0002, 0.0012)
    body = _floor(thing, floor, sole)
    out = np.zeros(length(seconds))
    period = thing.uniform(0.34, 0.68)
    at, left = 0.0, True
    while at < max(seconds - 0.1, 0.01):
        step = take.uniform(0.7, 1.0) * (1.0 if left else thing.uniform(0.8, 1.0))
        roll = period * take.uniform(0.12, 0.22)
        place(out, at, _foot(take, floor, body), step)
        place(out, at + roll, _foot(take, floor, body), step * take.uniform(0.25, 0.6))
        at += period * take.uniform(0.94, 1.06)
        left = not left
    return out


def _floor(thing: Draw, floor: str, sole: float) -> Signal:
    if floor == "boards":
        modes = log_uniform(thing, 70, 130) * np.array([1, 1.9, 2.7, 3.8, 5.2, 7.9, 11.3])
        return ring(modes, 0.045 * (80 / modes) ** 0.4, [1, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2], contact=sole * 0.3)
    if floor == "stone":
        modes = thing.uniform(300, 2_600, 7)
        return ring(modes, thing.uniform(0.003, 0.010, 7), thing.uniform(0.3, 1, 7), contact=sole * 0.1)
    modes = thing.uniform(55, 180, 3)
    return ring(modes, 0.018, 1.0, contact=sole)


def _foot(take: Draw, floor: str, body: Signal) -> Signal:
    if floor in ("gravel", "snow"):
        seconds = take.uniform(0.10, 0.2)
        n = length(seconds)
        rate = 700 if floor == "gravel" else 1_800
        times = take.beta(1.4, 2.2, int(rate * seconds)) * seconds
        low, high, tau = (1_200, 6_500, 0.0016) if floor == "gravel" else (700, 3_500, 0.0009)
        grain = highpass(ring(take.uniform(low, high, 6), tau, 1.0, seconds=0.01), 500)
        out = unit(strikes(n, times, take.exponential(1.0, times.size), grain)) * 0.3
        place(out, 0.0, body, 0.15)
        return out
    scuff = bandpass(noise(take, length(0.06), 200, 6_000, 3) * decay(0.06, 0.010, 0.002), 250, 5_000, 1)
    out = np.pad(0.2 * scuff if floor != "carpet" else 0.5 * lowpass(scuff, 700), (0, 3_000))
    place(out, 0.0, body / np.abs(body).max(), 0.8 if floor != "carpet" else 0.6)
    return out


def typing(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Typing: a click down and a softer one up for every key, in bursts at a typist's rhythm."""
    out = np.zeros(length(seconds))
    pitch, tau = log_uniform(thing, 1_300, 3_000), thing.uniform(0.0012, 0.004)
    case = ring(thing.uniform(180, 520, 3), 0.012, thing.uniform(0.2, 0.6, 3), contact=2e-4)
    spring = ring(thing.uniform(2_600, 5_200, 2), 0.03, 1.0) if chance(thing, 0.35) else np.zeros(8)
    pace = log_uniform(thing, 0.09, 0.2)
    at, left_in_burst = 0.0, int(take.integers(3, 16))
    while at < max(seconds - 0.1, 0.01):
        key = pitch * take.uniform(0.75, 1.35)
        wide = chance(take, 0.15)  # the space bar: lower, louder
        down, up = (_click(take, key * (0.6 if wide else 1.0) * f, tau) for f in (1.0, 1.25))
        force = take.uniform(0.6, 1.0)
        place(out, at, down, force)
        place(out, at + 0.002, case, force * (0.8 if wide else 0.35))
        place(out, at + 0.004, spring, 0.06 * force)
        place(out, at + take.uniform(0.05, 0.11), up, force * take.uniform(0.25, 0.5))
        at += pace * float(take.lognormal(0, 0.35))
        left_in_burst -= 1
        if left_in_burst <= 0:
            at += take.uniform(0.2, 0.9)
            left_in_burst = int(take.integers(3, 16))
    return out


def _click(take: Draw, pitch: float, tau: float) -> Signal:
    modes = pitch * np.array([1.0, 1.7, 2.6, 3.9]) * take.uniform(0.95, 1.05, 4)
    plastic = ring(modes, tau, [1.0, 0.8, 0.6, 0.4], seconds=0.03)
    tick = noise(take, plastic.size, 1_500, 11_000) * decay(0.03, 0.0010, 0.0002)
    return plastic + 0.8 * tick * line(plastic.size, [0, 0.02], [1, 0])
