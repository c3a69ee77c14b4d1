"""A checkpoint that cannot be trusted costs the days since the last one that can."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from models import ModelError, Origin, create_sed, load_model
from synth import SynthError
from tests.training.driver import DiskCalls, toy_state
from training.checkpoint import MANIFEST, clear_leftovers, newest_checkpoint, verify, write_checkpoint
from training.optimizer_state import flatten
from training.run_folder import RunFolder, save_net
from training.state import TrainState

ROOT = Path(__file__).parents[2]


def write(folder: Path, step: int, keep: int = 10) -> Path:
    return write_checkpoint(folder, step, toy_state(folder, step).write, keep=keep)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def seal(path: Path) -> None:
    """Write the manifest anew, as someone would who means harm."""
    content = json.loads((path / MANIFEST).read_text())
    for name in content["files"]:
        data = (path / name).read_bytes()
        content["files"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (path / MANIFEST).write_text(json.dumps(content))


def same(one: TrainState, other: TrainState) -> bool:
    weights = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    (moments, groups), (others, _) = (flatten(state.optimizer, state.model) for state in (one, other))
    return (
        all(torch.equal(a, b) for a, b in weights)
        and moments.keys() == others.keys()
        and len(moments) == 3 * sum(map(len, groups))
        and all(torch.equal(moments[key], others[key]) for key in moments)
        and one.counters == other.counters
    )


class TestWriting:
    def test_what_is_read_is_what_was_written(self, tmp_path: Path) -> None:
        written = toy_state(tmp_path, 5)
        path = write_checkpoint(tmp_path / "c", 5, written.write, keep=1)
        read = toy_state(tmp_path, 1)
        assert not same(read, written)
        read.read(path)
        assert same(read, written)
        assert read.ema is not None
        assert written.ema is not None
        with read.ema.applied(), written.ema.applied():
            assert same(read, written)

    def test_there_are_only_tensors_and_json(self, tmp_path: Path) -> None:
        path = write(tmp_path / "c", 5)
        assert names(path) == [
            MANIFEST,
            "ema.safetensors",
            "model.safetensors",
            "optimizer.safetensors",
            "state.json",
        ]
        moments = load_file(path / "optimizer.safetensors")
        assert {"exp_avg/0.weight", "exp_avg_sq/4.bias", "step/1.weight"} <= moments.keys()
        digest = hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
        assert json.loads((path / MANIFEST).read_text())["files"]["model.safetensors"]["sha256"] == digest

    def test_old_ones_go_last(self, tmp_path: Path) -> None:
        for step in (1, 2, 3, 4):
            write(tmp_path, step, keep=2)
        assert names(tmp_path) == ["step-000000003", "step-000000004"]

    def test_a_damaged_later_one_does_not_push_out_the_valid(self, tmp_path: Path) -> None:
        write(tmp_path, 1)
        (write(tmp_path, 9) / MANIFEST).unlink()
        write(tmp_path, 2, keep=1)
        found = newest_checkpoint(tmp_path)
        assert found.step == 2
        assert len(found.skipped) == 1

    def test_a_step_can_be_written_again(self, tmp_path: Path) -> None:
        path = write(tmp_path, 3)
        (path / "state.json").write_text("{}")
        assert verify(write(tmp_path, 3)) == 3
        assert names(tmp_path) == ["step-000000003"]

    def test_killed_at_every_call_that_changes_the_disk(self, tmp_path: Path) -> None:
        """SQLite's way: die at the first call, then at the second, … until a writer gets through."""
        command = [sys.executable, "-m", "tests.training.driver", "every", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["calls"] >= 20
        assert told["older"] > 5
        assert told["newer"] > 2

    @pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
    def test_refused_at_every_call(self, fault: int, tmp_path: Path) -> None:
        refused, states = 0, {step: toy_state(tmp_path, step) for step in (1, 2)}

        def write(out: Path, step: int, keep: int) -> None:
            write_checkpoint(out, step, states[step].write, keep=keep)

        for call in range(1, 1000):
            out = tmp_path / f"call{call}"
            write(out, 1, keep=1)
            message = self.failing(call, fault, out, states[2])
            assert newest_checkpoint(out).step in (1, 2)
            clear_leftovers(out)
            assert newest_checkpoint(out).path is not None
            write(out, 2, keep=1)
            assert names(out) == ["step-000000002"]
            shutil.rmtree(out)
            if message is None:
                break
            refused += message != ""
            assert message == "" or os.strerror(fault) in message
            assert message == "" or "run the same command again" in message
        assert refused > 12

    def failing(self, call: int, fault: int, out: Path, state: TrainState) -> str | None:
        """Return what the writer says whose n-th call fails: "" for a fault that harms nothing, None for no call."""

        def refuse(_: str) -> None:
            raise OSError(fault, os.strerror(fault))

        with pytest.MonkeyPatch.context() as patch:
            calls = DiskCalls(call, refuse)
            calls.install(patch.setattr)
            try:
                write_checkpoint(out, 2, state.write, keep=1)
            except SynthError as error:
                return str(error)
        return None if calls.count < call else ""

    def test_between_two_names_the_older_comes_back(self, tmp_path: Path) -> None:
        """A run that dies while it replaces a step by itself leaves only hidden folders."""
        path = write(tmp_path, 4)
        path.rename(tmp_path / ".step-000000004.7-ab.partial")
        (tmp_path / ".step-000000005.7-cd.partial").mkdir()
        clear_leftovers(tmp_path)
        assert names(tmp_path) == ["step-000000004"]
        assert newest_checkpoint(tmp_path).step == 4


class TestFinding:
    def test_none_yet(self, tmp_path: Path) -> None:
        assert newest_checkpoint(tmp_path / "none").path is None

    @pytest.mark.parametrize(
        ("harm", "named"),
        [
            (lambda p: (p / MANIFEST).unlink(), "cannot be read"),
            (lambda p: (p / "state.json").unlink(), "'state.json' is missing"),
            (lambda p: os.truncate(p / "model.safetensors", 100), "model.safetensors has 100 bytes"),
            (lambda p: flip(p / "optimizer.safetensors"), r"optimizer.safetensors is damaged \(its SHA-256"),
            (lambda p: (p / MANIFEST).write_text("{"), "not valid JSON"),
            (lambda p: (p / MANIFEST).write_text("[]"), "manifest is damaged"),
            (lambda p: (p / MANIFEST).write_text('{"format": 2, "files": {}}'), "manifest is damaged"),
            (lambda p: relink(p / "model.safetensors"), "is missing"),
            (lambda p: shutil.copy(p.with_name("step-000000001") / MANIFEST, p), "has|damaged|step 1"),
        ],
    )
    def test_what_is_not_whole_is_skipped_and_said(
        self, harm: Callable[[Path], Any], named: str, tmp_path: Path
    ) -> None:
        write(tmp_path, 1)
        harm(write(tmp_path, 2))
        found = newest_checkpoint(tmp_path)
        assert found.step == 1
        assert len(found.skipped) == 1
        with pytest.raises(SynthError, match=named):
            verify(tmp_path / "step-000000002")

    def test_a_disk_that_cannot_read_one_has_another(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(tmp_path, 1)
        bad = write(tmp_path, 2)

        def failing(path: Path) -> str:
            if path.parent == bad:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return hashlib.sha256(path.read_bytes()).hexdigest()

        monkeypatch.setattr("training.checkpoint.sha256_file", failing)
        found = newest_checkpoint(tmp_path)
        assert found.step == 1
        assert "cannot be read: Input/output error" in found.skipped[0]

    def test_if_none_is_whole_nothing_starts_anew_by_itself(self, tmp_path: Path) -> None:
        for step in (1, 2):
            (write(tmp_path, step) / "state.json").unlink()
        with pytest.raises(SynthError, match="none of 2 checkpoint"):
            newest_checkpoint(tmp_path)

    @settings(max_examples=60)
    @given(data=st.data())
    def test_every_changed_byte_is_found(self, data: st.DataObject, tmp_path: Path) -> None:
        path = tmp_path / "step-000000001"
        if not path.exists():
            write(tmp_path, 1)
        name = data.draw(st.sampled_from(names(path)))
        whole = (path / name).read_bytes()
        place = data.draw(st.integers(0, len(whole) - 1))
        changed = bytearray(whole)
        changed[place] ^= data.draw(st.integers(1, 255))
        (path / name).write_bytes(changed)
        try:
            verify(path)
        except SynthError:
            return
        finally:
            (path / name).write_bytes(whole)
        assert name == MANIFEST  # only there can a change mean nothing (white space)
        assert json.loads(changed) == json.loads(whole)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def relink(path: Path) -> None:
    path.rename(path.with_suffix(".bak"))
    path.symlink_to(path.with_suffix(".bak"))


def hostile_pickle(canary: Path) -> bytes:
    command = f"touch {canary}".encode()
    return b"\x80\x02cposix\nsystem\nX" + struct.pack("<I", len(command)) + command + b"\x85R."


class TestHostile:
    """A checkpoint that someone sent: its manifest is right, its content is not."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return write(tmp_path / "c", 2)

    def refused(self, path: Path, tmp_path: Path) -> str:
        seal(path)
        verify(path)
        with pytest.raises((SynthError, ModelError)) as raised:
            toy_state(tmp_path, 1).read(path)
        return str(raised.value)

    @pytest.mark.parametrize("name", ["model", "ema", "optimizer"])
    def test_code_is_not_run(self, name: str, path: Path, tmp_path: Path) -> None:
        canary = tmp_path / "canary"
        (path / f"{name}.safetensors").write_bytes(hostile_pickle(canary))
        assert f"{name}.safetensors" in self.refused(path, tmp_path)
        assert not canary.exists()

    @pytest.mark.parametrize("name", ["model", "ema", "optimizer"])
    @pytest.mark.parametrize(
        "header", [b"\xff" * 8, struct.pack("<Q", 1 << 40), struct.pack("<Q", 10) + b"{" * 10]
    )
    def test_headers_that_lie(self, header: bytes, name: str, path: Path, tmp_path: Path) -> None:
        (path / f"{name}.safetensors").write_bytes(header)
        assert "not a readable safetensors file" in self.refused(path, tmp_path)

    @pytest.mark.parametrize("name", ["model", "ema", "optimizer"])
    @pytest.mark.parametrize("harm", ["shape", "extra", "missing", "name"])
    def test_tensors_that_do_not_fit(self, harm: str, name: str, path: Path, tmp_path: Path) -> None:
        file = path / f"{name}.safetensors"
        tensors = load_file(file)
        key = next(k for k in sorted(tensors) if k.endswith("0.weight"))
        if harm == "shape":
            tensors[key] = torch.zeros(3, 3)
        elif harm == "extra":
            tensors["exp_avg/9.weight"] = torch.zeros(1)
        elif harm == "missing":
            del tensors[key]
        else:
            tensors["odd" + key] = tensors.pop(key)
        save_file(tensors, file)
        assert "0.weight" in (text := self.refused(path, tmp_path)) or "9.weight" in text

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("counters", {"step": -1}),
            ("counters", {"step": "2"}),
            ("counters", {"step": 2, "odd": 1}),
            ("counters", {"window": {"loss": [1.0]}}),
            ("counters", None),
            ("groups", [["0.weight"]]),
            ("groups", 3),
            ("config", []),
            ("format", 2),
            ("scaler", {"scale": "x"}),
            ("odd", 1),
        ],
    )
    def test_a_state_that_is_none(self, key: str, value: object, path: Path, tmp_path: Path) -> None:
        content = json.loads((path / "state.json").read_text())
        (path / "state.json").write_text(json.dumps(content | {key: value}))
        assert str(path) in self.refused(path, tmp_path)

    @pytest.mark.parametrize(
        "text", ["", "null", "NaN", '{"a": NaN}', "[" * 100_000, '{"a": 1, "a": 2}', "\xff"]
    )
    def test_json_that_is_none(self, text: str, path: Path, tmp_path: Path) -> None:
        (path / "state.json").write_text(text, encoding="latin-1")
        assert "state.json" in self.refused(path, tmp_path)

    @pytest.mark.parametrize("name", ["../x.json", "/etc/passwd", "a/b.json", "x.pkl", "x.pt", ""])
    def test_names_that_lead_elsewhere(self, name: str, path: Path) -> None:
        content = json.loads((path / MANIFEST).read_text())
        content["files"][name] = {"size": 1, "sha256": "0"}
        (path / MANIFEST).write_text(json.dumps(content))
        with pytest.raises(SynthError, match="is missing"):
            verify(path)

    @settings(max_examples=40)
    @given(data=st.data())
    def test_random_damage_is_refused_or_harmless(self, data: st.DataObject, tmp_path: Path) -> None:
        path = tmp_path / "f" / "step-000000002"
        if not path.exists():
            write(tmp_path / "f", 2)
        name = data.draw(st.sampled_from(["state.json", "optimizer.safetensors", "model.safetensors"]))
        whole = (path / name).read_bytes()
        damaged = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, min(len(whole), 600) - 1))] ^= data.draw(st.integers(1, 255))
        (path / name).write_bytes(damaged)
        seal(path)
        try:
            toy_state(tmp_path, 1).read(path)
        except (SynthError, ModelError):
            pass
        finally:
            (path / name).write_bytes(whole)
            seal(path)


def test_best_weights_are_a_model_for_anybody(tmp_path: Path) -> None:
    """`load_model(best)` needs nothing of the training code, and the licence of the start is still said."""
    model = create_sed("m2d", size="tiny")
    model.origin = Origin(source="M2D", licence="CC-BY-NC", share=False)  # type: ignore[assignment]
    RunFolder(tmp_path, main=True).save_weights("best", model, 7, {"loss": 0.5})
    loaded = load_model(tmp_path / "best")
    for one, other in zip(model.state_dict().values(), loaded.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    origin: Any = loaded.origin
    assert "step 7" in origin.source
    assert origin.licence == "CC-BY-NC"
    assert origin.share is False
    assert origin.notes["figures"] == {"loss": 0.5}
    save_net(model, tmp_path / "model.safetensors")
    assert isinstance(load_model(tmp_path / "model.safetensors"), type(model))
