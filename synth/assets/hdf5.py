"""A door for HDF5 files from strangers: data inside the file only, and no more than was announced.

An HDF5 file may name other files as the store of its data (external storage, external links,
virtual datasets), or declare far more data than it holds. Nothing of that kind passes here.
"""

from __future__ import annotations

import math
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from ..errors import SynthError

MAX_DECLARED_BYTES = 2 << 30
"""Largest dataset that is opened, as declared by its shape and type."""
SMALL_BYTES = 64 << 20
"""Limit for variables that are not responses."""
MAX_EXPANSION = 1_000
"""Largest ratio of declared to stored bytes."""

_MAX_ATTRIBUTE_BYTES = 1 << 16
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32_000: "lzf"}
_FEW_BYTES = 1 << 20


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; its own errors become SynthError with the name of the file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SynthError("it is not a regular file", where=path, remedy="give a SOFA file")
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SynthError(
            f"it cannot be read as HDF5: {reason}",
            where=path,
            remedy="check that the file is there, whole and readable; fetch or write it again",
        ) from error


def checked_dataset(file: h5py.File, path: Path, name: str, limit: int = SMALL_BYTES) -> h5py.Dataset | None:
    """Return the dataset `name` of the root group, or None when there is none.

    Args:
        file: The open file.
        path: Its name, for messages.
        name: Of the dataset.
        limit: Most bytes that it may declare.

    Raises:
        SynthError: It is a link out of its place, keeps its data in another file, declares more
            than the limit or than it could hold, is no plain array of numbers, or needs a foreign filter.
    """
    link = file.get(name, getlink=True)
    if link is None:
        return None
    if not isinstance(link, h5py.HardLink):
        raise _refused(path, name, f"it is a {type(link).__name__}, not data in this file")
    data = file[name]
    if not isinstance(data, h5py.Dataset):
        raise _refused(path, name, "it is not a dataset")
    if data.is_virtual or data.id.get_create_plist().get_external_count() > 0:
        raise _refused(path, name, "it keeps its data in another file")
    if data.dtype.kind not in "fiu" or data.dtype.itemsize > 8:
        raise _refused(path, name, f"its type is {data.dtype}, expected are plain numbers")
    _check_size(path, name, data, limit)
    _check_filters(path, name, data)
    return data


def attribute_text(data: h5py.Dataset | h5py.File, path: Path, name: str) -> str | None:
    """Return a text attribute, or None when there is none."""
    if name not in data.attrs:
        return None
    if data.attrs.get_id(name).get_storage_size() > _MAX_ATTRIBUTE_BYTES:
        raise _refused(path, name, f"the attribute is larger than {_MAX_ATTRIBUTE_BYTES:,} bytes")
    value: Any = data.attrs[name]
    if hasattr(value, "size") and getattr(value, "size", 0) == 1:
        value = value.item() if hasattr(value, "item") else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _check_size(path: Path, name: str, data: h5py.Dataset, limit: int) -> None:
    item = data.dtype.itemsize
    declared = math.prod(data.shape) * item
    chunk = math.prod(data.chunks) * item if data.chunks else 0
    stored = data.id.get_storage_size()
    largest = max(declared, chunk)
    if largest > limit:
        raise _refused(path, name, f"it declares {largest:,} bytes, the limit is {limit:,}")
    if largest > _FEW_BYTES and largest > MAX_EXPANSION * stored:
        raise _refused(
            path, name, f"it declares {largest:,} bytes and stores {stored:,}: more than {MAX_EXPANSION} to 1"
        )
    if declared > 0 and stored == 0:
        raise _refused(path, name, "it declares data and stores none")


def _check_filters(path: Path, name: str, data: h5py.Dataset) -> None:
    plist = data.id.get_create_plist()
    for n in range(plist.get_nfilters()):
        code = plist.get_filter(n)[0]
        if code not in _FILTERS:
            known = ", ".join(_FILTERS.values())
            raise _refused(path, name, f"it is packed with HDF5 filter {code}; allowed are {known}")


def _refused(path: Path, name: str, fault: str) -> SynthError:
    return SynthError(
        f"{name}: {fault}",
        where=path,
        remedy="do not use this file unless you trust its origin; write a plain copy of it with h5py",
    )
