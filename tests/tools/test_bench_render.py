"""`s5kit bench render` measures and checks on any machine; its figures are whole on one without a GPU."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from synth import build_catalog
from tests.builders import make_dev_set
from tools.cli import app


def test_every_stage_is_timed_and_the_scenes_are_compared(tmp_path: Path) -> None:
    """Who reads the table can trust that both renderers made the same scenes."""
    built = build_catalog("dcase2025", make_dev_set(tmp_path / "dev_set"), tmp_path / "catalog")
    assert built.result is not None
    args = ["bench", "render", "--catalog", str(tmp_path / "catalog"), "--set", "scene.duration=1.0",
            "--set", "scene.max_event_duration=0.5", "--batch", "2", "--batches", "1", "--check", "3"]  # fmt: skip
    found = CliRunner().invoke(app, [*args, "--json"], catch_exceptions=False)
    report = json.loads(found.stdout)
    assert set(report["stages"]) == {"noise", "mixture", "mixture + dry", "all stems"}
    assert all(time > 0 for stage in report["stages"].values() for time in stage.values())
    assert report["check"].pop("scenes") == 3
    assert 0 < max(report["check"].values()) < 1e-5
    assert report["one_by_one_us"] > 0
    table = CliRunner().invoke(app, args, catch_exceptions=False).stdout
    assert "rendered on CPU tensors" in table
    assert "worst difference" in table
