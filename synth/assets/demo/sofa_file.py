"""Writing a place as SOFA (AES69, convention SingleRoomSRIR), with the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ...units import SCENE_RATE
from ..sofa_writer import describe, dimension, variable
from .draws import DEMO_VERSION
from .places import Place, cartesian

GRID = 2.0**-21
"""Taps are rounded to multiples of this (-126 dB), which lets them be packed."""

_DATE = "2025-01-01 00:00:00"
"""A fixed date: the bytes of the file depend on its content only."""


def write_place(path: Path, place: Place, positions: NDArray[np.float64], taps: NDArray[np.float64]) -> None:
    """Write one SOFA file.

    Args:
        path: The file; it is written in place and not synced.
        place: What is described.
        positions: `(M, 3)` azimuth, elevation in degrees, distance in metres.
        taps: `(M, 4, N)` W Y Z X.
    """
    taps = np.round(taps / GRID) * GRID
    count, channels, length = taps.shape
    with h5py.File(path, "w", libver=("v108", "v110"), track_order=False) as file:
        for name, text in _globals(place).items():
            file.attrs[name] = np.bytes_(text)
        for name, size in {"M": count, "R": channels, "N": length, "E": 1, "C": 3, "I": 1, "S": 1}.items():
            dimension(file, name, size)
        data = file.create_dataset(
            "Data.IR",
            data=taps,
            chunks=(1, channels, length),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        describe(file, data, "MRN")
        variable(file, "Data.SamplingRate", [float(SCENE_RATE)], "I", Units="hertz")
        variable(file, "Data.Delay", np.zeros((1, channels)), "IR")
        degrees, metre = "degree, degree, metre", "metre"
        variable(file, "SourcePosition", positions, "MC", Type="spherical", Units=degrees)
        facing = -cartesian(positions) / positions[:, 2:]
        variable(file, "SourceView", facing, "MC", Type="cartesian", Units=metre)
        variable(file, "SourceUp", np.tile([0.0, 0.0, 1.0], (count, 1)), "MC")
        variable(file, "ListenerPosition", np.zeros((count, 3)), "MC", Type="cartesian", Units=metre)
        variable(file, "ListenerView", [[1.0, 0.0, 0.0]], "IC", Type="cartesian", Units=metre)
        variable(file, "ListenerUp", [[0.0, 0.0, 1.0]], "IC")
        variable(file, "ReceiverPosition", np.zeros((channels, 3, 1)), "RCI", Type="cartesian", Units=metre)
        variable(file, "EmitterPosition", np.zeros((1, 3, 1)), "ECI", Type="cartesian", Units=metre)
        corners = np.array([[0, 0, 0], place.room.size]) - np.array(place.microphone)
        for name, corner in zip(("RoomCornerA", "RoomCornerB"), corners, strict=True):
            variable(file, name, corner[None], "IC")
        variable(file, "RoomCorners", [0.0], "I", Type="cartesian", Units=metre)


def _globals(place: Place) -> dict[str, str]:
    room = place.room
    size = " x ".join(f"{side:g}" for side in room.size)
    return {
        "Conventions": "SOFA",
        "Version": "2.1",
        "SOFAConventions": "SingleRoomSRIR",
        "SOFAConventionsVersion": "1.0",
        "DataType": "FIR",
        "RoomType": "shoebox",
        "RoomDescription": f"simulated {room.name}, {size} m, RT60 {room.rt60:g} s at 1 kHz",
        "Title": f"s5kit demo, synthetic place {place.name}",
        "DateCreated": _DATE,
        "DateModified": _DATE,
        "APIName": "h5py",
        "APIVersion": "3",
        "ApplicationName": "s5kit demo",
        "ApplicationVersion": DEMO_VERSION,
        "AuthorContact": "s5kit",
        "Organization": "s5kit",
        "License": "CC0-1.0",
        "Comment": "Synthetic. First-order Ambisonics, receivers are W Y Z X (ACN) in SN3D.",
        "History": "image sources to 50 ms, then a diffuse tail matched in level and RT60",
        "References": "",
        "Origin": "simulated",
        "DatabaseName": "s5kit demo (synthetic)",
        "ReceiverDescription": "ACN/SN3D",
        "ListenerShortName": "ideal first-order microphone",
        "SourceShortName": "omnidirectional point",
    }
