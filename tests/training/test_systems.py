"""A system file that loads other models than it says, or decides otherwise, scores something else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models import (
    GuidedSeparator,
    S5System,
    SedModel,
    create_sed,
    create_separator,
    create_tagger,
    save_model,
)
from synth import SynthError
from tests.training.scoring import InMemory, save_models, scene
from training.estimates import SystemEstimator
from training.evaluate import evaluate
from training.outputs import Outputs, StreamedEstimator, average, describe, open_estimator
from training.systems import list_systems, load_system, open_system, read_system, write_system

TOY = """
name: toy
taggers:
  - {weights: sed/*.safetensors, expect: 2}
separators:
  - {weights: separators/0.safetensors, weight: 2}
  - {weights: separators/1.safetensors}
threshold: 0.4
iterations: 1
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("system")
    save_models(folder)
    (folder / "toy.yaml").write_text(TOY)
    return folder


def some() -> InMemory:
    scenes = [
        scene(0, ["Speech"]),
        scene(1, ["Cough", "Dishes"]),
        scene(2, []),
        scene(3, ["Speech", "Speech"]),
    ]
    return InMemory(scenes)


def test_paths_start_from_the_file_and_models_load(home: Path) -> None:
    system = load_system(home / "toy.yaml")
    assert isinstance(system, S5System)
    assert len(system.taggers) == 2
    assert len(system.separators) == 3  # one counts twice
    assert system.separators[0] is system.separators[1]
    assert (system.threshold, system.slots, system.iterations) == (0.4, 3, 1)
    assert all(isinstance(net, SedModel) and net.sample_rate == 32_000 for net in system.taggers)


def test_an_sed_model_saved_for_16_khz_hears_the_same_at_32_khz(home: Path) -> None:
    system = open_system(home / "toy.yaml")
    loaded = load_system(system).taggers[1]
    torch.manual_seed(1)
    alike = create_sed("m2d", size="tiny", sample_rate=16_000).eval()
    own = create_sed("m2d", size="tiny", sample_rate=32_000).eval()
    own.load_state_dict(alike.state_dict())
    sound = torch.from_numpy(scene(0, ["Speech"]).mixture)[None]
    with torch.no_grad():
        assert torch.equal(loaded(sound).weak, own(sound).weak)


def test_batches_and_one_model_at_a_time_change_nothing(home: Path, tmp_path: Path) -> None:
    system = open_system(home / "toy.yaml")
    for labels in ("predicted", "oracle"):
        reports = [
            evaluate(scenes := some(), open_estimator(system, scenes, labels=labels, batch_size=size, cache=cache), batch_size=size)
            for size, cache in ([(1, None), (4, None), (3, tmp_path)] if labels == "predicted" else [(4, None), (3, tmp_path)])
        ]  # fmt: skip
        for report in reports[1:]:
            assert [r.targets for r in report.records] == [r.targets for r in reports[0].records]
            for name, value in reports[0].figures.items():
                assert report.figures[name] == pytest.approx(value, abs=1e-3, nan_ok=True), name
        assert (reports[0].sed is not None) == (labels == "predicted")
        if labels == "oracle":
            assert reports[0].figures["accuracy_source"] == 100.0


def test_kept_outputs_are_not_computed_again(home: Path, tmp_path: Path) -> None:
    system = open_system(home / "toy.yaml")
    ran: list[str] = []
    for _ in range(2):
        outputs = Outputs(tmp_path, some(), progress=lambda name, *_: ran.append(name))
        StreamedEstimator(system, outputs).prepare()
        seen = len(ran)
    assert seen == len(ran) == 4  # two taggers, two separators, once
    kept = next(tmp_path.rglob("tags-*/scene1.npz"))
    kept.write_bytes(b"PK")
    with pytest.raises(SynthError, match="damaged or gone"):
        StreamedEstimator(system, Outputs(tmp_path, some())).prepare()


def test_weights_count_as_that_many_models() -> None:
    one, two = np.ones((1, 3), np.float32), np.full((1, 3), 4.0, np.float32)
    np.testing.assert_allclose(average([one, two], [2, 1]), 2.0)
    np.testing.assert_allclose(average([one, two]), 2.5)


def test_thresholds_per_class_and_silence_decide(home: Path, tmp_path: Path) -> None:
    file, base = read_system(home / "toy.yaml")
    strict = file.model_copy(update={"threshold": 1.0, "at_least_one": False})
    write_system(tmp_path / "strict.yaml", strict, home=base)
    estimator = SystemEstimator(load_system(tmp_path / "strict.yaml"), open_system(home / "toy.yaml").classes)
    answers = estimator(some().scenes)
    assert [answer.sources for answer in answers] == [()] * 4
    assert all(answer.strong is not None for answer in answers)


def test_a_written_system_finds_its_models_from_elsewhere(home: Path, tmp_path: Path) -> None:
    file, base = read_system(home / "toy.yaml")
    (tmp_path / "deeper").mkdir()
    write_system(tmp_path / "deeper" / "copy.yaml", file, home=base)
    one, two = open_system(home / "toy.yaml"), open_system(tmp_path / "deeper" / "copy.yaml")
    assert [p.weights.resolve() for p in two.taggers] == [p.weights.resolve() for p in one.taggers]
    assert two.file.threshold == 0.4


def test_a_name_of_the_system_changes_with_its_models(home: Path, tmp_path: Path) -> None:
    save_models(tmp_path)
    (tmp_path / "toy.yaml").write_text(TOY)
    system = open_system(tmp_path / "toy.yaml")
    before = describe(system)
    assert before != describe(system, "oracle")
    torch.manual_seed(9)
    save_model(create_sed("m2d", size="tiny", sample_rate=32_000).eval(), tmp_path / "sed" / "0.safetensors")
    assert describe(system) != before


def test_a_separator_gets_the_sed_model_that_its_file_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sed = create_sed("m2d", size="tiny", sample_rate=32_000).eval()
    maps = {"features": sed.backbone.feature_maps, "feature_width": sed.backbone.feature_dim}
    save_model(create_separator("cpjku_iterative-tiny", **maps).eval(), tmp_path / "bare.safetensors")
    save_model(sed, tmp_path / "stage2.safetensors")
    text = "name: x\ntaggers: [{weights: stage2.safetensors}]\nseparators: [{weights: bare.safetensors, sed: stage2.safetensors}]\n"
    (tmp_path / "x.yaml").write_text(text)
    assert isinstance(load_system(tmp_path / "x.yaml").separators[0], GuidedSeparator)
    (tmp_path / "x.yaml").write_text(text.replace("sed: stage2", "sed: bare"))
    with pytest.raises(SynthError, match="cannot be guided by a Separator"):
        load_system(tmp_path / "x.yaml")


def test_the_2026_pair_runs_both_ways(tmp_path: Path) -> None:
    torch.manual_seed(3)
    save_model(create_tagger("baseline2026_4c", size="tiny").eval(), tmp_path / "t.safetensors")
    save_model(create_separator("baseline_resunetk-tiny").eval(), tmp_path / "s.safetensors")
    text = (
        "name: x\nyear: 2026\ntaggers: [{weights: t.safetensors}]\nseparators: [{weights: s.safetensors}]\n"
    )
    (tmp_path / "x.yaml").write_text(text)
    system = open_system(tmp_path / "x.yaml")
    reports = [
        evaluate(scenes := some(), open_estimator(system, scenes, cache=cache))
        for cache in (None, tmp_path / "cache")
    ]
    for name, value in reports[0].figures.items():
        assert reports[1].figures[name] == pytest.approx(value, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "taggers", "separators", "year"),
    [
        ("cpjku-s1", 108, 10, 2025),
        ("cpjku-s2", 52, 6, 2025),
        ("cpjku-s3", 1, 1, 2025),
        ("cpjku-s4", 30, 3, 2025),
        ("baseline2025", 1, 1, 2025),
        ("baseline2026", 1, 1, 2026),
    ],
)
def test_the_submitted_systems_say_how_many_models_they_hold(
    name: str, taggers: int, separators: int, year: int, tmp_path: Path
) -> None:
    assert name in list_systems()
    file, _ = read_system(name)
    assert sum(entry.expect or 0 for entry in file.taggers) == taggers
    assert sum(entry.expect or 0 for entry in file.separators) == separators
    assert (file.year, file.slots) == (year, 3)
    with pytest.raises(SynthError, match=rf"finds 0 model\(s\).*{taggers} expected"):
        open_system(name, base=tmp_path)
    first = tmp_path / file.taggers[0].weights
    first.parent.mkdir(parents=True)
    for n in range(taggers):
        (first.parent / (f"{n}.safetensors" if taggers > 1 else first.name)).write_bytes(b"x")
    with pytest.raises(SynthError, match=f"{separators} expected"):
        open_system(name, base=tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("threshhold: 0.4", "did you mean threshold"),
        ("slots: 0", "slots"),
        ("threshold: {Speech: 0.3}", "has no threshold or is no class"),
        ("taggers: []", "taggers"),
        ("year: 2024", "2025 or 2026"),
        ("classes: [Speech, Cough]", "18 classes, the system has 2"),
    ],
)
def test_faults_of_a_file_are_named(home: Path, change: str, named: str) -> None:
    key = change.split(":")[0]
    kept = TOY if key not in TOY or key == "threshhold" else "\n".join(
        line for line in TOY.splitlines() if not line.startswith(key) and not (key == "taggers" and "sed/" in line)
    )  # fmt: skip
    path = home / "wrong.yaml"
    path.write_text(f"{kept}\n{change}\n")
    with pytest.raises(SynthError, match=named):
        load_system(path)


def test_an_unknown_system_is_named(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="one of baseline2025"):
        read_system("cpjku-s9")
    with pytest.raises(SynthError, match="there is no such system"):
        read_system("../systems/cpjku-s1")
    with pytest.raises(SynthError, match="cannot be read"):
        read_system(tmp_path / "none.yaml")
