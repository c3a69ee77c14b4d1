"""The command line as a whole: what a user types, what comes back when it goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from synth import build_catalog
from tests.builders import make_dev_set
from tools import cli

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    build_catalog("dcase2025", make_dev_set(folder / "dev_set"), folder / "catalog")
    return folder / "catalog"


def s5kit(
    *words: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, str, str]:
    """Run the program in this process; return its status, output and messages."""
    monkeypatch.setattr(sys, "argv", ["s5kit", *map(str, words)])
    status = 0
    try:
        cli.main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    return lambda *words: s5kit(*words, capsys=capsys, monkeypatch=monkeypatch)


def test_every_group_of_commands_is_there(run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for command in ("catalog", "recipes", "plan", "render", "synth", "verify", "bench", "demo", "weights"):
        assert command in out


def test_a_user_error_is_one_message_without_a_traceback(run, tmp_path: Path) -> None:
    status, _, err = run("plan", "--recipe", "dcase2O25", "--catalog", tmp_path)
    assert status == 1
    assert err.startswith("error: dcase2O25: no such recipe (did you mean dcase2025?")
    assert "Traceback" not in err


def test_a_scene_goes_from_paper_to_sound(run, catalog: Path, tmp_path: Path) -> None:
    status, out, _ = run(
        "plan",
        "--recipe",
        "dcase2025",
        "--catalog",
        catalog,
        "--seed",
        4,
        "--index",
        2,
        "--set",
        "targets.count=2",
    )
    assert status == 0
    spec = json.loads(out)
    assert (spec["origin"]["seed"], spec["origin"]["index"]) == (4, 2)
    (tmp_path / "scene.json").write_text(out)
    status, _, _ = run(
        "render",
        tmp_path / "scene.json",
        "--catalog",
        catalog,
        "--out",
        tmp_path / "out",
        "--dcase-json",
        tmp_path / "official.json",
    )
    assert status == 0
    mixture, rate = soundfile.read(tmp_path / "out" / "mixture.wav")
    assert (mixture.shape, rate) == ((320_000, 4), 32_000)
    assert json.loads((tmp_path / "official.json").read_text())["config"]["sr"] == 32_000
    status, _, _ = run(
        "render",
        tmp_path / "scene.json",
        "--data-root",
        catalog.parent / "dev_set",
        "--out",
        tmp_path / "files",
    )
    assert status == 0
    again, _ = soundfile.read(tmp_path / "files" / "mixture.wav")
    assert np.array_equal(again, mixture)


def test_several_plans_are_lines_of_json(run, catalog: Path) -> None:
    status, out, _ = run(
        "plan",
        "--recipe",
        "dcase2026",
        "--catalog",
        catalog,
        "--count",
        3,
        "--set",
        "targets.same_class.rate=0",
    )
    assert status == 0
    assert [json.loads(line)["origin"]["index"] for line in out.splitlines()] == [0, 1, 2]


def test_the_benchmark_reports_every_stage(run, catalog: Path) -> None:
    status, out, _ = run(
        "bench", "generator", "--catalog", catalog, "--scenes", 3, "--processes", 1, "--json"
    )
    assert status == 0
    report = json.loads(out)
    assert set(report["stages"]) == {"plan", "decode", "render", "encode", "plan+render", "whole"}
    assert all(stage["scenes_per_s"] > 0 for stage in report["stages"].values())
    assert report["peer"]["worst_relative_difference"] < 2e-6


def test_a_missing_extra_is_named(run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def without_torch() -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(cli, "app", without_torch)
    status, _, err = run("weights", "list")
    assert status == 1
    assert "pip install 's5kit[models]'" in err


def test_another_package_of_the_same_name_is_pointed_out(tmp_path: Path) -> None:
    """`models` and `tools` are common names: a user is told whose files run."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "__init__.py").write_text("")
    code = f"import sys; sys.path.insert(1, {str(ROOT)!r}); from tools.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.argv = ['s5kit', '--help']; sys.path.insert(0, {str(tmp_path)!r}); {code}",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"s5kit runs from {ROOT}" in done.stderr
    assert str(tmp_path / "training") in done.stderr


def test_the_demo_runs_from_sounds_to_verified_shards(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make demo` in small: every step, with few sounds and scenes."""
    from synth.assets.demo import build
    from synth.assets.demo.request import Request

    classes = ("Speech", "Doorbell", "Percussion", "Pour", "Dog", "Rain")
    rooms = ("synthetic_studio_a", "synthetic_study_a")
    small = Request(classes=classes, files_per_class=3, noises=2, noise_s=12.0, places=rooms, positions=6)
    whole = build.build_demo
    monkeypatch.setattr(
        "synth.build_demo", lambda out, **options: whole(out, request=small, **options), raising=False
    )
    options = ("--num-scenes", 4, "--workers", 1, "--no-train")
    status, out, err = run("demo", "run", "--out", tmp_path / "demo", *options)
    assert status == 0, err
    assert "4 scene(s) rendered again: 4 identical" in out
    assert "synthetic" in out
    assert len(list((tmp_path / "demo" / "corpus").glob("*.tar"))) == 1
    assert (tmp_path / "demo" / "report" / "index.html").read_text().startswith("<!doctype html>")
