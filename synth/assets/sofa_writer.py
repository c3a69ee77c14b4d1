"""Writing a place as SOFA (AES69, convention SingleRoomSRIR), with the same bytes every time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from ..units import FOA_CHANNELS, SCENE_RATE, Audio, Hertz, Samples

_DATE = "2025-01-01 00:00:00"
"""A fixed date: the bytes of the file depend on its content only."""


def write_place_file(
    path: Path,
    positions: NDArray[np.float64],
    responses: Iterable[Audio],
    taps: Samples,
    *,
    kind: Literal["spherical", "cartesian"],
    rate: Hertz = SCENE_RATE,
    title: str = "",
    licence: str = "unknown",
    comment: str = "",
) -> None:
    """Write one place, one response at a time; a file of a few hundred megabytes needs little memory.

    Args:
        path: The file; it is written in place and not synced.
        positions: `(M, 3)`: azimuth, elevation (degrees) and distance (m), or x, y, z in metres,
            relative to the listener, who looks along +x.
        responses: M arrays `(4, taps)` float32, W Y Z X in SN3D.
        taps: Their length; shorter ones are padded with zeros.
        kind: What `positions` are.
        rate: Sampling rate in Hz.
        title: Of the place.
        licence: Under which it may be used.
        comment: What was done to it.
    """
    count = len(positions)
    with h5py.File(path, "w", libver=("v108", "v110"), track_order=False) as file:
        for name, text in _globals(title, licence, comment).items():
            file.attrs[name] = np.bytes_(text.encode())
        sizes = {"M": count, "R": FOA_CHANNELS, "N": taps, "E": 1, "C": 3, "I": 1}
        for name, size in sizes.items():
            dimension(file, name, size)
        data = file.create_dataset("Data.IR", shape=(count, FOA_CHANNELS, taps), dtype="<f4")
        data.attrs["ChannelOrdering"], data.attrs["Normalization"] = np.bytes_("acn"), np.bytes_("sn3d")
        for row, response in enumerate(responses):
            data[row, :, : response.shape[1]] = response
        describe(file, data, "MRN")
        variable(file, "Data.SamplingRate", [float(rate)], "I", Units="hertz")
        variable(file, "Data.Delay", np.zeros((1, FOA_CHANNELS)), "IR")
        units = "degree, degree, metre" if kind == "spherical" else "metre"
        metre = "metre"
        variable(file, "SourcePosition", positions, "MC", Type=kind, Units=units)
        variable(file, "ListenerPosition", np.zeros((1, 3)), "IC", Type="cartesian", Units=metre)
        variable(file, "ListenerView", [[1.0, 0.0, 0.0]], "IC", Type="cartesian", Units=metre)
        variable(file, "ListenerUp", [[0.0, 0.0, 1.0]], "IC")
        place = np.zeros((FOA_CHANNELS, 3, 1))
        variable(file, "ReceiverPosition", place, "RCI", Type="cartesian", Units=metre)
        variable(file, "EmitterPosition", np.zeros((1, 3, 1)), "ECI", Type="cartesian", Units=metre)


def dimension(file: h5py.File, name: str, size: int) -> None:
    """Declare a netCDF dimension."""
    scale = file.create_dataset(name, data=np.zeros(size))
    scale.make_scale(f"This is a netCDF dimension but not a netCDF variable. {size:10d}")


def variable(file: h5py.File, name: str, values: Any, dimensions: str, **attributes: str) -> None:
    """Write a float64 variable with text attributes; `dimensions` names one dimension per letter."""
    data = file.create_dataset(name, data=np.asarray(values, np.float64))
    for key, text in attributes.items():
        data.attrs[key] = np.bytes_(text)
    describe(file, data, dimensions)


def describe(file: h5py.File, data: Any, dimensions: str) -> None:
    """Tie the axes of a variable to dimensions."""
    for axis, name in enumerate(dimensions):
        data.dims[axis].attach_scale(file[name])


def _globals(title: str, licence: str, comment: str) -> dict[str, str]:
    return {
        "Conventions": "SOFA",
        "Version": "2.1",
        "SOFAConventions": "SingleRoomSRIR",
        "SOFAConventionsVersion": "1.0",
        "DataType": "FIR",
        "RoomType": "reverberant",
        "Title": title or "room responses",
        "DateCreated": _DATE,
        "DateModified": _DATE,
        "APIName": "h5py",
        "APIVersion": "3",
        "ApplicationName": "s5kit prepare",
        "ApplicationVersion": "1",
        "AuthorContact": "",
        "Organization": "",
        "License": licence,
        "Comment": comment,
        "History": "converted to first-order Ambisonics W Y Z X (ACN) in SN3D",
        "References": "",
        "Origin": "",
        "ReceiverDescription": "ACN/SN3D",
    }
