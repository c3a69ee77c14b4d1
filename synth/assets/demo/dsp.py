"""The workbench of the procedural sounds: rings, strikes, rotors, shaped noise, envelopes.

Every signal is float64, mono, `(samples,)` at 32 kHz; times are seconds, frequencies Hz.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, signal

from ...units import SCENE_RATE
from .draws import Draw

RATE = SCENE_RATE
TOP = 15_000.0
"""Highest partial that is synthesised, in Hz; leaves room below Nyquist for vibrato."""

Signal: TypeAlias = NDArray[np.float64]


def length(seconds: float) -> int:
    """Return a duration in samples, at least one."""
    return max(1, round(seconds * RATE))


def clock(n: int) -> Signal:
    """Return the times of `n` samples in seconds."""
    return np.arange(n, dtype=np.float64) / RATE


def place(out: Signal, at: float, sound: Signal, gain: float = 1.0) -> None:
    """Add `sound` to `out` from `at` seconds on; what would lie outside is cut."""
    start = round(at * RATE)
    if start < 0:
        sound, start = sound[-start:], 0
    stop = min(out.size, start + sound.size)
    if stop > start:
        out[start:stop] += gain * sound[: stop - start]


def ring(
    frequencies: ArrayLike,
    decays: ArrayLike,
    gains: ArrayLike,
    *,
    contact: float = 0.0,
    seconds: float | None = None,
) -> Signal:
    """Return a struck body: decaying partials `g exp(-t / decay) sin(2 pi f t)`.

    Args:
        frequencies: Partials in Hz; those above `TOP` are left out.
        decays: Times to 1/e in seconds, one or one per partial.
        gains: Amplitudes, one or one per partial.
        contact: Standard deviation of a Gaussian force pulse in seconds; a softer hammer has a
            longer one and excites less of the top.
        seconds: Length; None for seven times the longest decay, at most 6 s.
    """
    f, tau, g = (np.atleast_1d(np.asarray(x, np.float64)) for x in (frequencies, decays, gains))
    f, tau, g = np.broadcast_arrays(f, tau, g)
    g = g * np.exp(-0.5 * (2 * np.pi * f * contact) ** 2)
    hit = np.zeros(length(min(6.0, 7 * float(tau.max())) if seconds is None else seconds))
    hit[0] = 1.0
    out = np.zeros_like(hit)
    for one, fade, gain in zip(f, tau, g, strict=True):
        if one < TOP:  # a damped sine is what a two-pole filter answers to an impulse
            radius, angle = np.exp(-1 / (fade * RATE)), 2 * np.pi * one / RATE
            poles = [1.0, -2 * radius * np.cos(angle), radius**2]
            out += signal.lfilter([0.0, gain * radius * np.sin(angle)], poles, hit)
    return out


def strikes(n: int, times: ArrayLike, gains: ArrayLike, body: Signal) -> Signal:
    """Return `body` struck at `times` (seconds) with `gains`, cut at `n` samples."""
    train = np.zeros(n)
    index = np.round(np.asarray(times) * RATE).astype(int)
    inside = (index >= 0) & (index < n)
    np.add.at(train, index[inside], np.broadcast_to(gains, index.shape)[inside])
    return np.asarray(signal.oaconvolve(train, body)[:n])


def noise(draw: Draw, n: int, low: float = 20.0, high: float = 16_000.0, tilt: float = 0.0) -> Signal:
    """Return Gaussian noise of unit RMS between two corners, falling by `tilt` dB per octave.

    The band edges fall like a second-order Butterworth filter, so that no edge is audible.
    """
    size = fft.next_fast_len(max(n, 64), real=True)
    f = np.fft.rfftfreq(size, 1 / RATE)
    safe = np.maximum(f, 1.0)
    shape = (safe / 1000.0) ** (-tilt / 6.02) / np.sqrt((1 + (low / safe) ** 4) * (1 + (safe / high) ** 4))
    shape[0] = 0.0
    phases = draw.standard_normal((2, f.size))
    out = fft.irfft(shape * (phases[0] + 1j * phases[1]), size)[:n]
    return np.asarray(out / (np.sqrt(np.mean(out**2)) + 1e-12))


def wander(draw: Draw, n: int, rate: float) -> Signal:
    """Return slow random motion of about unit variance with `rate` new values per second."""
    knots = max(4, int(np.ceil(n / RATE * rate)) + 4)
    values = draw.standard_normal(knots)
    x = np.arange(n) * (rate / RATE) + 1.0
    i = x.astype(int)
    u = x - i
    a, b, c, d = (values[np.minimum(i + k, knots - 1)] for k in (-1, 0, 1, 2))
    cubic = b + 0.5 * u * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)))
    return np.asarray(cubic)


def line(n: int, times: Sequence[float], values: Sequence[float]) -> Signal:
    """Return straight lines through (seconds, value) points, held before and after."""
    return np.asarray(np.interp(clock(n), times, values))


def decay(seconds: float, tau: float, attack: float = 0.001) -> Signal:
    """Return an envelope that rises over `attack` seconds and falls to 1/e every `tau`."""
    t = clock(length(seconds))
    return np.asarray(np.minimum(1.0, t / max(attack, 1e-5)) * np.exp(-t / tau))


def smooth(x: Signal, seconds: float) -> Signal:
    """Smear a control signal with a Hann window of the given length; ends are held."""
    n = length(seconds) | 1
    window = np.hanning(n + 2)[1:-1]
    padded = np.pad(x, n // 2, mode="edge")
    return np.asarray(signal.oaconvolve(padded, window / window.sum(), mode="valid"))


def rotor(frequency: ArrayLike, gains: ArrayLike, draw: Draw, n: int | None = None) -> Signal:
    """Return harmonics of a (moving) fundamental, each at a drawn phase.

    Args:
        frequency: Fundamental in Hz, one value or `(samples,)`.
        gains: Amplitude of harmonic 1, 2, ...; harmonics that would pass `TOP` are left out.
        draw: Draws the phases.
        n: Samples, when `frequency` is one value.
    """
    track = np.asarray(frequency, np.float64)
    if track.ndim == 0:
        track = np.full(n or 1, float(track))
    phase = 2 * np.pi * np.cumsum(track) / RATE
    offsets = draw.uniform(0, 2 * np.pi, np.size(gains))
    out = np.zeros_like(track)
    for k, gain in enumerate(np.atleast_1d(gains), start=1):
        if gain and k * track.max() < TOP:
            out += gain * np.sin(k * phase + offsets[k - 1])
    return out


def lowpass(x: Signal, cutoff: float, order: int = 2) -> Signal:
    """Butterworth low-pass."""
    return _butter(x, cutoff, "lowpass", order)


def highpass(x: Signal, cutoff: float, order: int = 2) -> Signal:
    """Butterworth high-pass."""
    return _butter(x, cutoff, "highpass", order)


def bandpass(x: Signal, low: float, high: float, order: int = 2) -> Signal:
    """Butterworth band-pass."""
    return _butter(x, (low, min(high, 15_500.0)), "bandpass", order)


def _butter(x: Signal, corner: float | tuple[float, float], kind: str, order: int) -> Signal:
    sos = signal.butter(order, corner, kind, fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sos, x))


def peaks(x: Signal, frequencies: Sequence[float], gains_db: Sequence[float], q: float = 3.0) -> Signal:
    """Boost (or dip) `x` around some frequencies: the body that a sound passes through."""
    out = x
    for f, gain in zip(frequencies, gains_db, strict=True):
        b, a = signal.iirpeak(min(f, TOP), q, fs=RATE)
        out = out + (10 ** (gain / 20) - 1) * signal.lfilter(b, a, out)
    return np.asarray(out)


def drive(x: Signal, amount: float) -> Signal:
    """Overdrive softly: `tanh` of the signal scaled to `amount` times its RMS."""
    return np.asarray(np.tanh(amount * x / (np.sqrt(np.mean(x**2)) + 1e-12)))


def unit(x: Signal) -> Signal:
    """Scale to RMS one (silence stays silence)."""
    return x / (float(np.sqrt(np.mean(x**2))) + 1e-12)


def finish(x: Signal, peak: float, *, shortest: float = 0.3, longest: float = 12.0) -> Signal:
    """Make a file of a raw sound: no DC, no silence before it, faded ends, a given peak.

    The start is cut 10 ms before the first sample within 40 dB of the peak; the end after the
    last within 66 dB. The fades last 2 ms and 25 ms.
    """
    x = highpass(np.pad(x, (0, max(0, length(shortest) - x.size))), 25.0)
    size = np.abs(x)
    start = max(0, int(np.argmax(size > 0.01 * size.max())) - length(0.010))
    stop = x.size - int(np.argmax(size[::-1] > 0.0005 * size.max()))
    x = x[start : min(max(stop, start + length(shortest)), start + length(longest))]
    x = np.pad(x, (0, max(0, length(shortest) - x.size)))
    rise, fall = length(0.002), length(0.025)
    x[:rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    x[-fall:] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(fall) + 1) / fall)
    return x * (peak / (float(np.abs(x).max()) + 1e-12))
