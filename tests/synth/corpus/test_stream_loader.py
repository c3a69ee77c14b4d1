"""If a loader loses, repeats or tears a sample, or hangs with a dead worker, a training run is spoilt."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synth.corpus.stream import Stream
from synth.corpus.stream_memory import BufferPool, Layout
from synth.corpus.stream_order import BatchOrder
from synth.errors import SynthError
from synth.rendering.sample import SampleFormat
from tests.synth.corpus.streams import Numbers, numbers

FORM = SampleFormat(("Speech",), 1)


def stream(
    batch_size: int = 4,
    rank: int = 0,
    world_size: int = 1,
    length: int | None = None,
    start: int = 0,
    **source: Any,
) -> Stream:
    return Stream(Numbers(**source), FORM, BatchOrder(batch_size, rank, world_size, length), start)


def positions(batches: Any) -> list[list[int]]:
    return [batch["position"].tolist() for batch in batches]


def check(batch: dict[str, torch.Tensor], seed: int = 0) -> None:
    """Compare every number of a batch with the arithmetic."""
    for n, position in enumerate(batch["position"].tolist()):
        for name, wanted in numbers(seed, position).items():
            np.testing.assert_array_equal(batch[name][n].numpy(), wanted)


def gone(pids: list[int]) -> bool:
    """Say whether no process, and no zombie, of these is left."""
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


@pytest.mark.parametrize("workers", [0, 1, 2, 4])
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_the_order_is_the_same_for_any_ranks_and_workers(workers: int, ranks: int) -> None:
    """A run goes on on other machines with the very same batches."""
    loaders = [stream(8 // ranks, rank, ranks, seed=3).loader(workers) for rank in range(ranks)]
    shares = [list(islice(loader, 4)) for loader in loaders]
    for n in range(4):
        joined = [p for share in shares for p in share[n]["position"].tolist()]
        assert joined == list(range(8 * n, 8 * n + 8))
        for share in shares:
            check(share[n], seed=3)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    ("length", "batch_size", "ranks"), [(0, 4, 1), (3, 4, 2), (21, 4, 2), (24, 4, 2), (25, 3, 3)]
)
def test_a_fixed_set_is_whole(length: int, batch_size: int, ranks: int, workers: int) -> None:
    """Validation scores count every scene once, on whatever number of ranks."""
    seen = []
    for rank in range(ranks):
        part = stream(batch_size, rank, ranks, length)
        loader = part.loader(workers)
        first, again = positions(loader), positions(loader)
        assert first == again
        assert len(loader) == len(first)
        assert len(part) == sum(map(len, first))
        assert part.position == length
        assert all(len(batch) == batch_size for batch in first[:-1])
        seen += [p for batch in first for p in batch]
    assert sorted(seen) == list(range(length))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_state_counts_what_was_handed_out(workers: int) -> None:
    """Batches made ahead are not lost when a run goes on from its state."""
    live = stream(4, 1, 2, seed=9)
    loader = live.loader(workers, prefetch=3)
    for n, batch in enumerate(islice(loader, 5), start=1):
        assert live.state_dict() == {"position": 8 * n, "seed": 9, "kind": "numbers"}
        assert batch["position"].tolist() == list(range(8 * n - 4, 8 * n))
    # An endless stream goes on where it was left, in this process and in another one.
    assert positions(islice(loader, 1)) == [[44, 45, 46, 47]]
    other = stream(2, 0, 3, seed=9)
    other.load_state_dict(live.state_dict())
    assert positions(islice(other.loader(), 2)) == [[48, 49], [54, 55]]


def test_every_position_of_forty_resumes_to_the_exact_tail() -> None:
    """However often a run is stopped, the samples are those of the run that was not."""
    for first in range(40):
        chain = [first, (first + 7) % 40, (first + 13) % 40]
        for position in chain:
            live = stream(1, length=40)
            live.load_state_dict({**live.state_dict(), "position": position})
            tail = list(live.loader())
            assert [batch["position"].item() for batch in tail] == list(range(position, 40))
            for batch in tail[:2]:
                check(batch)


def test_a_chain_of_short_runs_is_one_long_run() -> None:
    """Stopped after every batch, with other batches and ranks each time, nothing is lost or repeated."""
    state, seen = stream().state_dict(), []
    for batch_size, ranks in ((1, 1), (2, 2), (3, 1), (1, 4), (4, 2), (5, 1)):
        parts = [stream(batch_size, rank, ranks) for rank in range(ranks)]
        for part in parts:
            part.load_state_dict(state)
            for batch in islice(part.loader(), 1):
                check(batch)
                seen += batch["position"].tolist()
        assert {part.position for part in parts} == {len(seen)}
        state = parts[0].state_dict()
    assert seen == list(range(len(seen)))


def test_a_state_of_another_stream_is_refused() -> None:
    """Going on from the wrong file would train on other data without a word."""
    state = stream(seed=1).state_dict()
    with pytest.raises(SynthError, match="state: seed: is 1, this stream has 2"):
        stream(seed=2).load_state_dict(state)
    with pytest.raises(SynthError, match="expected are position, seed, kind"):
        stream(seed=1).load_state_dict({"position": 4})
    for position in (-1, 1.5, True, "4", 11):
        with pytest.raises(SynthError, match=r"position: is .*, allowed are whole numbers from 0 to 10"):
            stream(seed=1, length=10).load_state_dict({**state, "position": position})


@pytest.mark.parametrize(
    "numbers", [{"batch_size": 0}, {"rank": 2, "world_size": 2}, {"world_size": 0}, {"length": -1}]
)
def test_numbers_out_of_range_are_refused(numbers: dict[str, int]) -> None:
    with pytest.raises(SynthError, match="allowed are whole numbers"):
        stream(**numbers)


def test_a_fixed_set_resumes_once_and_then_begins_anew() -> None:
    """A validation that was cut short never shifts the ones after it."""
    fixed = stream(4, length=12)
    loader = fixed.loader()
    assert positions(islice(loader, 1)) == [[0, 1, 2, 3]]
    assert positions(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    fixed.load_state_dict({**fixed.state_dict(), "position": 8})
    assert positions(loader) == [[8, 9, 10, 11]]
    assert positions(loader)[0] == [0, 1, 2, 3]
    assert positions(fixed.at(4).loader()) == [[4, 5, 6, 7], [8, 9, 10, 11]]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("kill", r"position 21 \(seed 5\): worker \d died by SIGKILL"),
        ("exit", r"position 21 \(seed 5\): worker \d died with exit code 7"),
        ("error", r"position 21 \(seed 5\): Speech/a\.wav: is silent \(remove the file\)"),
        ("bug", r"position 21 \(seed 5\): it cannot be made: ZeroDivisionError: a made-up bug"),
        ("hang", r"position 21 \(seed 5\): worker \d has made nothing for 1 s"),
    ],
)
def test_a_worker_that_fails_is_named_and_nothing_is_lost(fault: str, message: str, tmp_path: Path) -> None:
    """The error comes at once, no process stays, and the run goes on exactly."""
    once = tmp_path / "once"
    once.touch()
    live = stream(4, seed=5, faults={21: fault}, once=once)
    loader = live.loader(2, timeout=1)
    pids = loader.crew().pids
    seen: list[int] = []
    begun = time.monotonic()
    batches = (batch["position"].tolist() for batch in loader)
    with pytest.raises(SynthError, match=message):
        seen.extend(p for batch in batches for p in batch)
    assert time.monotonic() - begun < 8
    assert gone(pids)
    assert seen == list(range(live.position))
    if fault in ("error", "bug"):
        assert live.position == 20  # All batches before the one that cannot be made.
    for batch in islice(loader, 4):
        check(batch, seed=5)
        seen += batch["position"].tolist()
    assert seen == list(range(live.position))
    loader.close()


def test_a_worker_killed_while_the_trainer_is_busy_is_noticed_at_the_next_batch() -> None:
    """Memory runs out whenever it likes, not while somebody waits for a batch."""
    live = stream(4, seed=5, slow=0.02)
    loader = live.loader(2)
    pids = loader.crew().pids
    batches = iter(loader)
    seen = next(batches)["position"].tolist()
    os.kill(pids[1], signal.SIGKILL)
    time.sleep(0.3)
    with pytest.raises(SynthError, match=r"position \d+ \(seed 5\): worker 1 died by SIGKILL"):
        seen.extend(p for batch in batches for p in batch["position"].tolist())
    assert gone(pids)
    seen += next(iter(loader))["position"].tolist()
    assert seen == list(range(live.position))
    loader.close()


@pytest.mark.parametrize("fault", ["error", "bug"])
def test_without_workers_a_fault_is_named_as_well(fault: str) -> None:
    with pytest.raises(SynthError, match=r"position 2 \(seed 0\)"):
        next(iter(stream(4, faults={2: fault}).loader()))


def test_workers_leave_signals_to_the_trainer() -> None:
    """Ctrl-C or a scheduler's SIGTERM must not take the data away before the state is saved."""
    loader = stream(2).loader(2)
    pids = loader.crew().pids
    batches = iter(loader)
    next(batches)
    for pid in pids:
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    assert positions(islice(batches, 20))[-1] == [40, 41]
    batches.close()  # type: ignore[attr-defined]
    assert gone(pids)


