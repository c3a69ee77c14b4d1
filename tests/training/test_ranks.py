"""Several processes are one run: they agree before every update, or a cluster's night is lost to one of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training.toy import ToyTask, toy_config, toy_feed, toy_scenes
from training.loop import fit

ROOT = Path(__file__).parents[2]
LAUNCH = (
    "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
    "-m", "tests.training.driver", "run",
)  # fmt: skip


def launch(out: Path, pause: float) -> subprocess.Popen[str]:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "TOY_PAUSE": str(pause), "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, *LAUNCH, str(out)], cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True
    )


def steps(out: Path, rank: int) -> dict[int, tuple[str, list[int]]]:
    """Return step -> (loss, positions) of a rank; a step that was done twice must have been done equally."""
    lines = set(Path(f"{out}.rank{rank}.txt").read_text().splitlines())
    parts = [line.split(" ", 2) for line in lines]
    assert len({step for step, *_ in parts}) == len(parts)
    return {int(step): (loss, json.loads(positions)) for step, loss, positions in parts}


def wait_for(out: Path, lines: int, process: subprocess.Popen[str]) -> None:
    path = Path(f"{out}.rank1.txt")
    while not path.exists() or path.read_text().count("\n") < lines:
        assert process.poll() is None
        time.sleep(0.01)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "tests.training.driver", "ranks", str(folder)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, {**json.loads(done.stdout.splitlines()[-1]), "said": done.stderr}


class TestTwoRanks:
    def test_see_the_scenes_of_one_in_the_same_order(
        self, facts: tuple[Path, dict[str, Any]], tmp_path: Path
    ) -> None:
        """Row 12: the global order does not depend on how many processes share it."""
        alone = ToyTask()
        fit(toy_config(tmp_path / "alone"), alone, toy_feed, toy_scenes)
        ranks = [steps(facts[0] / "whole", rank) for rank in (0, 1)]
        together = {step: ranks[0][step][1] + ranks[1][step][1] for step in ranks[0]}
        assert together == alone.seen

    def test_end_together_when_one_is_killed(self, facts: tuple[Path, dict[str, Any]]) -> None:
        """Row 8: within 60 s, with a checkpoint and a message."""
        told = facts[1]
        assert told["killed"] == [-signal.SIGKILL, 1]
        assert told["seconds_until_all_ended"] < 60
        assert told["step_after_kill"] >= 1
        assert "rank 0 lost touch with the others" in told["said"]
        assert "Traceback" not in told["said"]

    def test_stop_at_the_same_step_when_one_is_told_to(self, facts: tuple[Path, dict[str, Any]]) -> None:
        told = facts[1]
        assert told["stopped"] == [143, 143]
        assert told["step_after_stop"] > told["step_after_kill"]

    def test_go_on_to_the_bit(self, facts: tuple[Path, dict[str, Any]]) -> None:
        told = facts[1]
        assert told["whole"] == told["resumed"] == [0, 0]
        assert told["equal"] == [True, True]
        logs = [facts[0] / name / "metrics.jsonl" for name in ("whole", "run")]
        whole, run = ([json.loads(line) for line in log.read_text().splitlines()] for log in logs)
        for one, other in zip(whole, run, strict=True):
            for name in one.keys() - {"clips_per_second", "wait_share"}:
                assert one[name] == other[name]

    def test_both_stop_before_an_update_that_one_must_not_do(
        self, facts: tuple[Path, dict[str, Any]]
    ) -> None:
        """Row 13: scene 13 is rank 0's; the scenes of both are written down."""
        assert facts[1]["not_finite"] == [1, 1]
        record = json.loads((facts[0] / "nan" / "nonfinite.jsonl").read_text())
        assert record["step"] == 3
        assert record["positions"] == [12, 13, 14, 15]


def test_under_accelerate_a_killed_rank_ends_all(tmp_path: Path) -> None:
    """`accelerate launch --multi_gpu` starts two over gloo where there is no GPU."""
    out = tmp_path / "run"
    with launch(out, pause=0.3) as process:
        wait_for(out, 2, process)
        os.kill(int(Path(f"{out}.rank1.pid").read_text()), signal.SIGKILL)
        begin = time.monotonic()
        _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert time.monotonic() - begin < 60
    assert "lost touch" in err or "SIGTERM" in err or "Signal 9" in err


@pytest.mark.slow
def test_under_accelerate_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """SIGTERM to the launcher, as a cluster sends it: saved, and the rest is what an uninterrupted run does."""
    with launch(tmp_path / "whole", pause=0) as process:
        assert process.wait(120) == 0
    out = tmp_path / "run"
    for _ in range(2):
        with launch(out, pause=0.3) as process:
            wait_for(out, len(steps(out, 1)) + 2 if Path(f"{out}.rank1.txt").exists() else 2, process)
            process.terminate()
            _, err = process.communicate(timeout=60)
        assert "stopped by SIGTERM: step" in err
    with launch(out, pause=0) as process:
        assert process.wait(120) == 0
    assert [steps(out, rank) for rank in (0, 1)] == [steps(tmp_path / "whole", rank) for rank in (0, 1)]
