"""Toy runs to be killed, in processes of their own: `python -m tests.training.driver COMMAND FOLDER …`.

run FOLDER [KEY=VALUE…]    one run, under `accelerate launch` or alone; appends "step loss positions" of every
                           rank to FOLDER.rank0.txt, …; sleeps TOY_PAUSE seconds in every step
random FOLDER TRIALS KILLS runs killed at random moments, finished, and compared with a run never killed
every FOLDER               dies at the n-th call that changes the disk while a checkpoint is written, n = 1, 2, …
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from synth import SynthError
from tests.training.toy import ToyTask, toy_config, toy_feed, toy_scenes
from training import checkpoint, state
from training.checkpoint import clear_leftovers, newest_checkpoint, write_checkpoint
from training.ema import Ema
from training.loop import fit
from training.state import TrainState


def main() -> None:
    command, folder, *rest = sys.argv[1:]
    if command == "run":
        run(Path(folder), rest)
    elif command == "random":
        print(json.dumps(kill_at_random(Path(folder), *map(int, rest))))
    elif command == "ranks":
        print(json.dumps(two_ranks(Path(folder))))
    elif command == "every":
        print(json.dumps(die_at_every_call(Path(folder))))


def run(folder: Path, overrides: list[str]) -> None:
    """Train as a command line does: one line and a status."""
    rank = os.environ.get("RANK", "0")
    pause = float(os.environ.get("TOY_PAUSE", "0"))
    nan_at = [int(p) for p in os.environ.get("TOY_NAN", "").split(",") if p]
    task = ToyTask(nan_at)

    def before(step: int) -> None:
        time.sleep(pause)
        Path(f"{folder}.rank{rank}.pid").write_text(str(os.getpid()))

    task.before = before
    loss = task.loss

    def told(*args: Any, step: int, **kwargs: Any) -> Any:
        out = loss(*args, step=step, **kwargs)
        with Path(f"{folder}.rank{rank}.txt").open("a") as file:
            file.write(f"{step} {task.losses[step][-1]!r} {task.seen[step]}\n")
        return out

    task.loss = told  # type: ignore[method-assign]
    try:
        report = fit(toy_config(folder, *overrides), task, toy_feed, toy_scenes)
    except SynthError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    print(f"done: {report.steps} steps, best {report.best_value!r}")


def kill_at_random(folder: Path, trials: int, kills: int) -> dict[str, int]:
    """This process has one thread and trains nothing itself, so it may fork: a run costs no start of Python."""
    rng = random.Random(trials)
    assert ended(forked(lambda: run(folder / "clean", []))) == 0
    clean = told(folder / "clean")
    killed = saved = 0
    for trial in range(trials):
        out = folder / f"trial{trial}"
        while killed < (trial + 1) * kills:
            child = forked(lambda out=out: run(out, []))
            wait_for_lines(Path(f"{out}.rank0.txt"), rng.randint(1, 7), child)
            time.sleep(rng.uniform(0, 0.03))
            os.kill(child, signal.SIGKILL)
            if ended(child) == -signal.SIGKILL:
                killed += 1
                saved += newest_checkpoint(out / "checkpoints").step
            else:
                shutil.rmtree(out)
                Path(f"{out}.rank0.txt").unlink()
        assert ended(forked(lambda out=out: run(out, []))) == 0
        assert told(out) == clean, f"trial {trial}"
    return {"killed": killed, "saved": saved}


def two_ranks(folder: Path) -> dict[str, Any]:
    """What two ranks do when one is killed, when one is told to stop, and when one meets a bad scene."""
    facts: dict[str, Any] = {}
    facts["whole"] = [ended(child) for child in pair(folder / "whole")]
    out = folder / "run"

    first, second = pair(out)
    wait_for_lines(Path(f"{out}.rank1.txt"), 3, second)
    os.kill(second, signal.SIGKILL)
    begin = time.monotonic()
    facts["killed"] = [ended(second), ended(first)]
    facts["seconds_until_all_ended"] = time.monotonic() - begin
    facts["step_after_kill"] = newest_checkpoint(out / "checkpoints").step

    children = pair(out)
    wait_for_lines(Path(f"{out}.rank1.txt"), 2, children[1])
    os.kill(children[1], signal.SIGTERM)
    facts["stopped"] = [ended(child) for child in children]
    facts["step_after_stop"] = newest_checkpoint(out / "checkpoints").step

    facts["resumed"] = [ended(child) for child in pair(out)]
    facts["equal"] = [told(out, rank) == told(folder / "whole", rank) for rank in (0, 1)]

    os.environ["TOY_NAN"] = "13"
    facts["not_finite"] = [ended(child) for child in pair(folder / "nan")]
    return facts


def pair(out: Path) -> list[int]:
    """Start two ranks of one run as a launcher would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}

    def rank(number: int) -> None:
        os.environ.update(world, RANK=str(number), LOCAL_RANK=str(number), TOY_PAUSE="0.05")
        run(out, [])

    return [forked(lambda number=number: rank(number)) for number in (0, 1)]


