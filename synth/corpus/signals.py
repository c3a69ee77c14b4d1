"""Ctrl-C and SIGTERM as a request to stop at the next scene, with everything put away."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from ..errors import SynthError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedError(SynthError):
    """The run was asked to stop; what was finished stays. `exit_code` is 128 + the signal's number."""


class StopRequests:
    """While it is entered, the first SIGINT or SIGTERM is remembered; a second one acts as usual.

    Outside the main thread signals cannot be caught, and nothing is changed.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._remember) for number in _SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def check(self, done: str) -> None:
        """Raise when a signal has come, saying what was `done`.

        Raises:
            StoppedError: It has.
        """
        if self._received is not None:
            error = StoppedError(
                f"stopped by {signal.Signals(self._received).name}: {done}",
                remedy="run the same command again: it continues after the finished shards",
            )
            error.exit_code = 128 + self._received
            raise error

    def _remember(self, number: int, _: FrameType | None) -> None:
        self._received = number
        self._restore()

    def _restore(self) -> None:
        before, self._before = self._before, {}
        for number, handler in before.items():
            signal.signal(number, handler)
