"""Ablations: cells from plans, intervals and paired differences, going on, one real run."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from synth import SynthError, build_catalog
from tests.builders import make_dev_set
from training.ablate import check_plan, run_ablation
from training.ablation_plan import AblationPlan, list_ablations, load_ablation, to_yaml
from training.ablation_table import Outcome, compare, interval
from training.config import load_config
from training.device_slot import device_slot

PLAN = """
name: test
seeds: [0, 1]
scenes: {recipe: demo, catalog: CATALOG}
axes:
  rooms: {few: {recipe: ["rirs.sets=[a]"]}, many: {}}
  rate: {slow: {}, fast: {train: [optim.lr=0.01]}}
parts: {sed: {preset: sed-atst-tiny, set: [loop.steps=30]}}
score: {num_scenes: 4, metrics: [label_accuracy]}
"""


def write_plan(folder: Path, text: str = PLAN) -> Path:
    path = folder / "plan.yaml"
    path.write_text(text)
    return path


def test_cells_are_every_choice_once_per_seed(tmp_path: Path) -> None:
    """A user who lists two axes of two levels and two seeds gets eight trainings, each with its own changes."""
    plan = load_ablation(write_plan(tmp_path))
    names = [cell.name for cell in plan.cells()]
    expected = [f"{a}_{b}_seed{s}" for a in ("few", "many") for b in ("slow", "fast") for s in (0, 1)]
    assert names == expected
    fast = next(cell for cell in plan.cells() if cell.name == "few_fast_seed1")
    assert (fast.recipe, fast.train, fast.seed) == (("rirs.sets=[a]",), ("optim.lr=0.01",), 1)
    assert len({cell.identity(plan) for cell in plan.cells()}) == 8


def test_a_plan_survives_its_yaml(tmp_path: Path) -> None:
    """The plan kept in the folder of an ablation is the one that was run."""
    plan = load_ablation(write_plan(tmp_path))
    assert load_ablation(write_plan(tmp_path, to_yaml(plan))) == plan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("seeds=[1,1]", "twice"),
        ("scenes.source=corpus", "num_scenes"),
        ("score.metrics=[ca_sdri]", "needs a separator"),
        ("score.split=train", "valid or test"),
        ("sead=[1]", "seeds"),
        ("score.metrics=[psds]", "label_accuracy"),
    ],
)
def test_a_wrong_plan_is_refused_by_name(tmp_path: Path, change: str, message: str) -> None:
    """A slip in a plan is told before the first training, not after the last."""
    with pytest.raises(SynthError, match=message):
        load_ablation(write_plan(tmp_path), [change])


def test_a_level_that_yaml_does_not_read_as_text_is_told_how_to_write_it(tmp_path: Path) -> None:
    """`off:` is the natural name of a level, and false to YAML."""
    with pytest.raises(SynthError, match=r"axes\.rooms.*False is no text.*quotes"):
        load_ablation(write_plan(tmp_path, PLAN.replace("few:", "off:")))
    plan = load_ablation(write_plan(tmp_path, PLAN.replace("few:", '"off":')))
    assert plan.combinations()[0] == ("off", "slow")


def test_shipped_plans_are_whole() -> None:
    """What `s5kit ablate --list` shows can be run: every preset, recipe and set of overrides exists."""
    assert set(list_ablations()) == {"rir-noise-sets", "tiny"}
    for name in list_ablations():
        check_plan(load_ablation(name))


def make_outcomes(plan: AblationPlan, figures: dict[tuple[str, int], list[float]]) -> list[Outcome]:
    return [
        Outcome((level, "slow"), seed, {f"s{n}": {"label_accuracy": x} for n, x in enumerate(values)})
        for (level, seed), values in figures.items()
    ]


def test_the_table_equals_textbook_intervals(tmp_path: Path) -> None:
    """Means over seeds and paired differences over scenes are those that scipy's t tests give."""
    text = PLAN.replace("  rate: {slow: {}, fast: {train: [optim.lr=0.01]}}\n", "  rate: {slow: {}}\n")
    plan = load_ablation(write_plan(tmp_path, text))
    rng = np.random.default_rng(0)
    figures = {(level, seed): list(rng.normal(size=7)) for level in ("few", "many") for seed in (0, 1)}
    table = compare(plan, make_outcomes(plan, figures))
    few, many = table.rows
    seeds = [np.mean(figures["many", seed]) for seed in (0, 1)]
    over_seeds = stats.t.interval(0.95, 1, loc=np.mean(seeds), scale=stats.sem(seeds))
    assert (many.low, many.high) == pytest.approx(over_seeds)
    new = np.mean([figures["many", s] for s in (0, 1)], axis=0)
    old = np.mean([figures["few", s] for s in (0, 1)], axis=0)
    paired = stats.ttest_rel(new, old).confidence_interval(0.95)
    assert (many.difference_low, many.difference_high) == pytest.approx((paired.low, paired.high))
    assert many.difference == pytest.approx(np.mean(new - old))
    assert math.isnan(few.difference)
    rows = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert float(rows[1]["seed1"]) == pytest.approx(seeds[1], abs=1e-5)
    assert rows[0]["difference"] == ""


