"""What a user would lose: hours of transfer, or the certainty that a file is the published one."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synth import SynthError
from synth.assets.download import fetch as module
from synth.assets.download.fetch import DiskError, Patience, fetch
from synth.assets.download.table import RemoteFile
from tests.web import Web, serving

QUICK = Patience(attempts=3, pause=0.0, seconds=5.0)
DATA = np.random.default_rng(0).integers(0, 256, 300_001, dtype=np.uint8).tobytes()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 10_000)


def remote(row: dict[str, Any], **known: Any) -> RemoteFile:
    return RemoteFile(**row, **known)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def left_over(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("size", [0, 1, 9_999, 10_000, len(DATA)])
def test_a_file_comes_whole(web: Web, tmp_path: Path, size: int) -> None:
    found = fetch(remote(web.add("a.zip", DATA[:size])), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA[:size]
    assert (found.bytes, found.sha256) == (size, sha256(DATA[:size]))
    assert left_over(tmp_path) == ["a.zip"]


def test_a_broken_transfer_goes_on_where_it_broke(web: Web, tmp_path: Path) -> None:
    row = web.add("a.zip", DATA, script=["cut 100000", "cut 50000", "cut 0", "ok"])
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert [wanted for _, wanted in web.asked] == [None, "bytes=100000-", "bytes=150000-", "bytes=150000-"]


def test_a_later_run_goes_on_where_the_first_gave_up(web: Web, tmp_path: Path) -> None:
    row = web.add("a.zip", DATA, script=["cut 100000", "cut 0", "cut 0", "cut 0"])
    with pytest.raises(SynthError, match="ended early") as error:
        fetch(remote(row), tmp_path, patience=QUICK)
    assert "goes on where it broke off" in error.value.remedy
    assert not (tmp_path / "a.zip").exists()
    web.asked.clear()
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert web.asked == [("/a.zip", "bytes=100000-")]


def test_a_part_that_is_complete_is_only_checked(web: Web, tmp_path: Path) -> None:
    """The machine went down between the last byte and the renaming."""
    row = web.add("a.zip", DATA)
    (tmp_path / ".a.zip.part").write_bytes(DATA)
    (tmp_path / ".a.zip.part.json").write_text(f'{{"address": "{row["address"]}", "validator": "\\"one\\""}}')
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert web.asked == [("/a.zip", f"bytes={len(DATA)}-")]


@pytest.mark.parametrize("if_range", [True, False])
def test_a_file_that_changes_between_two_pieces_is_not_glued(
    web: Web, tmp_path: Path, if_range: bool
) -> None:
    """Half of the old and half of the new version would be a file that nobody published."""
    row = web.add("a.zip", DATA, if_range=if_range, script=["cut 100000", "swap", "ok"])
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == bytes(reversed(DATA))


def test_without_a_validator_only_a_checksum_lets_a_part_be_used(web: Web, tmp_path: Path) -> None:
    row = web.add("a.zip", DATA, etag="", script=["cut 100000", "swap"])
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == bytes(reversed(DATA))
    assert [wanted for _, wanted in web.asked] == [None, None]
    row = web.add("b.zip", DATA, etag="", script=["cut 100000", "ok"])
    fetch(remote(row, sha256=sha256(DATA)), tmp_path, patience=QUICK)
    assert web.asked[-1] == ("/b.zip", "bytes=100000-")


def test_a_server_without_ranges_sends_all_again(web: Web, tmp_path: Path) -> None:
    row = web.add("a.zip", DATA, ranges=False, script=["cut 100000", "ok"])
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA


@pytest.mark.parametrize(
    ("known", "word"),
    [
        ({"sha256": "0" * 64}, "SHA256"),
        ({"md5": "0" * 32}, "MD5"),
        ({"bytes": len(DATA) - 1}, "content was changed"),
    ],
)
def test_other_content_than_the_table_says(
    web: Web, tmp_path: Path, known: dict[str, Any], word: str
) -> None:
    with pytest.raises(SynthError, match=word) as error:
        fetch(remote(web.add("a.zip", DATA), **known), tmp_path, patience=QUICK)
    assert error.value.where == web.address("/a.zip")
    assert error.value.remedy
    assert not (tmp_path / "a.zip").exists()


def test_a_transfer_damaged_once_is_repeated(web: Web, tmp_path: Path) -> None:
    """A part that went bad on this disk does not condemn the file for ever."""
    row = web.add("a.zip", DATA)
    (tmp_path / ".a.zip.part").write_bytes(b"\0" * 1000)
    (tmp_path / ".a.zip.part.json").write_text(f'{{"address": "{row["address"]}", "validator": "\\"one\\""}}')
    fetch(remote(row, sha256=sha256(DATA)), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert [wanted for _, wanted in web.asked] == ["bytes=1000-", None]


@pytest.mark.parametrize("state", ["", "[1", '{"address": "http://127.0.0.1/other", "validator": "x"}', "[]"])
def test_a_part_of_unknown_origin_is_not_used(web: Web, tmp_path: Path, state: str) -> None:
    (tmp_path / ".a.zip.part").write_bytes(b"x" * 1000)
    (tmp_path / ".a.zip.part.json").write_text(state)
    fetch(remote(web.add("a.zip", DATA)), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert web.asked == [("/a.zip", None)]


def test_a_busy_server_is_asked_again_a_missing_file_is_not(web: Web, tmp_path: Path) -> None:
    fetch(remote(web.add("a.zip", DATA, script=["status 503", "status 429"])), tmp_path, patience=QUICK)
    web.asked.clear()
    with pytest.raises(SynthError, match="404") as error:
        fetch(remote({"name": "b", "address": web.address("/b")}), tmp_path, patience=QUICK)
    assert len(web.asked) == 1
    assert "by hand" in error.value.remedy
    web.add("c", DATA, script=["status 503"] * 9)
    with pytest.raises(SynthError, match="503"):
        fetch(remote({"name": "c", "address": web.address("/c")}), tmp_path, patience=QUICK)
    assert len(web.asked) == 1 + QUICK.attempts


def test_nobody_there(tmp_path: Path) -> None:
    with serving() as web:
        row = web.add("a.zip", DATA)
    with pytest.raises(SynthError, match="cannot be fetched"):
        fetch(remote(row), tmp_path, patience=QUICK)


def test_a_transfer_without_an_end_needs_a_known_size(web: Web, tmp_path: Path) -> None:
    """A connection that simply ends would pass for the end of the file."""
    row = web.add("a.zip", DATA, length=False)
    with pytest.raises(SynthError, match="how long"):
        fetch(remote(row), tmp_path, patience=QUICK)
    fetch(remote(row, bytes=len(DATA)), tmp_path, patience=QUICK)
    with pytest.raises(SynthError, match="more than"):
        fetch(remote({**row, "name": "b"}, bytes=1000), tmp_path, patience=QUICK)


def test_redirections_stay_on_the_web(web: Web, tmp_path: Path) -> None:
    row = web.add("a.zip", DATA)
    there = web.add("b.zip", b"", script=[f"to {row['address']}"])
    fetch(remote(there), tmp_path, patience=QUICK)
    assert (tmp_path / "b.zip").read_bytes() == DATA
    secret = tmp_path / "secret"
    secret.write_text("not for you")
    lost = web.add("c.zip", b"", script=[f"to file://{secret}"] * 9)
    with pytest.raises(SynthError):
        fetch(remote(lost), tmp_path, patience=QUICK)
    assert not (tmp_path / "c.zip").exists()


def test_a_disk_without_room_is_seen_before_the_first_byte(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    small = os.statvfs_result((real[0], 1, real[2], 1000, 1000, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: small)
    with pytest.raises(DiskError, match="300,001 bytes are needed, 1,000 are free"):
        fetch(remote(web.add("a.zip", DATA)), tmp_path, patience=QUICK)
    assert left_over(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_keeps_what_came(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    real_open = Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **more: Any) -> Any:
        file = real_open(self, mode, *args, **more)
        return _Full(file, 123_456, number) if self.suffix == ".part" and mode != "rb" else file

    row = web.add("a.zip", DATA)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(DiskError, match="disk is full") as error:
            fetch(remote(row), tmp_path, patience=QUICK)
    assert "kept" in error.value.remedy
    assert not (tmp_path / "a.zip").exists()
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert web.asked == [("/a.zip", None), ("/a.zip", "bytes=120000-")]


class _Full:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file: Any, room: int, number: int) -> None:
        self.file, self.room, self.number = file, room, number

    def write(self, data: bytes) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(self.number, os.strerror(self.number))
        return int(self.file.write(data))

    def __enter__(self) -> _Full:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("room", range(0, 301_000, 30_000))
def test_wherever_the_disk_fills_up_the_next_run_ends_well(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    real_open = Path.open

    def opened(self: Path, mode: str = "r", *args: Any, **more: Any) -> Any:
        file = real_open(self, mode, *args, **more)
        return _Full(file, room, errno.ENOSPC) if self.suffix == ".part" and mode != "rb" else file

    row = web.add("a.zip", DATA)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        with pytest.raises(DiskError):
            fetch(remote(row), tmp_path, patience=QUICK)
    assert not (tmp_path / "a.zip").exists()
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert left_over(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_at_the_very_end(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    row = web.add("a.zip", DATA)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refuse)
        with pytest.raises(DiskError, match="Input/output error"):
            fetch(remote(row), tmp_path, patience=QUICK)
    assert not (tmp_path / "a.zip").exists()
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA


def test_a_folder_that_cannot_be_written(web: Web, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file, no folder")
    with pytest.raises(DiskError, match="cannot be written") as error:
        fetch(remote(web.add("a.zip", DATA)), tmp_path / "out", patience=QUICK)
    assert str(tmp_path / "out") in str(error.value)


def test_a_server_that_falls_silent_is_given_up_and_asked_again(web: Web, tmp_path: Path) -> None:
    row = web.add("a.zip", DATA, script=["hang 100000", "ok"])
    fetch(remote(row), tmp_path, patience=Patience(attempts=3, pause=0.0, seconds=0.3))
    assert (tmp_path / "a.zip").read_bytes() == DATA
    assert web.asked[-1] == ("/a.zip", "bytes=100000-")


def _fetch_for_ever(row: dict[str, Any], folder: Path) -> None:
    fetch(RemoteFile(**row), folder, patience=Patience(attempts=1, seconds=60))


def test_a_killed_transfer_goes_on(web: Web, tmp_path: Path) -> None:
    """kill -9 in the middle of a file: the next run asks for the rest only."""
    row = web.add("a.zip", DATA * 8, script=["hang 2000000", "ok"])
    child = multiprocessing.get_context("spawn").Process(target=_fetch_for_ever, args=(row, tmp_path))
    child.start()
    part, deadline = tmp_path / ".a.zip.part", time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.kill()
    child.join(60)
    size = part.stat().st_size
    assert 0 < size < len(DATA) * 8
    assert not (tmp_path / "a.zip").exists()
    fetch(remote(row), tmp_path, patience=QUICK)
    assert (tmp_path / "a.zip").read_bytes() == DATA * 8
    assert web.asked[-1] == ("/a.zip", f"bytes={size}-")


def test_progress_tells_how_much_is_here(web: Web, tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    row = web.add("a.zip", DATA, script=["cut 100000", "ok"])
    fetch(remote(row), tmp_path, patience=QUICK, progress=lambda *what: told.append(what))
    assert told[-1] == ("a.zip", len(DATA), len(DATA))
    sizes = [size for _, size, _ in told]
    assert sizes == sorted(sizes)