def told(out: Path, rank: int = 0) -> set[str]:
    """Return what a run and those before it in the same folder said of their steps: one line per step if equal."""
    return set(Path(f"{out}.rank{rank}.txt").read_text().splitlines())


def wait_for_lines(path: Path, more: int, child: int) -> None:
    """Return when a file has so many more lines, or its writer has ended."""
    before = lines(path)
    for _ in range(30_000):
        if lines(path) >= before + more or os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.002)
    raise AssertionError("a run neither ends nor goes on")


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def toy_state(folder: Path, step: int) -> TrainState:
    """A state as after `step` steps, made without training."""
    config, task = toy_config(folder), ToyTask()
    with torch.random.fork_rng():
        torch.manual_seed(step)
        model = task.build()
        optimizer = torch.optim.AdamW(task.groups(model))
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape)
        optimizer.step()
    made = TrainState(config, model, optimizer, Ema(model, 0.9))
    made.counters.step = step
    made.counters.feed = {"position": 4 * step}
    return made


def die_at_every_call(folder: Path) -> dict[str, int]:
    """Kill a writer of checkpoint 2 at its n-th call; checkpoint 1 or 2 must be found whole, never none."""
    first, second = toy_state(folder, 1), toy_state(folder, 2)
    found = {1: 0, 2: 0}
    for call in range(1, 1000):
        out = folder / f"call{call}"
        write_checkpoint(out, 1, first.write, keep=1)
        child = forked(
            lambda call=call, out=out: doomed(call, lambda: write_checkpoint(out, 2, second.write, keep=1))
        )
        code = ended(child)
        newest = newest_checkpoint(out)
        assert newest.path is not None
        assert not newest.skipped
        toy_state(folder, 3).read(newest.path)
        found[newest.step] += 1
        clear_leftovers(out)
        write_checkpoint(out, 2, second.write, keep=1)  # the continued run gets there again
        assert [path.name for path in out.iterdir()] == ["step-000000002"]
        shutil.rmtree(out)
        if code == 0:
            return {"calls": call - 1, "older": found[1], "newer": found[2]}
        assert code == -signal.SIGKILL
    raise AssertionError("no writer ended")


def doomed(call: int, work: Callable[[], object]) -> None:
    def die(_: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    DiskCalls(call, die).install(setattr)
    work()


def forked(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        except SystemExit as stopped:
            os._exit(int(stopped.code or 0))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


class DiskCalls:
    """Counts calls that change the disk and does something at the n-th; a write comes half way."""

    def __init__(self, number: int, act: Callable[[str], None]) -> None:
        self.number, self.act, self.count = number, act, 0

    def install(self, put: Callable[[Any, str, Any], None]) -> None:
        """Come between the program and the system; `put` is setattr or monkeypatch.setattr."""
        real_save = checkpoint.save_file
        real_text = state.write_text

        def save_file(tensors: Any, path: Path) -> None:
            if self.count + 1 == self.number:
                real_save(tensors, path)
                os.truncate(path, path.stat().st_size // 2)
            self.happens("save_file")
            real_save(tensors, path)

        def write_text(path: Path, text: str) -> None:
            if self.count + 1 == self.number:
                path.write_text(text[: len(text) // 2])
            self.happens("write_text")
            real_text(path, text)

        put(checkpoint, "save_file", save_file)
        put(checkpoint, "write_text", write_text)
        put(state, "write_text", write_text)
        for name in ("fsync", "replace", "rename", "mkdir", "rmdir", "unlink"):
            real = getattr(os, name)

            def called(*args: Any, name: str = name, real: Any = real, **kwargs: Any) -> Any:
                self.happens(name)
                return real(*args, **kwargs)

            put(os, name, called)

    def happens(self, kind: str) -> None:
        self.count += 1
        if self.count == self.number:
            self.act(kind)


if __name__ == "__main__":
    main()
