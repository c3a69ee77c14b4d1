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
