"""`s5kit weights`: a checkpoint in, a net and an account of every key out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from models import ModelError, create_separator, export_reference, load_model
from tools.weights import app, parse_settings


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(word) for word in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    state = export_reference(create_separator("baseline_resunet-tiny"))
    path = tmp_path / "resunet.ckpt"
    torch.save({"state_dict": {f"model.{key}": tensor for key, tensor in state.items()}}, path)
    return path


def test_import_then_export_gives_the_checkpoint_back(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.safetensors"
    text = run("import", checkpoint, "--as", "baseline2025", "--out", out, "--set", "hop=80")
    assert "51,531 parameters" in text
    assert "the reference saves it and never uses it" in text
    assert load_model(out).config.hop == 80
    for name in ("back.ckpt", "back.pt", "back.safetensors"):
        run("export", out, "--out", tmp_path / name)
    first = torch.load(checkpoint, weights_only=True)["state_dict"]
    again = torch.load(tmp_path / "back.ckpt", weights_only=True)["state_dict"]
    bare = torch.load(tmp_path / "back.pt", weights_only=True)
    assert first.keys() == again.keys() == {f"model.{key}" for key in bare}
    for key, tensor in first.items():
        assert torch.equal(again[key], tensor), key


def test_every_key_is_told_as_json(checkpoint: Path, tmp_path: Path) -> None:
    words = ("--as", "baseline2025", "--out", tmp_path / "net", "--set", "hop=80", "--json")
    account = json.loads(run("import", checkpoint, *words))
    held = torch.load(checkpoint, weights_only=True)["state_dict"].keys()
    assert account["used"].keys() | account["dropped"].keys() == held
    assert json.loads((tmp_path / "net" / "model.report.json").read_text()) == account


def test_the_list_names_address_size_and_licence() -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--json"))}
    assert rows["beats-strong"]["address"].startswith("https://")
    assert rows["m2d-strong"]["terms"] == "NTT"
    assert all(row["licence"] for row in rows.values())
    assert "not stated" in run("list")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "one checkpoint is needed"),
        (("x.ckpt",), "origin of the file is not given"),
        (("x.ckpt", "--as", "wavlm"), "unknown origin 'wavlm'"),
        (("x.ckpt", "--as", "baseline2025"), "cannot be read"),
        (("x.ckpt", "--as", "baseline2025", "--target", "cpjku_iterative"), "no way from"),
        (("--download", "m2d-strong"), "NTT"),
        (("--download", "m2d-strong", "x.ckpt"), "one checkpoint is needed"),
        (("--download", "cpjku-sed"), "by hand"),
    ],
)
def test_wrong_calls_say_what_to_do(words: tuple[str, ...], named: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["import", *words, "--out", str(tmp_path / "net.safetensors")])
    assert isinstance(result.exception, ModelError)
    assert named in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_settings_are_nested_yaml() -> None:
    assert parse_settings(["hop=80", "sed.size=tiny", "sed.head_norm=true"]) == {
        "hop": 80,
        "sed": {"size": "tiny", "head_norm": True},
    }
    for wrong in ("hop", "=3", "a=[", "a=!!python/name:os.system"):
        with pytest.raises(ModelError, match="KEY=VALUE"):
            parse_settings([wrong])


def test_the_command_line_starts_without_torch() -> None:
    code = "import sys, tools.weights, tools.bench_models; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
