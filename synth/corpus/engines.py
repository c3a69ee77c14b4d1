"""Who does the work: this process, or several local ones.

A task is a number; what is done with it is a picklable callable. Results come as they are ready,
in any order: the work itself must not depend on who does it, or when.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from ..errors import SynthError

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")
Results: TypeAlias = Generator[tuple[int, R], None, None]
"""Yields (task, result); closing it ends all work."""

_POLL_SECONDS = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


class Work(Protocol[R_co]):
    """What is done with a task; it reports each step on the way."""

    def __call__(self, task: int, on_step: Callable[[], None]) -> R_co:
        """Do the task."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """How whoever started the work takes part in it.

    Attributes:
        name: Names a task in errors.
        on_step: Called for every step of every task.
        check: Called often; what it raises ends the work.
    """

    name: Callable[[int], str] = str
    on_step: Callable[[], None] = field(default=lambda: None)
    check: Callable[[], None] = field(default=lambda: None)


class Engine(Protocol):
    """Runs work on tasks."""

    def run(self, work: Work[R], tasks: Sequence[int], watch: Watch) -> Results[R]:
        """Yield (task, result) for every task; the first fault ends all work and is raised."""
        ...


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Processes of this machine, one task at a time each, one thread per process.

    With one worker, or for one task, the work is done in the calling process.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= 4096:
            raise SynthError(
                f"is {self.workers}, allowed are 1 to 4096", where="workers", remedy="take one per core"
            )

    def run(self, work: Work[R], tasks: Sequence[int], watch: Watch) -> Results[R]:
        """Yield (task, result) as results are ready; see `Engine`.

        Raises:
            SynthError: A task failed with one, or a worker process died (its task is named).
            RuntimeError: A task failed in a way that is no user's fault.
        """
        if min(self.workers, len(tasks)) <= 1:
            return _run_here(work, tasks, watch)
        return _Crew[R](work, tasks, watch).run(min(self.workers, len(tasks)))


def _run_here(work: Work[R], tasks: Sequence[int], watch: Watch) -> Results[R]:
    def on_step() -> None:
        watch.on_step()
        watch.check()

    for task in tasks:
        watch.check()
        yield task, work(task, on_step)


@dataclass(slots=True)
class Worker:
    """A process that does tasks one after the other, and the pipe to it.

    Down the pipe go tasks, None at the end; up come ("step", None), and per task one of ("result", …),
    ("fault", SynthError) and ("bug", text).
    """

    process: SpawnProcess
    pipe: Connection
    task: int | None = None


class _Crew(Generic[R]):
    """Worker processes and the tasks among them."""

    def __init__(self, work: Work[R], tasks: Sequence[int], watch: Watch) -> None:
        self._work = work
        self._tasks = deque(tasks)
        self._watch = watch
        self._workers: list[Worker] = []

    def run(self, workers: int) -> Results[R]:
        try:
            for _ in range(workers):
                self._workers.append(start_worker(self._work))
            for worker in self._workers:
                self._give(worker)
            while self._workers:
                yield from self._listen()
        finally:
            for worker in self._workers:
                worker.process.kill()
            for worker in self._workers:
                end_worker(worker)

    def _listen(self) -> Results[R]:
        self._watch.check()
        sources = [source for w in self._workers for source in (w.pipe, w.process.sentinel)]
        ready = wait(sources, timeout=_POLL_SECONDS)
        for worker in list(self._workers):
            if worker.pipe in ready or worker.process.sentinel in ready:
                yield from self._hear(worker)

    def _hear(self, worker: Worker) -> Results[R]:
        try:
            kind, content = worker.pipe.recv()
        except (EOFError, OSError) as error:
            raise self._death(worker) from error
        if kind == "step":
            self._watch.on_step()
        elif kind == "result":
            assert worker.task is not None
            task = worker.task
            self._give(worker)
            yield task, content
        elif isinstance(content, SynthError):
            raise content
        else:
            raise RuntimeError(f"{self._named(worker)}: a worker failed:\n{content}")

    def _give(self, worker: Worker) -> None:
        """Hand a worker its next task, or send it home."""
        worker.task = self._tasks.popleft() if self._tasks else None
        try:
            worker.pipe.send(worker.task)
        except OSError as error:
            raise self._death(worker) from error
        if worker.task is None:
            self._workers.remove(worker)
            end_worker(worker)

    def _death(self, worker: Worker) -> SynthError:
        worker.process.join(timeout=5)
        code = worker.process.exitcode
        how = (
            f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
        )
        return SynthError(
            f"the worker process that made it died {how}",
            where=self._named(worker),
            remedy="often memory ran out: take fewer workers and run the same command again; a script "
            'that starts workers must do so under `if __name__ == "__main__":`',
        )

    def _named(self, worker: Worker) -> str:
        return "(starting)" if worker.task is None else self._watch.name(worker.task)


def start_worker(work: Callable[[Any, Callable[[], None]], object]) -> Worker:
    """Start a process with one thread that does picklable work and leaves signals to this one."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    with _one_thread_per_process(), _signals_held_back():
        process.start()
    theirs.close()
    return Worker(process, ours)


def end_worker(worker: Worker) -> None:
    """Wait a while for a process to end, then make it."""
    worker.process.join(timeout=10)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.process.close()
    worker.pipe.close()


def _serve(pipe: Connection, work: Callable[[Any, Callable[[], None]], object]) -> None:
    """Do tasks until told to stop; leave signals to the parent.

    When the parent is gone the pipe breaks, and the process ends at its next step.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    try:
        while (task := pipe.recv()) is not None:
            pipe.send(_done(work, task, pipe))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _done(
    work: Callable[[Any, Callable[[], None]], object], task: Any, pipe: Connection
) -> tuple[str, object]:
    def on_step() -> None:
        try:
            pipe.send(("step", None))
        except OSError:
            raise SystemExit(1) from None  # the parent is gone; not a fault of the disk

    try:
        return "result", work(task, on_step)
    except SynthError as error:
        return "fault", error
    except Exception:
        return "bug", traceback.format_exc()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Let processes started inside never see SIGINT and SIGTERM; here those wait until the end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _one_thread_per_process() -> Iterator[None]:
    """Let processes started inside use one thread each: they are told by their environment."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
