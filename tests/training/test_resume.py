"""A week of training that cannot be continued exactly is a week that cannot be trusted, or is lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from synth import SynthError
from tests.training.toy import ToyTask, toy_config, toy_feed, toy_scenes
from training.loop import fit
from training.stopping import StoppedError, StopRequests

ROOT = Path(__file__).parents[2]
STEPS = 8
_TIMED = ("clips_per_second", "wait_share")


def train(out: Path, *overrides: str, task: ToyTask | None = None, **faults: Any) -> ToyTask:
    task = task or ToyTask()
    fit(toy_config(out, *overrides), task, lambda *a: toy_feed(*a, **faults), toy_scenes)
    return task


def figures(out: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in _TIMED} for line in lines]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.name}:{name}": tensor
        for path in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def same_end(one: Path, other: Path, step: int = STEPS) -> None:
    """Weights, averages, optimiser and the state beside them are equal to the bit, and so is the log."""
    ends = [out / "checkpoints" / f"step-{step:09d}" for out in (one, other)]
    first, second = map(tensors, ends)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    states = [json.loads((end / "state.json").read_text()) for end in ends]
    assert states[0]["counters"] == states[1]["counters"]
    assert figures(one) == figures(other)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ToyTask]:
    out = tmp_path_factory.mktemp("clean") / "run"
    return out, train(out)


def stopped_at(step: int, number: int = signal.SIGTERM) -> ToyTask:
    """A task in whose step `step` a signal comes."""
    return ToyTask(before=lambda now: os.kill(os.getpid(), number) if now == step else None)


def test_training_changes_the_loss_and_both_runs_see_the_same(
    clean: tuple[Path, ToyTask], tmp_path: Path
) -> None:
    """The comparisons below would pass on a net that never learns."""
    out, task = clean
    again = train(tmp_path / "again")
    assert task.losses == again.losses
    assert len({loss for (loss,) in task.losses.values()}) == STEPS
    same_end(out, tmp_path / "again")
    assert task.seen == {step: list(range(4 * step, 4 * step + 4)) for step in range(STEPS)}


@pytest.mark.parametrize("step", range(1, STEPS))
def test_from_every_step(step: int, clean: tuple[Path, ToyTask], tmp_path: Path) -> None:
    """As if the process had died right after this step's checkpoint."""
    out, task = clean
    shutil.copytree(out, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        if int(path.name[5:]) > step:
            shutil.rmtree(path)
    resumed = train(tmp_path / "run")
    assert resumed.losses == {now: loss for now, loss in task.losses.items() if now >= step}
    same_end(out, tmp_path / "run")


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("stops", [(0,), (3,), (2, 3), (1, 4, 6), (7,)])
def test_from_wherever_signals_stopped_it(
    stops: tuple[int, ...], every: int, clean: tuple[Path, ToyTask], tmp_path: Path
) -> None:
    """A signal ends the run after the step in progress; several chains, and steps without their own checkpoint."""
    out, task = clean
    losses: dict[int, list[float]] = {}
    for step in stops:
        stopped = stopped_at(step)
        with pytest.raises(StoppedError, match=rf"step {step + 1} is saved") as raised:
            train(tmp_path / "run", f"checkpoint.every={every}", task=stopped)
        assert raised.value.exit_code == 143
        losses |= stopped.losses
    losses |= train(tmp_path / "run", f"checkpoint.every={every}").losses
    assert losses == task.losses
    same_end(out, tmp_path / "run")


def test_ctrl_c_has_its_own_status(tmp_path: Path) -> None:
    with pytest.raises(StoppedError, match="SIGINT") as raised:
        train(tmp_path / "run", task=stopped_at(2, signal.SIGINT))
    assert raised.value.exit_code == 130


class TestSignals:
    def sent(self, *numbers: int, apart: float, monkeypatch: pytest.MonkeyPatch) -> StopRequests:
        now = 100.0
        monkeypatch.setattr("training.stopping.time.monotonic", lambda: now)
        stop = StopRequests()
        with stop:
            for number in numbers:
                os.kill(os.getpid(), number)
                now += apart
        return stop

    def test_a_second_ctrl_c_ends_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(KeyboardInterrupt):
            self.sent(signal.SIGINT, signal.SIGINT, apart=1.5, monkeypatch=monkeypatch)

    def test_what_a_launcher_passes_on_is_the_same_wish(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.sent(signal.SIGINT, signal.SIGINT, apart=0.1, monkeypatch=monkeypatch).requested
        stop = self.sent(signal.SIGTERM, signal.SIGTERM, signal.SIGINT, apart=1.5, monkeypatch=monkeypatch)
        assert stop.error("saved").exit_code == 143

    def test_outside_the_main_thread_nothing_is_caught(self) -> None:
        before = signal.getsignal(signal.SIGTERM)
        seen = []

        def work() -> None:
            with StopRequests():
                seen.append(signal.getsignal(signal.SIGTERM))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert seen == [before]


def test_the_signals_are_as_before_afterwards(tmp_path: Path) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    train(tmp_path / "run", "loop.steps=3")
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_validation_that_a_signal_cut_is_done_after_the_resume(
    clean: tuple[Path, ToyTask], tmp_path: Path
) -> None:
    out, _ = clean

    class Stopped(ToyTask):
        def validate(self, model: Any, batches: Any) -> Any:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().validate(model, batches)

    with pytest.raises(StoppedError, match="step 4 is saved"):
        train(tmp_path / "run", task=Stopped())
    train(tmp_path / "run")
    same_end(out, tmp_path / "run")


def test_accumulated_steps_resume_too(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", "loop.accumulate=2")
    with pytest.raises(StoppedError):
        train(tmp_path / "cut", "loop.accumulate=2", task=stopped_at(4))
    resumed = train(tmp_path / "cut", "loop.accumulate=2")
    assert resumed.losses == {step: loss for step, loss in whole.losses.items() if step > 4}
    same_end(tmp_path / "whole", tmp_path / "cut")


def test_a_worker_that_dies_costs_no_step(clean: tuple[Path, ToyTask], tmp_path: Path) -> None:
    out, task = clean
    with pytest.raises(SynthError, match="a worker died"):
        train(tmp_path / "run", "checkpoint.every=100", fail_at=21)
    resumed = train(tmp_path / "run", "checkpoint.every=100")
    assert min(resumed.losses) == 5
    assert resumed.losses.items() <= task.losses.items()
    same_end(out, tmp_path / "run")


def test_a_line_that_a_crash_tore_is_dropped(clean: tuple[Path, ToyTask], tmp_path: Path) -> None:
    out, _ = clean
    with pytest.raises(StoppedError):
        train(tmp_path / "run", task=stopped_at(4))
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "loss": 1.0}\n{"step": 5, "lo')
    train(tmp_path / "run")
    assert figures(tmp_path / "run") == figures(out)


@pytest.mark.parametrize(
    ("override", "named"),
    [("loop.batch_size=8", "loop.batch_size"), ("optim.lr=0.02", "optim.lr"), ("data.seed=1", "data.seed")],
)
def test_another_configuration_is_refused(override: str, named: str, tmp_path: Path) -> None:
    train(tmp_path / "run", "loop.steps=2", "schedule.kind=constant")
    with pytest.raises(
        SynthError, match=rf"another configuration: {named}: was .*, is .*choose another `out`"
    ):
        train(tmp_path / "run", "loop.steps=2", "schedule.kind=constant", override)


def test_a_run_can_be_made_longer(tmp_path: Path) -> None:
    longer = ("schedule.kind=constant", "loop.steps=6")
    train(tmp_path / "run", *longer[:1], "loop.steps=3")
    resumed = train(tmp_path / "run", *longer)
    whole = train(tmp_path / "whole", *longer)
    assert resumed.losses.items() <= whole.losses.items()
    assert sorted(resumed.losses) == [3, 4, 5]


def test_a_damaged_checkpoint_is_passed_over_and_named(
    clean: tuple[Path, ToyTask], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = clean
    shutil.copytree(out, tmp_path / "run")
    newest = tmp_path / "run" / "checkpoints" / f"step-{STEPS:09d}"
    (newest / "ema.safetensors").write_bytes((newest / "ema.safetensors").read_bytes()[:-1])
    resumed = train(tmp_path / "run")
    assert list(resumed.losses) == [STEPS - 1]
    assert "checkpoint skipped: step-000000008: ema.safetensors has" in capsys.readouterr().err
    same_end(out, tmp_path / "run")


def driver(*arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.training.driver", *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


class TestKilled:
    """Processes of their own, killed at moments of nobody's choosing; the driver checks the losses of all steps."""

    def test_at_random_moments(self, tmp_path: Path) -> None:
        told = driver("random", tmp_path, 2, 2)
        assert told["killed"] == 4
        assert told["saved"] > 0

    @pytest.mark.slow
    def test_at_random_moments_often(self, tmp_path: Path) -> None:
        assert driver("random", tmp_path, 15, 3)["killed"] == 45


def test_the_status_of_a_process_that_sigterm_stopped(tmp_path: Path) -> None:
    """A cluster sees 143, a user one line; the repeated SIGTERM of a launcher is the same wish."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "tests.training.driver", "run", str(out), "checkpoint.every=100"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOY_PAUSE": "0.2"}
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as process:
        while not Path(f"{out}.rank0.txt").exists():
            assert process.poll() is None
            time.sleep(0.01)
        for _ in range(2):
            process.terminate()
            time.sleep(0.01)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert "stopped by SIGTERM: step" in err
    assert "Traceback" not in err
    done = len(Path(f"{out}.rank0.txt").read_text().splitlines())
    assert [path.name for path in (out / "checkpoints").iterdir()] == [f"step-{done:09d}"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_chains_of_signals(seed: int, tmp_path: Path) -> None:
    """Rows 9 and 11 of the reliability table: a 40-step run stopped again and again."""
    rng = random.Random(seed)
    steps = ("loop.steps=40", "loop.log_every=7", "validation.every=11", "checkpoint.every=9")
    whole = train(tmp_path / "whole", *steps)
    losses: dict[int, list[float]] = {}
    for step in sorted(rng.sample(range(40), 3)):
        stopped = stopped_at(step)
        with pytest.raises(StoppedError):
            train(tmp_path / "run", *steps, task=stopped)
        losses |= stopped.losses
    losses |= train(tmp_path / "run", *steps).losses
    assert losses == whole.losses
    same_end(tmp_path / "whole", tmp_path / "run", 40)
