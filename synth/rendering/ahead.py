"""The next batch is rendered while the training step uses this one.

A thread asks for specs and queues their rendering; on CUDA that runs on the renderer's own stream, and
the step's stream waits for it on the device. On the CPU the thread renders on another core: torch
holds no lock while it computes.
"""

from __future__ import annotations

import queue
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import NoReturn, Protocol, TypeAlias

from ..errors import SynthError
from ..scenes.spec import SceneSpec
from .batch import Batch, PendingBatch
from .sample import SampleFormat

_JOIN_S = 10.0


class Submits(Protocol):
    """What renders: a `BatchRenderer`."""

    def submit(self, specs: Sequence[SceneSpec], form: SampleFormat) -> PendingBatch:
        """Queue the rendering of a batch."""
        ...


_Result: TypeAlias = tuple[Sequence[SceneSpec], PendingBatch | BaseException] | None


class RenderAhead:
    """Iterates over rendered batches, with the next ones under way.

    `handed_out` counts the batches that the caller has got: what to resume from, as the specs are read
    `depth` batches ahead. Close it, or use it in a `with` block; it closes itself at the end of the specs
    and on an error.

    Args:
        spec_batches: Scenes of a batch each, such as the loader of a `SceneStream(render=False)`; used in
            another thread.
        renderer: A `BatchRenderer` that nobody else uses.
        form: Classes, slots, label frames and stems.
        depth: Batches under way or waiting, at least 1; each takes memory on the device.
    """

    def __init__(
        self,
        spec_batches: Iterable[Sequence[SceneSpec]],
        renderer: Submits,
        form: SampleFormat,
        *,
        depth: int = 1,
    ) -> None:
        if depth < 1:
            raise SynthError(f"is {depth}", where="depth", remedy="give 1 or more")
        self.handed_out = 0
        self._work = _Work(spec_batches, renderer, form, depth)
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
        self._batches, self._renderer, self._form = batches, renderer, form
        self._room = threading.Semaphore(depth)
        self._done: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self._stopped = False

    def run(self) -> None:
        """Render until the specs end, something fails, or `stop`."""
        specs: Sequence[SceneSpec] = ()
        batches = None
        try:
            batches = iter(self._batches)
            while self._may_go_on():
                specs = ()
                specs = next(batches)
                self._done.put((specs, self._renderer.submit(specs, self._form)))
        except StopIteration:
            pass
        except BaseException as error:
            self._done.put((specs, error))
        finally:
            self._done.put(None)
            if (close := getattr(batches, "close", None)) is not None:
                close()

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

    def _may_go_on(self) -> bool:
        self._room.acquire()
        return not self._stopped
