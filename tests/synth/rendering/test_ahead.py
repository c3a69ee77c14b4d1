"""Rendering ahead: the same batches in the same order, errors where they belong, nothing left running."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch

from synth import BatchRenderer, EventSpec, SceneSpec, SynthError
from synth.rendering.ahead import RenderAhead
from synth.rendering.batch import PendingBatch
from synth.rendering.sample import SampleFormat
from synth.scenes.spec import Origin
from tests.synth.rendering.reference import MemorySounds

FORM = SampleFormat(("Speech",), 1)
DEADLINE_S = 10.0


def sounds() -> MemorySounds:
    rng = np.random.Generator(np.random.PCG64(0))
    rir = np.zeros((1, 4, 50), np.float32)
    rir[0, :, 3] = 1
    return MemorySounds(
        events={"e": rng.standard_normal(4_000).astype(np.float32), "zero": np.zeros(4_000, np.float32)},
        rirs={"room": rir},
    )


def spec(index: int, path: str = "e") -> SceneSpec:
    target = EventSpec(label="Speech", path=path, start=index, duration=500, onset=10 * index, position=0,
                       xyz=(1.0, 0.0, 0.0), snr_db=10.0)  # fmt: skip
    origin = Origin(recipe="r", recipe_hash="", catalog_hash="", split="train", seed=0, index=index)
    return SceneSpec(rules="s5kit2026", sample_rate=8_000, duration=2_000, ref_db=-50.0, place="room",
                     targets=(target,), origin=origin)  # fmt: skip


def batches(count: int) -> list[list[SceneSpec]]:
    return [[spec(2 * n), spec(2 * n + 1)] for n in range(count)]


class Counting:
    """A renderer that counts what it was asked for, and may fail."""

    def __init__(self, failing: int = -1) -> None:
        self.inner = BatchRenderer(sounds())
        self.device = self.inner.device
        self.asked = 0
        self.failing = failing

    def submit(self, specs: Sequence[SceneSpec], form: SampleFormat) -> PendingBatch:
        if self.asked == self.failing:
            raise ValueError("broken")
        self.asked += 1
        return self.inner.submit(specs, form)


def until(what: object) -> None:
    end = time.monotonic() + DEADLINE_S
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "s5kit-render-ahead"]


@pytest.mark.parametrize(("depth", "threaded"), [(1, None), (1, True), (3, True)])
def test_batches_come_in_order_and_as_rendered_alone(depth: int, threaded: bool | None) -> None:
    ahead = RenderAhead(batches(5), BatchRenderer(sounds()), FORM, depth=depth, threaded=threaded)
    got = list(ahead)
    assert ahead.handed_out == 5
    for specs, batch in zip(batches(5), got, strict=True):
        alone = BatchRenderer(sounds()).render(specs, FORM)
        assert all(torch.equal(batch[name], tensor) for name, tensor in alone.items())
    assert next(ahead, None) is None
    until(lambda: not running())


@pytest.mark.parametrize("depth", [1, 2])
def test_it_is_ahead_by_depth_and_not_further(depth: int) -> None:
    """A slow training step does not fill the device with batches."""
    renderer = Counting()
    with RenderAhead(batches(9), renderer, FORM, depth=depth, threaded=True) as ahead:
        for taken in range(4):
            until(lambda taken=taken: renderer.asked >= taken + depth)
            time.sleep(0.02)
            assert renderer.asked == taken + depth
            next(ahead)
    assert not running()


@pytest.mark.parametrize("threaded", [False, True])
def test_a_silent_event_is_reported_with_its_positions(threaded: bool) -> None:
    """Batches before the bad one arrive; the error says which scenes to look at."""
    specs = batches(3)
    specs[1][1] = spec(3, "zero")
    ahead = RenderAhead(specs, BatchRenderer(sounds()), FORM, depth=2, threaded=threaded)
    next(ahead)
    with pytest.raises(SynthError, match=r"zero: is silent.*\(batch 1, positions 2 to 3\)"):
        next(ahead)
    assert ahead.handed_out == 1
    assert next(ahead, None) is None
    assert not running()


@pytest.mark.parametrize("threaded", [False, True])
def test_other_errors_keep_their_kind_and_say_where(threaded: bool) -> None:
    ahead = RenderAhead(batches(3), Counting(failing=1), FORM, threaded=threaded)
    next(ahead)
    with pytest.raises(ValueError, match="broken") as caught:
        next(ahead)
    assert caught.value.__notes__ == ["while batch 1, positions 2 to 3 was rendered"]


@pytest.mark.parametrize("threaded", [False, True])
def test_errors_of_the_specs_come_through_after_what_was_rendered(threaded: bool) -> None:
    def failing() -> Iterator[list[SceneSpec]]:
        yield from batches(2)
        raise SynthError("a worker died", where="position 4", remedy="start again")

    ahead = RenderAhead(failing(), BatchRenderer(sounds()), FORM, threaded=threaded)
    assert len([next(ahead), next(ahead)]) == 2
    with pytest.raises(SynthError, match=r"position 4: a worker died \(batch 2\)"):
        next(ahead)


@pytest.mark.parametrize("threaded", [False, True])
def test_closing_early_ends_the_thread_and_the_specs(threaded: bool) -> None:
    """Ctrl-C in a training loop leaves no loader and no thread behind."""
    ended = threading.Event()

    def endless() -> Iterator[list[SceneSpec]]:
        try:
            while True:
                yield batches(1)[0]
        finally:
            ended.set()

    with RenderAhead(endless(), BatchRenderer(sounds()), FORM, depth=2, threaded=threaded) as ahead:
        next(ahead)
    assert not running()
    assert ended.is_set()
    assert next(ahead, None) is None
    forgotten = RenderAhead(endless(), BatchRenderer(sounds()), FORM, threaded=threaded)
    next(forgotten)
    del forgotten
    gc.collect()
    until(lambda: not running())


def test_depth_is_checked() -> None:
    with pytest.raises(SynthError, match="depth: is 0"):
        RenderAhead([], BatchRenderer(sounds()), FORM, depth=0)
