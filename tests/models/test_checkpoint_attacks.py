"""Damaged and hostile checkpoints are refused with their fault named, and nothing in them is run."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from models.checkpoints import import_weights, load_model
from models.checkpoints.reading import read_tensors
from models.errors import ModelError


def refused(path: Path) -> ModelError:
    with pytest.raises(ModelError) as raised:
        import_weights(path, "baseline2025", path.with_name("out.safetensors"), settings={"hop": 80})
    assert str(path) in str(raised.value)
    return raised.value


def attack(target: Path, *, protocol: int = 2) -> bytes:
    """A pickle that runs a shell command when a careless reader loads it."""
    command = f"touch {target}".encode()
    text = b"X" + struct.pack("<I", len(command)) + command
    if protocol == 4:
        names = b"".join(b"\x8c" + bytes([len(n)]) + n for n in (b"posix", b"system"))
        return b"\x80\x04" + names + b"\x93" + text + b"\x85R."
    return b"\x80\x02cposix\nsystem\n" + text + b"\x85R."


def archive(path: Path, pickle: bytes, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("x/data.pkl", pickle)
        for name, data in entries.items():
            out.writestr(f"x/{name}", data)
    return path


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("wrapping", ["zip", "legacy", "renamed"])
def test_code_in_a_pickle_is_named_and_not_run(protocol: int, wrapping: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    code = attack(canary, protocol=protocol)
    path = tmp_path / ("x.safetensors" if wrapping == "renamed" else "x.pt")
    if wrapping == "zip":
        archive(path, code)
    else:
        path.write_bytes(code)
    assert "posix.system" in str(refused(path))
    with pytest.raises(ModelError):
        load_model(path.rename(tmp_path / "y.safetensors"))
    assert not canary.exists()


def test_code_after_an_innocent_pickle_is_found(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    magic = (
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # torch's old format begins with a number of its own
    )
    (tmp_path / "x.pt").write_bytes(magic + b"\x80\x02M\xe9\x03." + attack(canary))
    assert "posix.system" in str(refused(tmp_path / "x.pt"))
    assert not canary.exists()


def test_other_archives_and_programs_are_refused(tmp_path: Path) -> None:
    plain = b"\x80\x02}."
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as out:
        out.writestr("m2dat.ckpt", b"x")
    assert "unpack it" in str(refused(tmp_path / "a.zip"))
    assert "TorchScript" in str(refused(archive(tmp_path / "b.pt", plain, **{"code/x.py": b"1"})))
    with zipfile.ZipFile(tmp_path / "c.pt", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("x/data.pkl", plain + b" " * 1000)
    assert "compressed" in str(refused(tmp_path / "c.pt"))
    (tmp_path / "d.pt").write_bytes(b"RIFF....WAVE")
    assert "neither" in str(refused(tmp_path / "d.pt"))
    assert "cannot be read" in str(refused(tmp_path / "none.pt"))


def test_things_that_are_no_weights_are_named(tmp_path: Path) -> None:
    for value, named in (
        ([1, 2], "list"),
        ({"a": 3}, "'a' is a int"),
        ({"a": torch.zeros(2).to_sparse()}, "_rebuild_sparse_tensor"),
        ({"a": torch.zeros(1).expand(1000, 1000)}, "stores less"),
        ({"a": torch.tensor([1.0, float("nan")])}, "a holds NaN"),
    ):
        torch.save(value, tmp_path / "x.pt")
        assert named in str(refused(tmp_path / "x.pt"))


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    tensors = {"base.bn0.weight": torch.arange(5.0), "model.x": torch.ones(3, 2)}
    torch.save(tensors, folder / "zip")
    torch.save(tensors, folder / "legacy", _use_new_zipfile_serialization=False)
    save_file(tensors, folder / "safetensors")
    return folder


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_whole_small_files_are_read(kind: str, small_files: Path) -> None:
    assert torch.equal(read_tensors(small_files / kind)["base.bn0.weight"], torch.arange(5.0))


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@settings(max_examples=25)
@given(data=st.data())
def test_truncated_files_are_refused(kind: str, data: st.DataObject, small_files: Path) -> None:
    whole = (small_files / kind).read_bytes()
    path = small_files / f"cut-{kind}"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(ModelError):
        read_tensors(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@settings(max_examples=40)
@given(data=st.data())
def test_damaged_files_are_refused_or_hold_tensors(kind: str, data: st.DataObject, small_files: Path) -> None:
    damaged = bytearray((small_files / kind).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    path = small_files / f"damaged-{kind}"
    path.write_bytes(damaged)
    try:
        state = read_tensors(path)
    except ModelError:
        return
    assert all(isinstance(tensor, torch.Tensor) for tensor in state.values())
