"""Where sources, listeners and capsules of a SOFA file are (AES69)."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import SynthError
from ..hdf5 import attribute_text, checked_dataset
from ..sofa import required_points, to_cartesian

_HARMONIC = "spherical harmonics"


def source_points(file: h5py.File, path: Path, count: int, emitters: int) -> NDArray[np.float64]:
    """Where sound comes from: the source of a measurement and its emitters, `(M, E, 3)`."""
    sources = required_points(file, path, "SourcePosition", count)[:, None]
    points = _point_list(file, path, "EmitterPosition", emitters)
    if emitters == 1:
        return sources
    if points is None:
        raise SynthError(
            f"it has {emitters} emitters and no EmitterPosition", where=path, remedy="correct the file"
        )
    return np.asarray(sources + points[None])


def capsule_directions(
    file: h5py.File, path: Path, receivers: int
) -> tuple[NDArray[np.float64] | None, bool]:
    """Unit vectors to the receivers, or None when they sit in one point; and whether they are harmonics."""
    data = checked_dataset(file, path, "ReceiverPosition")
    if data is not None and (attribute_text(data, path, "Type") or "").strip().lower() == _HARMONIC:
        return None, True
    points = _point_list(file, path, "ReceiverPosition", receivers)
    if points is None:
        return None, False
    centred = points - points.mean(axis=0)
    sizes = np.linalg.norm(centred, axis=1)
    if sizes.min() < 1e-6:
        return None, False
    return centred / sizes[:, None], False


def listener_positions(file: h5py.File, path: Path, count: int) -> NDArray[np.float64]:
    """Where the listener of every measurement is, `(M, 3)`."""
    data = checked_dataset(file, path, "ListenerPosition")
    if data is None or not np.any(np.asarray(data[...])):
        # The origin is the origin, whatever Type and Units a file forgot to state.
        return np.zeros((count, 3))
    return required_points(file, path, "ListenerPosition", count)


def listener_axes(file: h5py.File, path: Path, count: int) -> NDArray[np.float64]:
    """Unit vectors to the front, the left and the top of every listener, `(M, 3, 3)`."""
    view = _vectors(file, path, "ListenerView", count, (1.0, 0.0, 0.0))
    up = _vectors(file, path, "ListenerUp", count, (0.0, 0.0, 1.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        front = view / np.linalg.norm(view, axis=1, keepdims=True)
    top = up - np.sum(up * front, axis=1, keepdims=True) * front
    size = np.linalg.norm(top, axis=1, keepdims=True)
    if not (np.isfinite(top).all() and size.min() > 1e-6):
        raise SynthError("ListenerView and ListenerUp span no frame", where=path, remedy="correct the file")
    top /= size
    return np.stack((front, np.cross(top, front), top), axis=1)


def _point_list(file: h5py.File, path: Path, name: str, count: int) -> NDArray[np.float64] | None:
    """Positions `(count, 3)` of `(count, 3)`, `(count, 3, 1)` or `(count, 3, M)`, all M being equal."""
    data = checked_dataset(file, path, name)
    if data is None:
        return None
    values = np.asarray(data[...], np.float64)
    flat = values[..., None] if values.ndim == 2 else values
    if flat.ndim != 3 or flat.shape[:2] not in ((count, 3), (1, 3)) or np.ptp(flat, axis=2).max() > 1e-6:
        raise SynthError(
            f"{name}: the shape is {data.shape}, expected is ({count}, 3, 1), the same for all measurements",
            where=path,
            remedy="correct the file or remove it",
        )
    points = to_cartesian(flat[:, :, 0], data, path, name) if np.any(flat) else flat[:, :, 0]
    return np.ascontiguousarray(np.broadcast_to(points, (count, 3)))


def _vectors(
    file: h5py.File, path: Path, name: str, count: int, default: tuple[float, float, float]
) -> NDArray[np.float64]:
    data = checked_dataset(file, path, name)
    if data is None or data.shape not in ((count, 3), (1, 3)):
        return np.tile(default, (count, 1))
    values = np.asarray(data[...], np.float64)
    view = checked_dataset(file, path, "ListenerView")
    if view is not None and attribute_text(view, path, "Type") is not None:
        # ListenerUp has the type of ListenerView (AES69).
        values = to_cartesian(values, view, path, name)
    return np.array(np.broadcast_to(values, (count, 3)))
