"""Rooms from NumPy archives: one place per `.npz`.

Arrays: `taps` (positions, channels, samples), `positions` (positions, 3), `rate` (Hz). Optional texts:
`coordinates` ("cartesian", or "spherical": azimuth, elevation in degrees, distance in metres), `kind`,
`order`, `normalisation`; optional `capsules` (4, 3) for A-format.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...errors import SynthError
from ...units import FOA_CHANNELS
from ..ambisonics import Convention
from ..audio import MAX_RATE, MIN_RATE
from ..hdf5 import MAX_DECLARED_BYTES, MAX_EXPANSION
from ..workers import Progress
from .place_jobs import Kind, PlaceTask, Source, make_place
from .place_table import position_fault
from .prepared import Job, Outcome, PreparationReport, Survey, prepare_tree
from .sofa_rooms import RoomOptions, room_files

_NAMES = ("taps", "positions", "rate", "coordinates", "kind", "order", "normalisation", "capsules")


def prepare_npz(
    root: str | Path,
    out: str | Path,
    options: RoomOptions | None = None,
    *,
    workers: int = 1,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> PreparationReport:
    """Convert `.npz` files of rooms.

    Args:
        root: A file, or a folder of them.
        out: Folder of the prepared tree.
        options: What the files do not state.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        progress: Called with (files done, files in all).

    Raises:
        SynthError: There is no file, or an option is wrong.
    """
    options = options or RoomOptions(dataset="npz")
    survey = Survey()
    for path, name in room_files(Path(root), ".npz"):
        survey.files.append(path)
        survey.jobs.append(Job(_convert, _NpzTask(path, name, options)))
    return prepare_tree(
        out, "npz", options.as_json(), survey, workers=workers, skip_bad=skip_bad, progress=progress
    )


@dataclass(frozen=True, slots=True)
class _NpzTask:
    path: Path
    name: str
    options: RoomOptions


def _convert(task: _NpzTask, dev_set: Path) -> Outcome:
    arrays = read_npz(task.path)
    taps, positions = arrays["taps"], np.asarray(arrays["positions"], np.float64)
    kind = _text(arrays, "coordinates") or "cartesian"
    fault = _fault(taps, positions, arrays["rate"], kind)
    if fault is not None:
        raise SynthError(fault, where=task.path, remedy="write the archive as the documentation says")
    rate, options = int(arrays["rate"]), task.options
    convention = _convention(arrays, task)
    place = PlaceTask(
        f"room_ir/{options.split_of(task.name)}/{task.name}.sofa",
        positions,
        cast(Kind, kind),
        convention,
        options.licence or "unknown",
        options.dataset,
        options.set or options.dataset,
        task.path.stem,
        options.max_direction_error,
    )
    sources = [
        Source(f"{task.path}:taps[{n}]", taps.shape[2], rate, partial(_row, taps, n))
        for n in range(len(taps))
    ]
    return make_place(place, sources, dev_set)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an archive that declares no more than it may.

    Raises:
        SynthError: It is no archive of plain arrays, lacks one, or unpacks to more than the limits.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
            names = [info.filename.removesuffix(".npy") for info in archive.infolist()]
        stored = path.stat().st_size
        if size > MAX_DECLARED_BYTES or size > MAX_EXPANSION * stored or len(set(names)) != len(names):
            raise ValueError(f"{size:,} bytes in {stored:,} are too many, or names occur twice")
        missing = [name for name in _NAMES[:3] if name not in names]
        if missing:
            raise ValueError(f"the array(s) {', '.join(missing)} are missing")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in _NAMES if name in names}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, NotImplementedError, MemoryError) as error:
        raise SynthError(
            f"it cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            where=path,
            remedy=f"write it by numpy.savez with the arrays {', '.join(_NAMES[:3])}",
        ) from error


def _fault(taps: NDArray[Any], positions: NDArray[np.float64], rate: NDArray[Any], kind: str) -> str | None:
    if taps.ndim != 3 or taps.shape[1] < FOA_CHANNELS or 0 in taps.shape or taps.dtype.kind != "f":
        return f"taps are {taps.dtype} {taps.shape}, expected are floats (positions, 4, samples)"
    if kind not in ("cartesian", "spherical"):
        return f"coordinates are {kind!r}, expected are 'cartesian' or 'spherical'"
    if positions.shape != (len(taps), 3):
        return f"positions have the shape {positions.shape}, expected is ({len(taps)}, 3)"
    if rate.shape not in ((), (1,)) or rate.dtype.kind not in "iuf" or not MIN_RATE <= rate <= MAX_RATE:
        return f"the rate is {rate}, allowed are {MIN_RATE} to {MAX_RATE} Hz"
    faults = (position_fault(tuple(p), cast(Kind, kind)) for p in positions)
    return next((fault for fault in faults if fault is not None), None)


def _convention(arrays: dict[str, NDArray[Any]], task: _NpzTask) -> Convention:
    options = task.options
    kind = options.kind or _text(arrays, "kind") or "foa"
    order = options.order or _text(arrays, "order")
    normalisation = options.normalisation or _text(arrays, "normalisation")
    if kind == "foa" and (order is None or normalisation is None):
        raise SynthError(
            "it states no channel order or no normalisation",
            where=task.path,
            remedy="add the texts `order` and `normalisation`, or say --order and --normalisation",
        )
    capsules = None
    if "capsules" in arrays:
        vectors = np.asarray(arrays["capsules"], np.float64)
        if vectors.shape != (FOA_CHANNELS, 3) or not np.linalg.norm(vectors, axis=1).all():
            raise SynthError("capsules are not (4, 3) directions", where=task.path, remedy="correct them")
        capsules = tuple(map(tuple, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).tolist()))
    return Convention(
        kind,  # type: ignore[arg-type]
        order or "acn",  # type: ignore[arg-type]
        normalisation or "sn3d",  # type: ignore[arg-type]
        capsules,
        options.scaling,  # type: ignore[arg-type]
    )


def _text(arrays: dict[str, NDArray[Any]], name: str) -> str | None:
    return str(arrays[name].reshape(-1)[0]).strip().lower() if name in arrays and arrays[name].size else None


def _row(taps: NDArray[Any], n: int) -> NDArray[np.float64]:
    return taps[n, :FOA_CHANNELS].astype(np.float64)
