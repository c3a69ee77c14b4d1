"""What a recipe asks for against what a catalog has, before the first scene."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import Problem
from .effects import effect_frequencies, pitch_steps, uses_pitch
from .recipe import Recipe
from .sets import Kind, known_sets, set_problems
from .sound_list import SoundList
from .stock import PlanTables, Stock, longest_event, repeats, scene_samples

if TYPE_CHECKING:
    from pandas import DataFrame


_KINDS: dict[str, Kind] = {
    "events": "events",
    "interferers": "interference",
    "noises": "noise",
    "places": "rirs",
}


def demand_problems(recipe: Recipe, tables: PlanTables, stock: Stock) -> list[Problem]:
    """Find what a recipe asks for and a catalog cannot give; empty when scenes can be planned."""
    return [
        *_missing(recipe, tables, stock),
        *_impossible(recipe, stock),
        *_crowded(recipe, stock),
        *_unhearable(recipe),
    ]


def _missing(recipe: Recipe, tables: PlanTables, stock: Stock) -> list[Problem]:
    """Find kinds of sound that the recipe needs and that split, sets and classes leave nothing of."""
    where = recipe.name
    problems = [
        *_unknown(f"{where}: targets.classes", recipe.targets.classes, stock.events),
        *_unknown(f"{where}: interference.classes", recipe.interference.classes, stock.interferers),
    ]
    needs = (
        ("events", recipe.targets.count[1], stock.events, tables.events, recipe.events.sets, "events.sets"),
        (
            "interferers",
            recipe.interference.count[1],
            stock.interferers,
            tables.interferers,
            recipe.interference.sets,
            "interference.sets",
        ),
        ("noises", 1, stock.noises, tables.noises, recipe.noise.sets, "noise.sets"),
        ("places", 1, stock.places, tables.places, recipe.rirs.sets, "rirs.sets"),
    )
    for name, needed, have, table, sets, key in needs:
        if needed and not have:
            problems.append(_none_left(where, name, table, recipe, sets, key))
        elif sets is not None:
            of_split = table[table["split"].isin(recipe.splits)]
            problems += set_problems(f"{where}: {key}", of_split, _KINDS[name], sets)
    return problems


def _none_left(
    where: str, name: str, table: DataFrame, recipe: Recipe, sets: Sequence[str] | None, key: str
) -> Problem:
    of_split = table[table["split"].isin(recipe.splits)]
    if len(of_split) and sets is not None:
        known = ", ".join(known_sets(of_split, _KINDS[name]))
        return Problem(f"{where}: {key}", f"no {name} are of {', '.join(sets)}", f"choose from {known}")
    splits = ", ".join(sorted(table["split"].unique().tolist())) or "nothing"
    return Problem(
        f"{where}: split",
        f"the catalog has no {name} for the split {recipe.split}",
        f"for {name} it has: {splits}",
    )


def _unknown(where: str, wanted: Sequence[str] | None, have: Sequence[SoundList]) -> list[Problem]:
    known = [sounds.label for sounds in have]
    problems = []
    for name in wanted or ():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else "see the summary of `s5kit catalog build`"
            problems.append(Problem(where, f"the catalog has no {name!r} in this split and set", hint))
    return problems


def _impossible(recipe: Recipe, stock: Stock) -> list[Problem]:
    """Find demands that no scene can meet."""
    where, same = recipe.name, recipe.targets.same_class
    most, classes = recipe.targets.count[1], len(stock.events)
    problems = [
        Problem(f"{where}: targets.classes", f"{label!r} cannot be a label", "rename the folder of the class")
        for label in (sounds.label for sounds in (*stock.events, *stock.interferers))
        if "/" in label or label in (".", "..") or not label.isprintable()
    ]
    # With repeated classes in every scene one target less has to be of another class.
    distinct = most - 1 if same.rate == 1 and most >= 2 else most
    if stock.events and distinct > classes:
        problems.append(
            Problem(
                f"{where}: targets.count",
                f"asks for up to {most} targets of {distinct} different classes, there are {classes}",
                f"allowed here: at most {classes}",
            )
        )
    if repeats(recipe) and stock.events and stock.places:
        if not stock.wide_places:
            what = f"no place has two positions more than {same.min_angle:g} degrees apart"
            problems.append(
                Problem(f"{where}: targets.same_class.min_angle", what, "lower it, or set the rate to 0")
            )
        if not any(sounds.several_sources() for sounds in stock.events):
            what = "no class has two different sources"
            problems.append(
                Problem(f"{where}: targets.same_class.rate", what, "set it to 0, or exclusion_depth to 0")
            )
    return problems


def _crowded(recipe: Recipe, stock: Stock) -> list[Problem]:
    """Find event counts that cannot fit below the overlap limit even with the shortest files."""
    problems = []
    room = scene_samples(recipe) * recipe.scene.max_overlap
    kinds = (
        ("targets.count", recipe.targets.count[1], stock.events),
        ("interference.count", recipe.interference.count[1], stock.interferers),
    )
    for key, most, classes in kinds:
        shortest = min((int(sounds.samples.min()) for sounds in classes), default=0)
        if most * min(shortest, longest_event(recipe)) > room:
            what = f"{most} events do not fit with at most {recipe.scene.max_overlap} at a time"
            problems.append(Problem(f"{recipe.name}: {key}", what, "lower it or raise scene.max_overlap"))
    return problems


def _unhearable(recipe: Recipe) -> list[Problem]:
    """Find effects that cannot be made at the scene's rate."""
    where, rate = f"{recipe.name}: effects", recipe.scene.sample_rate
    problems = [
        Problem(
            f"{where}.{key}",
            f"up to {highest:g} Hz, the scenes end below {rate / 2:g} Hz",
            "lower it or raise scene.sample_rate",
        )
        for key, highest in effect_frequencies(recipe.effects).items()
        if highest >= rate / 2
    ]
    if uses_pitch(recipe.effects.events) and pitch_steps(rate) < 50:
        what = f"the rate {rate} Hz has no divisor from 50 to 200, which pitch shifts are made of"
        problems.append(Problem(f"{where}.events.pitch_shift", what, "choose a rate such as 32000"))
    return problems
