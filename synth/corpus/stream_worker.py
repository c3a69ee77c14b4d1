"""What a worker process of a loader does: make samples where it is told to, until the pipe ends.

It imports no torch and no pyarrow, runs one thread, and leaves SIGINT and SIGTERM to the process that trains: that
one decides when to stop, and may still want samples until it has saved its state.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from typing import TYPE_CHECKING

from ..errors import SynthError
from .stream_memory import Layout

if TYPE_CHECKING:  # What a source needs is imported when it arrives.
    from ..scenes.spec import SceneSpec
    from .stream_source import Source

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Share:
    """Order to keep a buffer, whose handle follows; batches in it have this layout."""

    buffer: int
    layout: Layout


@dataclass(frozen=True, slots=True)
class Forget:
    """Order to give up a buffer."""

    buffer: int


@dataclass(frozen=True, slots=True)
class Make:
    """Order to make the sample of a position and put it into a slot of a buffer (None: send it back)."""

    task: int
    position: int
    buffer: int | None = None
    slot: int = 0


@dataclass(frozen=True, slots=True)
class Ready:
    """Report: the source is here, tasks can come."""


@dataclass(frozen=True, slots=True)
class Done:
    """Report: a task is finished; its spec when that was asked for."""

    task: int
    spec: SceneSpec | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Report: a task cannot be done; a SynthError, or the traceback of anything else."""

    task: int
    fault: SynthError | str


def ignore_signals(worker: int = 0) -> None:
    """Leave SIGINT and SIGTERM to the training process; a `worker_init_fn` for a plain DataLoader."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def serve(handle: int) -> None:
    """Do what comes through a pipe until it ends.

    Args:
        handle: File descriptor of this process's end.
    """
    ignore_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    # pandas would load it where it is installed, for tables that nobody has here: tens of MB per worker.
    sys.modules.setdefault("pyarrow", None)  # type: ignore[arg-type]
    pipe = Connection(handle)
    try:
        try:
            source: Source = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        except Exception:
            pipe.send(Failed(-1, traceback.format_exc()))
            return
        pipe.send(Ready())
        _Bench(pipe, source).work()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # The training process is gone.


class _Bench:
    """A worker's place of work: its source, and the buffers that it knows."""

    def __init__(self, pipe: Connection, source: Source) -> None:
        self._pipe, self._source = pipe, source
        self._buffers: dict[int, tuple[Layout, int]] = {}

    def work(self) -> None:
        while (order := self._pipe.recv()) is not None:
            if isinstance(order, Share):
                self._buffers[order.buffer] = (order.layout, recv_handle(self._pipe))
            elif isinstance(order, Forget):
                os.close(self._buffers.pop(order.buffer)[1])
            else:
                self._pipe.send(self._report(order))

    def _report(self, order: Make) -> Done | Failed:
        try:
            made = self._source(order.position)
            if not isinstance(made, dict):
                return Done(order.task, made)
            assert order.buffer is not None
            layout, handle = self._buffers[order.buffer]
            layout.write(handle, order.slot, made)
            return Done(order.task)
        except SynthError as error:
            return Failed(order.task, error)
        except Exception:
            return Failed(order.task, traceback.format_exc())
