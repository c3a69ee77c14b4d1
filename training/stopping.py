"""SIGTERM and Ctrl-C as a request to save and stop at the end of the step."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

from synth import SynthError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ECHO_SECONDS = 1.0  # launchers pass on to their children a signal that the terminal sent to all


class StoppedError(SynthError):
    """The run was asked to stop and was saved; `exit_code` is 128 + the signal's number (143, 130)."""


class StopRequests:
    """While it is entered, SIGINT and SIGTERM are remembered instead of ending the process.

    A second Ctrl-C, a second or more after the first, acts as usual: it ends the run at once, and the newest
    checkpoint is what stays. A repeated SIGTERM changes nothing, because launchers and cluster managers send
    it to the group and to every process; SIGKILL ends a run that does not end.

    Outside the main thread signals cannot be caught, and nothing is changed.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._when = 0.0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._remember) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)

    @property
    def requested(self) -> bool:
        """Say whether a signal has come to this process."""
        return self._received is not None

    def error(self, done: str) -> StoppedError:
        """Return what to raise when the run has been put away.

        Args:
            done: What was saved.
        """
        number = self._received or signal.SIGTERM  # the signal may have come to another rank
        error = StoppedError(
            f"stopped by {signal.Signals(number).name}: {done}",
            remedy="run the same command again: it continues from there",
        )
        error.exit_code = 128 + number
        return error

    def _remember(self, number: int, frame: FrameType | None) -> None:
        again = self._received == signal.SIGINT == number and time.monotonic() - self._when > _ECHO_SECONDS
        if again:
            signal.default_int_handler(number, frame)
        if self._received is None:
            self._received, self._when = number, time.monotonic()
