"""What a user would lose: SpatialScaper's rooms as a catalog in one line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from synth import Catalog
from tests.builders import around, room, write_sofa
from tools.prepare_spatialscaper import spatialscaper


def test_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = around(4)
    taps = room(np.random.default_rng(0), points, 60)
    write_sofa(tmp_path / "rirs" / "spatialscaper_RIRs" / "gym_foa.sofa", taps, points, rate=24_000)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    app = typer.Typer()
    app.command()(spatialscaper)
    arguments = [str(tmp_path / "rirs"), "--out", str(tmp_path / "catalog"), "--workers", "1"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert Catalog.load(tmp_path / "catalog").places["place"].tolist() == ["gym_foa"]
    assert "spatialscaper is not installed" in result.output
    assert "pip install" in result.output
