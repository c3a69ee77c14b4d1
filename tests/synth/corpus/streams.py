"""Streams of made-up samples in microseconds, and ways for a sample to go wrong. No torch here."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from synth.errors import SynthError


@dataclass
class Numbers:
    """A source whose sample follows from seed and position by arithmetic.

    Attributes:
        seed: Which series.
        faults: By position: "kill", "exit", "hang", "error" (ours) or "bug".
        once: A file that the first fault removes; without it nothing goes wrong any more.
        slow: Seconds that a sample takes.
    """

    seed: int = 0
    faults: dict[int, str] = field(default_factory=dict)
    once: Path | None = None
    slow: float = 0.0

    @property
    def identity(self) -> dict[str, str | int]:
        return {"seed": self.seed, "kind": "numbers"}

    def __call__(self, position: int) -> Any:
        time.sleep(self.slow)
        fault = self.faults.get(position)
        if fault and (self.once is None or self.once.exists()):
            if self.once is not None:
                self.once.unlink()
            go_wrong(fault)
        return numbers(self.seed, position)


def numbers(seed: int, position: int) -> dict[str, Any]:
    """The sample of a position: a few values of it, and one array that is large enough to tear."""
    value = (position * 2_654_435_761 + seed) % 65_521
    ramp = (np.arange(5_000, dtype=np.float32) * np.float32(value)).reshape(2, 2_500)
    return {"position": np.array(position, np.int64), "mixture": ramp, "labels": np.arange(3) + position}


def go_wrong(fault: str) -> None:
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "exit":
        os._exit(7)
    if fault == "hang":
        time.sleep(60)
    if fault == "error":
        raise SynthError("is silent", where="Speech/a.wav", remedy="remove the file")
    raise ZeroDivisionError("a made-up bug")
