"""Recipes: a typo never draws other scenes than were asked for, and a hash names one recipe."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from synth.errors import ProblemsError, SynthError
from synth.scenes.overrides import substituted
from synth.scenes.recipe import Recipe, list_recipes, load_recipe, recipe_text

ROOT = Path(__file__).parents[3]
PRESETS = ["dcase2025", "dcase2025-augmented", "dcase2026", "dcase2026-tagging", "demo"]

# Corpora carry these: a change means that every one made before is of another recipe.
HASHES = {
    "dcase2025": "901a09bd96c554e8fdd09a7f38bcb4463927926b9ed90191c6642e92d86a32a3",
    "dcase2025-augmented": "7a8b3682ece011fd2230b5bae799868ae7a4d2d9299c4a7b4d902cec60d38ddd",
    "dcase2026": "b0db404deed711af7ed3ed4266cb6db6e88e89a164e13d1cd35a72f9635c26e6",
    "dcase2026-tagging": "456e18a3b7d8c4bdd607a7e012824280bff819760dddfca2b1cfdfbb6f7098a8",
    "demo": "235c258902f3775571c4cea06d7e7652a4f6de3d34a577d61a6c2cea5577af7e",
}


def leaves(content: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {prefix: content}
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= leaves(value, f"{prefix}.{key}" if prefix else key)
    return found


def test_the_presets_are_there() -> None:
    assert list_recipes() == PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_says_every_key_and_comments_every_value(name: str) -> None:
    text = recipe_text(name)
    assert set(leaves(yaml.safe_load(text))) == set(leaves(load_recipe(name).model_dump()))
    for line in text.splitlines():
        if re.match(r"\s*[a-z_]+: \S", line) and not line.startswith(("name:", "title:")):
            assert " # " in line, line


@pytest.mark.parametrize("name", PRESETS)
def test_hashes_of_the_presets_are_frozen(name: str) -> None:
    assert load_recipe(name).recipe_hash == HASHES[name]


def test_the_presets_hold_the_published_numbers() -> None:
    seen = {}
    for name in PRESETS:
        r = load_recipe(name)
        same = r.targets.same_class
        seen[name] = (r.rules, r.scene.ref_db, r.targets.count, r.interference.count, same.rate)
        assert (r.scene.duration, r.scene.sample_rate, r.scene.max_overlap) == (10.0, 32_000, 3)
        assert (r.targets.snr_db, r.interference.snr_db) == ((5, 20), (0, 15))
        assert (same.max_duplicates, same.min_angle, same.exclusion_depth) == (2, 60, 1)
        assert (r.dry.channel, r.dry.before_ms, r.dry.after_ms) == (0, 6, 50)
        assert r.synthetic == (name == "demo")
    assert seen["dcase2025"] == ("s5kit2025", -50, (1, 3), (1, 2), 0)
    assert seen["dcase2025-augmented"] == seen["dcase2025"]
    assert seen["dcase2026"] == ("s5kit2026", -55, (1, 3), (0, 2), 0.5)
    assert seen["dcase2026-tagging"] == ("s5kit2026", -55, (0, 3), (0, 2), 0.5)


def test_hash_is_of_the_content_not_of_its_spelling(tmp_path: Path) -> None:
    path = tmp_path / "same.yaml"
    content = yaml.safe_load(recipe_text("dcase2026"))
    content["scene"]["ref_db"] = -55.0
    path.write_text(yaml.safe_dump(dict(reversed(content.items())), sort_keys=False))
    assert load_recipe(path).recipe_hash == HASHES["dcase2026"]
    assert load_recipe("dcase2026", ["scene.ref_db=-55.5"]).recipe_hash != HASHES["dcase2026"]


def test_hash_is_the_same_in_another_process() -> None:
    code = "from synth.scenes.recipe import load_recipe; print(load_recipe('demo').recipe_hash)"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == HASHES["demo"]


def test_overrides_change_just_their_key_and_the_last_one_wins() -> None:
    changes = ["targets.snr_db=[1,2]", "targets.count=2", "targets.snr_db=[3, 4]", "noise.start=samples"]
    before, after = (
        leaves(load_recipe("demo").model_dump()),
        leaves(load_recipe("demo", changes).model_dump()),
    )
    assert {key for key in before if before[key] != after[key]} == {
        "targets.snr_db",
        "targets.count",
        "noise.start",
    }
    assert after["targets.snr_db"] == (3, 4)
    assert after["targets.count"] == (2, 2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("targets.snrdb=[5,20]", r"demo: targets\.snrdb: unknown key \(did you mean targets\.snr_db\?"),
        ("snr_db=3", r"demo: snr_db: unknown key \(did you mean noise\.snr_db\?"),
        ("scene.max_overlp=3", r"did you mean scene\.max_overlap\? allowed here: duration, sample_rate"),
        ("bla=3", r"demo: bla: unknown key \(allowed here: name, title"),
        ("targets.same_class.angle=3", r"did you mean targets\.same_class\.min_angle\?"),
        ("targets.snr_db=[20,5]", r"the low end 20\.0 is above the high end 5\.0.*\[low, high\] in dB"),
        ("targets.snr_db=[1,2,3]", r"targets\.snr_db: .*\[low, high\] in dB, -100 to 100"),
        ("targets.snr_db=[0,101]", r"less than or equal to 100"),
        ("targets.snr_db=loud", r"targets\.snr_db"),
        ("targets.count=[1,2.5]", r"targets\.count: .*integer, got 2\.5 \(allowed: \[low, high\]"),
        ("targets.count=[-1,2]", r"targets\.count"),
        ("targets.count=[1,33]", r"0 to 32"),
        ("targets.count=true", r"targets\.count: .*integer"),
        ("targets.count='2'", r"targets\.count"),
        ("targets=3", r"targets: is a section of keys \(its keys: count, snr_db"),
        ("targets={count: 3}", r"sets a whole section"),
        ("targets.count.low=3", r"targets\.count is a value, not a section"),
        ("targets.classes=[]", r"targets\.classes.*at least one"),
        ("targets.classes=[Speech, Speech]", r"different names"),
        ("targets.classes=Speech", r"targets\.classes"),
        ("targets.same_class.rate=1.5", r"allowed: 0 to 1"),
        ("targets.same_class.min_angle=180", r"0 to below 180"),
        ("noise.start=minutes", r"noise\.start.*seconds or samples"),
        ("rules=dcase2025", r"rules.*s5kit2025 or s5kit2026"),
        ("split=training", r"train, valid or test"),
        ("labels.support=events", r"event, active or tail"),
        ("scene.duration=0", r"0\.1 to 600"),
        ("scene.duration=.nan", r"scene\.duration"),
        ("scene.ref_db=.inf", r"scene\.ref_db"),
        ("scene.ref_db=", r"scene\.ref_db"),
        ("scene.sample_rate=32000.5", r"8000 to 192000"),
        ("rirs.trim.seconds=0", r"up to 60 s, or null"),
        ("dry.after_ms=0", r"dry\.after_ms"),
        ("name=../x", r"name.*a-z, 0-9"),
        ("version=2", r"unknown key"),
        ("targets.snr_db", r"not KEY=VALUE"),
        ("=3", r"not KEY=VALUE"),
        ("targets..count=3", r"not KEY=VALUE"),
        ("targets.count=[1,", r"--set targets\.count: not valid YAML"),
        ("targets.count=&x [*x]", r"aliases"),
        ("targets.count=!!python/name:os.system x", r"not valid YAML"),
        ("targets.snr_db=" + "[" * 40 + "]" * 40, r"nested"),
        ("title=" + "x" * 20_000, r"longer than"),
    ],
)
def test_a_wrong_override_names_key_allowed_values_and_nearest_key(override: str, message: str) -> None:
    with pytest.raises(SynthError, match=message):
        load_recipe("demo", [override])


def test_all_faults_of_a_recipe_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nscene: {duration: long, ref_db: -50}\ntargets: {cont: [1, 2]}\n")
    with pytest.raises(ProblemsError) as caught:
        load_recipe(path)
    found = {problem.where.removeprefix(f"{path}: ") for problem in caught.value.problems}
    assert found == {"scene.duration", "targets.cont", "rules"}


def test_a_short_file_takes_the_2025_numbers_for_what_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nrules: s5kit2025\nscene: {ref_db: -50}\n")
    mine, preset = leaves(load_recipe(path).model_dump()), leaves(load_recipe("dcase2025").model_dump())
    assert {key for key in preset if mine[key] != preset[key]} == {"name", "title"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "not a mapping"),
        ("", "not a mapping"),
        ("name: x\nname: y\n", "given twice"),
        ("name: x\nscene: &s {ref_db: -50}\ntargets: *s\n", "aliases"),
        ("x" * 300_000, "longer than"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SynthError, match=message):
        load_recipe(path)
    path.write_bytes(b"\xff")
    with pytest.raises(SynthError, match="UTF-8"):
        load_recipe(path)


def test_a_missing_recipe_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(
        SynthError, match=r"did you mean dcase2025\? choose from dcase2025, dcase2025-augmented, dcase2026"
    ):
        load_recipe("dcase-2025")
    with pytest.raises(SynthError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")


VALUES = {
    "scene.ref_db": st.floats(-120, 0),
    "targets.count": st.lists(st.integers(0, 32), min_size=2, max_size=2).map(sorted),
    "targets.snr_db": st.lists(st.floats(-100, 100), min_size=2, max_size=2).map(sorted),
    "targets.classes": st.none() | st.lists(st.text(min_size=1), min_size=1, max_size=3, unique=True),
    "rirs.trim.at_noise_floor": st.booleans(),
    "title": st.text(max_size=20),
}


@given(values=st.fixed_dictionaries({}, optional=VALUES), short=st.booleans())
def test_the_text_with_overrides_is_the_recipe_with_overrides(values: dict[str, Any], short: bool) -> None:
    """Else what `recipes show --set` prints would draw other scenes than `synth --set`."""
    changes = []
    for key, value in values.items():
        flow = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=1 << 20)
        changes.append(f"{key}={flow.removesuffix('...' + chr(10)).strip()}")
    text = recipe_text("demo")
    if short:
        text = "name: x\nrules: s5kit2025\nscene:\n  # how loud\n  ref_db: -50\nrirs: {}\n"
    direct = Recipe.model_validate(_applied(text, changes))
    assert Recipe.model_validate(yaml.safe_load(substituted(text, changes))) == direct
    assert substituted(text, changes).count("# ") >= text.count("# ")


def _applied(text: str, changes: list[str]) -> dict[str, Any]:
    from synth.scenes.overrides import apply_overrides

    return apply_overrides(yaml.safe_load(text), changes)
