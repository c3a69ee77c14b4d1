"""`s5kit recipes`: what a user sees of the presets."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from synth import SynthError, list_recipes, load_recipe
from tools.recipes import app


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_bare_command_lists_every_preset_with_its_title() -> None:
    output = run()
    for name in list_recipes():
        assert name in output
    assert "DCASE 2025 Task 4" in output
    assert "synthetic" in output


def test_show_prints_a_recipe_that_can_be_used_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(run("show", "dcase2026"))
    assert load_recipe(path) == load_recipe("dcase2026")


def test_show_applies_overrides_and_keeps_comments(tmp_path: Path) -> None:
    changes = ["targets.snr_db=[0,10]", "targets.classes=[Speech, Cough]", "rirs.trim.seconds=0.5"]
    path = tmp_path / "mine.yaml"
    path.write_text(run("show", "demo", *(word for change in changes for word in ("--set", change))))
    assert load_recipe(path) == load_recipe("demo", changes)
    assert path.read_text().count("#") == run("show", "demo").count("#")


def test_a_wrong_override_or_name_is_an_error_with_a_hint() -> None:
    runner = CliRunner()
    result = runner.invoke(app, ["show", "demo", "--set", "targets.snrdb=[0,10]"])
    assert isinstance(result.exception, SynthError)
    assert "did you mean targets.snr_db?" in str(result.exception)
    with pytest.raises(SynthError, match=r"did you mean dcase2025\?"):
        runner.invoke(app, ["show", "dcase205"], catch_exceptions=False)
