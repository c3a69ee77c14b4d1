"""How long steps take, and how much of that is waiting for data."""

from __future__ import annotations

import time


class Clock:
    """Times the steps of a process.

    The wait for the first batch, in which workers start, counts nowhere.

    Attributes:
        steps: Done so far.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._begin = self._lap = 0.0
        self._first = True
        self._wait = self._lap_wait = self._pause = self._lap_pause = 0.0
        self._lap_steps = 0

    def start(self) -> None:
        """Begin."""
        self._begin = self._lap = time.perf_counter()

    def waited(self, seconds: float) -> None:
        """Take in a wait for data."""
        if self._first:
            self._first = False
            self.start()
            return
        self._wait += seconds
        self._lap_wait += seconds

    def paused(self, seconds: float) -> None:
        """Take validation and saving out of the steps' time."""
        self._pause += seconds
        self._lap_pause += seconds

    def lap(self, clips_per_step: int) -> dict[str, float]:
        """Return `clips_per_second` and `wait_share` of the steps since the last lap."""
        now = time.perf_counter()
        seconds = max(now - self._lap - self._lap_pause, 1e-9)
        steps, wait = self.steps - self._lap_steps, self._lap_wait
        self._lap, self._lap_steps, self._lap_wait, self._lap_pause = now, self.steps, 0.0, 0.0
        return {"clips_per_second": steps * clips_per_step / seconds, "wait_share": min(wait / seconds, 1.0)}

    def total(self) -> float:
        """Return the seconds since the first batch came."""
        return time.perf_counter() - self._begin

    def share(self) -> float:
        """Return the share of the steps' time spent waiting."""
        return min(self._wait / max(self.total() - self._pause, 1e-9), 1.0)