def test_workers_need_no_torch_and_one_thread() -> None:
    """Sixteen workers with torch in each would fill the memory of the machine."""
    loader = stream(2).loader(1)
    pid = loader.crew().pids[0]
    batches = iter(loader)
    next(batches)
    maps = Path(f"/proc/{pid}/maps").read_text()
    assert "torch" not in maps
    assert "arrow" not in maps
    assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
    assert b"OMP_NUM_THREADS=1\0" in Path(f"/proc/{pid}/environ").read_bytes()
    loader.close()


def test_workers_of_a_fixed_set_stay_for_the_next_round() -> None:
    """Every validation would otherwise wait for processes to start."""
    loader = stream(4, length=10).loader(2)
    list(loader)
    pids = loader.crew().pids
    assert positions(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert loader.crew().pids == pids
    loader.close()
    assert gone(pids)


def train(pipe: Any) -> None:
    loader = stream(2, slow=0.01).loader(2)
    pipe.send(loader.crew().pids)
    for _ in loader:
        pass


def test_a_killed_trainer_leaves_no_worker() -> None:
    """A scheduler's SIGKILL must free the node."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    trainer = context.Process(target=train, args=(theirs,))
    trainer.start()
    pids: list[int] = ours.recv()
    time.sleep(0.3)
    trainer.kill()
    trainer.join()
    end = time.monotonic() + 10
    while not gone(pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert len(pids) == 2
    assert gone(pids)


def test_a_batch_that_is_kept_never_changes() -> None:
    """Memory is used again only when nobody looks at it any more, not even through a slice."""
    loader = stream(4).loader(2)
    batches = iter(loader)
    kept = next(batches)["mixture"][1:2, 0, ::7]
    wanted = kept.clone()
    for batch in islice(batches, 20):
        check(batch)
    assert torch.equal(kept, wanted)
    batches.close()  # type: ignore[attr-defined]
    assert torch.equal(kept, wanted)


def test_memory_is_used_again() -> None:
    """A long run must not grow."""
    layout = Layout.of(numbers(0, 0), 4)
    pool = BufferPool(layout.size)
    seen = set()
    for _ in range(20):
        buffer = pool.take()
        seen.add(buffer.number)
        views = layout.views(pool.lend(buffer))
        layout.put(views, 3, numbers(0, 5))
        np.testing.assert_array_equal(views["mixture"][3], numbers(0, 5)["mixture"])
        del views
    assert len(seen) == 1
    for buffer in pool.clear():
        buffer.close()


def test_workers_hold_no_batch_in_their_memory() -> None:
    """Pages that a worker has mapped count as its memory, as long as the buffer is used: GBs with large batches."""
    loader = stream(8).loader(1)
    pid = loader.crew().pids[0]
    batches = iter(loader)
    kept = list(islice(batches, 3))
    open_files = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    assert any("s5kit-batch" in name for name in open_files)
    assert "s5kit-batch" not in Path(f"/proc/{pid}/maps").read_text()
    assert "s5kit-batch" in Path("/proc/self/maps").read_text()
    del kept
    loader.close()


@pytest.mark.parametrize("slots", [0, 3])
def test_a_sample_written_is_the_sample_put(slots: int) -> None:
    """Two ways into a buffer, one from another process; empty and transposed arrays, too."""
    samples = [{**numbers(0, n), "dry": np.ones((7, slots), np.float32).T * n} for n in range(3)]
    layout = Layout.of(samples[0], 3)
    pool = BufferPool(layout.size)
    buffer = pool.take()
    views = layout.views(pool.lend(buffer))
    layout.put(views, 0, samples[0])
    for slot in (2, 1):
        layout.write(buffer.handle, slot, samples[slot])
    for name, array in views.items():
        np.testing.assert_array_equal(array, np.stack([sample[name] for sample in samples]))
    with pytest.raises(SynthError, match=r"samples of one batch differ: mixture"):
        layout.write(buffer.handle, 1, {**samples[1], "mixture": np.zeros((2, 1), np.float32)})
    del views, array
    for one in pool.clear():
        one.close()


def test_samples_of_other_shapes_are_refused() -> None:
    """Broadcasting a short scene over a long slot would be silent nonsense."""
    layout = Layout.of(numbers(0, 0), 2)
    short = {**numbers(0, 1), "mixture": np.zeros((2, 1), np.float32)}
    arrays = layout.views(np.zeros(layout.size, np.uint8))
    with pytest.raises(
        SynthError, match=r"samples of one batch differ: mixture \(2, 1\), mixture \(2, 2500\)"
    ):
        layout.put(arrays, 1, short)


def test_large_batches_far_ahead_never_block_both_sides() -> None:
    """Thousands of tasks must not fill the pipes: both sides would wait for each other for ever."""
    loader = stream(700).loader(1, prefetch=4)
    for n, batch in enumerate(islice(loader, 3)):
        assert batch["position"].tolist() == list(range(700 * n, 700 * n + 700))


def test_many_short_runs_leave_no_open_file() -> None:
    """File descriptors are few; a run of weeks opens loaders many times."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        list(islice(stream(4).loader(1), 6))
    assert len(os.listdir("/proc/self/fd")) == before
