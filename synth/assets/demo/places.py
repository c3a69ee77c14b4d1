"""The rooms of the demo and the places in them: plain tables, train and valid in different rooms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...units import Degrees, Metres, Seconds

AZIMUTH_STEP: Degrees = 20
"""Every place has sources all around the microphone, this far apart."""

Ring = tuple[Degrees, Metres]
"""Elevation and distance of the sources around a place."""

_NEAR: tuple[Ring, ...] = ((-20, 0.75), (0, 0.75), (20, 0.75))
_MIXED: tuple[Ring, ...] = ((-20, 0.75), (0, 0.75), (0, 1.5), (20, 1.5))
_FAR: tuple[Ring, ...] = ((-20, 1.5), (0, 1.5), (20, 1.5))
_LEVEL: tuple[Ring, ...] = ((0, 0.75), (0, 1.5))


@dataclass(frozen=True, slots=True)
class Room:
    """A shoebox.

    Attributes:
        name: What it might be.
        size: Length, width, height in metres.
        rt60: Reverberation time at 1 kHz in seconds.
        bass: Reverberation time at 125 Hz as a multiple of `rt60`.
        treble: Reverberation time at 8 kHz as a multiple of `rt60`.
    """

    name: str
    size: tuple[Metres, Metres, Metres]
    rt60: Seconds
    bass: float
    treble: float


@dataclass(frozen=True, slots=True)
class Place:
    """A microphone in a room: one SOFA file.

    Attributes:
        name: Stem of the file.
        split: train or valid.
        room: Where it stands.
        microphone: Its position in metres from a lower corner.
        rings: Sources around it.
        taps_s: Length of the responses in seconds.
    """

    name: str
    split: str
    room: Room
    microphone: tuple[Metres, Metres, Metres]
    rings: tuple[Ring, ...]
    taps_s: Seconds


_STUDIO = Room("studio", (3.9, 3.6, 2.5), 0.21, 1.4, 0.8)
_OFFICE = Room("office", (4.9, 3.9, 2.7), 0.36, 1.2, 0.75)
_LIVING = Room("living", (6.1, 4.7, 2.6), 0.50, 1.25, 0.7)
_HALL = Room("hall", (9.6, 7.3, 3.7), 0.88, 1.1, 0.6)
_STUDY = Room("study", (4.3, 4.0, 2.55), 0.28, 1.3, 0.8)
_KITCHEN = Room("kitchen", (5.2, 4.1, 2.6), 0.44, 1.05, 0.8)
_CLASSROOM = Room("classroom", (8.3, 6.4, 3.2), 0.70, 1.15, 0.65)

PLACES: tuple[Place, ...] = (
    Place("synthetic_studio_a", "train", _STUDIO, (1.87, 1.76, 1.21), _NEAR, 0.26),
    Place("synthetic_office_a", "train", _OFFICE, (2.31, 1.93, 1.27), _MIXED, 0.42),
    Place("synthetic_office_b", "train", _OFFICE, (3.02, 2.08, 1.44), _FAR, 0.42),
    Place("synthetic_living_a", "train", _LIVING, (2.17, 2.26, 1.19), _MIXED, 0.58),
    Place("synthetic_living_b", "train", _LIVING, (4.28, 2.63, 1.37), _LEVEL, 0.58),
    Place("synthetic_hall_a", "train", _HALL, (4.13, 3.41, 1.52), _FAR, 0.95),
    Place("synthetic_study_a", "valid", _STUDY, (2.04, 1.91, 1.23), _LEVEL, 0.34),
    Place("synthetic_kitchen_a", "valid", _KITCHEN, (2.83, 2.12, 1.34), _MIXED, 0.5),
    Place("synthetic_classroom_a", "valid", _CLASSROOM, (3.57, 2.89, 1.41), _FAR, 0.78),
)


def source_positions(place: Place) -> NDArray[np.float64]:
    """Return azimuth, elevation (degrees) and distance (m) of every source: `(positions, 3)`.

    Azimuth counts counter-clockwise from the front in [0, 360), elevation upwards.
    """
    azimuths = np.arange(0.0, 360.0, AZIMUTH_STEP)
    return np.array([(azimuth, ring[0], ring[1]) for ring in place.rings for azimuth in azimuths])


def cartesian(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return x (front), y (left), z (up) in metres of `(azimuth, elevation, distance)` rows."""
    azimuth, elevation = np.deg2rad(positions[:, :2].T)
    flat = np.cos(elevation)
    units = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)], axis=1)
    return np.asarray(units * positions[:, 2:])
