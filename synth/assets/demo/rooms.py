"""First-order Ambisonics responses of shoeboxes: image sources first, a diffuse tail after.

Until about 50 ms every image source (positions and wall losses from pyroomacoustics) arrives
from its own direction with its own delay, encoded as W Y Z X in SN3D. Later the density of
images follows 4 pi c^3 t^2 / V (H. Kuttruff, Room Acoustics, 5th ed., eq. 4.6): the tail is
Gaussian noise of that energy, decaying with the reverberation time of each octave, equally
strong from all directions, so that it continues the images in level, colour and decay.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal, sparse

from ...errors import SynthError
from ...units import SCENE_RATE
from .draws import Draw, draws
from .places import Place, Room, cartesian, source_positions

SPEED_OF_SOUND = 343.0
BANDS = 125.0 * 2.0 ** np.arange(8)
"""Centres of the octaves with their own absorption, in Hz."""

_MIX_FROM, _MIX_TO = 0.022, 0.050
_KERNEL = 32
"""Taps on either side of the fractional delay's centre."""

Taps = NDArray[np.float64]


def place_responses(place: Place, rows: int | None = None) -> tuple[NDArray[np.float64], Taps]:
    """Simulate one place.

    Args:
        place: Microphone and room.
        rows: Only the first so many positions; None for all.

    Returns:
        Positions `(n, 3)` as azimuth, elevation in degrees and distance in metres, and taps
        `(n, 4, taps)` in the order W Y Z X, in which the direct sound of W at 1 m has the gain one.

    Raises:
        SynthError: pyroomacoustics is not installed.
    """
    positions = source_positions(place)[:rows]
    losses = wall_absorption(place.room)
    levels = tail_levels(place, losses)
    n = round(place.taps_s * SCENE_RATE)
    taps = np.empty((len(positions), 4, n))
    for row, offset in enumerate(cartesian(positions)):
        vectors, damping = image_sources(place, offset, losses)
        tail = diffuse_tail(place.room, n, draws("tail", place.name, row), levels)
        taps[row] = _join(early(vectors, damping, n), tail)
    return positions, taps


def reverberation_times(room: Room) -> NDArray[np.float64]:
    """Return the designed RT60 of each octave of `BANDS`, in seconds."""
    octave = np.log2(BANDS / 1_000.0)
    factors = np.interp(octave, [-3, 0, 3, 4], [room.bass, 1.0, room.treble, 0.85 * room.treble])
    return np.asarray(room.rt60 * factors)


def wall_absorption(room: Room) -> dict[str, NDArray[np.float64]]:
    """Return energy absorption `(bands,)` per wall whose mean gives the designed RT60.

    Eyring: RT60 = 24 ln 10 V / (-c S ln(1 - a)). Walls differ: a drawn factor for each, with
    an area-weighted mean of one.
    """
    x, y, z = room.size
    areas = {"west": y * z, "east": y * z, "south": x * z, "north": x * z, "floor": x * y, "ceiling": x * y}
    surface = sum(areas.values())
    exponent = 24 * math.log(10) * (x * y * z) / (SPEED_OF_SOUND * surface * reverberation_times(room))
    draw = draws("walls", room.name)
    factors = {wall: draw.uniform(0.7, 1.3) for wall in areas}
    mean = sum(factors[wall] * area for wall, area in areas.items()) / surface
    return {wall: 1 - np.exp(-exponent * factor / mean) for wall, factor in factors.items()}


