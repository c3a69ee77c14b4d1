"""Where sounds come from, by the intensity vector of the four channels."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..assets.ambisonics import intensity_direction, unit_vectors
from ..assets.room_acoustics import angle_between, angles_of
from ..units import FOA_CHANNELS, Audio, Decibels, Degrees, Hertz
from .view import Extent, SceneView, Source

BAND = (200.0, 6_000.0)
"""Hz; above, the capsules of a real microphone are too far apart for the direction."""

_WINDOW = 512
_FALL: Decibels = 120.0
"""By which what was heard before fades per second."""

_Spectrum: TypeAlias = NDArray[np.complex128]


def find_direction(
    sound: Audio, rate: Hertz, extents: Iterable[Extent], reference: Audio | None = None
) -> tuple[Degrees, Degrees] | None:
    """Return azimuth and elevation from which a sound comes; None where there is no sound.

    The active intensity Re(W* (X, Y, Z)) of windows of 512 samples is summed over the stretches
    and 200 to 6000 Hz (Merimaa & Pulkki 2005). A bin counts by its amplitude, and only as far as
    it rises above what was in its band before, 120 dB per second less: the direct sound is there
    first, the room later. In a mixture it counts by the share min(1, |R|^2 / |W|^2), too.

    Args:
        sound: (4, T) W Y Z X in SN3D: the source alone, or a mixture with it.
        rate: Hz.
        extents: Where to look.
        reference: (T,) the source's dry sound, needed to tell it from others in a mixture.
    """
    if sound.shape[0] != FOA_CHANNELS:
        return None
    parts = [
        _weighted(sound[:, first:last], rate, None if reference is None else reference[None, first:last])
        for first, last in extents
        if last > first
    ]
    if not parts:
        return None
    found = intensity_direction(np.concatenate(parts, axis=1))
    return None if np.isnan(found).any() else angles_of(found)


def source_direction(source: Source, view: SceneView) -> tuple[Degrees, Degrees] | None:
    """Return where a source of a scene is heard from: by its wet sound, else by its share of the mixture."""
    if source.wet is not None:
        return find_direction(source.wet, view.rate, source.extents)
    if source.dry is not None:
        return find_direction(view.mixture, view.rate, source.extents, source.dry)
    return None


def direction_error(source: Source, found: tuple[Degrees, Degrees] | None) -> Degrees | None:
    """Return the angle between where a source is said to be and where it is heard from."""
    if found is None or source.azimuth is None or source.elevation is None:
        return None
    said = unit_vectors(np.array(source.azimuth), np.array(source.elevation))
    error = float(angle_between(said, unit_vectors(np.array(found[0]), np.array(found[1]))))
    return None if math.isnan(error) else error


def _weighted(sound: Audio, rate: Hertz, reference: Audio | None) -> _Spectrum:
    """Return the spectrum of a stretch, scaled so that its products have the weights, (4, windows * bins)."""
    spectrum = _spectrum(sound, rate)
    power = np.maximum(np.abs(spectrum[0]) ** 2, 1e-30)
    weights = _onsets(power, rate) / np.sqrt(power)
    if reference is not None:
        weights *= np.minimum(np.abs(_spectrum(reference, rate)[0]) ** 2 / power, 1.0)
    return np.asarray((spectrum * np.sqrt(weights)).reshape(len(spectrum), -1))


def _onsets(power: NDArray[np.float64], rate: Hertz) -> NDArray[np.float64]:
    """Return by how much of itself each bin exceeds what its band held before, (windows, bins)."""
    fall = 10 ** (-_FALL / 10 * (_WINDOW // 2) / rate)
    before = np.zeros_like(power)
    for n in range(1, len(power)):
        before[n] = np.maximum(before[n - 1] * fall, power[n - 1])
    return np.maximum(1 - before / power, 0.0)


def _spectrum(x: Audio, rate: Hertz) -> _Spectrum:
    """Return the bins within `BAND` of half-overlapping windows of (channels, T), (channels, windows, bins)."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, _WINDOW)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, :: _WINDOW // 2]
    spectrum = scipy.fft.rfft(windows * np.hanning(_WINDOW), axis=2)
    frequency = np.arange(spectrum.shape[2]) * rate / _WINDOW
    return np.asarray(spectrum[:, :, (frequency >= BAND[0]) & (frequency <= BAND[1])])
