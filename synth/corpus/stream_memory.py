"""Memory that the processes of a loader share: one buffer holds one batch, and is used again.

Buffers have no name in any file system, so nothing is left behind however a process ends, and a
small /dev/shm (64 MB in many containers) does not limit them.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SynthError

if TYPE_CHECKING:
    from ..rendering.sample import Sample

_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the arrays of a batch lie in its buffer.

    Attributes:
        fields: (name, shape of one sample, type) in the order stored.
        batch_size: Samples in the buffer.
    """

    fields: tuple[tuple[str, tuple[int, ...], str], ...]
    batch_size: int

    @classmethod
    def of(cls, sample: Sample, batch_size: int) -> Layout:
        """Return the layout of batches of such samples."""
        fields = tuple((name, array.shape, array.dtype.str) for name, array in sample.items())
        return cls(fields, batch_size)

    @property
    def size(self) -> int:
        """Return the bytes of a buffer."""
        return max(sum(self._bytes(shape, kind) for _, shape, kind in self.fields), _ALIGNMENT)

    def views(self, memory: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Return the arrays in a buffer, (batch, ...) each."""
        arrays: dict[str, NDArray[Any]] = {}
        offset = 0
        for name, shape, kind in self.fields:
            used = self.batch_size * int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
            arrays[name] = memory[offset : offset + used].view(kind).reshape(self.batch_size, *shape)
            offset += self._bytes(shape, kind)
        return arrays

    def put(self, arrays: Mapping[str, NDArray[Any]], slot: int, sample: Sample) -> None:
        """Copy a sample into its slot of a buffer.

        Raises:
            SynthError: It has other arrays, or arrays of other shapes, than the layout.
        """
        self._check(sample)
        for name, array in sample.items():
            arrays[name][slot] = array

    def write(self, handle: int, slot: int, sample: Sample) -> None:
        """Write a sample into its slot of a buffer that is not mapped here, but open as `handle`.

        Mapped pages would count as memory of this process for as long as the buffer is used.

        Raises:
            SynthError: As `put`, or there is no memory left.
        """
        self._check(sample)
        begin = 0
        for (name, shape, kind), array in zip(self.fields, sample.values(), strict=True):
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            try:
                _write_all(handle, data, begin + slot * len(data))
            except OSError as error:
                raise _no_memory(f"no memory for {name}", error) from error
            begin += self._bytes(shape, kind)

    def _check(self, sample: Sample) -> None:
        found = tuple((name, array.shape, array.dtype.str) for name, array in sample.items())
        if found != self.fields:
            pairs = [f"{name} {shape}" for name, shape, _ in set(found) ^ set(self.fields)]
            raise SynthError(
                f"samples of one batch differ: {', '.join(sorted(pairs))}",
                where="stream",
                remedy="all scenes of a stream must have one length",
            )

    def _bytes(self, shape: tuple[int, ...], kind: str) -> int:
        size = self.batch_size * int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        return -(-size // _ALIGNMENT) * _ALIGNMENT


class Buffer:
    """One piece of shared memory.

    Attributes:
        number: Its name among the processes of one loader.
        handle: A file descriptor to send to another process.
        told: Which workers know it.
    """

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.handle = _anonymous(size)
        self.told: set[int] = set()
        self._memory = mmap.mmap(self.handle, size)

    def array(self) -> NDArray[np.uint8]:
        """Return the memory as a new array, whose views all keep that one alive."""
        return np.frombuffer(self._memory, dtype=np.uint8)

    def close(self) -> None:
        """Give up this process's handle; arrays that still show the memory keep it."""
        os.close(self.handle)


class BufferPool:
    """Buffers of one size; one is free again when no array shows it any more.

    Args:
        size: Bytes of each.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._made = 0
        self._out: dict[int, Buffer] = {}
        self._free: list[Buffer] = []
        # Filled from finalizers, which may run at any point of any thread.
        self._returned: deque[int] = deque()

    def take(self) -> Buffer:
        """Return a buffer that nobody uses."""
        self._collect()
        buffer = self._free.pop() if self._free else self._new()
        self._out[buffer.number] = buffer
        return buffer

    def lend(self, buffer: Buffer) -> NDArray[np.uint8]:
        """Return the memory of a buffer; when the array and all its views are gone it is free again."""
        array = buffer.array()
        weakref.finalize(array, self._returned.append, buffer.number).atexit = False
        return array

    def surplus(self, keep: int) -> list[Buffer]:
        """Take out the free buffers beyond `keep`, for the caller to close."""
        self._collect()
        out, self._free = self._free[keep:], self._free[:keep]
        return out

    def clear(self) -> list[Buffer]:
        """Take out all buffers, for the caller to close; arrays lent out stay good."""
        out = [*self._free, *self._out.values()]
        self._free, self._out = [], {}
        return out

    def _collect(self) -> None:
        while self._returned:
            buffer = self._out.pop(self._returned.popleft(), None)
            if buffer is not None:
                self._free.append(buffer)

    def _new(self) -> Buffer:
        self._made += 1
        return Buffer(self._made, self._size)


def _anonymous(size: int) -> int:
    """Return a descriptor of so many bytes of memory without a name."""
    try:
        if hasattr(os, "memfd_create"):
            handle = os.memfd_create("s5kit-batch", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                handle = os.dup(file.fileno())
        os.ftruncate(handle, size)
    except OSError as error:
        raise _no_memory(f"no shared memory of {size:,} bytes", error) from error
    return handle


def _write_all(handle: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written


def _no_memory(what: str, error: OSError) -> SynthError:
    return SynthError(
        f"{what}: {error.strerror or error}",
        where="loader",
        remedy="take smaller batches, fewer of them ahead, or workers=0",
    )