def image_sources(
    place: Place, offset: NDArray[np.float64], losses: dict[str, NDArray[np.float64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return vectors from the microphone to the images `(3, n)` and their damping `(bands, n)`.

    All images that arrive before the tail has taken over are among them.
    """
    pra = _pyroomacoustics()
    reach = _MIX_TO * SPEED_OF_SOUND + 1.0
    order = math.ceil(reach * math.sqrt(sum(1 / side**2 for side in place.room.size))) + 1
    walls = {
        wall: pra.Material({"coeffs": values.tolist(), "center_freqs": BANDS.tolist()})
        for wall, values in losses.items()
    }
    microphone = np.asarray(place.microphone)
    shoebox = pra.ShoeBox(list(place.room.size), fs=SCENE_RATE, materials=walls, max_order=order)
    shoebox.add_source((microphone + offset).tolist())
    shoebox.add_microphone(microphone.tolist())
    shoebox.image_source_model()
    source = shoebox.sources[0]
    vectors = np.asarray(source.images, np.float64) - microphone[:, None]
    near = np.flatnonzero(np.linalg.norm(vectors, axis=0) < reach)
    near = near[np.lexsort(vectors[:, near])]  # a fixed order of summation
    return vectors[:, near], np.asarray(source.damping, np.float64)[:, near]


def foa_gains(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return W, Y, Z, X (SN3D) of directions `(3, n)`: `(4, n)`; W = 1, the rest the unit vector."""
    x, y, z = vectors / np.linalg.norm(vectors, axis=0)
    return np.stack([np.ones_like(x), y, z, x])


def early(vectors: NDArray[np.float64], damping: NDArray[np.float64], n: int) -> Taps:
    """Sum image sources, each by a windowed-sinc delay, with its loss per octave: `(4, n)`."""
    distance = np.linalg.norm(vectors, axis=0)
    delay = distance / SPEED_OF_SOUND * SCENE_RATE
    size = fft.next_fast_len(int(delay.max()) + 2 * _KERNEL + 2, real=True)
    first = np.floor(delay).astype(int) - _KERNEL + 1
    grid = first[:, None] + np.arange(2 * _KERNEL)
    x = grid - delay[:, None]
    kernel = np.sinc(x) * (0.5 + 0.5 * np.cos(np.pi * np.clip(x / _KERNEL, -1, 1)))
    inside = grid >= 0
    columns = np.broadcast_to(np.arange(len(delay))[:, None], grid.shape)
    delays = sparse.csr_array((kernel[inside], (grid[inside], columns[inside])), shape=(size, len(delay)))
    gains = foa_gains(vectors)[:, None] * (damping / distance)[None]
    trains = delays @ gains.reshape(4 * len(BANDS), -1).T
    spectrum = fft.rfft(trains, axis=0).reshape(-1, 4, len(BANDS))
    mixed = np.einsum("fcb,fb->cf", spectrum, band_weights(size))
    out = np.zeros((4, n))
    taps = fft.irfft(mixed, size, axis=1)[:, :n]
    out[:, : taps.shape[1]] = taps
    return out


def band_weights(size: int) -> NDArray[np.float64]:
    """Return octave weights `(bins, bands)` that overlap by raised cosines and sum to one."""
    f = np.maximum(fft.rfftfreq(size, 1 / SCENE_RATE), 1.0)
    away = np.log2(f)[:, None] - np.log2(BANDS)
    away[:, 0] = np.maximum(away[:, 0], 0.0)
    away[:, -1] = np.minimum(away[:, -1], 0.0)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(away, -1, 1)))


def tail_levels(place: Place, losses: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the energy of the images in the cross-fade over that of the formula: `(bands,)`.

    A real box decays less evenly than the formula has it, the more so the more it absorbs.
    """
    found = np.zeros(len(BANDS))
    spots = cartesian(source_positions(place))[::6]
    for offset in spots:
        vectors, damping = image_sources(place, offset, losses)
        distance = np.linalg.norm(vectors, axis=0)
        late = (distance > _MIX_FROM * SPEED_OF_SOUND) & (distance < _MIX_TO * SPEED_OF_SOUND)
        found += ((damping[:, late] / distance[late]) ** 2).sum(1) / len(spots)
    rate = 6 * math.log(10) / reverberation_times(place.room)
    ideal = (np.exp(-rate * _MIX_FROM) - np.exp(-rate * _MIX_TO)) / rate
    return np.asarray(found / (ideal * 4 * np.pi * SPEED_OF_SOUND / math.prod(place.room.size)))


def diffuse_tail(room: Room, n: int, draw: Draw, levels: NDArray[np.float64]) -> Taps:
    """Return a decaying diffuse field from time zero on: `(4, n)`.

    The energy of W per sample is that of all image sources, 4 pi c / (V fs) exp(-13.8 t / RT60),
    times the level of the octave; Y, Z and X of SN3D carry a third of it each and are uncorrelated.
    """
    size = fft.next_fast_len(n, real=True)
    energy = 4 * np.pi * SPEED_OF_SOUND / (math.prod(room.size) * SCENE_RATE)
    white = draw.standard_normal((4, size)) * np.sqrt(energy * np.array([1, 1 / 3, 1 / 3, 1 / 3]))[:, None]
    spectrum, weights = fft.rfft(white, axis=1), band_weights(size)
    t = np.arange(n) / SCENE_RATE
    out = np.zeros((4, n))
    for band, rt60 in enumerate(reverberation_times(room)):
        octave = fft.irfft(spectrum * weights[:, band], size, axis=1)[:, :n]
        out += octave * (math.sqrt(levels[band]) * np.exp(-3 * math.log(10) * t / rt60))
    return out


def _join(images: Taps, tail: Taps) -> Taps:
    """Cross-fade with constant power from the images to the tail; no rumble, and an end that fades."""
    t = np.arange(images.shape[1]) / SCENE_RATE
    angle = 0.5 * np.pi * np.clip((t - _MIX_FROM) / (_MIX_TO - _MIX_FROM), 0, 1)
    joined = images * np.cos(angle) + tail * np.sin(angle)
    # All images have the same sign, which real rooms do not: their sum at 0 Hz has no meaning.
    joined = signal.sosfilt(signal.butter(2, 40.0, "highpass", fs=SCENE_RATE, output="sos"), joined)
    ending = np.sin(0.5 * np.pi * np.clip((t[-1] - t) / 0.010, 0, 1)) ** 2
    return np.asarray(joined * ending)


def _pyroomacoustics() -> Any:
    try:
        import pyroomacoustics
    except ImportError as error:
        raise SynthError(
            "the demo's rooms need the package pyroomacoustics, which is not installed",
            where="s5kit demo",
            remedy="pip install 's5kit[demo]'",
        ) from error
    return pyroomacoustics
