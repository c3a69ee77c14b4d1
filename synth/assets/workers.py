"""Many files at once: a function over tasks, in order, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TypeAlias, TypeVar

from ..errors import SynthError

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (done, total)."""

Task = TypeVar("Task")
Result = TypeVar("Result")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers:
    """Processes that are started when first needed and end with the `with` block.

    Args:
        count: How many; with 1 all work is done in this process. With more, a script must guard
            its own code by `if __name__ == "__main__"`.
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._executor: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None

    def in_order(
        self,
        function: Callable[[Task], Result],
        tasks: Sequence[Task],
        progress: Progress | None = None,
        *,
        few: int = 16,
    ) -> Iterator[Result]:
        """Apply a function to tasks and yield the results in their order, few being held at a time.

        Args:
            function: A function of a module (it is sent to the workers by name).
            tasks: Its arguments.
            progress: Told after every task.
            few: Fewer tasks than this are done in this process.

        Raises:
            SynthError: A worker died.
        """
        alone = self.count <= 1 or len(tasks) < few
        results = map(function, tasks) if alone else self._spread(function, tasks)
        for done, result in enumerate(results, start=1):
            yield result
            if progress is not None:
                progress(done, len(tasks))

    def _spread(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self.count, mp_context=context)
        pending: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                pending.append(self._executor.submit(function, task))
                if len(pending) > 2 * self.count:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        except BrokenProcessPool as error:
            raise SynthError(
                "a worker process was killed",
                where="workers",
                remedy="if memory ran out, use fewer --workers; then run the command again",
            ) from error
