"""Plane waves whose sound is known in closed form at any rate, as microphones and data sets hold them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import soundfile
from numpy.typing import NDArray

SPEED = 343.0
PITCH = 2_000.0
CAPSULES = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
"""Front-left-up, front-right-down, back-left-down, back-right-up: x front, y left, z up."""
Array = NDArray[np.float64]


def toward(azimuth: float, elevation: float) -> Array:
    """Unit vector of angles in degrees, azimuth counter-clockwise from the front."""
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    return np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])


def pulse(samples: int, rate: int, distance: float, level: float) -> Array:
    """A Ricker wavelet of the height `level` that has come `distance` metres, `(samples,)`."""
    t = (np.pi * PITCH * (np.arange(samples) / rate - 0.002 - distance / SPEED)) ** 2
    return np.asarray(level * (1 - 2 * t) * np.exp(-t))


def foa(sound: Array, direction: Array) -> Array:
    """W Y Z X in SN3D of a plane wave, `(4, samples)`."""
    x, y, z = direction
    return np.array([1.0, y, z, x])[:, None] * sound


def a_format(sound: Array, direction: Array, capsules: Array = CAPSULES) -> Array:
    """What ideal cardioid capsules give of a plane wave, `(4, samples)`."""
    return (0.5 * (1 + capsules @ direction))[:, None] * sound


def write_bin(path: Path, capsules: Array) -> None:
    """Raw float64, four interleaved channels, as FOA-MEIR has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    capsules.T.astype("<f8").tofile(path)


def make_foa_meir(
    root: Path,
    *,
    places: tuple[tuple[str, str], ...] = (("test", "0001"), ("reverb-s", "0031")),
    directions: tuple[tuple[int, int, int], ...] = ((75, 0, 0), (150, 30, 20), (150, 200, -20), (75, 340, 0)),
    level: float = 0.5,
    samples: int = 960,
    noise_seconds: float = 0.5,
) -> Path:
    """Write a tree with the documented names: responses are plane waves, noises one wave from the left."""
    base = root / "FOA_MEIR_Dataset"
    for number, (subset, pid) in enumerate(places, start=1):
        for distance, azimuth, elevation in directions:
            sound = pulse(samples, 48_000, distance / 100, level)
            name = f"imp_d{distance}_azi{azimuth}_ele{elevation}_pid{pid}.bin"
            write_bin(base / "IRrecordings" / subset / name, a_format(sound, toward(azimuth, elevation)))
        n = int(noise_seconds * 48_000)
        tone = 0.1 * np.sin(2 * np.pi * 1_000 * number * np.arange(n) / 48_000)
        capsules = a_format(tone, toward(90, 0))
        (base / "Noise" / subset).mkdir(parents=True, exist_ok=True)
        for c, x in enumerate(capsules, start=1):
            soundfile.write(base / "Noise" / subset / f"BG_pid{pid}_ch{c}.wav", x, 48_000, subtype="FLOAT")
    (base / "placeinfo.csv").write_text("pid,name\n" + "".join(f"{pid},room {pid}\n" for _, pid in places))
    return base


def write_room(
    path: Path,
    taps: Array,
    sources: Array,
    *,
    convention: str = "SingleRoomSRIR",
    data_type: str = "FIR",
    rate: float = 48_000,
    kind: str = "cartesian",
    stated: tuple[str, str] | None = None,
    receivers: Array | None = None,
    receiver_type: str = "cartesian",
    variables: dict[str, tuple[Array, str, str]] | None = None,
) -> Path:
    """Write a SOFA file of any convention; `variables` are name: (values, Type, Units)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spherical = "degree, degree, metre"
    count = taps.shape[1]
    places = np.zeros((count, 3, 1)) if receivers is None else receivers[:, :, None]
    units = spherical if kind == "spherical" else "metre"
    listed = {
        "SourcePosition": (sources, kind, units),
        "ReceiverPosition": (
            places, receiver_type, spherical if receiver_type != "cartesian" else "metre",
        ),
        "ListenerPosition": (np.zeros((1, 3)), "cartesian", "metre"),
    } | (variables or {})  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, text in (("Conventions", "SOFA"), ("SOFAConventions", convention), ("DataType", data_type)):
            file.attrs[name] = np.bytes_(text)
        file.attrs["License"] = np.bytes_("CC-BY-4.0")
        data = file.create_dataset("Data.IR", data=taps)
        if stated is not None:
            data.attrs["ChannelOrdering"], data.attrs["Normalization"] = map(np.bytes_, stated)
        file["Data.SamplingRate"] = np.array([rate])
        file["Data.SamplingRate"].attrs["Units"] = np.bytes_("hertz")
        for name, (values, type_, units) in listed.items():
            file[name] = np.asarray(values, np.float64)
            file[name].attrs["Type"], file[name].attrs["Units"] = np.bytes_(type_), np.bytes_(units)
    return path