def test_figures_of_other_scenes_have_no_difference(tmp_path: Path) -> None:
    """Where the cells share no scene with a figure, the table says nothing instead of something."""
    text = PLAN.replace("  rate: {slow: {}, fast: {train: [optim.lr=0.01]}}\n", "  rate: {slow: {}}\n")
    plan = load_ablation(write_plan(tmp_path, text), ["seeds=[0]"])
    few, many = make_outcomes(plan, {("few", 0): [1.0, 2.0], ("many", 0): [3.0]})
    elsewhere = Outcome(many.levels, 0, {"other": {"label_accuracy": 3.0}})
    row = compare(plan, [few, elsewhere]).rows[1]
    assert (math.isnan(row.difference), row.scenes, row.mean) == (True, 0, 3.0)


def test_one_seed_has_no_interval() -> None:
    """One training says nothing about the spread of trainings."""
    mean, low, high = interval([3.0])
    assert mean == 3.0
    assert math.isnan(low)
    assert math.isnan(high)


def test_two_jobs_never_share_a_device(tmp_path: Path) -> None:
    """Cells that run at the same time on two GPUs see one each; a freed one is taken again."""
    with device_slot(tmp_path, ["0", "1"]) as first:
        with device_slot(tmp_path, ["0", "1"]) as second:
            assert first is not None
            assert second is not None
            assert {first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]} == {"0", "1"}
        with device_slot(tmp_path, ["1"]) as again:
            assert again is not None
            assert again["CUDA_VISIBLE_DEVICES"] == "1"
    with device_slot(tmp_path, []) as none:
        assert none is None


TINY = """
name: run
seeds: [3]
scenes: {recipe: demo, catalog: CATALOG, set: [scene.duration=0.5, "targets.count=1", targets.same_class.rate=0]}
axes:
  level: {low: {recipe: ["targets.snr_db=[5,6]"]}}
parts:
  sed: {preset: sed-atst-tiny}
  separator: {preset: separator-resunet-tiny}
set:
  - loop.steps=2
  - loop.batch_size=2
  - schedule.warmup_steps=0
  - validation.every=2
  - validation.num_scenes=2
  - validation.workers=0
  - validation.panels=0
  - data.workers=0
  - trackers=[]
score: {num_scenes: 3, metrics: [label_accuracy, ca_sdri]}
"""


