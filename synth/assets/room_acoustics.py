"""What a room response says about itself: reverberation time, direct path, noise floor, faults.

Responses are W Y Z X in SN3D; all but the direction is measured on W.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..units import Audio, Decibels, Degrees, Hertz, Samples, Seconds
from .ambisonics import dipole_level, intensity_direction
from .audio import SILENT_PEAK

DIRECT_BEFORE: Seconds = 0.001
DIRECT_AFTER: Seconds = 0.0015
"""The direct path: from so long before the largest magnitude of W to so long after it."""
DRR_AFTER: Seconds = 0.0025
"""What is direct in the direct-to-reverberant ratio (Zahorik 2002)."""
BAND: tuple[float, float] = (200.0, 6_000.0)
"""Hz; above, the capsules of a real microphone are too far apart for the direction."""

_BLOCK: Seconds = 0.01
_FLAT_RUN = 3


@dataclass(frozen=True, slots=True)
class RirFigures:
    """Figures of one response; nan where it does not allow to tell.

    Attributes:
        rt60: Seconds, from the Schroeder integral between -5 and -35 dB, or -25 dB if the noise
            leaves no more (ISO 3382-1: T30, T20).
        drr: Direct-to-reverberant ratio in dB.
        direction: Unit vector towards the source, by the intensity of the direct path.
        dipole_level: X, Y, Z against W in the direct path, dB; 0 in SN3D.
        noise_floor: Level of the last tenth against the peak of W, dB (RMS).
        clipped: Longest run of samples at the extreme of a channel; 1 or 2 in a whole response.
        silent: No channel has any sound.
        delay: Samples to the peak of W.
    """

    rt60: Seconds
    drr: Decibels
    direction: NDArray[np.float64]
    dipole_level: Decibels
    noise_floor: Decibels
    clipped: int
    silent: bool
    delay: Samples


def rir_figures(taps: Audio, rate: Hertz) -> RirFigures:
    """Measure one response `(4, taps)` at `rate` Hz."""
    w = taps[0].astype(np.float64)
    peak = int(np.argmax(np.abs(w)))
    top = float(np.abs(taps).max())
    if top < SILENT_PEAK or w[peak] == 0:
        nan = float("nan")
        return RirFigures(nan, nan, np.full(3, nan), nan, nan, 0, top < SILENT_PEAK, peak)
    spectrum = direct_spectrum(taps, rate, peak)
    return RirFigures(
        rt60=reverberation_time(w, rate),
        drr=direct_to_reverberant(w, rate),
        direction=intensity_direction(spectrum),
        dipole_level=dipole_level(spectrum),
        noise_floor=noise_floor(w),
        clipped=longest_flat_run(taps),
        silent=False,
        delay=peak,
    )


def direct_spectrum(taps: Audio, rate: Hertz, peak: Samples | None = None) -> NDArray[np.complex128]:
    """Spectrum `(4, bins)` of the direct path, within `BAND`."""
    if peak is None:
        peak = int(np.argmax(np.abs(taps[0])))
    start = max(0, peak - round(DIRECT_BEFORE * rate))
    direct = taps[:, start : peak + round(DIRECT_AFTER * rate) + 1].astype(np.float64)
    size = max(256, scipy.fft.next_fast_len(2 * direct.shape[1], real=True))
    spectrum = scipy.fft.rfft(direct, size)
    frequency = np.arange(spectrum.shape[1]) * rate / size
    kept: NDArray[np.complex128] = spectrum[:, (frequency >= BAND[0]) & (frequency <= BAND[1])]
    return kept


def angle_between(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle in degrees between vectors `(..., 3)`, exact for small ones too (W. Kahan)."""
    a = a / np.linalg.norm(a, axis=-1, keepdims=True)
    b = b / np.linalg.norm(b, axis=-1, keepdims=True)
    chord = np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)
    return np.asarray(np.rad2deg(2 * np.arctan2(*chord)))


def reverberation_time(w: NDArray[np.float64], rate: Hertz) -> Seconds:
    """RT60 in seconds of one channel `(taps,)`, nan when it decays by less than 25 dB.

    The squared response is integrated backwards (Schroeder 1965) from where it sinks into its
    noise, whose mean energy is taken off first (Chu 1978).
    """
    energy = w[int(np.argmax(np.abs(w))) :] ** 2
    tail = energy[-max(1, len(energy) // 10) :]
    noise = float(tail.mean())
    stop = _noise_knee(energy, noise, max(1, round(_BLOCK * rate)))
    decay = np.cumsum((energy[:stop] - noise)[::-1])[::-1]
    if len(decay) == 0 or decay[0] <= 0:
        return float("nan")
    level = 10 * np.log10(np.maximum(decay / decay[0], 1e-30))
    headroom = 10 * np.log10(max(energy.max(), 1e-300) / max(noise, 1e-300))
    for low in (-35.0, -25.0):
        part = np.flatnonzero((level <= -5.0) & (level >= low))
        if headroom >= 10 - low and len(part) > 8 and level.min() <= low:
            # The curve falls monotonically but for noise: keep the first passage only.
            part = part[part < int(np.argmax(level < low))]
            slope = np.polyfit(part / rate, level[part], 1)[0] if len(part) > 8 else 0.0
            if slope < 0:
                return float(-60.0 / slope)
    return float("nan")


def _noise_knee(energy: NDArray[np.float64], noise: float, block: Samples) -> Samples:
    """Sample from which blocks of the response are no louder than twice its noise."""
    blocks = energy[: len(energy) // block * block].reshape(-1, block).mean(axis=1)
    quiet = np.flatnonzero(blocks <= 2 * noise)
    return int(quiet[0]) * block if len(quiet) else len(energy)


def direct_to_reverberant(w: NDArray[np.float64], rate: Hertz) -> Decibels:
    """Energy until `DRR_AFTER` after the peak against all that follows, in dB; inf without any."""
    stop = int(np.argmax(np.abs(w))) + round(DRR_AFTER * rate) + 1
    direct, rest = float((w[:stop] ** 2).sum()), float((w[stop:] ** 2).sum())
    return float(10 * np.log10(direct / rest)) if rest > 0 else float("inf")


def noise_floor(w: NDArray[np.float64]) -> Decibels:
    """RMS of the last tenth against the peak, in dB; -inf when that is empty."""
    tail = w[-max(1, len(w) // 10) :]
    rms, peak = float(np.sqrt(np.mean(tail**2))), float(np.abs(w).max())
    return float(20 * np.log10(rms / peak)) if rms > 0 else float("-inf")


def longest_flat_run(taps: Audio) -> int:
    """Most samples in a row that sit at the positive or negative extreme of their channel."""
    longest = 0
    for h in taps:
        for extreme in (h.max(), h.min()):
            if abs(extreme) < SILENT_PEAK:
                continue
            at = np.flatnonzero(h == extreme)
            runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
            longest = max(longest, *(len(run) for run in runs))
    return longest


def is_clipped(figures: RirFigures) -> bool:
    """Whether a response was cut off at full scale."""
    return figures.clipped >= _FLAT_RUN


def angles_of(direction: NDArray[np.float64]) -> tuple[Degrees, Degrees]:
    """Azimuth (counter-clockwise from the front, -180 to 180) and elevation of a vector, degrees."""
    x, y, z = direction
    return float(np.rad2deg(np.arctan2(y, x))), float(np.rad2deg(np.arctan2(z, np.hypot(x, y))))
