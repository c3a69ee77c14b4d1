"""Small collections made on the fly: dev_set trees, WAV and SOFA files. Deterministic, no generator of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import soundfile
from numpy.typing import ArrayLike, NDArray

CLASSES = ("Speech", "Cough", "Dishes", "Doorbell")
INTERFERERS = ("Rain", "Dog")
RATE = 32_000


def make_dev_set(
    root: Path,
    *,
    classes: Sequence[str] = CLASSES,
    per_class: int = 2,
    interferers: Sequence[str] = INTERFERERS,
    per_interferer: int = 1,
    noises: int = 1,
    places: int = 1,
    positions: int = 8,
    taps: int = 800,
    rate: int = RATE,
    seconds: float = 0.4,
    noise_seconds: float = 1.5,
    splits: Sequence[str] = ("train", "valid"),
    nested: bool = False,
    seed: int = 0,
) -> Path:
    """Make a tree in the layout of the DCASE dev_set and return `root`.

    Lengths vary a little from file to file, around `seconds` and `noise_seconds`. With `nested`
    the files of a class lie in folders `object0`, `object1`, ... (one per file), as the 2026 rules use them.
    """
    rng = np.random.default_rng(seed)
    for split in splits:
        for kind, labels, count in (
            ("sound_event", classes, per_class),
            ("interference", interferers, per_interferer),
        ):
            for label in labels:
                for n in range(count):
                    folder = root / kind / split / label / (f"object{n}" if nested else "")
                    samples = int(seconds * rate * rng.uniform(0.7, 1.3))
                    write_wav(folder / f"{label}_{split}_{n}.wav", burst(rng, samples), rate)
        for n in range(noises):
            sound = 0.02 * rng.standard_normal((4, int(noise_seconds * rate * rng.uniform(0.8, 1.2))))
            write_wav(root / "noise" / split / f"noise_{split}_{n}.wav", sound, rate)
        for n in range(places):
            points = around(positions, height=0.1 * n)
            write_sofa(
                root / "room_ir" / split / f"room_{split}_{n}.sofa",
                room(rng, points, taps),
                points,
                rate=rate,
            )
    return root


def write_wav(path: Path, sound: ArrayLike, rate: int = RATE, subtype: str | None = "PCM_16") -> Path:
    """Write `(samples,)` or `(channels, samples)`; the format follows the ending of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "OGG" if path.suffix == ".opus" else None
    soundfile.write(path, np.asarray(sound).T, rate, subtype=subtype, format=kind)
    return path


def write_sofa(
    path: Path,
    taps: ArrayLike,
    positions: ArrayLike,
    *,
    rate: float = RATE,
    kind: str = "cartesian",
    units: str = "metre",
    dtype: str = "float64",
    chunks: tuple[int, ...] | None = None,
    compression: str | None = None,
    leave_out: Sequence[str] = (),
) -> Path:
    """Write a SOFA file (GeneralFIR): taps `(positions, receivers, samples)`, positions `(positions, 3)`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ir = np.asarray(taps, dtype=dtype)
    with h5py.File(path, "w") as file:
        file.attrs["Conventions"] = np.bytes_("SOFA")
        file.attrs["SOFAConventions"] = np.bytes_("GeneralFIR")
        file.attrs["DataType"] = np.bytes_("FIR")
        variables = {
            "Data.IR": ir,
            "Data.SamplingRate": np.array([rate], dtype=np.float64),
            "Data.Delay": np.zeros((1, ir.shape[1] if ir.ndim > 1 else 1)),
            "SourcePosition": np.asarray(positions, dtype=np.float64),
            "ListenerPosition": np.zeros((1, 3)),
        }
        for name, values in variables.items():
            if name not in leave_out:
                large = {"chunks": chunks, "compression": compression} if name == "Data.IR" else {}
                file.create_dataset(name, data=values, **large)
        if "SourcePosition" in file:
            file["SourcePosition"].attrs["Type"] = np.bytes_(kind)
            file["SourcePosition"].attrs["Units"] = np.bytes_(units)
        if "Data.SamplingRate" in file:
            file["Data.SamplingRate"].attrs["Units"] = np.bytes_("hertz")
    return path


def burst(rng: np.random.Generator, samples: int) -> NDArray[np.float64]:
    """A decaying mix of a tone and noise, `(samples,)`, peak near 0.5."""
    t = np.arange(samples) / RATE
    tone = np.sin(2 * np.pi * rng.uniform(200, 2000) * t)
    sound = (tone + 0.5 * rng.standard_normal(samples)) * np.exp(-3 * t / max(t[-1], 1e-9))
    peak: NDArray[np.float64] = 0.5 * sound / np.abs(sound).max()
    return peak


def around(positions: int, *, height: float = 0.0, radius: float = 1.5) -> NDArray[np.float64]:
    """Positions evenly around the listener, `(positions, 3)` Cartesian metres."""
    azimuth = 2 * np.pi * np.arange(positions) / positions
    points = [radius * np.cos(azimuth), radius * np.sin(azimuth), np.full(positions, height)]
    return np.stack(points, axis=1)


def room(rng: np.random.Generator, points: NDArray[np.float64], taps: int) -> NDArray[np.float64]:
    """Responses of a made-up room, `(positions, 4, taps)`: W Y Z X, a direct path and a decaying tail."""
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    gains = np.stack((np.ones(len(points)), unit[:, 1], unit[:, 2], unit[:, 0]), axis=1)
    tail = 0.1 * rng.standard_normal((len(points), 4, taps)) * np.exp(-6 * np.arange(taps) / taps)
    delay = min(100, taps // 4)
    tail[:, :, :delay] = 0
    tail[:, :, delay] = gains
    return tail
