"""Effects on paper: what is drawn, that labels stay true, and that a scene without them is as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.errors import ProblemsError, SynthError
from synth.scenes.dcase_json import to_dcase_scene
from synth.scenes.effect_specs import Gain, SceneEffects, SpaceEffect, TimeStretch
from synth.scenes.labels import strong_labels
from synth.scenes.plan import plan
from synth.scenes.recipe import Recipe, load_recipe
from synth.scenes.spec import EventSpec, SceneSpec
from synth.scenes.windowing import Window, moved, seen
from tests.synth.scenes.tables import tables

TABLES = tables()
T = 320_000
PLAIN = load_recipe("dcase2025")
HASH = "901a09bd96c554e8fdd09a7f38bcb4463927926b9ed90191c6642e92d86a32a3"
EVENT = (
    "time_stretch",
    "pitch_shift",
    "high_pass",
    "low_pass",
    "band_pass",
    "gain",
    "polarity",
    "coloured_noise",
)
SCENE = ("shift", "crop", "mismatch", "eq", "level", "self_noise")
SPACE = ("swap", "yaw", "elevation_flip")
RATES = [
    *(f"events.{name}" for name in EVENT),
    *(f"scene.{name}" for name in SCENE),
    *(f"space.{name}" for name in SPACE),
]


def on(*names: str, rate: float = 1.0, sets: tuple[str, ...] = ()) -> Recipe:
    return load_recipe("dcase2025", [*(f"effects.{name}.rate={rate}" for name in names), *sets])


EVERY, OTHER_TABLES = on(*RATES, rate=0.7), tables()


def stripped(spec: SceneSpec, **changes: Any) -> SceneSpec:
    """The scene without its effects and origin."""
    bare = [
        tuple(e.model_copy(update={"effects": ()}) for e in events)
        for events in (spec.targets, spec.interferers)
    ]
    update = {"targets": bare[0], "interferers": bare[1], "effects": None, "origin": None}
    return spec.model_copy(update=update | changes)


def test_without_effects_nothing_is_as_if_there_were_none() -> None:
    """Else corpora and plans made before effects existed would be of another recipe."""
    given_default = load_recipe("dcase2025", ["effects.events.gain.rate=0", "effects.scene.keep=0.1"])
    for recipe in (PLAIN, given_default):
        assert recipe.recipe_hash == HASH
        text = plan(recipe, TABLES, 0, 0).to_json()
        assert "effects" not in text
        assert "cut_before" not in text
    assert on("events.gain").recipe_hash != HASH


@pytest.mark.parametrize(
    "name", [n for n in RATES if n.split(".")[1] not in ("time_stretch", "shift", "crop", "gain")]
)
def test_an_effect_switched_on_leaves_the_rest_of_the_scene_alone(name: str) -> None:
    """Ablations of an effect compare like with like."""
    recipe = on(name)
    seen_effects = 0
    for index in range(12):
        spec = plan(recipe, TABLES, 3, index)
        assert stripped(spec) == stripped(plan(PLAIN, TABLES, 3, index))
        seen_effects += spec.effects is not None or any(e.effects for e in spec.targets)
    assert seen_effects >= 8


def test_an_effect_keeps_its_numbers_beside_others_and_at_other_rates() -> None:
    every = on(*(f"events.{name}" for name in EVENT if name != "time_stretch"), "scene.eq", "space.yaw")
    for index in range(10):
        both = plan(every, TABLES, 1, index)
        for name in ("pitch_shift", "coloured_noise", "gain"):
            alone = plan(on(f"events.{name}"), TABLES, 1, index)
            for a, b in zip(alone.targets, both.targets, strict=True):
                assert a.effects == tuple(e for e in b.effects if e.kind == name)
        assert plan(on("scene.eq"), TABLES, 1, index).effects.eq == both.effects.eq
        rare = plan(on("events.pitch_shift", rate=0.4), TABLES, 1, index)
        often = plan(on("events.pitch_shift"), TABLES, 1, index)
        for a, b in zip(rare.targets, often.targets, strict=True):
            assert a.effects in ((), b.effects)


def test_effects_come_as_often_and_within_the_ranges_asked_for() -> None:
    sets = (
        "effects.events.pitch_shift.semitones=[-3,1]", "effects.events.coloured_noise.snr_db=[12,13]",
        "effects.events.high_pass.cutoff_hz=[100,200]", "effects.events.apply_to=[targets]",
        "effects.scene.eq.bands=2", "effects.scene.eq.gain_db=[1,3]", "effects.scene.level.db=[-9,-8]",
    )  # fmt: skip
    names = ("pitch_shift", "high_pass", "coloured_noise")
    recipe = on(
        *(f"events.{n}" for n in names), "scene.eq", "scene.level", "scene.mismatch", rate=0.3, sets=sets
    )
    specs = [plan(recipe, TABLES, 0, index) for index in range(400)]
    effects = [e for spec in specs for target in spec.targets for e in target.effects]
    events = sum(len(spec.targets) for spec in specs)
    for name in names:
        share = sum(e.kind == name for e in effects) / events
        assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / events)
    for e in effects:
        if e.kind == "pitch_shift":
            assert -3.1 < e.semitones < 1.1
        elif e.kind == "high_pass":
            assert 100 <= e.cutoff_hz <= 200
        else:
            assert 12 <= e.snr_db <= 13
    assert not any(i.effects for spec in specs for i in spec.interferers)
    scenes = [spec.effects for spec in specs if spec.effects is not None]
    assert {len(s.eq) for s in scenes} == {0, 2}
    assert all(1 <= band.gain_db <= 3 for s in scenes for band in s.eq)
    assert all(-9 <= s.level_db <= -8 for s in scenes if s.level_db)
    assert abs(sum(bool(s.eq) for s in scenes) / 400 - 0.3) < 0.1
    assert abs(sum(s.mismatch_db is not None for s in scenes) / 400 - 0.3) < 0.1


def test_a_gain_is_a_gain_of_the_snr() -> None:
    for index in range(10):
        loud, plain = plan(on("events.gain"), TABLES, 0, index), plan(PLAIN, TABLES, 0, index)
        for a, b in zip(
            (*loud.targets, *loud.interferers), (*plain.targets, *plain.interferers), strict=True
        ):
            assert a.effects == (Gain(db=a.effects[0].db),)
            assert a.snr_db == pytest.approx(b.snr_db + a.effects[0].db)
            assert abs(a.effects[0].db) <= 6


@given(seed=st.integers(0, 10**6), low=st.floats(0.5, 1), high=st.floats(1, 2))
def test_stretched_events_fit_the_scene_the_file_and_the_overlap_rule(
    seed: int, low: float, high: float
) -> None:
    sets = (
        f"effects.events.time_stretch.factor=[{low},{high}]",
        "targets.count=[3,3]",
        "scene.max_overlap=2",
    )
    spec = plan(on("events.time_stretch", sets=sets), TABLES, seed, 0)
    lengths = dict(zip(TABLES.events["path"], TABLES.events["samples"], strict=True))
    edges = []
    for event in spec.targets:
        (effect,) = event.effects
        assert isinstance(effect, TimeStretch)
        assert low <= effect.factor <= high
        assert event.duration == max(round(effect.samples * effect.factor), 1)
        assert 0 <= event.start <= event.start + effect.samples <= lengths[event.path]
        assert event.onset + event.duration <= T
        edges += [(event.onset, 1), (event.onset + event.duration, -1)]
    assert max(np.cumsum([change for _, change in sorted(edges)])) <= 2
    labels = strong_labels(spec)
    assert [(x.onset, x.offset) for x in labels] == [(e.onset, e.onset + e.duration) for e in spec.targets]


def make_event(onset: int, duration: int, start: int = 50) -> EventSpec:
    return EventSpec(label="Speech", path="a.wav", start=start, duration=duration, onset=onset,
                     position=0, xyz=(1, 0, 0), snr_db=0)  # fmt: skip


@given(
    events=st.lists(st.tuples(st.integers(0, 900), st.integers(1, 400)), max_size=6),
    starts=st.lists(st.integers(-500, 900), min_size=1, max_size=3),
    keep=st.integers(1, 100),
)
def test_moved_events_are_heard_at_their_new_time_and_nothing_else_is(
    events: list[tuple[int, int]], starts: list[int], keep: int
) -> None:
    """Every labelled sample of the scene is the sample of the file that was there before the move."""
    scene = 1_000
    before = [make_event(onset, duration, start=50 + n) for n, (onset, duration) in enumerate(events)]
    after = moved(before, starts[0], scene, keep)
    kept = {e.start: e for e in after}
    for event in before:
        first, end = event.onset - starts[0], event.onset + event.duration - starts[0]
        visible = min(end, scene) - max(first, 0)
        if visible < min(keep, event.duration):
            assert event.start not in kept
            continue
        found = kept[event.start]
        assert (found.onset, found.onset + found.duration) == (max(first, 0), end)
        assert found.cut_before == max(-first, 0)
        assert found.start + found.cut_before - found.onset == event.start - first
        EventSpec.model_validate(found.model_dump())
    twice = moved(moved(before, 0, scene, 1), starts[0], scene, keep)
    assert [e for e in twice] == [e for e in after if e.start in {b.start for b in before if b.onset < scene}]


def test_a_shift_that_loses_too_many_targets_is_not_made() -> None:
    targets = [make_event(0, 100), make_event(500, 100)]
    some, _ = seen(Window(0, (300, 0)), targets, [], 1_000, 10, wanted=1)
    assert [e.onset for e in some] == [200]
    both, others = seen(Window(0, (300, 0)), targets, [make_event(10, 50)], 1_000, 10, wanted=2)
    assert [e.onset for e in both] == [0, 500]
    assert [e.onset for e in others] == [10]


@given(seed=st.integers(0, 10**6))
def test_cropped_and_shifted_scenes_obey_the_recipe(seed: int) -> None:
    sets = ("effects.scene.crop.extra=[0,8]", "effects.scene.shift.seconds=[-4,4]", "targets.count=[1,3]")
    spec = plan(on("scene.shift", "scene.crop", "events.time_stretch", sets=sets), TABLES, seed, 5)
    assert spec.duration == T
    assert 1 <= len(spec.targets) <= 3
    for event in (*spec.targets, *spec.interferers):
        assert event.onset < T
        assert min(event.onset + event.duration, T) - event.onset >= min(3_200, event.duration)
        assert event.onset == 0 or event.cut_before == 0
    assert [e.onset for e in spec.targets] == sorted(e.onset for e in spec.targets)
    for label in strong_labels(spec):
        assert 0 <= label.onset < label.offset <= T
    assert SceneSpec.from_json(spec.to_json()) == spec


def test_crops_cut_events_at_both_ends() -> None:
    recipe = on("scene.crop", sets=("effects.scene.crop.extra=[6,6]",))
    specs = [plan(recipe, TABLES, 0, index) for index in range(60)]
    events = [e for spec in specs for e in (*spec.targets, *spec.interferers)]
    assert sum(e.cut_before > 0 for e in events) > 10
    assert sum(e.onset + e.duration > T for e in events) > 10


def test_the_snr_curriculum_is_a_straight_line_over_the_index() -> None:
    sets = ("effects.scene.snr_curriculum.scenes=100", "effects.scene.snr_curriculum.targets=[40,50]",
            "effects.scene.snr_curriculum.interference=-20", "targets.snr_db=[0,10]", "interference.snr_db=4")  # fmt: skip
    recipe = load_recipe("dcase2025", list(sets))
    for index, low, other in ((0, 40, -20), (25, 30, -14), (75, 10, -2), (100, 0, 4), (10**9, 0, 4)):
        spec, plain = plan(recipe, TABLES, 0, index), plan(PLAIN, TABLES, 0, index)
        for event, base in zip(spec.targets, plain.targets, strict=True):
            # The number drawn is that of the plain recipe, [5, 20] dB.
            assert event.snr_db == pytest.approx(low + 10 * (base.snr_db - 5) / 15)
        assert all(e.snr_db == pytest.approx(other) for e in spec.interferers)


def test_the_16_swaps_are_all_there_and_flip_and_yaw_come_on_top() -> None:
    swaps = on("space.swap")
    drawn = [_space(plan(swaps, TABLES, 0, index)) for index in range(300)]
    seen_swaps = {(s.mirror, s.yaw % 360, s.flip) for s in drawn}
    assert seen_swaps == {(m, y, f) for m in (False, True) for y in (0, 90, 180, 270) for f in (False, True)}
    every = on("space.swap", "space.yaw", "space.elevation_flip")
    for index in range(20):
        swap, yaw = (_space(plan(on(f"space.{n}"), TABLES, 0, index)) for n in ("swap", "yaw"))
        found = _space(plan(every, TABLES, 0, index))
        assert (found.mirror, found.flip) == (swap.mirror, not swap.flip)
        assert (found.yaw - swap.yaw - yaw.yaw + 180) % 360 == pytest.approx(180, abs=1e-9)


def _space(spec: SceneSpec) -> SpaceEffect:
    return SpaceEffect() if spec.effects is None else spec.effects.space


@given(
    azimuth=st.floats(-179, 179), elevation=st.floats(-80, 80), mirror=st.booleans(),
    yaw=st.floats(-180, 180), flip=st.booleans(),
)  # fmt: skip
def test_labels_turn_as_the_scene_does(
    azimuth: float, elevation: float, mirror: bool, yaw: float, flip: bool
) -> None:
    a, e = np.radians((azimuth, elevation))
    xyz = tuple(2.5 * v for v in (np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)))
    base = plan(PLAIN, TABLES, 0, 0)
    event = base.targets[0].model_copy(update={"xyz": xyz})
    effects = SceneEffects(space=SpaceEffect(mirror=mirror, yaw=yaw, flip=flip))
    (label,) = strong_labels(base.model_copy(update={"targets": (event,), "effects": effects}))
    expected = (-azimuth if mirror else azimuth) + yaw
    assert (label.azimuth - expected + 180) % 360 == pytest.approx(180, abs=1e-6)
    assert label.elevation == pytest.approx(-elevation if flip else elevation, abs=1e-9)
    assert label.distance == pytest.approx(2.5)


@given(seed=st.integers(0, 10**6), index=st.integers(0, 10**6))
def test_scenes_with_every_effect_survive_json_and_are_drawn_twice_the_same(seed: int, index: int) -> None:
    spec = plan(EVERY, TABLES, seed, index)
    assert SceneSpec.from_json(spec.to_json()) == spec
    assert plan(EVERY, OTHER_TABLES, seed, index) == spec


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("effects.events.gain.rat=1", r"effects\.events\.gain\.rat: unknown key.*allowed here: rate, db"),
        ("effects.event.gain.rate=1", r"effects\.event: unknown key.*allowed here: events, space, scene"),
        ("effects.events.pich_shift.rate=1", r"did you mean effects\.events\.pitch_shift"),
        ("effects.events.gain.rate=2", r"effects\.events\.gain\.rate: .*0 to 1"),
        ("effects.events.gain.db=[3,1]", r"low end 3\.0 is above the high end 1\.0"),
        ("effects.events.time_stretch.factor=[0.1,1]", r"0\.5 to 2"),
        ("effects.events.pitch_shift.semitones=13", r"-12 to 12"),
        ("effects.events.apply_to=[noise]", r"a list of targets, interference"),
        ("effects.events.apply_to=[]", r"apply_to"),
        ("effects.space.yaw.degrees=[-200,0]", r"-180 to 180"),
        ("effects.scene.eq.q=[0,1]", r"effects\.scene\.eq\.q"),
        ("effects.scene.mismatch.db=[0,1]", r"dB, 0 to 12"),
        ("effects.scene.self_noise.level_db=3", r"-160 to 0"),
        ("effects.scene.snr_curriculum.scenes=-1", r"0 \(off\) or the number of scenes"),
        ("effects.scene.keep=0", r"above 0 to 10"),
        ("effects=none", r"effects: is a section of keys \(its keys: events, space, scene"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_range_is_named(change: str, message: str) -> None:
    with pytest.raises(SynthError, match=message):
        load_recipe("dcase2025", [change])


def test_effects_that_the_rate_of_the_scene_cannot_have_are_named_before_the_first_scene() -> None:
    sets = ("effects.events.low_pass.cutoff_hz=[100,16000]", "effects.scene.eq.frequency_hz=[100,17000]")
    with pytest.raises(ProblemsError, match="lower it or raise") as caught:
        plan(on("events.low_pass", "scene.eq", sets=sets), TABLES, 0, 0)
    keys = ["effects.events.low_pass.cutoff_hz", "effects.scene.eq.frequency_hz"]
    assert [p.where for p in caught.value.problems] == [f"dcase2025: {key}" for key in keys]
    with pytest.raises(SynthError, match="no divisor from 50 to 200"):
        plan(on("events.pitch_shift", sets=("scene.sample_rate=31981",)), TABLES, 0, 0)


def _scene(**changes: Any) -> str:
    content = json.loads(plan(PLAIN, TABLES, 0, 0).to_json())
    content["targets"][0] |= changes.pop("event", {})
    return json.dumps(content | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_scene(event={"effects": [{"kind": "echo"}]}), r"targets\.0\.effects\.0.*'gain'"),
        (_scene(event={"effects": [{"kind": "gain", "db": 1, "x": 2}]}), r"effects\.0\.gain\.x"),
        (
            _scene(event={"effects": [{"kind": "time_stretch", "factor": 2, "samples": 5}]}),
            "stretched by 2 are 10",
        ),
        (_scene(event={"cut_before": 5}), "cut_before is 5, but the onset is not 0"),
        (_scene(event={"cut_before": -5, "onset": 0}), r"cut_before"),
        (_scene(effects={"space": {"yaw": 400}}), r"effects\.space\.yaw"),
        (_scene(effects={"mismatch_db": [1, 2, 3]}), r"effects\.mismatch_db"),
        (_scene(effects={"self_noise": {"level_db": -90}}), r"effects\.self_noise\.seed"),
        (_scene(effects={"reverb": 1}), r"effects\.reverb"),
    ],
)
def test_a_wrong_effect_in_a_scene_file_is_named(text: str, message: str) -> None:
    with pytest.raises(SynthError, match=message):
        SceneSpec.from_json(text)


@pytest.mark.parametrize("names", [("events.polarity",), ("scene.crop",), ("scene.level",)])
def test_the_official_form_refuses_what_it_cannot_say(names: tuple[str, ...]) -> None:
    """Else another program would render another scene under the same name."""
    sets = ("effects.scene.crop.extra=[8,8]", "interference.count=[2,2]")
    specs = [plan(on(*names, sets=sets), TABLES, 0, index) for index in range(30)]
    changed = [
        s for s in specs if s.effects or any(e.effects or e.cut_before for e in (*s.targets, *s.interferers))
    ]
    assert changed
    for spec in changed:
        with pytest.raises(SynthError, match=r"cannot say.*effects|cannot say.*starts before"):
            to_dcase_scene(spec)


def test_every_example_of_the_page_on_effects_is_a_recipe_that_draws_it() -> None:
    """What the documentation shows can be typed."""
    page = (Path(__file__).parents[3] / ".github" / "readme" / "effects.md").read_text()
    examples = [re.findall(r"--set (\S+?)[` ]", line) for line in page.splitlines() if "`--set" in line]
    assert len(examples) == len(RATES) + 1
    named = set()
    for changes in examples:
        recipe = load_recipe("dcase2025", changes)
        assert recipe.recipe_hash != HASH
        plan(recipe, TABLES, 0, 0)
        named |= {change.split("=")[0].removeprefix("effects.") for change in changes}
    assert {f"{name}.rate" for name in RATES} <= named
