"""`s5kit doctor` and `s5kit bench stream`: figures that somebody buys machines by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from synth import SynthError, build_catalog
from tests.builders import make_dev_set
from tools.bench_stream import stream
from tools.doctor import doctor

app = typer.Typer()
app.command("stream")(stream)
app.command("doctor")(doctor)

SHORT = ("--set", "scene.duration=0.5")


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalog")
    make_dev_set(folder / "dev_set", positions=6, taps=200, seconds=0.1, noise_seconds=0.6)
    build_catalog("dcase2025", folder / "dev_set", folder / "catalog", workers=1)
    return folder / "catalog"


def run(*arguments: object) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.stdout


def test_doctor_looks_measures_and_advises(catalog: Path, tmp_path: Path) -> None:
    text = run("doctor", "--catalog", catalog, "--scenes", 4, "--folder", tmp_path, *SHORT)
    for words in ("this machine", "cores", "numpy", "extras", "plan only", "to feed 1,200 clips/s (sed:"):
        assert words in text
    text = run("doctor", "--catalog", catalog, "--scenes", 4, "--step-clips-per-second", 0.001, *SHORT)
    assert "advice: live, rendered by CPU workers: data.source=live data.workers=1" in text


def test_doctor_without_a_catalog_measures_nothing() -> None:
    assert "nothing was measured: give --catalog" in run("doctor")
    with pytest.raises(SynthError, match="there is no step 'x'"):
        run("doctor", "--step", "x")


def test_bench_stream_measures_every_stage_and_loader(catalog: Path) -> None:
    options = ("--scenes", 4, "--workers", "0,1", "--batch-size", 2, "--seconds", 0.2, *SHORT)
    report: dict[str, Any] = json.loads(run("stream", "--catalog", catalog, "--json", *options))
    stages = report["stages_ms"]
    assert list(stages) == ["plan", "render", "sample", "encode", "read", "read+decode"]
    assert all(ms > 0 for ms in stages.values())
    assert stages["read+decode"] > stages["read"]
    none, one = report["loaders"]
    assert (none["workers"], one["workers"]) == (0, 1)
    assert none["scenes_per_s"] > 0
    assert one["scenes_per_s"] > 0
    assert none["worker_mb"] is None
    assert one["worker_mb"] is None or 10 < one["worker_mb"] < 200
    text = run("stream", "--catalog", catalog, *options[:-2], "--workers", "0", *SHORT)
    assert "SceneStream.loader, batches of 2" in text


def test_bench_stream_refuses_nonsense(catalog: Path) -> None:
    """Before anything is measured, not after a minute of it."""
    for text in ("two", "0,-1", "", "1,"):
        with pytest.raises(SynthError, match=f"'{text}' is no list of numbers"):
            run("stream", "--catalog", catalog, "--scenes", 4, "--workers", text, *SHORT)
