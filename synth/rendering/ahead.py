"""The next batch is rendered while the training step uses this one.

A thread asks for specs and queues their rendering; on CUDA that runs on the renderer's own stream, and
the step's stream waits for it on the device. On the CPU a batch is rendered when it is asked for: where
the step keeps all cores busy, a thread beside it made both a fifth slower than one after the other.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import NoReturn, Protocol, TypeAlias

import torch

from ..errors import SynthError
from ..scenes.spec import SceneSpec
from .batch import Batch, PendingBatch
from .sample import SampleFormat

_JOIN_S = 10.0


class Submits(Protocol):
    """What renders: a `BatchRenderer`."""

    @property
    def device(self) -> torch.device:
        """Where it renders."""
        ...

    def submit(self, specs: Sequence[SceneSpec], form: SampleFormat) -> PendingBatch:
        """Queue the rendering of a batch."""
        ...


_Result: TypeAlias = tuple[Sequence[SceneSpec], PendingBatch | BaseException] | None


class RenderAhead:
    """Iterates over rendered batches, with the next ones under way.

    `handed_out` counts the batches that the caller has got: what to resume from, as specs are read
    ahead of them. Close it, or use it in a `with` block; it closes itself at the end of the specs and on
    an error.

    Args:
        spec_batches: Scenes of a batch each, such as the loader of a `SceneStream(render=False)`; used in
            another thread, if there is one.
        renderer: A `BatchRenderer` that nobody else uses.
        form: Classes, slots, label frames and stems.
        depth: Batches under way or waiting, at least 1; each takes memory on the device.
        threaded: Render ahead in a thread; None: on CUDA.
    """

    def __init__(
        self,
        spec_batches: Iterable[Sequence[SceneSpec]],
        renderer: Submits,
        form: SampleFormat,
        *,
        depth: int = 1,
        threaded: bool | None = None,
    ) -> None:
        if depth < 1:
            raise SynthError(f"is {depth}", where="depth", remedy="give 1 or more")
        self.handed_out = 0
        self._work = _Work(spec_batches, renderer, form, depth)
        self._thread: threading.Thread | None = None
        if renderer.device.type == "cuda" if threaded is None else threaded:
            self._thread = threading.Thread(target=self._work.run, name="s5kit-render-ahead", daemon=True)
            self._thread.start()
        self._stop = weakref.finalize(self, self._work.stop)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """Return the next batch, ready for the current stream.

        Raises:
            SynthError: A scene cannot be rendered, or its specs cannot be had; the batch and the positions
                of its scenes are named.
        """
        if self._thread is None:
            self._work.step()
        result = self._work.next()
        if result is None:
            self.close()
            raise StopIteration
        specs, found = result
        if isinstance(found, PendingBatch):
            try:
                batch = found.take()
            except BaseException as error:
                self._fail(error, specs)
            self.handed_out += 1
            return batch
        self._fail(found, specs)

    def close(self) -> None:
        """Stop rendering and drop what was not handed out; may be called again."""
        self._stop()
        if self._thread is None:
            self._work.close_specs()
        else:
            self._thread.join(_JOIN_S)

    def __enter__(self) -> RenderAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fail(self, error: BaseException, specs: Sequence[SceneSpec]) -> NoReturn:
        self.close()
        indices = [spec.origin.index for spec in specs if spec.origin is not None]
        places = f", positions {min(indices)} to {max(indices)}" if indices else ""
        text = f"batch {self.handed_out}{places}"
        if not isinstance(error, SynthError):
            error.add_note(f"while {text} was rendered")
            raise error
        named = SynthError(f"{error.what} ({text})", where=error.where, remedy=error.remedy)
        named.exit_code = error.exit_code
        raise named from error


class _Work:
    """What the thread does; it knows nothing of the iterator, which may thus be forgotten."""

    def __init__(
        self, batches: Iterable[Sequence[SceneSpec]], renderer: Submits, form: SampleFormat, depth: int
    ) -> None:
        self._batches, self._renderer, self._form = iter(batches), renderer, form
        self._room = threading.Semaphore(depth)
        self._done: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self._stopped = False

    def run(self) -> None:
        """Render, with room for `depth` batches, until the specs end, something fails, or `stop`."""
        going = True
        while going:
            self._room.acquire()
            going = self.step()
        self.close_specs()

    def step(self) -> bool:
        """Render one batch; return whether another may follow."""
        specs: Sequence[SceneSpec] = ()
        if self._stopped:
            return False
        try:
            specs = next(self._batches)
            self._done.put((specs, self._renderer.submit(specs, self._form)))
        except StopIteration:
            self._done.put(None)
            return False
        except BaseException as error:
            self._done.put((specs, error))
            return False
        return True

    def next(self) -> _Result:
        """Wait for the next result; None: there is none."""
        if self._stopped:
            return None
        result = self._done.get()
        self._room.release()
        return result

    def stop(self) -> None:
        """Let the thread end after what it is doing."""
        self._stopped = True
        self._room.release()

    def close_specs(self) -> None:
        """Close the specs, if they can be."""
        if (close := getattr(self._batches, "close", None)) is not None:
            close()
