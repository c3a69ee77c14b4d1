"""Processes that make shards when asked, so many at a time, with a queue of bounded length before them."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from ...errors import SynthError
from ...scenes.recipe import Recipe
from ..destination import LocalFolder, ShardDone
from ..engines import Worker, end_worker, start_worker
from ..identity import CorpusIdentity
from ..maker import SceneMaker

TRIES = 2
"""A shard whose process died is begun once more: it may have been another's memory."""

_TICK_SECONDS = 0.5


class BusyError(SynthError):
    """The queue is full; `retry_after` says in how many seconds there may be room."""

    def __init__(
        self, what: str, *, where: str | Path | None = None, remedy: str, retry_after: int = 1
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.retry_after = retry_after


class ClosedError(SynthError):
    """The server ends."""


@dataclass(frozen=True, slots=True)
class ShardJob:
    """A shard to be made, and where it is put."""

    identity: CorpusIdentity
    recipe: Recipe
    shard: int
    folder: Path


@dataclass(slots=True)
class CrewFigures:
    """What a crew has done: shards, scenes, processes that had to be replaced, seconds of work."""

    made: int = 0
    scenes: int = 0
    failed: int = 0
    replaced: int = 0
    seconds: float = 0.0


class ShardCrew:
    """Makes shards in processes of its own; they start with their first job.

    Args:
        maker: Makes scenes; its catalog is opened once in every process.
        workers: Processes.
        waiting: Jobs that may wait for one.
        seconds: A shard that takes longer is given up.
    """

    def __init__(self, maker: SceneMaker, *, workers: int, waiting: int, seconds: float) -> None:
        self.figures = CrewFigures()
        self.workers = workers
        self.busy = 0
        self._seconds = seconds
        self._work = _Kitchen(maker)
        self._queue: queue.Queue[tuple[ShardJob, Future[ShardDone]]] = queue.Queue(waiting)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Return how many jobs wait."""
        return self._queue.qsize()

    def submit(self, job: ShardJob) -> Future[ShardDone]:
        """Queue a job.

        Raises:
            BusyError: The queue is full.
            ClosedError: The crew was sent home.
        """
        if self._closed.is_set():
            raise _closed()
        future: Future[ShardDone] = Future()
        try:
            self._queue.put_nowait((job, future))
        except queue.Full:
            raise BusyError(
                f"{self.busy} shards are being made and {self.waiting} wait, which is as many as may",
                where=job.identity.shard_name(job.shard),
                remedy="ask again later",
                retry_after=self.expected_seconds(),
            ) from None
        return future

    def expected_seconds(self) -> int:
        """Return when the queue may have room, from what shards took so far: 1 to 60."""
        mean = self.figures.seconds / max(self.figures.made, 1)
        return int(min(max(mean / self.workers, 1), 60))

    def close(self) -> None:
        """Send everybody home at once; whoever waits for a shard is told."""
        self._closed.set()
        self._refuse_waiting()
        for thread in self._threads:
            thread.join()
        self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        with suppress(queue.Empty):
            while True:
                _fail(self._queue.get_nowait()[1], _closed())

    def _serve(self) -> None:
        """Do jobs with one process, which is replaced when it dies; this runs in a thread."""
        worker: Worker | None = None
        while not self._closed.is_set():
            try:
                job, future = self._queue.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                continue
            with self._lock:
                self.busy += 1
            begin = time.monotonic()
            try:
                worker, done = self._made(worker, job)
                self._note(done, time.monotonic() - begin)
                with suppress(InvalidStateError):
                    future.set_result(done)
            except _ReplaceError as error:
                worker = None
                _fail(future, error.cause)
            except Exception as error:
                _fail(future, error)
            finally:
                with self._lock:
                    self.busy -= 1
        if worker is not None:
            _kill(worker)

    def _note(self, done: ShardDone, seconds: float) -> None:
        with self._lock:
            if done.outcome != "kept":
                self.figures.made += 1
                self.figures.scenes += done.entry.num_samples
                self.figures.seconds += seconds

    def _made(self, worker: Worker | None, job: ShardJob) -> tuple[Worker, ShardDone]:
        """Return the process, maybe a new one, and the shard; raise `_ReplaceError` when the process is gone."""
        end = time.monotonic() + self._seconds
        for attempt in range(1, TRIES + 1):
            if worker is None:
                with self._lock:  # starting changes the environment for a moment
                    worker = start_worker(self._work)
            try:
                worker.pipe.send(job)
                return worker, self._heard(worker, job, end)
            except (EOFError, OSError) as error:
                _kill(worker)
                worker = None
                with self._lock:
                    self.figures.replaced += 1
                if attempt == TRIES:
                    raise _ReplaceError(_died(job)) from error
        raise AssertionError("the last attempt returns or raises")

    def _heard(self, worker: Worker, job: ShardJob, end: float) -> ShardDone:
        """Wait for the result of a job."""
        while True:
            if not wait([worker.pipe, worker.process.sentinel], timeout=_TICK_SECONDS):
                if self._closed.is_set():
                    _kill(worker)
                    raise _ReplaceError(_closed())
                if time.monotonic() > end:
                    _kill(worker)
                    raise _ReplaceError(_too_slow(job, self._seconds))
                continue
            kind, content = worker.pipe.recv()
            if kind == "result":
                done: ShardDone = content
                return done
            if kind != "step":
                with self._lock:
                    self.figures.failed += 1
                raise content if isinstance(content, SynthError) else RuntimeError(content)


class _Kitchen:
    """What a process does with a job; the catalog is opened with the first one."""

    def __init__(self, maker: SceneMaker) -> None:
        self._maker = maker

    def __call__(self, job: ShardJob, on_step: Callable[[], None]) -> ShardDone:
        maker = self._maker.series(job.recipe, job.identity.seed)
        return LocalFolder(job.folder).bring_about(job.identity, job.shard, maker, on_step)


class _ReplaceError(Exception):
    """The process of a job is gone for good; `cause` is for whoever waits."""

    def __init__(self, cause: SynthError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _fail(future: Future[ShardDone], error: BaseException) -> None:
    with suppress(InvalidStateError):
        future.set_exception(error)


def _kill(worker: Worker) -> None:
    worker.process.kill()
    end_worker(worker)


def _closed() -> SynthError:
    return ClosedError("the server ends", where="s5kit serve", remedy="ask again when it is back")


def _died(job: ShardJob) -> SynthError:
    return SynthError(
        f"the process that made it died, {TRIES} times",
        where=job.identity.shard_name(job.shard),
        remedy="often memory ran out: serve with fewer workers",
    )


def _too_slow(job: ShardJob, seconds: float) -> SynthError:
    return SynthError(
        f"it took longer than {seconds:g} s",
        where=job.identity.shard_name(job.shard),
        remedy="serve smaller shards, or allow more time",
    )
