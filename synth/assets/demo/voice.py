"""The human voice: speech-like utterances and coughs.

`thing` is the speaker, `take` the utterance; both makers return a raw mono signal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .draws import Draw, chance, log_uniform, style
from .dsp import RATE, Signal, clock, length, line, noise, place, smooth, unit, wander
from .phones import Phone, phrase
from .tract import FRAME, glottis, tract


@dataclass(frozen=True, slots=True)
class Speaker:
    """What stays the same between two utterances of one speaker."""

    pitch: float
    scale: float
    breath: float
    open_share: float
    pace: float
    melody: float


def speaker(thing: Draw) -> Speaker:
    """Draw a man, a woman or a child by pitch and length of the vocal tract."""
    kind = style(thing, {"man": 0.4, "woman": 0.4, "child": 0.2})
    low, high = {"man": (85, 145), "woman": (160, 240), "child": (230, 320)}[kind]
    small, large = {"man": (0.92, 1.04), "woman": (1.08, 1.2), "child": (1.22, 1.36)}[kind]
    return Speaker(
        pitch=log_uniform(thing, low, high),
        scale=thing.uniform(small, large),
        breath=thing.uniform(0.02, 0.12),
        open_share=thing.uniform(0.5, 0.75),
        pace=thing.uniform(0.8, 1.25),
        melody=thing.uniform(0.06, 0.18),
    )


def speech(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Phrases of syllables with a falling melody, unvoiced consonants, and pauses."""
    who = speaker(thing)
    out = np.zeros(length(seconds))
    at = 0.0
    while at < max(seconds - 0.3, 0.01):
        room = seconds - at
        phones = phrase(take, who.pace, min(float(take.uniform(0.5, 2.8)), room))
        spoken = _speak(who, take, phones)
        place(out, at, spoken, take.uniform(0.8, 1.0))
        at += spoken.size / RATE + take.uniform(0.12, 0.6)
    return out


def _speak(who: Speaker, take: Draw, phones: list[Phone]) -> Signal:
    ends = np.cumsum([p.seconds for p in phones])
    n = length(float(ends[-1]) + 0.05)
    middles = ends - 0.5 * np.array([p.seconds for p in phones])
    frame_times = np.arange(-(-n // FRAME)) * FRAME / RATE
    formants = np.stack(
        [np.interp(frame_times, middles, [p.formants[i] for p in phones]) for i in range(3)], 1
    )
    voiced = _steps(n, ends, [p.voice for p in phones], 0.018)
    breathy = _steps(n, ends, [p.breath for p in phones], 0.010)
    pulses, opening = glottis(take, _melody(who, take, phones, ends, n), open_share=who.open_share)
    air = noise(take, n, 300, 12_000, 2.0)
    shimmer = 1 + 0.06 * wander(take, n, 20)
    source = pulses * voiced * shimmer + air * (who.breath * opening * voiced + 0.25 * breathy)
    out = tract(source, formants, scale=who.scale)
    level = 0.9 * float(np.sqrt(np.mean(out[voiced > 0.5] ** 2))) if (voiced > 0.5).any() else 0.3
    for phone, end in zip(phones, ends, strict=True):
        if phone.hiss is not None:
            place(out, float(end) - phone.seconds, _hiss(take, phone, who.scale), level * phone.hiss[2])
    return out


def _steps(n: int, ends: NDArray[np.float64], values: list[float], edge: float) -> Signal:
    track = np.zeros(n)
    start = 0
    for end, value in zip(ends, values, strict=True):
        track[start : length(float(end))] = value
        start = length(float(end))
    return np.maximum(smooth(track, edge), 0.0)


def _melody(who: Speaker, take: Draw, phones: list[Phone], ends: NDArray[np.float64], n: int) -> Signal:
    """Pitch: falls over the phrase, rises on stressed syllables, turns up or down at the end."""
    t = clock(n) / ends[-1]
    final = take.choice([-1.0, -1.0, -0.5, 1.0]) * who.melody * np.clip((t - 0.8) / 0.2, 0, 1)
    stress = _steps(n, ends, [p.stress for p in phones], 0.12)
    bend = who.melody * (0.8 - 1.4 * t + 1.2 * stress + 0.25 * wander(take, n, 3)) + final
    return np.asarray(who.pitch * np.exp(bend))


def _hiss(take: Draw, phone: Phone, scale: float) -> Signal:
    """Turbulence or a burst in front of the tract: a band of noise with its own envelope."""
    centre, width, _ = phone.hiss or (1.0, 1.0, 0.0)
    n = length(phone.seconds)
    middle = min(centre * scale**0.5, 11_000)
    sound = noise(take, n, max(200.0, middle - width / 2), middle + width / 2)
    if phone.burst:
        return sound * np.exp(-clock(n) / 0.010)
    return sound * np.hanning(n + 2)[1:-1] ** 0.5


def cough(thing: Draw, take: Draw, seconds: float) -> Signal:
    """Coughs in fits: explosive opening, noisy middle, and often a voiced end."""
    who = speaker(thing)
    out = np.zeros(length(seconds))
    at = 0.0
    while at < max(seconds - 0.25, 0.01):
        for k in range(int(take.integers(1, 4))):
            one = _one_cough(who, take, take.uniform(0.22, 0.42))
            place(out, at, one, take.uniform(0.7, 1.0) * 0.9**k)
            at += one.size / RATE * take.uniform(0.75, 1.0)
        at += take.uniform(0.25, 1.1)
    return out


def _one_cough(who: Speaker, take: Draw, seconds: float) -> Signal:
    n = length(seconds)
    t = clock(n)
    tense = take.uniform(0.10, 0.2)
    burst = np.minimum(t / 0.002, 1.0) * np.exp(-t / take.uniform(0.018, 0.035))
    middle = np.clip(t / 0.02, 0, 1) * np.exp(-t / (0.35 * seconds)) * (1 + 0.4 * wander(take, n, 60))
    air = noise(take, n, 250, 11_000, 1.5) * (burst + 0.45 * middle)
    voice_on = np.clip((t - tense) / 0.03, 0, 1) * np.clip((seconds - t) / 0.08, 0, 1)
    pitch = who.pitch * take.uniform(1.2, 1.9) * np.exp(-1.2 * t / seconds)
    pulses, _ = glottis(take, pitch, open_share=0.7, jitter=0.06)
    rough = pulses * voice_on * (take.uniform(0.5, 2.0) if chance(take, 0.7) else 0.0)
    shape = np.array([take.uniform(550, 850), take.uniform(1_100, 1_700), take.uniform(2_300, 2_900)])
    frames = -(-n // FRAME)
    opened = shape * np.linspace(1.1, 0.85, frames)[:, None]
    sound = tract(air + 4 * rough, opened, scale=who.scale, widening=2.0)
    throat = noise(take, n, 120, 700) * burst
    return np.asarray((unit(sound) + 0.3 * throat) * line(n, [0, seconds - 0.04, seconds], [1, 1, 0]))
