"""`s5kit bench effects`: every effect is measured, and the command runs where torch does."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from synth.scenes.effect_sections import EventEffectsSection
from tools import bench_effects
from tools.bench import app


def test_every_effect_of_events_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who wonders what slows a stream down finds every effect in the table."""
    monkeypatch.setattr(bench_effects, "SAMPLES", 3_200)
    run = CliRunner().invoke(app, ["effects", "--repeats", "1", "--json"], catch_exceptions=False)
    assert run.exit_code == 0
    ms = json.loads(run.stdout)["ms"]
    assert {f"event: {name}" for name in EventEffectsSection.model_fields if name != "apply_to"} <= set(ms)
    assert all(value > 0 for value in ms.values())
