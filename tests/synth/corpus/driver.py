"""Runs of `write_scenes` to be killed, in a process of their own: `python -m tests.synth.corpus.driver`.

This process has one thread, so it may fork: a run costs milliseconds, not the start of an interpreter.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from synth.corpus.identity import index_name
from synth.corpus.shard_check import check_shard
from synth.errors import SynthError
from synth.rendering.scene import Scene
from tests.synth.corpus.corpora import MadeUpScenes, contents, identity, write

TWO_SHARDS = {"num_scenes": 2, "shard_size": 1}


@dataclass(frozen=True)
class WaitingScenes(MadeUpScenes):
    """Scene 4 says that it is being made and waits until it may go on.

    Attributes:
        gate: Files `<gate>.waiting` and `<gate>.go` are the two signs.
    """

    gate: str = ""

    def __call__(self, index: int) -> Scene:
        if index == 4:
            Path(f"{self.gate}.waiting").touch()
            for _ in range(3000):
                if Path(f"{self.gate}.go").exists():
                    break
                time.sleep(0.01)
        return super().__call__(index)


def main() -> None:
    command, folder, *rest = sys.argv[1:]
    directory = Path(folder)
    if command == "random":
        report(kill_at_random(directory, *map(int, rest)))
    elif command == "every":
        report(kill_at_every_call(directory))
    elif command == "wait":
        run_and_wait(directory, workers=int(rest[0]))
    elif command == "small-files":
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        run(lambda: write(directory))


def report(killed: dict[str, int]) -> None:
    print(json.dumps(killed))


def run(work: Callable[[], Any]) -> None:
    """Do as the command line does: one line and a status."""
    try:
        work()
    except SynthError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def run_and_wait(directory: Path, workers: int) -> None:
    run(lambda: write(directory, WaitingScenes(gate=str(directory)), workers=workers))


def kill_at_random(directory: Path, trials: int, kills: int, workers: int) -> dict[str, int]:
    """Kill runs at random times, finish what is left, and compare with a run never killed."""
    rng = random.Random(workers)
    begin = time.monotonic()
    write(directory / "clean", workers=workers)
    longest = time.monotonic() - begin
    clean = contents(directory / "clean")
    killed = 0
    for trial in range(trials):
        out = directory / f"trial{trial}"
        children: list[int] = []
        for _ in range(kills):
            children += killed_run(out, workers, lambda: rng.uniform(0, longest))
            check_left(out)
        write(out)
        wait_for_orphans(children)
        assert contents(out) == clean, f"trial {trial}"
        shutil.rmtree(out)
        killed += len(children)
    return {"trials": trials, "killed": killed}


def killed_run(out: Path, workers: int, moment: Callable[[], float]) -> list[int]:
    """Begin runs until one could be killed before it ended; return its process group."""
    for _ in range(50):
        child = forked(lambda: write(out, workers=workers))
        time.sleep(moment())
        os.kill(child, signal.SIGKILL)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL:
            return [child]
        shutil.rmtree(out)
    raise AssertionError("no run could be killed")


def kill_at_every_call(directory: Path) -> dict[str, int]:
    """Kill runs at their n-th write, sync or rename, for n = 1, 2, … until one ends."""
    write(directory / "clean", **TWO_SHARDS)
    clean = contents(directory / "clean")
    for call in range(1, 10_000):
        out = directory / f"call{call}"
        child = forked(lambda call=call, out=out: doomed(call, out))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        check_left(out, **TWO_SHARDS)
        write(out, **TWO_SHARDS)
        assert contents(out) == clean, f"call {call}"
        shutil.rmtree(out)
        if code == 0:
            return {"calls": call - 1}
        assert code == -signal.SIGKILL
    raise AssertionError("no run ended")


def doomed(call: int, out: Path) -> None:
    def die(_: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    Calls(call, die).install(setattr)
    write(out, **TWO_SHARDS)


def forked(work: Callable[[], Any]) -> int:
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return child


def wait_for_orphans(groups: list[int]) -> None:
    """Workers whose parent was killed end by themselves."""
    for _ in range(200):
        if not any(alive(group) for group in groups):
            return
        time.sleep(0.05)
    raise AssertionError("workers outlive their parent")


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def check_left(out: Path, **changes: Any) -> None:
    """Whatever stands under a final name is whole and has its index."""
    corpus = identity(**changes)
    for shard, name in enumerate(corpus.shard_names()):
        if (out / name).exists():
            assert (out / index_name(name)).exists()
            check_shard(out, corpus, shard, members=True)
    if (out / "index.json").exists():
        assert all((out / name).exists() for name in corpus.shard_names())


class Calls:
    """Counts calls that change the disk (write, fsync, replace) and does something at the n-th."""

    def __init__(self, number: int, act: Callable[[str], None]) -> None:
        self.number = number
        self.act = act
        self.count = 0

    def install(self, put: Callable[[Any, str, Any], None]) -> None:
        """Come between the program and the system; `put` is setattr or monkeypatch.setattr."""
        real_open, real_fsync, real_replace = Path.open, os.fsync, os.replace

        def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            file = real_open(path, mode, *args, **kwargs)
            return _Watched(file, self) if mode == "wb" else file

        def fsync(handle: int) -> None:
            self.happens("fsync")
            real_fsync(handle)

        def replace(old: Path, new: Path) -> None:
            self.happens("replace")
            real_replace(old, new)

        put(Path, "open", opened)
        put(os, "fsync", fsync)
        put(os, "replace", replace)

    def happens(self, kind: str) -> None:
        self.count += 1
        if self.count == self.number:
            self.act(kind)


class _Watched:
    """A file whose writes are counted; the n-th one comes half way."""

    def __init__(self, file: IO[bytes], calls: Calls) -> None:
        self._file = file
        self._calls = calls

    def write(self, data: bytes) -> int:
        if self._calls.count + 1 == self._calls.number:
            self._file.write(data[: len(data) // 2])
            self._file.flush()
        self._calls.happens("write")
        return self._file.write(data)

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


if __name__ == "__main__":
    main()
