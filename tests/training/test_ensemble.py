"""Greedy selection that judges an average wrongly keeps the wrong models for days of computing."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from synth import SynthError
from tests.training.scoring import InMemory, save_models, scene, sound
from training.ensemble import (
    Products,
    chosen_file,
    select,
    select_separators,
    select_taggers,
    separator_merit,
    tagger_merit,
    tune_system,
)
from training.metrics import snr_db
from training.outputs import Outputs
from training.systems import open_system, write_system
from training.thresholds import Decision


def test_products_give_the_snr_of_any_average() -> None:
    reference = sound(0)
    estimates = np.stack([reference + level * sound(n) for n, level in enumerate((0.1, 0.5, 2.0), start=1)])
    products = Products.of(estimates, reference)
    for count in (1, 2, 3):
        for models in combinations(range(3), count):
            expected = snr_db(estimates[list(models)].mean(axis=0), reference)
            assert products.snr_db(models) == pytest.approx(expected, abs=1e-4)


def test_selection_takes_models_that_mend_each_other_and_stops() -> None:
    reference, left, right = sound(0), sound(1), sound(2)
    estimates = np.stack(
        [reference + left, reference - left, reference + 0.9 * right, reference + 30 * sound(3)]
    )
    found = select(separator_merit([Products.of(estimates, reference)]), 4)
    assert found.chosen[0] == 2  # the best alone
    assert 3 not in found.chosen
    assert found.history == tuple(sorted(found.history))
    assert found.history[-1] > max(found.alone)
    assert found.everyone < found.history[-1]
    best = max(
        snr_db(estimates[list(models)].mean(axis=0), reference)
        for count in (1, 2, 3, 4)
        for models in combinations(range(4), count)
    )
    assert found.history[-1] <= best + 1e-6
    assert len(select(separator_merit([Products.of(estimates, reference)]), 4, most=1).chosen) == 1


def test_taggers_are_judged_by_their_average() -> None:
    truth = np.array([[True, False], [False, True]])
    weak = np.array(
        [
            [[0.9, 0.6], [0.1, 0.9]],  # the first scene wrong
            [[0.9, 0.1], [0.6, 0.9]],  # the second
            [[0.1, 0.9], [0.9, 0.1]],  # both
        ],
        dtype=np.float32,
    )
    merit = tagger_merit(weak, truth, Decision(0.5))
    assert [merit([n])[0] for n in range(3)] == [50.0, 50.0, 0.0]
    assert merit([0, 1])[0] == 100.0
    assert select(merit, 3).chosen == (0, 1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ensemble")
    save_models(folder, taggers=3, separators=2)
    (folder / "all.yaml").write_text(
        "name: all\ntaggers: [{weights: 'sed/*.safetensors'}]\nseparators: [{weights: 'separators/*.safetensors'}]\n"
        "iterations: 1\n"
    )
    return folder


def test_a_subset_is_chosen_and_written(home: Path, tmp_path: Path) -> None:
    system = open_system(home / "all.yaml")
    outputs = Outputs(tmp_path / "cache", InMemory([scene(0, ["Speech"]), scene(1, ["Cough", "Dishes"])]))
    taggers = select_taggers(system, outputs, most=2)
    separators = select_separators(system, outputs)
    assert 1 <= len(taggers.chosen) <= 2
    assert len(separators.alone) == 2
    file = chosen_file(system, taggers=taggers, separators=separators, name="some")
    write_system(tmp_path / "some.yaml", file, home=system.home)
    again = open_system(tmp_path / "some.yaml")
    assert [p.weights.name for p in again.taggers] == [system.taggers[n].weights.name for n in taggers.chosen]
    assert [p.weights.name for p in again.separators] == [
        system.separators[n].weights.name for n in separators.chosen
    ]
    assert again.file.iterations == 1


def test_thresholds_of_a_system_are_tuned_and_kept(home: Path, tmp_path: Path) -> None:
    system = open_system(home / "all.yaml")
    outputs = Outputs(tmp_path, InMemory([scene(n, ["Speech"]) for n in range(3)]))
    file, tuned = tune_system(system, outputs)
    assert 0 < float(file.threshold) < 1  # type: ignore[arg-type]
    assert tuned.after >= tuned.before
    file, _ = tune_system(system, outputs, per_class=True)
    assert set(file.threshold) == set(system.classes)  # type: ignore[arg-type]


@pytest.mark.parametrize("act", [select_taggers, select_separators, tune_system])
def test_test_data_is_refused_before_anything_runs(home: Path, tmp_path: Path, act) -> None:  # type: ignore[no-untyped-def]
    outputs = Outputs(tmp_path, InMemory([scene(0, ["Speech"])], split="test"))
    with pytest.raises(SynthError, match="it is test data"):
        act(open_system(home / "all.yaml"), outputs)
    assert not list(tmp_path.rglob("*"))
