"""The worker processes of a loader: started, fed, listened to, and ended whatever happens."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import send_handle

from ..errors import SynthError
from ..units import Seconds
from .stream_memory import Buffer, Layout
from .stream_source import Source
from .stream_worker import SIGNALS, Done, Failed, Forget, Make, Ready, Share

_POLL: Seconds = 1.0
_START: Seconds = 120.0
"""What a process may take to start, on a busy machine or a slow network disk, whatever the timeout."""

_IN_PIPE = 64
"""Tasks that a worker is sent ahead; more could fill the pipes of both, each waiting for the other."""

_ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)
# Not multiprocessing's way of starting: that one imports the program's main file again, with torch
# and all the memory it takes, and needs a guard in every script.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from synth.corpus.stream_worker import serve; serve(int(sys.argv[2]))"
)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be made, and where it goes.

    Attributes:
        order: The sample and its slot.
        buffer: The memory that the slot is in; None: it comes back through the pipe.
        layout: Of that memory.
    """

    order: Make
    buffer: Buffer | None = None
    layout: Layout | None = None


@dataclass(slots=True)
class Worker:
    """One process.

    Attributes:
        tasks: What it has yet to report on, in the order given.
        sent: How many of them it knows of.
        ready: Whether it has started.
    """

    number: int
    process: subprocess.Popen[bytes]
    pipe: Connection
    tasks: deque[Task] = field(default_factory=deque)
    sent: int = 0
    ready: bool = False


class Crew:
    """Worker processes.

    Args:
        source: What they make samples with.
        count: How many.
        series: What errors call the samples, such as "seed 3".
        timeout: After so many seconds without a sample a worker counts as hanging.
    """

    def __init__(self, source: Source, count: int, series: str, timeout: Seconds) -> None:
        self._series, self._timeout = series, timeout
        self._workers: list[Worker] = []
        self._end = weakref.finalize(self, _end_all, self._workers, os.getpid())
        try:
            with _signals_held_back():
                for number in range(count):
                    self._workers.append(_start(number))
            for worker in self._workers:
                _send(worker, source)
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Say whether the processes were not ended."""
        return self._end.alive

    @property
    def pids(self) -> list[int]:
        """Return the process numbers of the workers."""
        return [worker.process.pid for worker in self._workers]

    def give(self, task: Task) -> None:
        """Give a task to the worker with the fewest."""
        worker = min(self._workers, key=lambda worker: len(worker.tasks))
        worker.tasks.append(task)
        self._keep_busy(worker)

    def forget(self, buffer: Buffer) -> None:
        """Tell the workers that a buffer is no longer used."""
        for worker in self._workers:
            if worker.number in buffer.told:
                _send(worker, Forget(buffer.number))

    def listen(self) -> Iterator[Done | Failed]:
        """Wait until something is finished, or has failed, and yield all that is.

        Raises:
            SynthError: A worker died or hangs; the position that it was at is named.
        """
        waited = 0.0
        while True:
            before = time.monotonic()
            ready = wait([worker.pipe for worker in self._workers], timeout=min(_POLL, self._timeout))
            if ready:
                break
            # Counted only while waiting here, and no more than asked for: neither a long step of the
            # training nor a machine that was suspended is a worker's fault.
            waited += min(time.monotonic() - before, 2 * _POLL)
            if waited >= self._patience():
                raise self._hanging()
        for worker in self._workers:
            if worker.pipe in ready and (report := self._heard(worker)) is not None:
                yield report

    def close(self) -> None:
        """End all processes now; safe to call twice."""
        self._end()

    def _patience(self) -> Seconds:
        return max(self._timeout, 0 if self._late().ready else _START)

    def _late(self) -> Worker:
        """Return the worker that has what comes next."""
        return min((worker for worker in self._workers if worker.tasks), key=_next_position)

    def _heard(self, worker: Worker) -> Done | Failed | None:
        try:
            report: Done | Failed | Ready = worker.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._death(worker) from error
        if isinstance(report, Ready):
            worker.ready = True
            return None
        if isinstance(report, Failed):
            fault = sample_error(report.fault, self._named(worker))
            if not worker.ready:
                raise fault
            report = Failed(report.task, fault)
        worker.tasks.popleft()
        worker.sent -= 1
        self._keep_busy(worker)
        return report

    def _keep_busy(self, worker: Worker) -> None:
        """Send a worker the next tasks, up to the limit."""
        while worker.sent < min(len(worker.tasks), _IN_PIPE):
            task = worker.tasks[worker.sent]
            if task.buffer is not None and worker.number not in task.buffer.told:
                assert task.layout is not None
                _send(worker, Share(task.buffer.number, task.layout), task.buffer.handle)
                task.buffer.told.add(worker.number)
            _send(worker, task.order)
            worker.sent += 1

    def _death(self, worker: Worker) -> SynthError:
        try:
            code = worker.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = 0
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return SynthError(
            f"worker {worker.number} died {how} while it was made",
            where=self._named(worker),
            remedy="often memory ran out: take fewer workers or smaller batches; the stream goes on exactly "
            "where it was when it is iterated again",
        )

    def _hanging(self) -> SynthError:
        late = self._late()
        return SynthError(
            f"worker {late.number} has made nothing for {self._patience():g} s",
            where=self._named(late),
            remedy="if it builds a cache or waits for a slow disk give the loader a longer timeout; "
            "otherwise see whether this scene can be rendered by itself",
        )

    def _named(self, worker: Worker) -> str:
        if worker.tasks:
            return f"position {_next_position(worker)} ({self._series})"
        return f"worker {worker.number} ({self._series})"


def _send(worker: Worker, message: object, handle: int | None = None) -> None:
    # A worker that has died is noticed where its reports are read, after those that it still sent.
    with suppress(OSError):
        worker.pipe.send(message)
        if handle is not None:
            send_handle(worker.pipe, handle, worker.process.pid)


def _next_position(worker: Worker) -> int:
    return worker.tasks[0].order.position


def sample_error(fault: SynthError | str, name: str) -> SynthError:
    """Return what a user is told when the sample called `name` cannot be made."""
    if isinstance(fault, SynthError):
        place = name if fault.where is None else f"{name}: {fault.where}"
        return SynthError(fault.what, where=place, remedy=fault.remedy)
    last = fault.strip().splitlines()[-1]
    return SynthError(
        f"it cannot be made: {last}\n{fault}", where=name, remedy="report this as a fault of s5kit"
    )


def _start(number: int) -> Worker:
    ours, theirs = socket.socketpair()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", _BOOT, json.dumps(sys.path), str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            env={**os.environ, **_ONE_THREAD},
        )
    except OSError as error:
        ours.close()
        raise SynthError(
            f"no worker process can be started: {error.strerror or error}",
            where="workers",
            remedy="take fewer workers",
        ) from error
    finally:
        theirs.close()
    return Worker(number, process, Connection(ours.detach()))


def _end_all(workers: list[Worker], owner: int) -> None:
    if os.getpid() != owner:
        return  # A fork of the process that started them ends.
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.wait()
        worker.pipe.close()
    workers.clear()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let processes started inside never see SIGINT and SIGTERM; here those wait until the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
