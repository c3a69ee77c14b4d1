"""Plan: scenes follow the rules of both years, and four arguments always give the same one."""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth import Catalog, build_catalog
from synth.errors import ProblemsError, SynthError
from synth.scenes import plan as plan_module
from synth.scenes.plan import check_plannable, plan
from synth.scenes.recipe import Recipe, list_recipes, load_recipe
from synth.scenes.spec import EventSpec, SceneSpec

from ...builders import make_dev_set
from .tables import RATE, Tables, angle, scenes, tables

ROOT = Path(__file__).parents[3]
GOLDEN = Path(__file__).parents[2] / "golden" / "plans"
T = 10 * RATE
LIMIT = 1e-3
TABLES = tables()


def folders(event: EventSpec, depth: int) -> tuple[str, ...]:
    below = event.path.split("/")[3:-1]
    return tuple(below[:depth]) if 0 < depth <= len(below) else (event.path,)


# Purity


def global_state() -> tuple[object, ...]:
    words = np.random.get_state(legacy=False)["state"]  # noqa: NPY002
    return words["key"].tolist(), words["pos"], random.getstate()


def test_the_same_arguments_give_the_same_scene_in_any_order_and_process() -> None:
    recipe = load_recipe("dcase2026")
    wanted = {n: plan(recipe, TABLES, 5, n) for n in (0, 7, 3)}
    plan_module._stocks.clear()
    assert {n: plan(load_recipe("dcase2026"), tables(), 5, n) for n in (3, 0, 7)} == wanted
    code = (
        "from tests.synth.scenes.tables import tables; from synth.scenes.plan import plan; "
        "from synth.scenes.recipe import load_recipe; "
        "print(plan(load_recipe('dcase2026'), tables(), 5, 7).to_json())"
    )
    for hash_seed in ("0", "31337"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", code]
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert SceneSpec.from_json(result.stdout.strip()) == wanted[7]


def test_seed_and_index_make_other_scenes_and_global_randomness_is_left_alone() -> None:
    recipe = load_recipe("dcase2025")
    before = global_state()
    first = plan(recipe, TABLES, 0, 0)
    assert global_state() == before
    others = [plan(recipe, TABLES, *key) for key in ((1, 0), (0, 1), (-1, 0), (2**80, 0))]
    assert len({spec.model_copy(update={"origin": None}).to_json() for spec in [first, *others]}) == 5
    with pytest.raises(SynthError, match="index"):
        plan(recipe, TABLES, 0, -1)


def test_the_order_of_the_tables_does_not_matter() -> None:
    recipe = load_recipe("dcase2026")
    names = ("events", "interferers", "noises", "places", "positions")
    turned = Tables(*(getattr(TABLES, name).iloc[::-1].reset_index(drop=True) for name in names))
    strip = {"origin": None}
    for index in range(20):
        a, b = (plan(recipe, catalog, 0, index).model_copy(update=strip) for catalog in (TABLES, turned))
        assert a == b


@pytest.mark.parametrize("name", list_recipes())
def test_plans_are_frozen(name: str) -> None:
    """Else a corpus could not be made again by the next version."""
    spec = plan(load_recipe(name), TABLES, 0, 0)
    assert json.loads(spec.to_json()) == json.loads((GOLDEN / f"{name}.json").read_text())


def test_a_change_of_the_interference_keeps_targets_place_and_noise() -> None:
    """Ablations compare like with like."""
    plain, loud = load_recipe("dcase2026"), load_recipe("dcase2026", ["interference.count=[3,3]"])
    for index in range(20):
        a, b = plan(plain, TABLES, 0, index), plan(loud, TABLES, 0, index)
        assert (a.targets, a.place, a.noise) == (b.targets, b.place, b.noise)
        assert len(b.interferers) == 3


# What every scene must be


@given(
    name=st.sampled_from(["dcase2025", "dcase2026", "dcase2026-tagging"]),
    overlap=st.integers(1, 3),
    count=st.lists(st.integers(0, 4), min_size=2, max_size=2).map(sorted),
    rate=st.sampled_from([0.0, 0.5, 1.0]),
    depth=st.integers(0, 2),
    folder_depth=st.integers(0, 2),
    start=st.sampled_from(["seconds", "samples"]),
    seed=st.integers(-(2**65), 2**65),
)
def test_every_scene_keeps_the_rules(
    name: str,
    overlap: int,
    count: list[int],
    rate: float,
    depth: int,
    folder_depth: int,
    start: str,
    seed: int,
) -> None:
    recipe = load_recipe(
        name,
        [
            f"scene.max_overlap={overlap}",
            f"targets.count={count}",
            f"targets.same_class.rate={rate}",
            f"targets.same_class.exclusion_depth={depth}",
            f"noise.start={start}",
            "targets.same_class.max_duplicates=3",
        ],
    )
    catalog = tables(classes=5, files=10, depth=folder_depth, lengths=(32_000, 64_001, 5_000, 96_000))
    for index in range(5):
        spec = plan(recipe, catalog, seed, index)
        check_scene(spec, recipe, catalog)


def check_scene(spec: SceneSpec, recipe: Recipe, catalog: Tables) -> None:
    assert SceneSpec.from_json(spec.to_json()) == spec
    assert SceneSpec.model_validate(spec.model_dump()) == spec
    low, high = recipe.targets.count
    assert low <= len(spec.targets) <= high
    assert recipe.interference.count[0] <= len(spec.interferers) <= recipe.interference.count[1]
    kinds = (
        (spec.targets, catalog.events, recipe.targets.snr_db),
        (spec.interferers, catalog.interferers, recipe.interference.snr_db),
    )
    for events, table, snr in kinds:
        assert [e.onset for e in events] == sorted(e.onset for e in events)
        sounding = np.zeros(T, dtype=int)
        for event in events:
            check_event(event, table, spec, catalog)
            assert snr[0] <= event.snr_db <= snr[1]
            sounding[event.onset : event.onset + event.duration] += 1
        assert sounding.max(initial=0) <= recipe.scene.max_overlap
    check_classes(spec.targets, recipe)
    noise = spec.noise
    assert noise is not None
    length = dict(zip(catalog.noises["path"], catalog.noises["samples"], strict=True))[noise.path]
    assert noise.duration == min(T, length)
    assert noise.start + noise.duration <= length
    assert noise.start % (RATE if recipe.noise.start == "seconds" else 1) == 0


def check_event(event: EventSpec, table: object, spec: SceneSpec, catalog: Tables) -> None:
    rows = table[table["path"] == event.path]  # type: ignore[index]
    length = int(rows["samples"].iloc[0])
    assert (event.label, event.source) == (rows["label"].iloc[0], rows["source"].iloc[0])
    assert event.duration == min(length, T)
    assert event.start + event.duration <= length
    assert event.start == 0 or length > T
    assert event.onset + event.duration <= T
    at = catalog.positions
    row = at[(at["path"] == spec.place) & (at["position"] == event.position)]
    assert event.xyz == tuple(row[["x", "y", "z"]].iloc[0])


def check_classes(targets: Sequence[EventSpec], recipe: Recipe) -> None:
    same = recipe.targets.same_class
    classes = Counter(event.label for event in targets)
    if same.rate == 0:
        assert all(n == 1 for n in classes.values())
    if same.rate == 1 and len(targets) >= 2:
        assert len(classes) < len(targets)
    assert len(targets) - len(classes) <= same.max_duplicates
    for a, b in itertools.combinations(targets, 2):
        if a.label == b.label:
            assert angle(a, b) > same.min_angle
            assert a.path != b.path
            assert folders(a, same.exclusion_depth) != folders(b, same.exclusion_depth)


def test_sections_for_the_renderer_are_handed_on() -> None:
    changes = ["dry.channel=1", "dry.before_ms=2", "labels.support=active", "labels.active_db=20"]
    spec = plan(load_recipe("demo", [*changes, "rirs.trim.seconds=0.5", "noise.snr_db=3"]), TABLES, 0, 0)
    assert (spec.dry.channel, spec.dry.before_ms, spec.dry.after_ms) == (1, 2, 50)
    assert (spec.labels.support, spec.labels.active_db) == ("active", 20)
    assert (spec.trim.seconds, spec.trim.at_noise_floor) == (0.5, False)
    assert spec.noise is not None
    assert spec.noise.snr_db == 3


def test_another_scene_rate_counts_files_at_that_rate() -> None:
    recipe = load_recipe("dcase2025", ["scene.sample_rate=16000", "scene.max_event_duration=2"])
    spec = plan(recipe, tables(lengths=(64_001 * 4,)), 0, 0)
    assert spec.duration == 160_000
    assert {e.duration for e in spec.targets} == {32_000}
    assert {e.duration for e in plan(recipe, tables(lengths=(40_001,)), 0, 0).targets} == {20_000}


# What cannot be


@pytest.mark.parametrize(
    ("changes", "shape", "message"),
    [
        (["targets.count=[1,4]"], {"classes": 3}, r"targets\.count: asks for up to 4 targets.*there are 3"),
        (["split=test"], {}, r"split: the catalog has no events for the split test.*it has: train"),
        (["events.sets=[x]"], {}, r"events\.sets: no events are of x \(choose from dev\)"),
        (["noise.sets=[x]"], {}, r"noise\.sets"),
        (["rirs.sets=[x, y]"], {}, r"rirs\.sets: no places are of x, y"),
        (["interference.sets=[x]"], {}, r"interference\.sets"),
        (["targets.classes=[Class1, Class02]"], {}, r"targets\.classes: .*'Class1'.*did you mean Class"),
        (["interference.classes=[Dog]"], {}, r"interference\.classes: .*'Dog'"),
        ([], {"noises": ()}, r"no noises"),
        ([], {"places": 0}, r"no places"),
        ([], {"interferers": 0}, r"no interferers"),
        ([], {"azimuths": (0, 20, 60)}, r"min_angle: no place has two positions more than 60 degrees apart"),
        ([], {"files": 1}, r"same_class\.rate: no class has two different sources"),
        (["scene.max_overlap=1"], {"lengths": (T // 2,)}, r"targets\.count: 3 events do not fit"),
    ],
)
def test_what_a_catalog_cannot_give_is_said_before_the_first_scene(
    changes: list[str], shape: dict[str, int], message: str
) -> None:
    recipe, catalog = load_recipe("dcase2026", changes), tables(**shape)  # type: ignore[arg-type]
    with pytest.raises(ProblemsError, match=message):
        check_plannable(recipe, catalog)
    with pytest.raises(ProblemsError, match=message):
        plan(recipe, catalog, 0, 0)


def test_all_that_is_lacking_is_said_at_once() -> None:
    recipe = load_recipe("dcase2026", ["events.sets=[x]", "noise.sets=[y]", "interference.classes=[z]"])
    with pytest.raises(ProblemsError) as caught:
        check_plannable(recipe, TABLES)
    keys = {p.where.removeprefix("dcase2026: ") for p in caught.value.problems}
    assert {"events.sets", "noise.sets", "interference.classes"} <= keys


def test_a_label_that_no_file_name_can_hold_is_refused() -> None:
    catalog = tables(classes=3)
    catalog.events["label"] = catalog.events["label"].replace("Class01", "Class\n01")
    with pytest.raises(ProblemsError, match=r"'Class\\n01' cannot be a label"):
        check_plannable(load_recipe("demo"), catalog)


def test_more_targets_than_classes_are_possible_when_all_scenes_repeat() -> None:
    recipe = load_recipe("dcase2026", ["targets.count=[2,2]", "targets.same_class.rate=1"])
    spec = plan(recipe, tables(classes=1), 0, 0)
    assert [e.label for e in spec.targets] == ["Class00", "Class00"]


def test_scenes_without_targets_or_interferers_need_none_in_the_catalog() -> None:
    recipe = load_recipe("dcase2026-tagging", ["targets.count=0", "interference.count=0"])
    spec = plan(recipe, tables(classes=0, interferers=0), 0, 0)
    assert (spec.targets, spec.interferers) == ((), ())
    assert spec.noise is not None


def test_classes_with_one_source_are_left_out_of_repetition() -> None:
    catalog = tables(classes=6, files=4)
    events = catalog.events
    single = (events["label"] == "Class00") | events["path"].str.endswith("000.wav")
    catalog = replace(catalog, events=events[single].reset_index(drop=True))
    recipe = load_recipe("dcase2026", ["targets.count=[2,3]", "targets.same_class.rate=1"])
    for spec in scenes(recipe, catalog, 30):
        repeated = [label for label, n in Counter(e.label for e in spec.targets).items() if n > 1]
        assert repeated == ["Class00"]


def test_repeated_classes_take_places_wide_enough() -> None:
    catalog = tables(azimuths=(0, 180), places=2)
    catalog.positions.loc[catalog.positions["path"].str.contains("room0"), ["x", "y", "z"]] = (1.0, 0.0, 0.0)
    for spec in scenes(load_recipe("dcase2026", ["targets.count=[2,2]"]), catalog, 40):
        if spec.targets[0].label == spec.targets[1].label:
            assert "room1" in spec.place
            assert angle(*spec.targets) > 170


def test_a_scene_that_cannot_be_arranged_ends_after_bounded_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "MAX_TRIES", 20)
    changes = ["scene.max_overlap=1", "targets.count=3", "interference.count=1", "targets.same_class.rate=0"]
    catalog = tables(classes=3, lengths=(8 * RATE,))
    # Two of the three classes have nothing but sounds of 8 s, which do not fit one after the other.
    catalog.events.loc[catalog.events["label"] == "Class00", ["frames", "samples"]] = RATE
    with pytest.raises(
        SynthError, match=r"dcase2026: scene\.max_overlap: no arrangement.*20 tries \(scene 7"
    ):
        plan(load_recipe("dcase2026", changes), catalog, 0, 7)


def test_exclusion_depth_tells_sources_apart() -> None:
    """Depth 1: another object; 2: another take of the same object will do; 0: another file."""
    catalog = tables(classes=1, files=8, depth=2)
    for depth, least in ((1, 0), (2, 1), (0, 1)):
        changes = [
            "targets.count=[2,2]",
            "targets.same_class.rate=1",
            f"targets.same_class.exclusion_depth={depth}",
        ]
        pairs = [s.targets for s in scenes(load_recipe("dcase2026", changes), catalog, 150)]
        shared = sum(a.path.split("/")[3] == b.path.split("/")[3] for a, b in pairs)
        assert (shared > 0) == bool(least)


def test_flat_files_are_told_apart_by_the_source_that_the_catalog_names() -> None:
    """Speech data sets lie flat: one speaker must not answer himself from the other side."""
    catalog = tables(classes=1, files=4, depth=0)
    catalog.events["source"] = ["p001", "p001", "p001", "p002"]
    for depth, apart in ((1, True), (0, False)):
        changes = [
            "targets.count=2",
            "targets.same_class.rate=1",
            f"targets.same_class.exclusion_depth={depth}",
        ]
        found = {
            len({e.source for e in s.targets}) for s in scenes(load_recipe("demo", changes), catalog, 60)
        }
        assert found == ({2} if apart else {1, 2})


def test_a_real_catalog_is_planned_and_its_rows_are_found_again(tmp_path: Path) -> None:
    root = make_dev_set(tmp_path / "dev_set", nested=True, per_class=3, places=2)
    build_catalog("dcase2026", root, tmp_path / "catalog", cache=False)
    catalog = Catalog.load(tmp_path / "catalog")
    recipe = load_recipe("dcase2026-tagging", ["split=valid"])
    check_plannable(recipe, catalog)
    rows = {table: getattr(catalog, table).set_index("path") for table in ("events", "interferers", "noises")}
    for index in range(30):
        spec = plan(recipe, catalog, 0, index)
        check_classes(spec.targets, recipe)
        for table, events in (("events", spec.targets), ("interferers", spec.interferers)):
            for event in events:
                row = rows[table].loc[event.path]
                assert (row["split"], row["label"], row["samples"]) == ("valid", event.label, event.duration)
        at = catalog.positions
        for event in spec.targets:
            row = at[(at["path"] == spec.place) & (at["position"] == event.position)].iloc[0]
            assert event.xyz == (row["x"], row["y"], row["z"])
        assert spec.noise is not None
        assert rows["noises"].loc[spec.noise.path]["samples"] == spec.noise.duration
