"""Batches copied ahead are those of the loader, in order, or a GPU learns from others than the log says."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from synth import SynthError
from training.copying import CopyAhead

CPU = torch.device("cpu")


class Source:
    """Batches 0, 1, 2 …; counts how many were asked for, and knows when it was closed."""

    def __init__(self, end: int | None = None, fail_at: int | None = None) -> None:
        self.end, self.fail_at = end, fail_at
        self.asked = 0
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        try:
            while self.asked != self.end:
                if self.asked == self.fail_at:
                    raise SynthError("a worker died", where=f"position {self.asked}", remedy="start again")
                self.asked += 1
                yield {"position": torch.tensor([self.asked - 1])}
        finally:
            self.closed.set()


def running() -> bool:
    return any(thread.name == "s5kit-copy-ahead" for thread in threading.enumerate())


def test_batches_come_in_order_to_the_end() -> None:
    source = Source(end=5)
    got = [int(batch["position"]) for batch in CopyAhead(source, CPU)]
    assert got == [0, 1, 2, 3, 4]
    assert not running()


def test_one_is_made_ahead_and_no_more() -> None:
    """A slow step does not fill the device with batches."""
    source = Source()
    ahead = CopyAhead(source, CPU)
    for taken in range(1, 4):
        next(ahead)
        end = time.monotonic() + 5
        while source.asked < taken + 1 and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(0.02)
        assert source.asked == taken + 1
    ahead.close()
    assert not running()
    assert source.closed.is_set()
    assert next(ahead, None) is None
    ahead.close()


def test_an_error_comes_after_what_was_made_before_it() -> None:
    ahead = CopyAhead(Source(fail_at=2), CPU)
    assert [int(next(ahead)["position"]) for _ in range(2)] == [0, 1]
    with pytest.raises(SynthError, match="position 2: a worker died"):
        next(ahead)
    assert not running()
    assert next(ahead, None) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_what_arrives_on_a_gpu_is_what_was_sent() -> None:
    """The step's stream waits for the copy: 20 batches of 64 MB, compared on the device."""
    device = torch.device("cuda", torch.cuda.current_device())
    sent = [{"x": torch.full((16 << 20,), float(n)).pin_memory()} for n in range(20)]
    for n, batch in enumerate(CopyAhead(sent, device)):
        assert batch["x"].device == device
        assert bool((batch["x"] == n).all())
