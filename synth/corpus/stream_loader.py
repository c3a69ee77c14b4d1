"""Batches of a stream, made ahead by worker processes, in order, with exact state."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import SynthError
from ..rendering.sample import Sample
from ..scenes.spec import SceneSpec
from ..units import Seconds
from .stream_crew import Crew, Task, sample_error
from .stream_memory import Buffer, BufferPool, Layout
from .stream_source import Made
from .stream_worker import Failed, Make

if TYPE_CHECKING:
    from .stream import Stream

Batch: TypeAlias = dict[str, torch.Tensor]
"""Tensors by name, the first axis is the batch; see `scene_sample`."""

TIMEOUT: Seconds = 600.0
"""A worker that finishes no sample for so long counts as hanging; the first may build a cache."""


class StreamLoader:
    """Iterates over a stream's batches; made by `Stream.loader`.

    It is no `torch.utils.data.DataLoader`, on purpose: `accelerator.prepare` would cut the batches
    of one among the ranks again, and leaves this one as it is.

    An endless stream goes on where it was left whenever it is iterated again, also after an error. A
    fixed set begins anew.

    Args:
        stream: What is loaded; its state counts the batches handed out here.
        workers: Processes that make samples; 0: this one does.
        prefetch: Batches made ahead of the one asked for. (More when they are so small that
            workers would be idle.)
        pin_memory: Batches are copied into page-locked memory, for fast transfers to a GPU if there is one.
        timeout: Seconds without a sample after which a worker counts as hanging.

    Raises:
        SynthError: A number is out of its range.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        workers: int = 0,
        prefetch: int = 2,
        pin_memory: bool = False,
        timeout: Seconds = TIMEOUT,
    ) -> None:
        for name, value, low, high in (("workers", workers, 0, 1024), ("prefetch", prefetch, 1, 1024)):
            if not low <= value <= high:
                raise SynthError(
                    f"is {value}, allowed are {low} to {high}", where=name, remedy="give another value"
                )
        if not timeout > 0:
            raise SynthError(f"is {timeout} s", where="timeout", remedy="give seconds above 0")
        self.stream = stream
        self.workers, self.timeout = workers, timeout
        self.pin_memory = pin_memory and torch.cuda.is_available()
        batch = stream.order.batch_size
        # Twice as many samples as workers keep all of them busy.
        self.ahead = max(prefetch, -(-2 * workers // batch)) if workers else 0
        self._crew: Crew | None = None

    def __iter__(self) -> Iterator[Any]:
        """Yield dicts of tensors (`Batch`), or lists of SceneSpecs when the stream only plans.

        Raises:
            SynthError: A sample cannot be made, or the worker that makes it died or hangs; the
                position and the seed are named. What was handed out before stays counted.
        """
        stream = self.stream
        position = stream.begin()
        made = _Ahead(self, position) if self.workers else _Here(stream, position)
        try:
            made.start()
            while stream.order.share(position):
                batch = made.take()
                position = stream.order.after(position)
                stream.consumed(position)
                yield _pinned(batch) if self.pin_memory else batch
                del batch  # Its memory may be used again as soon as the caller is done with it.
            stream.finished()
            made.rest()
        except BaseException:
            self.close()
            raise
        finally:
            made.close()

    def __len__(self) -> int:
        """Return how many batches a fixed set has on this rank.

        Raises:
            TypeError: The stream is endless.
        """
        return -(-len(self.stream) // self.stream.order.batch_size)

    def crew(self) -> Crew:
        """Return the worker processes, started if there are none."""
        if self._crew is None or not self._crew.alive:
            self._crew = Crew(self.stream.source, self.workers, self.stream.series, self.timeout)
        return self._crew

    def close(self) -> None:
        """End the worker processes; iterating starts new ones."""
        if self._crew is not None:
            self._crew.close()
            self._crew = None


def collate(samples: Sequence[Made]) -> Any:
    """Return a batch of samples: tensors by name, (batch, ...) each; SceneSpecs stay a list."""
    if not samples or isinstance(samples[0], SceneSpec):
        return list(samples)
    first: Sample = samples[0]
    return {
        name: torch.from_numpy(np.stack([np.asarray(sample[name]) for sample in samples]))  # type: ignore[index]
        for name in first
    }


class _Here:
    """Makes batches in this process, when they are asked for."""

    def __init__(self, stream: Stream, position: int) -> None:
        self._stream, self._position = stream, position

    def start(self) -> None:
        pass

    def take(self) -> Any:
        stream = self._stream
        samples = [make_here(stream, position) for position in stream.order.share(self._position)]
        self._position = stream.order.after(self._position)
        return collate(samples)

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass


def make_here(stream: Stream, position: int) -> Made:
    """Make a sample in this process.

    Raises:
        SynthError: It cannot be made; its position and the seed are named.
    """
    try:
        return stream.source(position)
    except SynthError as error:
        raise sample_error(error, f"position {position} ({stream.series})") from error
    except Exception as error:
        text = traceback.format_exc()
        raise sample_error(text, f"position {position} ({stream.series})") from error


@dataclass(slots=True)
class _Order:
    """A batch in the making."""

    positions: range
    buffer: Buffer | None
    memory: NDArray[np.uint8] | None
    missing: int
    specs: list[SceneSpec | None] = field(default_factory=list)
    faults: dict[int, SynthError] = field(default_factory=dict)


class _Ahead:
    """Makes batches in worker processes, some ahead of the one that is asked for."""

    def __init__(self, loader: StreamLoader, position: int) -> None:
        self._loader, self._stream = loader, loader.stream
        self._next = position
        self._orders: deque[_Order] = deque()
        self._tasks: dict[int, tuple[_Order, int]] = {}
        self._given = 0
        self._layout: Layout | None = None
        self._pool: BufferPool | None = None

    def start(self) -> None:
        share = self._stream.order.share(self._next)
        if not share:
            return
        self._crew = self._loader.crew()
        # The first sample is made here: caches are then built, faults seen, and the shapes known.
        first: Made | None = make_here(self._stream, share[0])
        if isinstance(first, dict):
            self._layout = Layout.of(first, self._stream.order.batch_size)
            self._pool = BufferPool(self._layout.size)
        while len(self._orders) < self._loader.ahead and self._order_next(first):
            first = None

    def take(self) -> Any:
        order = self._orders.popleft()
        self._order_next(None)
        while order.missing:
            for report in self._crew.listen():
                batch, slot = self._tasks.pop(report.task)
                batch.missing -= 1
                if isinstance(report, Failed):
                    # Told when the batch is due: those before it are good.
                    assert isinstance(report.fault, SynthError)
                    batch.faults[slot] = report.fault
                elif report.spec is not None:
                    batch.specs[slot] = report.spec
        if order.faults:
            raise order.faults[min(order.faults)]
        if self._pool is not None:
            self._drop(self._pool.surplus(keep=2))
        return self._content(order)

    def rest(self) -> None:
        """Let the workers wait for another iteration, with no buffer left."""
        if self._pool is not None:
            self._drop(self._pool.clear())

    def close(self) -> None:
        if self._pool is not None:
            for buffer in self._pool.clear():
                buffer.close()

    def _drop(self, buffers: list[Buffer]) -> None:
        for buffer in buffers:
            self._crew.forget(buffer)
            buffer.close()

    def _order_next(self, first: Made | None) -> bool:
        """Give the tasks of the next batch to the workers; its first sample may be there already."""
        positions = self._stream.order.share(self._next)
        self._next = self._stream.order.after(self._next)
        if not positions:
            return False
        buffer = memory = None
        if self._pool is not None:
            buffer = self._pool.take()
            memory = self._pool.lend(buffer)
        order = _Order(positions, buffer, memory, len(positions), [None] * len(positions))
        self._orders.append(order)
        for slot, position in enumerate(positions):
            if slot == 0 and first is not None:
                self._put(order, first)
                continue
            self._given += 1
            self._tasks[self._given] = (order, slot)
            number = None if buffer is None else buffer.number
            self._crew.give(Task(Make(self._given, position, number, slot), buffer, self._layout))
        return True

    def _put(self, order: _Order, first: Made) -> None:
        order.missing -= 1
        if isinstance(first, SceneSpec):
            order.specs[0] = first
        else:
            assert self._layout is not None
            assert order.memory is not None
            self._layout.put(self._layout.views(order.memory), 0, first)

    def _content(self, order: _Order) -> Any:
        if self._layout is None:
            return order.specs
        assert order.memory is not None
        views = self._layout.views(order.memory)
        count = len(order.positions)
        return {name: torch.from_numpy(array[:count]) for name, array in views.items()}


def _pinned(batch: Any) -> Any:
    return {name: value.pin_memory() for name, value in batch.items()} if isinstance(batch, dict) else batch