def test_an_ablation_runs_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both stages are trained and scored per cell; a second run trains nothing and gives the same table."""
    root = make_dev_set(tmp_path / "dev_set", classes=("Speech", "Cough"), seconds=0.3, nested=True)
    build_catalog("dcase2026", root, tmp_path / "catalog")
    path = write_plan(tmp_path, TINY.replace("CATALOG", str(tmp_path / "catalog")))
    out = tmp_path / "out"
    done: list[int] = []
    report = run_ablation(load_ablation(path), out, progress=lambda n, total: done.append(n))
    assert done == [0, 1]
    before = report.csv.read_text()
    rows = list(csv.DictReader(io.StringIO(before)))
    assert [(row["level"], row["metric"]) for row in rows] == [
        ("low", metric) for metric in ("label_accuracy", "ca_sdri")
    ]
    assert all(math.isfinite(float(row["mean"])) for row in rows)
    assert report.figure.read_bytes().startswith(b"\x89PNG")
    with monkeypatch.context() as patched:
        patched.setattr("training.ablation_cell.run_leashed", None)
        assert run_ablation(load_ablation(path), out).csv.read_text() == before
        # The same name for something else: figures of before would be shown as those of now.
        other = load_ablation(path, ["axes.level.low.recipe=[targets.snr_db=7]"])
        with pytest.raises(SynthError, match="another name"):
            run_ablation(other, out)
        more = load_ablation(path, ["score.metrics=[ca_sdri]"])
        assert "label_accuracy" not in run_ablation(more, out).csv.read_text()


def test_a_failing_cell_names_its_log(tmp_path: Path) -> None:
    """When one training fails the user sees why, and where to look."""
    root = make_dev_set(tmp_path / "dev_set", classes=("Speech", "Cough"), seconds=0.3, nested=True)
    build_catalog("dcase2026", root, tmp_path / "catalog")
    text = TINY.replace("CATALOG", str(tmp_path / "catalog"))
    plan = load_ablation(write_plan(tmp_path, text), ["parts.sed.set=[model.weights=none.safetensors]"])
    with pytest.raises(SynthError, match=r"none\.safetensors") as caught:
        run_ablation(plan, tmp_path / "out")
    assert str(caught.value.where).endswith("sed.log")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("parts.sed.preset=no-such", "no such configuration"),
        ("axes.rate.fast.train=[optim.rl=1]", r"optim\.rl.*few_fast_seed0"),
        ("axes.rate.fast.recipe=[targets.count=0.5]", r"targets\.count.*few_fast_seed0"),
    ],
)
def test_slips_in_any_cell_are_told_before_the_first_training(
    tmp_path: Path, change: str, message: str
) -> None:
    """Else a wrong key of the last level is found after days."""
    with pytest.raises(SynthError, match=message):
        check_plan(load_ablation(write_plan(tmp_path), [change]))


def test_a_level_may_change_one_stage_alone(tmp_path: Path) -> None:
    """Switches of the separator are compared without the first stage knowing such keys."""
    text = PLAN.replace(
        "fast: {train: [optim.lr=0.01]}", "fast: {separator: [loss.negatives=0.1], sed: [optim.lr=0.01]}"
    ).replace(
        "parts: {",
        "parts: {separator: {preset: separator-iterative-2-tiny, set: ['model.guide.weights={sed}']}, ",
    )
    plan = load_ablation(write_plan(tmp_path, text))
    check_plan(plan)
    cell = next(cell for cell in plan.cells() if cell.levels == ("few", "fast"))
    assert cell.changes(plan, "sed", sed="x")[-2:] == ["loop.steps=30", "optim.lr=0.01"]
    assert cell.changes(plan, "separator", sed="x")[-2:] == ["model.guide.weights=x", "loss.negatives=0.1"]
    with pytest.raises(SynthError, match=r"axes\.rate\.fast\.separator.*not trained"):
        load_ablation(write_plan(tmp_path, PLAN.replace("train: [optim.lr", "separator: [optim.lr")))


def test_all_cells_are_judged_on_the_same_kind_of_scenes(tmp_path: Path) -> None:
    """Else rooms that only the training has are looked for among those of validation, and every cell ends at once."""
    plan = load_ablation(write_plan(tmp_path), ["scenes.set=[targets.count=1]", "score.set=[noise.snr_db=3]"])
    found = [load_config("sed-atst-tiny", cell.changes(plan, "sed", sed="")) for cell in plan.cells()]
    assert {config.data.set for config in found} == {
        ("targets.count=1", "rirs.sets=[a]"),
        ("targets.count=1",),
    }
    assert {config.validation.set for config in found} == {("targets.count=1", "noise.snr_db=3")}
    assert {config.validation.recipe for config in found} == {"demo"}
    assert {config.validation.seed for config in found} == {plan.score.seed + 1}
    with pytest.raises(SynthError, match="augmented"):
        check_plan(load_ablation(write_plan(tmp_path), ["scenes.recipe=dcase2025-augmented"]))


def test_cells_never_share_a_folder(tmp_path: Path) -> None:
    """a + b_c and a_b + c would overwrite each other."""
    text = PLAN.replace('{few: {recipe: ["rirs.sets=[a]"]}, many: {}}', "{a: {}, a_b: {}}")
    text = text.replace("{slow: {}, fast: {train: [optim.lr=0.01]}}", "{b_c: {}, c: {}}")
    with pytest.raises(SynthError, match="same folder"):
        load_ablation(write_plan(tmp_path, text))
