"""A scored figure must not depend on batches, interruptions or where scenes come from."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from synth import EventSpec, NoiseSpec, SceneSpec, SynthError
from tests.builders import make_dev_set, write_wav
from tests.synth.corpus.corpora import made_up_scene, made_up_spec
from tests.synth.corpus.corpora import write as write_corpus
from tests.training.scoring import CLASSES, InMemory, Says, nearly, scene, sound, test_folder
from training.activity import overlap_of_events, overlap_of_signals
from training.estimates import Estimate, FolderEstimates, MixtureEstimates, SceneEstimate
from training.evaluate import estimate_scene, evaluate
from training.metrics import snr_db
from training.scenes_to_score import SceneToScore, open_scenes

SCENES = [
    scene(0, ["Speech"]),
    scene(1, ["Speech", "Cough"]),
    scene(2, ["Dishes", "Dishes", "Cough"]),
    scene(3, []),
    scene(4, ["Cough", "Speech"]),
]


def test_figures_are_the_means_over_scenes_whatever_the_batch() -> None:
    reports = []
    for size in (1, 2, 5):
        says = Says(nearly, CLASSES)
        reports.append(evaluate(InMemory(SCENES), says, batch_size=size))
        assert max(says.batches) == size
    assert all(report.to_json() == reports[0].to_json() for report in reports)
    gains = [
        np.mean(
            [
                snr_db(source.waveform, target.waveform) - snr_db(one.mixture[0], target.waveform)
                for source, target in zip(nearly(one).sources, one.targets, strict=True)
            ]
        )
        for one in SCENES
        if one.targets
    ]
    figures = reports[0].figures
    assert figures["capi_sdri"] == pytest.approx(np.mean(gains))
    assert figures["accuracy_mixture"] == figures["accuracy_source"] == figures["label_accuracy"] == 100.0
    assert reports[0].sed is not None
    assert reports[0].sed.psds1 == 1.0


def test_breakdowns_add_up_to_the_whole() -> None:
    report = evaluate(InMemory(SCENES), Says(nearly))
    assert {group: figures["scenes"] for group, figures in report.by_scene["targets"].items()} == {
        "0": 1, "1": 1, "2": 2, "3": 1
    }  # fmt: skip
    assert report.by_scene["same_class"]["yes"]["scenes"] == 1
    assert set(report.by_scene["overlap"]) == {"one target or none", "to 50 %"}
    for groups in report.by_scene.values():
        assert sum(figures["scenes"] for figures in groups.values()) == len(SCENES)
    for sources in report.by_source.values():
        assert sum(figures.targets for figures in sources.values()) == 8
    assert set(report.by_source["class"]) == set(CLASSES)
    assert set(report.by_source["snr"]) == {"+5 to +10 dB"}


def test_wrong_answers_are_counted_where_they_belong() -> None:
    def wrong(one: SceneToScore) -> SceneEstimate:
        return SceneEstimate((Estimate("Cough", sound(3)), Estimate("Pour", sound(4))))

    report = evaluate(InMemory(SCENES[1:2]), Says(wrong))
    of = report.by_source["class"]
    assert (of["Cough"].recall, of["Cough"].precision) == (100.0, 100.0)
    assert (of["Speech"].targets, of["Speech"].recall) == (1, 0.0)
    assert math.isnan(of["Speech"].precision)
    assert (of["Pour"].targets, of["Pour"].precision) == (0, 0.0)
    assert report.figures["accuracy_source"] == pytest.approx(100 / 3)
    json.dumps(report.to_json(), allow_nan=False)


def test_the_mixture_itself_improves_nothing() -> None:
    figures = evaluate(InMemory(SCENES), MixtureEstimates()).figures
    assert figures["capi_sdri"] == pytest.approx(0.0, abs=1e-9)
    assert figures["accuracy_mixture"] == 100.0


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    whole = evaluate(InMemory(SCENES), Says(nearly, CLASSES), out=tmp_path / "whole", what="x", batch_size=2)

    def dies(one: SceneToScore) -> SceneEstimate:
        if one.name == "scene2":
            raise KeyboardInterrupt
        return nearly(one)

    out = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        evaluate(InMemory(SCENES), Says(dies, CLASSES), out=out, what="x", batch_size=1)
    with (out / "scenes.jsonl").open("ab") as file:
        file.write(b'{"name": "scene2", "ov')  # and its last line is torn
    again = InMemory(SCENES)
    steps: list[tuple[int, int]] = []
    report = evaluate(
        again,
        Says(nearly, CLASSES),
        out=out,
        what="x",
        batch_size=1,
        progress=lambda *step: steps.append(step),
    )
    assert again.read_names == ["scene2", "scene3", "scene4"]
    assert steps == [(2, 5), (3, 5), (4, 5), (5, 5)]
    assert report.to_json() == whole.to_json()
    for name in ("report.json", "scenes.csv", "scenes.jsonl"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert (
        not evaluate(done := InMemory(SCENES), Says(nearly, CLASSES), out=out, what="x").figures.keys()
        ^ report.figures.keys()
    )
    assert done.read_names == []


def test_results_of_two_systems_never_mix(tmp_path: Path) -> None:
    evaluate(InMemory(SCENES[:1]), Says(nearly), out=tmp_path, what="one")
    with pytest.raises(SynthError, match="another set or system"):
        evaluate(InMemory(SCENES[:1]), Says(nearly), out=tmp_path, what="two")


def test_a_scene_alone_shows_each_source() -> None:
    def partly(one: SceneToScore) -> SceneEstimate:
        return SceneEstimate(
            (
                Estimate("Cough", one.targets[1].waveform * 0.5, 0.7, ((0.0, 0.1),)),
                Estimate("Pour", sound(1), 0.6),
            )
        )

    found = estimate_scene(SCENES[1], Says(partly))
    by_label = {source.label: source for source in found.sources}
    assert {label: source.kind for label, source in by_label.items()} == {
        "Speech": "missed", "Cough": "hit", "Pour": "spurious"
    }  # fmt: skip
    assert by_label["Cough"].sdr == pytest.approx(20 * math.log10(2), abs=1e-4)
    assert by_label["Cough"].events == ((0.0, 0.1),)
    assert by_label["Cough"].score == 0.7
    assert by_label["Speech"].waveform is None
    np.testing.assert_array_equal(by_label["Speech"].reference, SCENES[1].targets[0].waveform)
    assert by_label["Pour"].reference is None


def test_estimates_that_are_no_numbers_are_named() -> None:
    broken = Says(lambda one: SceneEstimate((Estimate("Cough", np.full(8000, np.nan, dtype=np.float32)),)))
    with pytest.raises(SynthError, match="scene0: the estimate of 'Cough' holds values that are no numbers"):
        evaluate(InMemory(SCENES), broken)


def test_a_test_folder_of_2025(tmp_path: Path) -> None:
    root = test_folder(
        tmp_path / "test", {"a_1": ["a_1_Speech.wav", "a_1_Cough.wav"], "a_2": ["a_2_Dishes.wav"]}
    )
    scenes = open_scenes(root)
    assert (scenes.year, scenes.split, list(scenes.names)) == (2025, "test", ["a_1", "a_2"])
    first = scenes.read(0)
    assert [target.label for target in first.targets] == ["Cough", "Speech"]
    assert first.mixture.shape == (4, 8000)
    np.testing.assert_allclose(first.targets[1].waveform, 0.5 * sound(0), atol=1 / 32768)
    assert open_scenes(tmp_path).names == scenes.names  # the folder above will do


def test_a_test_folder_of_2026_and_its_estimates(tmp_path: Path) -> None:
    files = {"s1": ["s1_0_Speech.wav", "s1_1_Speech.wav"], "s2": []}
    scenes = open_scenes(test_folder(tmp_path / "data", files))
    assert scenes.year == 2026
    assert [target.label for target in scenes.read(0).targets] == ["Speech", "Speech"]
    assert scenes.read(1).targets == ()
    for n in range(2):
        write_wav(tmp_path / "mine" / f"s1_{n}_Speech.wav", scenes.read(0).targets[1 - n].waveform)
    report = evaluate(scenes, FolderEstimates(tmp_path / "mine", scenes.names))
    assert report.figures["accuracy_mixture"] == 100.0
    assert report.figures["capi_sdri"] > 60  # swapped, and equal but for rounding


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"s1": ["s1_Speech.wav"], "s2": []}, "1 of 2 mixtures have no target, the first is 's2'"),
        ({"s1": ["s1_Speech.wav", "s1_1_Cough.wav"]}, "in one form"),
        ({"s1": ["s1_0_Speech.wav", "s1_0_Cough.wav"]}, "the number of another source"),
        ({"s1": ["s1_Speech.wav", "s9_Cough.wav"]}, "'s9_Cough.wav' is a source of no mixture"),
        ({"s1": ["s1_2_Speech.wav"], "s1_2": ["s1_2_0_Cough.wav"]}, "of 's1' and of 's1_2'"),
    ],
)
def test_folders_that_do_not_fit_together_are_refused(
    tmp_path: Path, files: dict[str, list[str]], named: str
) -> None:
    with pytest.raises(SynthError, match=named):
        open_scenes(test_folder(tmp_path, files))


def test_bad_files_are_named(tmp_path: Path) -> None:
    root = test_folder(tmp_path, {"s1": ["s1_Speech.wav"]})
    target, mixture = root / "oracle_target" / "s1_Speech.wav", root / "soundscape" / "s1.wav"
    for path, content, rate, named in (
        (target, sound(0, 7999), 32_000, "7999 samples, its mixture has 8000"),
        (target, sound(0), 44_100, "44100 Hz, 32000 Hz expected"),
        (target, sound(0, channels=2), 32_000, "2 channel"),
        (mixture, sound(0), 32_000, "1 channel"),
    ):
        before = path.read_bytes()
        write_wav(path, content, rate)
        with pytest.raises(SynthError, match=named):
            open_scenes(root).read(0)
        path.write_bytes(before)
    target.write_bytes(target.read_bytes()[:-100])
    with pytest.raises(SynthError, match="truncated"):
        open_scenes(root).read(0)
    with pytest.raises(SynthError, match="neither a test folder, nor a corpus"):
        open_scenes(tmp_path / "oracle_target")


def test_a_corpus_brings_levels_and_times(tmp_path: Path) -> None:
    write_corpus(tmp_path)
    scenes = open_scenes(tmp_path)
    assert (scenes.year, scenes.split) == (2025, "train")
    report = evaluate(scenes, MixtureEstimates())
    assert report.scenes == len(scenes.names) == 7
    third = scenes.read(3)
    wanted = made_up_scene(made_up_spec(3))
    assert [target.label for target in third.targets] == [event.label for event in wanted.spec.targets]
    for n, target in enumerate(third.targets):
        np.testing.assert_allclose(target.waveform, wanted.dry[n], atol=1 / 32768)  # type: ignore[index]
        assert target.snr_db == wanted.spec.targets[n].snr_db
    assert third.events is not None
    assert third.events[0] == (0.0, wanted.labels[0].offset / 32_000, wanted.labels[0].label)
    assert "snr" in report.by_source


def test_scene_files_are_rendered(tmp_path: Path) -> None:
    root = make_dev_set(tmp_path / "dev_set", splits=("valid",), per_class=1, taps=300)
    event = EventSpec(
        label="Speech",
        path="sound_event/valid/Speech/Speech_valid_0.wav",
        start=0,
        duration=6000,
        onset=1000,
        position=0,
        xyz=(1.5, 0.0, 0.0),
        snr_db=10.0,
    )
    spec = SceneSpec(
        rules="s5kit2026",
        duration=16_000,
        ref_db=-50,
        place="room_ir/valid/room_valid_0.sofa",
        targets=(event,),
        noise=NoiseSpec(path="noise/valid/noise_valid_0.wav", start=0, duration=16_000),
    )
    metadata = tmp_path / "metadata"
    metadata.mkdir()
    (metadata / "one.json").write_text(spec.to_json())
    (metadata / "valid.json").write_text(json.dumps([{"metadata_path": "one.json"}]))
    scenes = open_scenes(metadata / "valid.json", data_root=root)
    assert (scenes.year, scenes.split, list(scenes.names)) == (2026, "valid", ["one"])
    scene = scenes.read(0)
    assert scene.events == ((1000 / 32_000, 7000 / 32_000, "Speech"),)
    assert not scene.targets[0].waveform[:900].any()
    assert evaluate(scenes, MixtureEstimates()).figures["accuracy_mixture"] == 100.0
    with pytest.raises(SynthError, match="--data-root"):
        open_scenes(metadata / "valid.json")


def test_overlap_is_the_shared_part_of_the_sounding_time() -> None:
    assert overlap_of_events([(0.0, 2.0, 0), (1.0, 4.0, 1)]) == pytest.approx(1 / 4)
    assert overlap_of_events([(0.0, 2.0, 0), (1.0, 4.0, 0)]) == 0.0  # one source
    assert overlap_of_events([]) == 0.0
    one, two = np.zeros(32_000), np.zeros(32_000)
    one[:16_000], two[8_000:] = sound(0, 16_000), sound(1, 24_000)
    assert overlap_of_signals([one, two], 32_000) == pytest.approx(0.25)
    assert overlap_of_signals([], 32_000) == 0.0
