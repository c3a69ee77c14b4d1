"""Work spread over a Ray cluster: the same tasks, the same bytes, on more machines.

Every machine needs this version of s5kit, and must see catalog and output under the same paths.
"""

from __future__ import annotations

import importlib
import os
import re
import signal
import socket
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..errors import SynthError
from .engines import Results, Watch, Work
from .identity import generator_version

R = TypeVar("R")

RETRIES = 3
"""How often a task whose process was killed is begun again, unless told otherwise."""

_POLL_SECONDS = 0.2
_STORE_BYTES = 100 << 20
_CANCEL_SECONDS = 20.0
_KNOCK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Tasks of a Ray cluster, one core each.

    A Ray that this process is already connected to is used and left as it is; else one is
    connected to, or started on this machine, and left again at the end.

    Attributes:
        address: Of the cluster ("auto", "host:6379", "ray://host:10001"); None: a Ray of our own.
        workers: Cores of a Ray of our own; None: all. Unused with an address.
        retries: How often a task whose process or machine was lost is begun again.
    """

    address: str | None = None
    workers: int | None = None
    retries: int = RETRIES

    def __post_init__(self) -> None:
        if not 0 <= self.retries <= 100:
            raise SynthError(f"is {self.retries}, allowed are 0 to 100", where="retries", remedy="take 3")

    def run(self, work: Work[R], tasks: Sequence[int], watch: Watch) -> Results[R]:
        """Yield (task, result) as results are ready; see `Engine`.

        Raises:
            SynthError: No cluster answers, a task failed with one, or the processes that did a
                task were killed more than `retries` times (it is named).
            RuntimeError: A task failed in a way that is no user's fault.
        """
        ray = importlib.import_module("ray")
        with _connected(ray, self.address, self.workers):
            yield from _Spread[R](ray, work, tasks, watch, self.retries).run()


class _Spread(Generic[R]):
    """Tasks among the machines of a cluster."""

    def __init__(self, ray: Any, work: Work[R], tasks: Sequence[int], watch: Watch, retries: int) -> None:
        self._ray = ray
        self._watch = watch
        self._retries = retries
        self._waiting = deque(tasks)
        self._lost: dict[int, int] = {}
        self._seen: dict[int, int] = {}
        self._running: dict[Any, int] = {}
        self._work = ray.put(work)
        self._steps = ray.remote(num_cpus=0, max_restarts=-1)(_Steps).remote()
        self._do = ray.remote(num_cpus=1, max_retries=0)(_do)

    def run(self) -> Generator[tuple[int, R], None, None]:
        try:
            while self._waiting or self._running:
                self._watch.check()
                self._hand_out()
                ready, _ = self._ray.wait(list(self._running), timeout=_POLL_SECONDS)
                self._count_steps()
                for reference in ready:
                    task = self._running.pop(reference)
                    with suppress(_LostError):
                        yield task, self._result(reference, task)
            self._count_steps()
        finally:
            self._end()

    def _hand_out(self) -> None:
        """Keep every core busy with one more task waiting; what is not handed out needs no recall."""
        cores = max(int(self._ray.cluster_resources().get("CPU", 1)), 1)
        while self._waiting and len(self._running) < 2 * cores:
            task = self._waiting.popleft()
            handle = self._do.remote(generator_version(), [self._work], task, self._steps)
            self._running[handle] = task

    def _result(self, reference: Any, task: int) -> R:
        try:
            kind, content, steps = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._begin_again(task, error)
        if kind == "result":
            self._note(task, steps)  # what the counter hears of may come later
            found: R = content
            return found
        if isinstance(content, SynthError):
            raise content
        raise RuntimeError(f"{self._watch.name(task)}: a worker failed:\n{content}")

    def _begin_again(self, task: int, error: Exception) -> None:
        self._lost[task] = self._lost.get(task, 0) + 1
        if self._lost[task] <= self._retries:
            self._waiting.appendleft(task)
            raise _LostError
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SynthError(
            f"the Ray worker that made it was lost {self._lost[task]} time(s): {reason}",
            where=self._watch.name(task),
            remedy="often memory ran out: give Ray fewer cores per machine, then run the same command again",
        ) from error

    def _count_steps(self) -> None:
        try:
            news = self._ray.get(self._steps.take.remote(), timeout=5)
        except self._ray.exceptions.RayError:
            return  # only the bar lags behind
        for task, done in news.items():
            self._note(task, done)

    def _note(self, task: int, done: int) -> None:
        """Pass the steps of a task on; those of one that is begun again count once."""
        new = done - self._seen.get(task, 0)
        if new > 0:
            self._seen[task] = done
            for _ in range(new):
                self._watch.on_step()

    def _end(self) -> None:
        """Stop what still runs, and wait until it has stopped."""
        running = list(self._running)
        with suppress(self._ray.exceptions.RayError):
            for reference in running:
                self._ray.cancel(reference, force=True)
            if running:
                self._ray.wait(running, num_returns=len(running), timeout=_CANCEL_SECONDS)
            self._ray.kill(self._steps)


class _LostError(Exception):
    """The process of a task was lost; the task waits again."""


class _Steps:
    """Hears from all tasks how far they are."""

    def __init__(self) -> None:
        self._news: dict[int, int] = {}

    def put(self, task: int, done: int) -> None:
        """Note that a task has done so many steps."""
        self._news[task] = done

    def take(self) -> dict[int, int]:
        """Return how far the tasks are from which there is news."""
        news, self._news = self._news, {}
        return news


_KEPT: dict[str, Work[Any]] = {}
"""The work of the present run in a worker process: what it has opened serves all its tasks."""


def _do(version: str, work: list[Any], task: int, steps: Any) -> tuple[str, object, int]:
    """Do a task in a worker process; return what came of it, and how many steps it took."""
    ray = importlib.import_module("ray")
    done = 0

    def on_step() -> None:
        nonlocal done
        done += 1
        steps.put.remote(task, done)

    try:
        if version != generator_version():
            raise SynthError(
                f"s5kit {generator_version()} is installed on machine {os.uname().nodename}, {version} asks",
                where="ray",
                remedy="install the same version on all machines",
            )
        key = work[0].hex()
        if key not in _KEPT:
            _KEPT.clear()
            _KEPT[key] = ray.get(work[0])
        return "result", _KEPT[key](task, on_step), done
    except SynthError as error:
        return "fault", error, done
    except Exception:
        return "bug", traceback.format_exc(), done


@contextmanager
def _connected(ray: Any, address: str | None, workers: int | None) -> Iterator[None]:
    """Be connected to a Ray; one that was connected to before is left alone."""
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        options |= {"include_dashboard": False, "num_cpus": workers, "object_store_memory": _STORE_BYTES}
    try:
        _knock(address)
        with _handlers_kept():
            ray.init(address=address, **options)
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        raise SynthError(
            f"no Ray answers: {error}",
            where=address or "ray",
            remedy="give the address that `ray start --head` printed, or leave it out",
        ) from error
    try:
        yield
    finally:
        with _handlers_kept():
            ray.shutdown()


def _knock(address: str | None) -> None:
    """Fail at once where nobody listens: Ray itself would go on trying for minutes."""
    found = re.fullmatch(r"(?:ray://)?([^:/]+):([0-9]{1,5})", address or "")
    if found is not None:
        socket.create_connection((found[1], int(found[2])), timeout=_KNOCK_SECONDS).close()


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Undo what Ray does to the handlers of signals: a run that is told to stop puts its files away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Callable[..., Any] | int | None] = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
