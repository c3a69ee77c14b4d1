"""What a user would lose: one command from a folder of sounds to a catalog, and plain words when it fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from synth import Catalog, SynthError
from tests.builders import make_dev_set, write_wav
from tools.catalog import app

runner = CliRunner()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_dev_set(tmp_path / "dev_set", classes=("Speech", "Cough"), positions=3, taps=60, seconds=0.05)


def build(root: Path, out: Path, *options: str) -> tuple[int, str]:
    arguments = ["build", str(root), "--layout", "dcase2025", "--out", str(out), "--workers", "1", *options]
    result = runner.invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def test_a_good_tree(root: Path, tmp_path: Path) -> None:
    code, text = build(root, tmp_path / "out")
    assert code == 0
    assert len(Catalog.load(tmp_path / "out").events) == 8
    for word in (
        "Target events",
        "Speech",
        "Cough",
        "Rain",
        "Noises",
        "Rooms",
        "positions",
        "train",
        "valid",
    ):
        assert word in text
    assert "problem" not in text
    assert list((tmp_path / "out" / "cache").glob("spectra-*"))


def test_problems_are_listed_and_nothing_is_written(root: Path, tmp_path: Path) -> None:
    bad = write_wav(root / "noise" / "train" / "two channels.wav", np.full((2, 50), 0.1))
    silent = write_wav(root / "sound_event" / "train" / "Cough" / "silent.wav", np.zeros(50))
    code, text = build(root, tmp_path / "out")
    assert code == 1
    assert not (tmp_path / "out" / "catalog.json").exists()
    assert text.count("problem:") == 2
    for path in (bad, silent):
        assert f"{path}: " in text
    assert "a noise with 2 channel(s)" in text
    assert "--skip-bad" in text
    code, text = build(root, tmp_path / "out", "--skip-bad")
    assert code == 0
    assert text.count("problem:") == 2
    assert "2 problem(s) left out" in text
    assert len(Catalog.load(tmp_path / "out").noises) == 2


def test_headers_only(root: Path, tmp_path: Path) -> None:
    code, _ = build(root, tmp_path / "out", "--no-cache")
    assert code == 0
    assert not (tmp_path / "out" / "cache").exists()


def test_licences(root: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "l.csv"
    ledger.write_text("file,licence\nnoise_train_0.wav,CC0\n")
    code, text = build(root, tmp_path / "out", "--licences", str(ledger))
    assert code == 0
    assert Catalog.load(tmp_path / "out").noises["licence"].tolist() == ["CC0", "unknown"]
    assert "are not in the table of licences" in text


def test_errors_reach_the_command_line(root: Path, tmp_path: Path) -> None:
    """The `s5kit` command turns them into a message and exit status 1."""
    with pytest.raises(SynthError, match="no dev_set"):
        build(root / "noise", tmp_path / "out")
