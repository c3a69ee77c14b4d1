"""Room responses from SOFA files (AES69, GeneralFIR and its kin), read without trust in the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import SynthError
from ..units import Audio, Hertz, Samples
from .audio import MAX_CHANNELS, MAX_RATE, MIN_RATE
from .hdf5 import MAX_DECLARED_BYTES, SMALL_BYTES, attribute_text, checked_dataset, open_hdf5

MAX_POSITIONS = 100_000

_BLOCK_BYTES = 64 << 20
_METRES = frozenset(("metre", "metres", "meter", "meters", "m"))
_DEGREES = frozenset(("degree", "degrees", "deg"))
_RADIANS = frozenset(("radian", "radians", "rad"))


@dataclass(slots=True)
class SofaRoom:
    """The responses of one place: a header in memory, taps read on demand.

    Attributes:
        path: The file.
        rate: Sampling rate in Hz, as the file states it.
        positions: `(positions, 3)` float64, Cartesian metres (x front, y left, z up), as SourcePosition
            states them; spherical ones are converted. Taken as relative to the listener.
        channels: Receivers per response.
        taps: Samples per response.
        convention: SOFAConventions of the file, "" when it states none.
        notes: What is peculiar and was not taken into account, in words.
    """

    path: Path
    rate: Hertz
    positions: NDArray[np.float64]
    channels: int
    taps: Samples
    convention: str
    notes: tuple[str, ...] = ()
    _rows: int = field(default=1, repr=False)
    _block: tuple[int, Audio] | None = field(default=None, repr=False)

    def read(self, position: int) -> Audio:
        """Return the response of one position: `(channels, taps)` float32.

        Raises:
            SynthError: There is no such position, the file is damaged, or a tap is not finite.
        """
        if not 0 <= position < len(self.positions):
            raise SynthError(
                f"position {position} was asked for, it has {len(self.positions)}",
                where=self.path,
                remedy="the scene belongs to another version of this file: plan it again",
            )
        first = position - position % self._rows
        if self._block is None or self._block[0] != first:
            with open_hdf5(self.path) as file:
                self._block = (first, self._load(file, first))
        taps: Audio = self._block[1][position - first]
        return taps

    def blocks(self) -> Iterator[tuple[int, Audio]]:
        """Yield `(first position, (n, channels, taps) float32)` over the whole place, some at a time."""
        size = 4 * self.channels * self.taps
        step = self._rows * max(1, _BLOCK_BYTES // (size * self._rows))
        with open_hdf5(self.path) as file:
            for first in range(0, len(self.positions), step):
                yield first, self._load(file, first, step)

    def _load(self, file: h5py.File, first: int, count: int | None = None) -> Audio:
        data = checked_dataset(file, self.path, "Data.IR", MAX_DECLARED_BYTES)
        if data is None or data.shape != (len(self.positions), self.channels, self.taps):
            raise SynthError(
                "Data.IR is not what it was when the file was opened first",
                where=self.path,
                remedy="do not change files in use; build the catalog again",
            )
        stop = first + (self._rows if count is None else count)
        block = np.asarray(data[first:stop]).astype(np.float32)
        bad = ~np.isfinite(block).all(axis=(1, 2))
        if bad.any():
            rows = (np.flatnonzero(bad) + first).tolist()
            raise SynthError(
                f"Data.IR has taps that are not finite numbers at position(s) {short_list(rows)}",
                where=self.path,
                remedy="write the file again from its source, or remove it",
            )
        return block

    def __getstate__(self) -> tuple[None, dict[str, Any]]:
        """Leave decoded taps behind when the room goes to another process."""
        state = {name: getattr(self, name) for name in self.__slots__}
        return None, {**state, "_block": None}


def read_sofa(path: Path) -> SofaRoom:
    """Open a SOFA file: check its header and positions, read no taps.

    Raises:
        SynthError: It is no HDF5 file, lacks a variable, breaks a limit, keeps data elsewhere, or
            has units or axes other than those of the standard.
    """
    with open_hdf5(path) as file:
        shape, rows = _response_shape(file, path)
        return SofaRoom(
            path=path,
            rate=sampling_rate(file, path),
            positions=required_points(file, path, "SourcePosition", shape[0]),
            channels=shape[1],
            taps=shape[2],
            convention=attribute_text(file, path, "SOFAConventions") or "",
            notes=tuple(_peculiarities(file, path)),
            _rows=rows,
        )


probe_sofa = read_sofa
"""`read_sofa` under the name of what it is for a catalog: a look at the header."""


def short_list(rows: list[int]) -> str:
    """Name the first few of many rows."""
    return ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")


def _required(file: h5py.File, path: Path, name: str, limit: int = SMALL_BYTES) -> h5py.Dataset:
    data = checked_dataset(file, path, name, limit)
    if data is None:
        raise SynthError(
            f"it has no {name}",
            where=path,
            remedy="give a SOFA file of impulse responses (DataType FIR), or remove it",
        )
    return data


def _response_shape(file: h5py.File, path: Path) -> tuple[tuple[int, int, int], int]:
    """Shape (positions, receivers, taps) of Data.IR, and how many positions share one stored chunk."""
    data = _required(file, path, "Data.IR", MAX_DECLARED_BYTES)
    if data.ndim != 3 or 0 in data.shape:
        raise SynthError(
            f"Data.IR has the shape {data.shape}, expected are (measurements, receivers, samples)",
            where=path,
            remedy="convert the file to the convention GeneralFIR or SingleRoomSRIR",
        )
    if data.shape[0] > MAX_POSITIONS or data.shape[1] > MAX_CHANNELS:
        raise SynthError(
            f"Data.IR has {data.shape[0]} positions and {data.shape[1]} receivers, at most "
            f"{MAX_POSITIONS} and {MAX_CHANNELS} are read",
            where=path,
            remedy="split the file, and keep the first-order channels only",
        )
    rows = min(data.chunks[0], data.shape[0]) if data.chunks else 1
    return (data.shape[0], data.shape[1], data.shape[2]), rows


def sampling_rate(file: h5py.File, path: Path) -> Hertz:
    """Return Data.SamplingRate in Hz: one whole number within the limits."""
    data = _required(file, path, "Data.SamplingRate")
    values = np.unique(np.asarray(data[...], dtype=np.float64))
    units = attribute_text(data, path, "Units")
    fault = None
    if units is not None and units.strip().lower() not in ("hertz", "hz"):
        fault = f"the units are {units!r}, expected is 'hertz'"
    elif len(values) != 1:
        fault = f"there are {len(values)} different rates, expected is one"
    elif not (MIN_RATE <= values[0] <= MAX_RATE and values[0] == int(values[0])):
        fault = f"the rate is {values[0]} Hz, allowed are whole numbers from {MIN_RATE} to {MAX_RATE}"
    if fault is not None:
        raise SynthError(f"Data.SamplingRate: {fault}", where=path, remedy="correct the file or remove it")
    return int(values[0])


def required_points(file: h5py.File, path: Path, name: str, count: int) -> NDArray[np.float64]:
    """Return a variable of positions as `(count, 3)` Cartesian metres; one row serves for all."""
    data = _required(file, path, name)
    if data.shape not in ((count, 3), (1, 3)):
        raise _bad_positions(path, name, f"the shape is {data.shape}, expected is ({count}, 3) or (1, 3)")
    points = to_cartesian(np.asarray(data[...], dtype=np.float64), data, path, name)
    return np.ascontiguousarray(np.broadcast_to(points, (count, 3)))


def to_cartesian(
    points: NDArray[np.float64], data: h5py.Dataset, path: Path, name: str
) -> NDArray[np.float64]:
    """Convert `(n, 3)` coordinates by the Type and Units that the variable `data` states."""
    if not np.isfinite(points).all():
        raise _bad_positions(path, name, "some coordinates are not finite numbers")
    kind = (attribute_text(data, path, "Type") or "").strip().lower()
    units = [u.strip().lower() for u in (attribute_text(data, path, "Units") or "").split(",")]
    if kind == "cartesian" and set(units) <= _METRES:
        cartesian = points
    elif kind == "spherical" and len(units) == 3 and units[2] in _METRES and units[0] == units[1]:
        cartesian = _from_spherical(points, units[0], path, name)
    else:
        raise _bad_positions(
            path,
            name,
            f"Type is {kind or None!r} with Units {', '.join(units) or None!r}; expected are "
            "'cartesian' with 'metre' or 'spherical' with 'degree, degree, metre'",
        )
    return cartesian


def _from_spherical(points: NDArray[np.float64], unit: str, path: Path, name: str) -> NDArray[np.float64]:
    """Azimuth counter-clockwise from the front, elevation upwards, radius in metres."""
    if unit not in _DEGREES | _RADIANS:
        raise _bad_positions(path, name, f"angles are in {unit!r}, expected are degrees")
    azimuth, elevation = (np.deg2rad(points[:, :2]) if unit in _DEGREES else points[:, :2]).T
    if np.abs(elevation).max() > np.pi / 2 + 1e-9 or np.abs(azimuth).max() > 2 * np.pi + 1e-9:
        raise _bad_positions(path, name, "elevations are beyond 90 or azimuths beyond 360 degrees")
    radius = points[:, 2]
    flat = radius * np.cos(elevation)
    return np.stack((flat * np.cos(azimuth), flat * np.sin(azimuth), radius * np.sin(elevation)), axis=1)


def _bad_positions(path: Path, name: str, fault: str) -> SynthError:
    return SynthError(f"{name}: {fault}", where=path, remedy="correct the file or remove it")


def _peculiarities(file: h5py.File, path: Path) -> Iterator[str]:
    delay = checked_dataset(file, path, "Data.Delay")
    if delay is not None and np.any(np.asarray(delay[...])):
        yield "Data.Delay is not zero and is ignored"
    listener = checked_dataset(file, path, "ListenerPosition")
    if listener is not None and np.any(np.abs(np.asarray(listener[...], dtype=np.float64)) > 1e-6):
        yield "the listener is not at the origin; source positions are taken as relative to it"
