"""`s5kit bench models`: every net can be measured, and the figures say what they are."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from models import ModelError
from tools.bench_models import _makers, models

app = typer.Typer()
app.command()(models)
SHORT = ("--tiny", "--seconds", "1", "--repeat", "1")


def test_every_net_is_measured() -> None:
    result = CliRunner().invoke(app, [*SHORT, "--json", "--no-backward"], catch_exceptions=False)
    report = json.loads(result.output)
    assert {row["model"] for row in report["rows"]} == set(_makers(True, 0))
    assert all(row["forward"] > 0 and row["training"] is None for row in report["rows"])
    assert report["device"] == "cpu"


@pytest.mark.parametrize("name", ["m2d", "baseline2025", "baseline_resunetk", "cpjku_iterative"])
def test_gradients_and_precisions(name: str) -> None:
    words = [*SHORT, "--json", "--model", name, "--precision", "fp32", "--precision", "bf16"]
    report = json.loads(CliRunner().invoke(app, words, catch_exceptions=False).output)
    assert [row["precision"] for row in report["rows"]] == ["fp32", "bf16"]
    assert all(row["training"] > 0 for row in report["rows"])


def test_rows_are_printed_as_they_come() -> None:
    result = CliRunner().invoke(app, [*SHORT, "--model", "audiosep"], catch_exceptions=False)
    assert "clips/s" in result.output
    assert "with gradients" in result.output


@pytest.mark.parametrize("words", [("--model", "unet"), ("--precision", "int4")])
def test_unknown_nets_and_precisions_are_named(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*SHORT, *words])
    assert isinstance(result.exception, ModelError)
    assert words[1] in str(result.exception)
