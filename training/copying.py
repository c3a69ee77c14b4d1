"""The next batch is pinned and copied to the GPU while the training step uses this one.

Pinning 100 MB takes tens of milliseconds of the host. In the training thread that would come after the one wait
for the device in a step, so the device would stand still meanwhile.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor

_DEPTH = 1
_JOIN_S = 10.0

_Moved: TypeAlias = tuple[dict[str, Tensor], torch.cuda.Event | None]


class CopyAhead:
    """Iterates over batches on a device, with the next one under way; close it before its source.

    Args:
        batches: Where they come from, such as a loader that pins memory; used in another thread.
        device: Where they go; on CUDA they are copied on a stream of their own.
    """

    def __init__(self, batches: Iterable[Mapping[str, Tensor]], device: torch.device) -> None:
        self._batches, self._device = iter(batches), device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._room = threading.Semaphore(_DEPTH)
        self._done: queue.SimpleQueue[_Moved | BaseException | None] = queue.SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="s5kit-copy-ahead", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return self

    def __next__(self) -> dict[str, Tensor]:
        """Return the next batch, ready for the current stream.

        Raises:
            BaseException: What making it raised; the batches before it have been returned.
        """
        if self._stopped:
            raise StopIteration
        found = self._done.get()
        self._room.release()
        if not isinstance(found, tuple):
            self.close()
            raise StopIteration if found is None else found
        batch, copied = found
        if copied is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(copied)
            for tensor in batch.values():
                tensor.record_stream(current)  # else its memory would be used again while it is read
        return batch

    def close(self) -> None:
        """Let the thread end after what it is doing; may be called again."""
        self._stopped = True
        self._room.release()
        self._thread.join(_JOIN_S)

    def _run(self) -> None:
        while True:
            self._room.acquire()
            if self._stopped:
                break
            try:
                self._done.put(self._moved(next(self._batches)))
            except StopIteration:
                self._done.put(None)
                break
            except BaseException as error:
                self._done.put(error)
                break
        if (close := getattr(self._batches, "close", None)) is not None:
            close()  # here: a generator belongs to the thread that runs it

    def _moved(self, batch: Mapping[str, Tensor]) -> _Moved:
        with torch.cuda.stream(self._stream):  # None: nothing
            moved = {name: tensor.to(self._device, non_blocking=True) for name, tensor in batch.items()}
            return moved, None if self._stream is None else self._stream.record_event()
