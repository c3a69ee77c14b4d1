"""The command that writes what is handed in."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from synth import ProblemsError, SynthError
from tests.builders import write_wav
from tests.tools.test_evaluate import SYSTEM, run
from tests.training.scoring import save_models, sound, test_folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    save_models(tmp_path, taggers=1, separators=1)
    (tmp_path / "toy.yaml").write_text(SYSTEM)
    test_folder(tmp_path / "eval_set", {"eval_0001": [], "eval_0002": []})
    return tmp_path


def test_a_submission_is_written_and_found_good(home: Path) -> None:
    data = home / "eval_set" / "soundscape"
    options = (
        "--author",
        "Doe",
        "--affiliation",
        "UniX",
        "--index",
        3,
        "--out",
        home / "out",
        "--device",
        "cpu",
    )
    text = run("submit", "--system", home / "toy.yaml", "--data", data, *options)
    archive = home / "out" / "Doe_UniX_task4_3_out.zip"
    assert archive.name in text
    with zipfile.ZipFile(archive) as file:
        found = {name.split("/")[1][:9] for name in file.namelist()}
    assert found == {"eval_0001", "eval_0002"}
    assert "good, 2 mixtures" in run("submit", "--data", data, "--check", archive)


def test_a_check_names_the_faults(home: Path) -> None:
    write_wav(home / "mine" / "eval_0001_Speech.wav", sound(0))
    with pytest.raises(ProblemsError, match="eval_0002: it has no source"):
        run("submit", "--data", home / "eval_set", "--check", home / "mine")
    with pytest.raises(SynthError, match="give all three"):
        run("submit", "--data", home / "eval_set")
