"""A submission with a wrong name, rate or length is not scored, and there is no second chance."""

from __future__ import annotations

import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

from synth import ProblemsError, SynthError
from tests.builders import write_wav
from tests.training.scoring import Says, sound, test_folder
from training.estimates import Estimate, SceneEstimate
from training.scenes_to_score import SceneToScore, TestFolder, open_scenes
from training.submission import submission_name, submit, validate, write_sources


@pytest.fixture
def mixtures(tmp_path: Path) -> TestFolder:
    test_folder(tmp_path / "eval_set", {"eval_0001": [], "eval_0002": [], "eval_0003": []})
    return TestFolder(tmp_path / "eval_set", need_targets=False)


@pytest.mark.parametrize("place", ["", "synthesized/eval"])
def test_the_evaluation_sets_of_both_years_are_found(tmp_path: Path, place: str) -> None:
    """2025 has `eval_set/soundscape`, 2026 `eval_set/synthesized/eval/soundscape`."""
    test_folder(tmp_path / place, {"eval_0000": []})
    assert open_scenes(tmp_path, need_targets=False).names == ["eval_0000"]


def answer(one: SceneToScore) -> SceneEstimate:
    labels = {"eval_0001": ["Speech"], "eval_0002": ["Cough", "Dishes"], "eval_0003": ["Typing", "Typing"]}[
        one.name
    ]
    return SceneEstimate(tuple(Estimate(n, sound(k), 0.9 - 0.1 * k) for k, n in enumerate(labels)))


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as file:
        return file.namelist()


def test_2025_names_each_class_once(mixtures: TestFolder, tmp_path: Path) -> None:
    name = submission_name("Doe", "UniX", 2)
    done = submit(mixtures, Says(answer), tmp_path / "out", name)
    assert done.archive.name == "Doe_UniX_task4_2_out.zip"
    assert names(done.archive) == [
        "eval_out/eval_0001_Speech.wav",
        "eval_out/eval_0002_Cough.wav",
        "eval_out/eval_0002_Dishes.wav",
        "eval_out/eval_0003_Typing.wav",
    ]
    assert (done.mixtures, done.sources, done.silent, done.clipped) == (3, 4, (), 0)
    with wave.open(str(done.folder / "eval_0003_Typing.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth(), file.getnframes()) == (
            1,
            32000,
            2,
            8000,
        )
        pcm = np.frombuffer(file.readframes(8000), dtype="<i2")
    np.testing.assert_array_equal(pcm, np.rint(sound(0) * 32768))  # the likelier of the two


def test_2026_numbers_the_sources_and_knows_silence(mixtures: TestFolder, tmp_path: Path) -> None:
    def quiet(one: SceneToScore) -> SceneEstimate:
        return SceneEstimate(()) if one.name == "eval_0001" else answer(one)

    done = submit(mixtures, Says(quiet), tmp_path / "out", "Doe_UniX_task4_1", year=2026)
    assert names(done.archive) == [
        "eval_out/eval_0002_0_Cough.wav",
        "eval_out/eval_0002_1_Dishes.wav",
        "eval_out/eval_0003_0_Typing.wav",
        "eval_out/eval_0003_1_Typing.wav",
    ]
    assert done.silent == ("eval_0001",)


def test_a_run_that_was_cut_off_goes_on(mixtures: TestFolder, tmp_path: Path) -> None:
    def dies(one: SceneToScore) -> SceneEstimate:
        if one.name == "eval_0002":
            raise KeyboardInterrupt
        return answer(one)

    with pytest.raises(KeyboardInterrupt):
        submit(mixtures, Says(dies), tmp_path / "out", "A_B_task4_1", what="x", batch_size=1)
    rest = Says(answer)
    done = submit(mixtures, rest, tmp_path / "out", "A_B_task4_1", what="x", batch_size=1)
    assert rest.batches == [1, 1]
    clean = submit(mixtures, Says(answer), tmp_path / "other", "A_B_task4_1", what="x")
    assert done.archive.read_bytes() == clean.archive.read_bytes()
    with pytest.raises(SynthError, match="another system"):
        submit(mixtures, rest, tmp_path / "out", "A_B_task4_1", what="y")


def test_loud_samples_are_counted(tmp_path: Path) -> None:
    loud = np.array([0.5, 1.5, -2.0], dtype=np.float32)
    assert write_sources(tmp_path, "m", SceneEstimate((Estimate("Speech", loud),)), 2025) == 2


def test_every_fault_of_a_folder_is_named_at_once(mixtures: TestFolder, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    write_wav(folder / "eval_0001_Spech.wav", sound(0))
    write_wav(folder / "eval_0002_Cough.wav", sound(0, 7000))
    write_wav(folder / "eval_0002_Dishes.wav", sound(0), 16_000)
    write_wav(folder / "eval_0002_Pour.wav", sound(0, channels=2))
    write_wav(folder / "eval_0002_Typing.wav", sound(0))
    with pytest.raises(ProblemsError) as raised:
        validate(folder, mixtures)
    text = str(raised.value)
    for fault in (
        "'Spech' is no class",
        "eval_0002: 4 sources",
        "eval_0002_Cough.wav: it has 7000 samples",
        "eval_0002_Dishes.wav: its sampling rate is 16000 Hz",
        "eval_0002_Pour.wav: it has 2 channel",
        "eval_0003: it has no source",
    ):
        assert fault in text
    assert len(raised.value.problems) == 6


def test_a_source_of_no_mixture_is_refused(mixtures: TestFolder, tmp_path: Path) -> None:
    write_wav(tmp_path / "mine" / "eval_0009_Speech.wav", sound(0))
    with pytest.raises(SynthError, match="of no mixture"):
        validate(tmp_path / "mine", mixtures)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ("../eval_0001_Speech.wav", "a path that leads out of the zip"),
        ("/tmp/eval_0001_Speech.wav", "a path that leads out of the zip"),
        ("eval_out\\eval_0001_Speech.wav", "a path that leads out of the zip"),
    ],
)
def test_hostile_zips_write_nothing(mixtures: TestFolder, tmp_path: Path, entry: str, named: str) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(zipfile.ZipInfo(entry), b"RIFF")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SynthError, match=named):
        validate(path, mixtures)
    assert sorted(tmp_path.rglob("*")) == before


def test_zips_that_are_none_too_large_or_doubled_are_refused(mixtures: TestFolder, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"no zip")
    with pytest.raises(SynthError, match="neither a folder nor a readable zip"):
        validate(path, mixtures)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("eval_0001_Speech.wav", bytes(65 << 20))
    assert path.stat().st_size < 1 << 20  # a bomb
    with pytest.raises(SynthError, match="68,157,440 bytes, at most"):
        validate(path, mixtures)
    with zipfile.ZipFile(path, "w") as file:
        for folder in ("one", "two"):
            file.writestr(f"{folder}/eval_0001_Speech.wav", b"RIFF")
    with pytest.raises(SynthError, match="the name of another entry"):
        validate(path, mixtures)


@pytest.mark.parametrize(
    ("author", "affiliation", "index"), [("D_e", "X", 1), ("Doe", "../X", 1), ("Doe", "X", 0), ("", "X", 1)]
)
def test_names_that_the_rules_do_not_know_are_refused(author: str, affiliation: str, index: int) -> None:
    with pytest.raises(SynthError, match="--"):
        submission_name(author, affiliation, index)
