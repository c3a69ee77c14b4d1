"""How far a run is: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class Display(Protocol):
    """What shows a run."""

    def advance(self, step: int) -> None:
        """Show how many steps are done; called after every step."""

    def show(self, step: int, loss: float, rate: float, wait: float) -> None:
        """Show steps done, loss, clips per second, share of the time spent waiting for data."""

    def say(self, text: str) -> None:
        """Show a line that stays."""

    def close(self) -> None:
        """Take the bar away."""


def make_display(name: str, start: int, steps: int, *, main: bool, console: Console | None = None) -> Display:
    """Return the display of a run.

    Args:
        name: Of the run.
        start: Steps done before.
        steps: Steps in all.
        main: Whether this process shows anything (rank 0).
        console: Where to; standard error by default.
    """
    if not main:
        return _Silent()
    console = console or Console(file=sys.stderr)
    return (_Bar if console.is_terminal else _Lines)(name, start, steps, console)


def figures_text(figures: Mapping[str, float | None]) -> str:
    """Return `name 0.123, …` of some figures."""
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float | int) else f"{name} -"
        for name, value in figures.items()
    )


class _Silent:
    def advance(self, step: int) -> None:
        pass

    def show(self, step: int, loss: float, rate: float, wait: float) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def close(self) -> None:
        pass


class _Shown:
    """What bar and lines share: the time left, from the steps of this process."""

    def __init__(self, name: str, start: int, steps: int, console: Console) -> None:
        self.name, self.start, self.steps, self.console = name, start, steps, console
        self.begin = time.monotonic()

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def text(self, step: int, loss: float, rate: float, wait: float) -> str:
        took = time.monotonic() - self.begin
        left = took / max(step - self.start, 1) * (self.steps - step)
        return f"loss {loss:.4f}  {rate:.1f} clips/s  data wait {wait:.1%}  {_duration(left)} left"


class _Lines(_Shown):
    def advance(self, step: int) -> None:
        pass

    def show(self, step: int, loss: float, rate: float, wait: float) -> None:
        self.say(f"{self.name}: step {step}/{self.steps}  {self.text(step, loss, rate, wait)}")

    def close(self) -> None:
        pass


class _Bar(_Shown):
    def __init__(self, name: str, start: int, steps: int, console: Console) -> None:
        super().__init__(name, start, steps, console)
        columns = (
            TextColumn(name, markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
        )
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("", total=steps, completed=start, text="")
        self._bar.start()

    def advance(self, step: int) -> None:
        self._bar.update(self._task, completed=step)

    def show(self, step: int, loss: float, rate: float, wait: float) -> None:
        self._bar.update(self._task, completed=step, text=self.text(step, loss, rate, wait))

    def close(self) -> None:
        self._bar.stop()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
