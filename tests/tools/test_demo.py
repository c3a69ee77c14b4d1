"""`s5kit demo build`: the command that a newcomer types first."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tools import demo


def test_the_command_builds_and_says_what_to_do_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer who does not learn where the files are and that they are synthetic."""
    asked = []

    def fake(out: Path, *, workers: int, progress: object) -> Path:
        asked.append((out, workers))
        progress(1, 2)  # type: ignore[operator]
        return out / "dev_set"

    monkeypatch.setattr("synth.build_demo", fake, raising=False)
    result = CliRunner().invoke(demo.app, ["build", "--out", str(tmp_path / "d"), "--workers", "3"])
    assert result.exit_code == 0, result.output
    assert asked == [(tmp_path / "d", 3)]
    assert "synthetic" in result.output
    assert f"s5kit catalog build {tmp_path / 'd' / 'dev_set'}" in result.output
    assert "licences.tsv" in result.output


def test_the_figures_stand_beside_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newcomer sees what was learnt, and what not listening would have given."""
    from training.demo import DemoFigures

    figures = DemoFigures(60, 38.3, 6.7, 0.74, 2.21, 120.0)
    monkeypatch.setattr("training.demo.learn", lambda tables, out, progress: figures)
    with demo.console.capture() as shown:
        assert demo._learn(tmp_path, tmp_path / "training") == tmp_path / "training" / "system.yaml"
    for text in ("38.3 %", "6.7 %", "0.74 dB", "2.21 dB", "synthetic"):
        assert text in shown.get()


def test_without_torch_the_demo_says_how_to_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator's part works where nothing heavy is installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with demo.console.capture() as shown:
        assert demo._learn(tmp_path, tmp_path) is None
    assert "pip install 's5kit[train]'" in shown.get()
