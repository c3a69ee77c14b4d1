"""Files mapped into memory, and letting go of their pages.

Pages of a mapped file count as memory of the process for as long as nothing needs the room, although
they are the system's copy of the file. A process that walks through large pools would seem, and in a
container with a limit would be, as large as the pools.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from ..errors import SynthError

_REBUILD = "delete the folder: it is built anew from its sources"
_MAPS: WeakSet[mmap.mmap] = WeakSet()


def map_array(path: Path, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """Map a file of `count` numbers read-only, `(count,)`.

    A plain array over the map, not `numpy.memmap`, whose slices cost several times as much.

    Raises:
        SynthError: The file is missing or has another length.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size == count * dtype.itemsize == 0:
                return np.zeros(0, dtype)
            if size == count * dtype.itemsize:
                pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                _MAPS.add(pages)
                return np.frombuffer(pages, dtype=dtype)
        fault = f"it has {size:,} bytes, expected are {count * dtype.itemsize:,}"
    except OSError as error:
        fault = str(error)
    raise SynthError(fault, where=path, remedy=_REBUILD)


def will_need(array: NDArray[Any]) -> None:
    """Ask the system to read the pages of an array of `map_array` ahead, without waiting for them.

    Touching them one after the other would wait for the disk a few pages at a time.
    """
    root = array
    while isinstance(root.base, np.ndarray):
        root = root.base
    pages = getattr(root.base, "obj", None)
    if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_WILLNEED"):
        start = array.ctypes.data - root.ctypes.data
        first = start & -mmap.PAGESIZE
        pages.madvise(mmap.MADV_WILLNEED, first, start - first + array.nbytes)


def let_pages_go() -> None:
    """Give the pages of all maps back to the system, which keeps them as its copy of the files.

    Arrays stay as they are; what is read again is found in that copy, at the cost of a page fault.
    """
    if hasattr(mmap, "MADV_DONTNEED"):
        for pages in list(_MAPS):
            pages.madvise(mmap.MADV_DONTNEED)
