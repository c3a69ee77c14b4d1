"""A night of rendering that a kill, a full disk or a second run destroys has to be rendered again."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synth.corpus.lock import LOCK_NAME, folder_lock
from synth.errors import SynthError
from synth.rendering.scene import Scene
from tests.synth.corpus.corpora import MadeUpScenes, contents, write
from tests.synth.corpus.driver import Calls

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = tmp_path_factory.mktemp("clean")
    write(directory)
    return contents(directory)


def driver(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.synth.corpus.driver", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], seconds: float = 60) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {seconds} s: {err}") from None
    return process.returncode, out, err


def waiting(directory: Path, workers: int) -> subprocess.Popen[str]:
    """Start a run and return when it waits in scene 4, until `let_go`."""
    process = driver("wait", directory, workers)
    for _ in range(600):
        if Path(f"{directory}.waiting").exists():
            return process
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("the run did not begin")


def let_go(directory: Path) -> None:
    Path(f"{directory}.go").touch()


class TestKill:
    def test_at_random_moments_with_one_worker(self, tmp_path: Path) -> None:
        code, out, err = ended(driver("random", tmp_path, 16, 3, 1))
        assert code == 0, err
        assert json.loads(out)["killed"] == 48

    @pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
    def test_at_random_moments_with_several(self, tmp_path: Path, workers: int) -> None:
        code, out, err = ended(driver("random", tmp_path, 1, 2, workers), 120)
        assert code == 0, err
        assert json.loads(out)["killed"] == 2

    def test_at_every_call_that_changes_the_disk(self, tmp_path: Path) -> None:
        code, out, err = ended(driver("every", tmp_path), 120)
        assert code == 0, err
        assert json.loads(out)["calls"] > 40


class TestDisk:
    @pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
    def test_refuses_at_the_nth_call(self, tmp_path: Path, fault: int) -> None:
        """As SQLite tests it: fail the first call, then the second, … until a run passes."""
        write(tmp_path / "clean", num_scenes=2)
        wanted = contents(tmp_path / "clean")
        for call in range(1, 10_000):
            out = tmp_path / f"call{call}"
            message = _failing(call, fault, out)
            if message is None:
                break
            for part in (os.strerror(fault), str(out), "bytes", "run the same command again"):
                assert part in message
            assert not [name for name in contents(out) if name.startswith(".")]
            assert contents(out).items() <= wanted.items()
            write(out, num_scenes=2)
            assert contents(out) == wanted
        assert call > 30

    def test_files_that_may_not_grow(self, tmp_path: Path, clean: dict[str, str]) -> None:
        """The system itself refuses, in the middle of a buffered write."""
        code, _, err = ended(driver("small-files", tmp_path / "out"))
        assert code == 1
        assert "000000.tar: it cannot be written: File too large (it takes about" in err
        assert "Traceback" not in err
        assert contents(tmp_path / "out") == {}
        write(tmp_path / "out")
        assert contents(tmp_path / "out") == clean

    def test_a_folder_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(SynthError, match=r"file/out: it cannot be written: Not a directory"):
            write(tmp_path / "file" / "out")

    def test_a_folder_without_rights(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refused(*_: object, **__: object) -> int:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(os, "open", refused)
        with pytest.raises(SynthError, match="it cannot be written: Permission denied"):
            write(tmp_path)

    def test_a_folder_that_vanishes(self, tmp_path: Path) -> None:
        out = tmp_path / "out"

        def vanish(progress: object) -> None:
            if out.exists():
                out.rename(tmp_path / "elsewhere")

        with pytest.raises(SynthError, match=r"cannot be written: No such file"):
            write(out, progress=vanish)


class TestSignals:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    @pytest.mark.parametrize("workers", [1, 2])
    def test_end_the_run_and_the_next_goes_on(
        self, tmp_path: Path, clean: dict[str, str], workers: int, number: int
    ) -> None:
        out = tmp_path / "out"
        process = waiting(out, workers)
        process.send_signal(number)
        if workers == 1:
            let_go(out)  # the process stops at the next scene; with workers it need not wait for them
        code, _, err = ended(process, 20)
        assert code == 128 + number
        assert f"stopped by {signal.Signals(number).name}" in err
        assert "of 3 shards are finished" in err
        assert "run the same command again" in err
        assert "Traceback" not in err
        left = contents(out)
        assert left.items() <= clean.items()
        assert not {"madeup-train-5-000001.tar", "index.json"} & left.keys()
        outcomes = write(out).outcomes
        assert outcomes.count("kept") == sum(name.endswith(".tar") for name in left)
        assert contents(out) == clean


class TestWorkers:
    def test_a_worker_that_dies_is_named_at_once(self, tmp_path: Path, clean: dict[str, str]) -> None:
        begin = time.monotonic()
        with pytest.raises(SynthError, match=r"000001\.tar: the worker process .* died by SIGKILL"):
            write(tmp_path, MadeUpScenes(kill_at=4), workers=2)
        assert time.monotonic() - begin < 10
        assert multiprocessing.active_children() == []
        assert not [name for name in contents(tmp_path) if name.startswith(".")]
        write(tmp_path, workers=2)
        assert contents(tmp_path) == clean

    def test_a_bug_in_a_worker_shows_its_traceback(self, tmp_path: Path) -> None:
        with pytest.raises(
            RuntimeError, match=r"(?s)\.tar: a worker failed.*division by zero.*while scene \d was"
        ):
            write(tmp_path, _divide, workers=2)

    @pytest.mark.parametrize("workers", [0, -1, 5000])
    def test_impossible_numbers_are_refused(self, tmp_path: Path, workers: int) -> None:
        with pytest.raises(SynthError, match="workers: is"):
            write(tmp_path, workers=workers)


class TestTwoWriters:
    def test_the_second_is_told_who_the_first_is(self, tmp_path: Path, clean: dict[str, str]) -> None:
        out = tmp_path / "out"
        first = waiting(out, 1)
        with pytest.raises(
            SynthError, match=rf"another run writes into this folder: process {first.pid} on "
        ):
            write(out)
        let_go(out)
        code, _, err = ended(first)
        assert code == 0, err
        assert contents(out) == clean

    def test_the_lock_of_a_dead_run_holds_nobody_up(self, tmp_path: Path, clean: dict[str, str]) -> None:
        (tmp_path / LOCK_NAME).write_text('{"pid": 1, "host": "elsewhere"}')
        write(tmp_path)
        assert contents(tmp_path) == clean

    def test_an_owner_that_cannot_be_read_is_said(self, tmp_path: Path) -> None:
        with folder_lock(tmp_path):
            (tmp_path / LOCK_NAME).write_bytes(b"\xff\xfe")
            with pytest.raises(SynthError, match="its process is not known"):
                write(tmp_path)
        assert contents(tmp_path) == {}


def _failing(call: int, fault: int, out: Path) -> str | None:
    """Return what a run says whose n-th call fails, or None when it has fewer calls."""

    def refuse(_: str) -> None:
        raise OSError(fault, os.strerror(fault))

    with pytest.MonkeyPatch.context() as patch:
        Calls(call, refuse).install(patch.setattr)
        try:
            write(out, num_scenes=2)
        except SynthError as error:
            return str(error)
    return None


def _divide(index: int) -> Scene:
    raise ZeroDivisionError("division by zero")
