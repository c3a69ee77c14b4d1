"""Named sets: an ablation turns rooms and noises on and off by name, and a typing error is no ablation."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest

from synth.errors import ProblemsError, SynthError
from synth.scenes.plan import check_plannable, plan
from synth.scenes.recipe import load_recipe
from synth.scenes.sets import chosen_rows, named_sets, parse_sets
from tests.synth.scenes.tables import Tables, tables

PLACES = (
    *[("dev", f"place{n}") for n in range(3)],
    *[("foa-meir-test", f"pid000{n}") for n in range(2)],
    *[("reverb-s", f"pid10{n:02}") for n in range(3)],
    ("reverb-c", "pid2000"),
    ("mine", "attic"),
)


def places(named: Sequence[tuple[str, str]] = PLACES) -> pd.DataFrame:
    rows = [(f"room_ir/train/{p}.sofa", p, "train", s, "made") for s, p in named]
    return pd.DataFrame(rows, columns=["path", "place", "split", "set", "dataset"])


def chosen(names: list[str] | None, table: pd.DataFrame | None = None) -> set[str]:
    table = places() if table is None else table
    return set(table["place"][chosen_rows(table, "rirs", names)])


def test_the_sets_of_the_task_are_there() -> None:
    sets = named_sets()
    assert {"dev", "foa-meir-test", "reverb-s", "foa-meir-all", "demo"} <= sets["rirs"].keys()
    assert {"dev", "foa-meir-extra", "demo"} <= sets["noise"].keys()
    assert all(entry.about for kind in sets.values() for entry in kind.values())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, {p for _, p in PLACES}),
        (["dev"], {"place0", "place1", "place2"}),
        (["dev", "reverb-s"], {"place0", "place1", "place2", "pid1000", "pid1001", "pid1002"}),
        (["foa-meir-all"], {"pid0000", "pid0001", "pid1000", "pid1001", "pid1002", "pid2000"}),
        (["foa-meir-all", "-reverb-s"], {"pid0000", "pid0001", "pid2000"}),
        (["foa-meir-all", "-pid000?", "-pid10*"], {"pid2000"}),
        (["-foa-meir-all"], {"place0", "place1", "place2", "attic"}),
        (["dev", "-place1"], {"place0", "place2"}),
        (["mine"], {"attic"}),
        (["mine", "dev", "-dev"], {"attic"}),
    ],
)
def test_unions_and_exclusions(names: list[str] | None, expected: set[str]) -> None:
    assert chosen(names) == expected


def test_the_demo_is_known_by_its_data_set() -> None:
    table = places([("dev", "a"), ("dev", "b")])
    table["dataset"] = ["s5kit demo (synthetic)", "dcase2025"]
    assert chosen(["demo"], table) == {"a"}


def test_sets_of_ones_own_file() -> None:
    text = "rirs:\n  big: {about: x, set: [dev, mine], without: [attic]}\nnoise: {}\n"
    assert parse_sets(text)["rirs"]["big"].without == ("attic",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rirs: {a: {union: [b]}}", r"rirs\.a: there is no set 'b'"),
        ("rirs: {a: {union: [b]}, b: {union: [a]}}", "leads back to itself"),
        ("rirs: {a: {unoin: [b]}}", r"rirs\.a\.unoin"),
        ("rooms: {}", "rooms"),
        ("rirs: {a: {union: b}}", r"rirs\.a\.union"),
    ],
)
def test_a_wrong_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(SynthError, match=message):
        parse_sets(text)


def catalog() -> Tables:
    made = tables(places=4, noises=(400_000, 330_000, 500_000))
    made.places["set"] = ["dev", "dev", "reverb-s", "foa-meir-test"]
    made.noises["set"] = ["dev", "foa-meir-extra", "foa-meir-extra"]
    made.noises["source"] = ["a", "pid0031", "pid0032"]
    return made


def used(overrides: list[str]) -> tuple[set[str], set[str]]:
    recipe, made = load_recipe("dcase2025", overrides), catalog()
    specs = [plan(recipe, made, 0, index) for index in range(60)]
    return {spec.place.split("/")[-1] for spec in specs}, {
        spec.noise.path[-6:] for spec in specs if spec.noise
    }


def test_scenes_use_the_chosen_rooms_and_noises_and_all_of_them() -> None:
    rooms, noises = used(["rirs.sets=[dev,reverb-s]", "noise.sets=[dev,foa-meir-extra]"])
    assert rooms == {"room0.sofa", "room1.sofa", "room2.sofa"}
    assert noises == {"n0.wav", "n1.wav", "n2.wav"}
    rooms, noises = used(["rirs.sets=[foa-meir-all,-room3]", "noise.sets=[foa-meir-extra,-pid0031]"])
    assert rooms == {"room2.sofa"}
    assert noises == {"n2.wav"}


def test_an_ablation_of_rooms_leaves_sounds_and_noise_as_they_were() -> None:
    made = catalog()
    whole, part = (load_recipe("dcase2025", [f"rirs.sets=[{s}]"]) for s in ("dev,reverb-s", "dev"))
    for index in range(20):
        one, two = plan(whole, made, 0, index), plan(part, made, 0, index)
        assert [e.path for e in one.targets] == [e.path for e in two.targets]
        assert one.noise == two.noise


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rirs.sets=[dev,revreb-s]", r"rirs\.sets: .*'revreb-s'.*did you mean reverb-s"),
        ("rirs.sets=[dev,reverb-c]", r"rirs\.sets: .*'reverb-c'"),
        ("rirs.sets=[dev,-place99]", r"rirs\.sets: .*'place99'"),
        ("rirs.sets=[dev,-dev]", r"rirs\.sets: no places are of dev, -dev"),
        ("noise.sets=[dev,demo]", r"noise\.sets: .*'demo'.*choose from dev, foa-meir-extra"),
    ],
)
def test_a_name_that_stands_for_nothing_is_refused(override: str, message: str) -> None:
    with pytest.raises(ProblemsError, match=message):
        check_plannable(load_recipe("dcase2025", [override]), catalog())
