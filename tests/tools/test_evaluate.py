"""The commands that a user scores, selects and tunes with; they compute nothing themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from synth import SynthError
from tests.builders import write_wav
from tests.training.scoring import save_models, test_folder
from tools.cli import app
from training.scenes_to_score import open_scenes
from training.systems import open_system

SYSTEM = "name: toy\ntaggers: [{weights: 'sed/*.safetensors'}]\nseparators: [{weights: 'separators/*.safetensors'}]\niterations: 1\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    save_models(folder, taggers=2, separators=1)
    (folder / "toy.yaml").write_text(SYSTEM)
    files = {"a1": ["a1_Speech.wav", "a1_Cough.wav"], "a2": ["a2_Dishes.wav"]}
    test_folder(folder / "test", files)
    test_folder(folder / "valid", files)
    return folder


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_folder_of_estimates_is_scored(home: Path, tmp_path: Path) -> None:
    scenes = open_scenes(home / "test")
    for n, name in enumerate(scenes.names):
        for target in scenes.read(n).targets:
            write_wav(tmp_path / "mine" / f"{name}_{target.label}.wav", target.waveform)
    text = run(
        "evaluate", "--estimates", tmp_path / "mine", "--data", home / "test", "--out", tmp_path / "out"
    )
    assert "2 scenes, rules of 2025" in text
    assert "label accuracy (2025)" in text
    assert "100.000 %" in text
    figures = json.loads((tmp_path / "out" / "report.json").read_text())["figures"]
    assert figures["label_accuracy"] == 100.0
    assert figures["ca_sdri"] > 60
    assert len((tmp_path / "out" / "scenes.csv").read_text().splitlines()) == 3


def test_a_system_is_scored_in_memory_and_streamed_alike(home: Path, tmp_path: Path) -> None:
    common = (
        "--system",
        home / "toy.yaml",
        "--data",
        home / "test",
        "--json",
        "--device",
        "cpu",
        "--labels",
        "oracle",
    )
    one = json.loads(run("evaluate", *common))
    two = json.loads(run("evaluate", *common, "--cache", tmp_path, "--batch-size", 1))
    assert one["figures"]["label_accuracy"] == 100.0
    for name, value in one["figures"].items():
        assert two["figures"][name] == pytest.approx(value, abs=1e-3)


def test_models_are_chosen_and_thresholds_tuned_on_validation_data_only(home: Path, tmp_path: Path) -> None:
    common = ("--system", home / "toy.yaml", "--cache", tmp_path / "cache", "--device", "cpu")
    text = run(
        "ensemble", "select", *common, "--data", home / "valid", "--out", tmp_path / "some.yaml", "--most", 1
    )
    assert "written" in text
    assert len(open_system(tmp_path / "some.yaml").taggers) == 1
    text = run("ensemble", "thresholds", *common, "--data", home / "valid", "--out", tmp_path / "tuned.yaml")
    assert "% before" in text
    assert open_system(tmp_path / "tuned.yaml").file.threshold != 0.5
    for command in ("select", "thresholds"):
        with pytest.raises(SynthError, match="it is test data"):
            run("ensemble", command, *common, "--data", home / "test", "--out", tmp_path / "no.yaml")
    assert not (tmp_path / "no.yaml").exists()


def test_the_shipped_systems_are_listed() -> None:
    text = run("ensemble", "list")
    for name in ("cpjku-s1", "cpjku-s2", "cpjku-s3", "cpjku-s4", "baseline2025", "baseline2026"):
        assert name in text


def test_one_thing_is_scored(home: Path) -> None:
    with pytest.raises(SynthError, match="give either"):
        run("evaluate", "--data", home / "test")


def test_auto_is_a_device_that_exists(home: Path) -> None:
    from tools.evaluate import chosen_device

    assert chosen_device("cpu") == "cpu"
    assert chosen_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
