"""What `make demo` learns: clearly more than chance and than the mixture, on rooms and sounds held out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth import available_cores, build_catalog, build_demo
from training.demo import best_constant, learn
from training.metrics import score_scene
from training.score_records import SceneRecord, SourceRecord


def record(name: str, *labels: str) -> SceneRecord:
    sources = tuple(SourceRecord(label, "missed", float("nan"), 0.0, None, None) for label in labels)
    return SceneRecord(name, score_scene([], [], [[0.0]]), sources, 0.0)


def test_chance_is_the_best_answer_that_does_not_listen() -> None:
    """Two of five scenes are `Cough` alone: whoever always says so is right in 40 %."""
    sets = (("Cough",), ("Cough",), ("Speech",), ("Cough", "Speech"), ("Pour", "Speech"))
    records = [record(str(n), *labels) for n, labels in enumerate(sets)]
    assert best_constant(records) == pytest.approx(40.0)


def test_the_demo_learns(tmp_path: Path) -> None:
    """A newcomer's first training beats guessing and doing nothing by a margin that is no accident.

    Of 60 scenes the best constant answer is right in about 4; a system that is right in 2.5 times as many lies
    more than three standard errors above it.
    """
    root = build_demo(tmp_path / "data", workers=available_cores())
    build_catalog("dcase2026", root, tmp_path / "catalog", workers=available_cores())
    seen: dict[str, int] = {}

    def progress(stage: str, done: int, total: int) -> None:
        assert seen.get(stage, 0) <= done <= total
        seen[stage] = done

    figures = learn(tmp_path / "catalog", tmp_path / "training", progress=progress)
    assert set(seen) == {"demo-sed", "demo-separator"}
    assert figures.scenes == 60
    assert figures.label_accuracy >= 2.5 * figures.chance
    assert figures.ca_sdri >= 0.4
    assert figures.oracle_ca_sdri >= 1.5
    kept = json.loads((tmp_path / "training" / "figures.json").read_text())
    assert kept["label_accuracy"] == figures.label_accuracy
    again = learn(tmp_path / "catalog", tmp_path / "training")
    assert (again.label_accuracy, again.ca_sdri) == (figures.label_accuracy, figures.ca_sdri)
