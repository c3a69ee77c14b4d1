"""What a user would lose: caches that are whole or absent, made once, by however many processes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from synth.assets.cache import building, publish, require_space, staging
from synth.errors import SynthError
from tests.synth.assets.disk import FaultyDisk, leftovers, names


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    final = tmp_path / "new" / "final"
    with building(final) as staged:
        assert staged is not None
        (staged / "a").write_bytes(b"1")
        assert not final.exists()
    assert (final / "a").read_bytes() == b"1"
    with building(final) as again:
        assert again is None
    assert leftovers(tmp_path) == []


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with building(tmp_path / "final") as staged:
            assert staged is not None
            (staged / "a").write_bytes(b"1")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fill()
    assert names(tmp_path) == set()
    assert leftovers(tmp_path) == []


def test_publishing_keeps_what_is_there(tmp_path: Path) -> None:
    """Two processes may finish the same content; the second one's copy goes away."""
    final = tmp_path / "final"
    for n in (1, 2):
        with staging(tmp_path, "x") as folder:
            (folder / "a").write_text(str(n))
            publish(folder, final)
    assert (final / "a").read_text() == "1"
    assert leftovers(tmp_path) == []


def test_disk_fails_at_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    final = tmp_path / "cache" / "final"
    for n in range(1, 100):
        with monkeypatch.context() as patch:
            disk = FaultyDisk(patch, n)
            try:
                with building(final) as staged:
                    if staged is not None:
                        with (staged / "a").open("wb") as file:
                            file.write(b"12345")
            except SynthError as error:
                assert "disk is full" in str(error) and error.where, n  # noqa: PT017, PT018
        assert leftovers(tmp_path) == []
        if final.exists():
            assert (final / "a").read_bytes() == b"12345"
            shutil.rmtree(final)
        if not disk.failed:
            break
    assert 5 < n < 99


def test_other_refusals_are_told_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FaultyDisk(monkeypatch, 1, errno.EACCES)
    with pytest.raises(SynthError, match="Permission denied"), building(tmp_path / "final"):
        pass


def test_room_is_asked_for_before_the_work(tmp_path: Path) -> None:
    require_space(tmp_path, 1000)
    with pytest.raises(SynthError, match="bytes are needed"):
        require_space(tmp_path, 1 << 60)


def make_slowly(final: Path, log: Path) -> None:
    with building(final) as staged:
        if staged is not None:
            with log.open("a") as file:
                file.write("made\n")
            time.sleep(0.3)
            (staged / "a").write_bytes(b"1")


def test_many_processes_make_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    made = [context.Process(target=make_slowly, args=(tmp_path / "final", log)) for _ in range(3)]
    for process in made:
        process.start()
    for process in made:
        process.join()
        assert process.exitcode == 0
    assert log.read_text() == "made\n"


def test_a_killed_maker_leaves_no_final_name_and_its_rest_goes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    log = tmp_path / "log"
    process = context.Process(target=make_slowly, args=(tmp_path / "final", log))
    process.start()
    while not log.exists():
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert names(tmp_path) == {"log"}
    make_slowly(tmp_path / "final", log)
    assert (tmp_path / "final" / "a").read_bytes() == b"1"
    assert leftovers(tmp_path) == []
