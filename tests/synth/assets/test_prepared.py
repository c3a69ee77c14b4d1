"""What a user would lose: a prepared tree that is whole or absent, and never somebody else's folder."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from synth.assets.importers.npz_rooms import prepare_npz
from synth.assets.importers.prepared import Survey, prepare_tree
from synth.assets.paths import safe_part, target_path
from synth.errors import SynthError
from tests.synth.assets.disk import FaultyDisk, leftovers
from tests.synth.assets.test_wav_npz_rooms import write_npz


def test_a_full_disk_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever write fails, the tree is absent or whole, and the next run makes it."""
    source = write_npz(tmp_path / "a.npz")
    with monkeypatch.context() as patch:
        disk = FaultyDisk(patch, 0)
        prepare_npz(source, tmp_path / "count")
    calls = disk.calls
    assert calls > 10
    for n in range(1, calls + 1):
        out = tmp_path / str(n) / "out"
        with monkeypatch.context() as patch:
            FaultyDisk(patch, n)
            with contextlib.suppress(SynthError):
                prepare_npz(source, out)
        assert not out.exists() or (out / "prepared.json").is_file()
        assert leftovers(tmp_path / str(n)) == []
        assert prepare_npz(source, out).counts == {"room_ir": 1}


def test_a_full_disk_is_called_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_npz(tmp_path / "a.npz")
    FaultyDisk(monkeypatch, 6)
    with pytest.raises(SynthError, match="the disk is full"):
        prepare_npz(source, tmp_path / "out")


def test_what_is_in_the_way_stays(tmp_path: Path) -> None:
    source = write_npz(tmp_path / "a.npz")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("x")
    with pytest.raises(SynthError, match="in the way"):
        prepare_npz(source, tmp_path / "mine")
    assert (tmp_path / "mine/thesis.txt").read_text() == "x"
    out = prepare_npz(source, tmp_path / "out").out
    for text in ("", "{}", "[1]", json.dumps({"files": {"../x": {"size": 1}}, "request": {}, "format": 1})):
        (out / "prepared.json").write_text(text)
        with pytest.raises(SynthError, match="in the way"):
            prepare_npz(source, out)


def test_another_source_is_seen(tmp_path: Path) -> None:
    source = write_npz(tmp_path / "a.npz")
    prepare_npz(source, tmp_path / "out")
    write_npz(source, extra=1, kind="foa")
    with pytest.raises(SynthError, match="inputs differ"):
        prepare_npz(source, tmp_path / "out")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    """`a b` and `a?b` would both become `a_b`: said, not overwritten in silence."""
    write_npz(tmp_path / "in.npz")
    for name in ("a b.npz", "a?b.npz"):
        os.makedirs(tmp_path / "in", exist_ok=True)
        write_npz(tmp_path / "in" / name)
    report = prepare_npz(tmp_path / "in", tmp_path / "out")
    assert any("would get this name" in p.what for p in report.problems)


def test_nothing_to_do_is_said(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="nothing to prepare"):
        prepare_tree(tmp_path / "out", "x", {}, Survey())


@pytest.mark.parametrize("text", ["../x", "..", ".hidden", "a/b", "a\0b", "", "x" * 300, "-rf"])
def test_names_become_plain_parts(text: str) -> None:
    part = safe_part(text)
    assert part
    assert len(part) <= 120
    assert not part.startswith((".", "-"))
    assert not set("/\0\\") & set(part)


def test_paths_stay_in_the_tree(tmp_path: Path) -> None:
    for path in ("../x.wav", "/x.wav", "a/../../x.wav", "a\0b"):
        with pytest.raises(SynthError):
            target_path(tmp_path, path)
