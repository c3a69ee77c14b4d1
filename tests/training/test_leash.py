"""Programs end with their parent: nothing trains on unseen after an ablation was stopped or killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.leash import run_leashed

PARENT = """
import signal, sys
from pathlib import Path
from training.leash import run_leashed

signals = (signal.SIGINT, signal.SIGTERM)
for number in signals:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
run_leashed("tests.training.leashed", [sys.argv[1]], Path(sys.argv[1]) / "log")
"""


def until(path: Path, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path.name} never came"
        time.sleep(0.01)


def test_a_program_that_ends_by_itself_gives_its_status_and_its_words(tmp_path: Path) -> None:
    """What a training printed before it failed is in its log."""
    log = tmp_path / "log"
    assert run_leashed("tests.training.leashed", [], log) == 1
    assert "FileNotFoundError" in log.read_text()


def test_a_program_is_told_to_end_and_waited_for(tmp_path: Path) -> None:
    """After Ctrl-C the checkpoint is whole before the command returns."""

    def stop() -> None:
        if (tmp_path / "begun").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_leashed("tests.training.leashed", [str(tmp_path)], tmp_path / "log", on_poll=stop)
    assert (tmp_path / "put away").exists()


def test_a_program_ends_when_its_parent_is_killed_and_the_next_one_waits(tmp_path: Path) -> None:
    """kill -9 leaves no orphan, not even of a worker to whom signals mean nothing; the next run does not collide."""
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)]) as parent:
        until(tmp_path / "begun")
        parent.kill()
    assert not (tmp_path / "put away").exists()
    assert run_leashed("tests.training.leashed", [], tmp_path / "log") == 1
    assert (tmp_path / "put away").exists()
