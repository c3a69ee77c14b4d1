"""Ablations on paper: which choices are compared, over which seeds, on which scenes."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BeforeValidator, Field, StringConstraints, ValidationError

from synth import SynthError, apply_overrides, load_yaml, read_bounded, recipe_problems

from .sections import Place, Section, Words

MAX_CELLS = 10_000

METRICS = ("label_accuracy", "accuracy_mixture", "ca_sdri", "capi_sdri", "casa_sdr")
"""Figures that are means over scenes, so that two cells can be compared scene by scene."""


def _text_only(name: object) -> object:
    if not isinstance(name, str):
        raise ValueError(
            f"{name!r} is no text: put the name in quotes (on, off, yes, no and numbers need them)"
        )
    return name


Name = Annotated[
    str,
    BeforeValidator(_text_only),
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,31}$"),
]
_NAME = "letters, digits, _ . + -, at most 32"
PartName = Literal["sed", "separator"]


class LevelSection(Section):
    """One choice on an axis: what it changes."""

    recipe: Words = Field((), description="a list of KEY=VALUE for the recipe of the training scenes")
    train: Words = Field((), description="a list of KEY=VALUE for the training of every part")
    sed: Words = Field((), description="a list of KEY=VALUE for the training of the first stage alone")
    separator: Words = Field((), description="a list of KEY=VALUE for the training of the second stage alone")


class PartSection(Section):
    """One stage that every cell trains."""

    preset: str = Field(min_length=1, description="a preset of `s5kit train list` or a file")
    set: Words = Field((), description="a list of KEY=VALUE; {sed} stands for the cell's trained first stage")


class TrainingScenes(Section):
    """What the cells learn from."""

    recipe: str = Field(min_length=1, description="a preset of `s5kit recipes list` or a file")
    set: Words = Field((), description="a list of KEY=VALUE, the same for all cells")
    catalog: Place = Field(description="a folder made by `s5kit catalog build`")
    source: Literal["live", "gpu", "corpus"] = Field("live", description="live, gpu or corpus")
    num_scenes: int | None = Field(None, ge=1, description="with source corpus: how many are made per cell")


class ScoredScenes(Section):
    """The scenes that all cells are scored on."""

    recipe: str | None = Field(None, description="a recipe, or null for that of the training scenes")
    set: Words = Field((), description="a list of KEY=VALUE for it")
    catalog: Place | None = Field(None, description="a folder, or null for that of the training scenes")
    split: Literal["valid", "test"] = Field("valid", description="valid or test")
    seed: int = Field(0, description="an integer")
    num_scenes: int = Field(500, ge=2, description="at least 2")
    metrics: Annotated[tuple[Literal[METRICS], ...], Field(min_length=1, strict=False)] = Field(  # type: ignore[valid-type]
        ("label_accuracy", "ca_sdri"), description=f"a list of {', '.join(METRICS)}"
    )


class AblationPlan(Section):
    """A grid of choices, each combination trained once per seed and scored on the same scenes.

    The first level of every axis is the baseline that the others are compared with.
    """

    name: Name = Field(description=_NAME)
    title: str = Field("", max_length=200, description="one line, at most 200 characters")
    seeds: Annotated[tuple[int, ...], Field(min_length=1, strict=False)] = Field(
        (0, 1, 2), description="a list of integers"
    )
    scenes: TrainingScenes
    axes: dict[Name, dict[Name, LevelSection]] = Field(
        min_length=1,
        description="axis -> level -> {recipe: [...], train: [...], sed: [...], separator: [...]}",
    )
    parts: dict[PartName, PartSection] = Field(min_length=1, description="sed and/or separator")
    set: Words = Field((), description="a list of KEY=VALUE for the training of every part")
    score: ScoredScenes = ScoredScenes()

    @property
    def scored_recipe(self) -> tuple[str, tuple[str, ...]]:
        """Return the recipe of the scenes that all cells are scored on, and the changes to it, split aside."""
        if self.score.recipe is None:
            return self.scenes.recipe, (*self.scenes.set, *self.score.set)
        return self.score.recipe, self.score.set

    def combinations(self) -> list[tuple[str, ...]]:
        """Return every choice of one level per axis; the first is the baseline."""
        return list(itertools.product(*self.axes.values()))

    def cells(self) -> list[Cell]:
        """Return all cells, seed by seed within a combination."""
        return list(self._cells())

    def _cells(self) -> Iterator[Cell]:
        for levels in self.combinations():
            chosen = [self.axes[axis][level] for axis, level in zip(self.axes, levels, strict=True)]
            recipe, train, sed, separator = (
                tuple(change for level in chosen for change in getattr(level, key))
                for key in ("recipe", "train", "sed", "separator")
            )
            for seed in self.seeds:
                yield Cell(levels, seed, (*self.scenes.set, *recipe), (*self.set, *train), sed, separator)


@dataclass(frozen=True, slots=True)
class Cell:
    """One training of a combination.

    Attributes:
        levels: One level per axis.
        seed: Of scenes, initial weights and all that training draws.
        recipe: Changes to the recipe.
        train: Changes to the training of every part.
        sed: Changes to that of the first stage.
        separator: Changes to that of the second stage.
    """

    levels: tuple[str, ...]
    seed: int
    recipe: tuple[str, ...]
    train: tuple[str, ...]
    sed: tuple[str, ...] = ()
    separator: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name of its folder."""
        return f"{'_'.join(self.levels)}_seed{self.seed}"

    def changes(self, plan: AblationPlan, part: PartName, *, sed: str) -> list[str]:
        """Return the changes to the training of a part; later ones win.

        The best weights are chosen on scenes like those that are scored, of the validation split and other ones.

        Args:
            plan: Whose cell it is.
            part: Which part.
            sed: Weights of the cell's first stage, for {sed}.
        """
        scenes, score = plan.scenes, plan.score
        recipe, changes = plan.scored_recipe
        data = {
            "data.source": scenes.source,
            "data.recipe": scenes.recipe,
            "data.set": self.recipe,
            "data.catalog": str(scenes.catalog),
            "data.seed": self.seed,
            "loop.seed": self.seed,
            "validation.source": "recipe",
            "validation.recipe": recipe,
            "validation.set": changes,
            "validation.catalog": None if score.catalog is None else str(score.catalog),
            "validation.seed": score.seed + 1,
        }
        own = self.sed if part == "sed" else self.separator
        return [
            *(f"{key}={json.dumps(value)}" for key, value in data.items()),
            *(text.replace("{sed}", sed) for text in (*plan.parts[part].set, *self.train, *own)),
        ]

    def identity(self, plan: AblationPlan) -> str:
        """Return a hash of all that decides the cell's figures, as far as the plan says it."""
        content = {
            "scenes": plan.scenes.model_dump(mode="json"),
            "parts": {name: part.model_dump(mode="json") for name, part in plan.parts.items()},
            "score": plan.score.model_dump(mode="json", exclude={"metrics"}),
            "cell": [self.recipe, self.train, self.sed, self.separator, self.seed],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def list_ablations() -> dict[str, str]:
    """Return the plans that come with s5kit: name -> title."""
    names = sorted(path.name for path in _folder().iterdir() if path.name.endswith(".yaml"))
    return {name.removesuffix(".yaml"): load_ablation(name.removesuffix(".yaml")).title for name in names}


def load_ablation(source: str | Path, overrides: Sequence[str] = ()) -> AblationPlan:
    """Read a plan.

    Args:
        source: One of `list_ablations`, or a YAML file.
        overrides: `key.path=value`; values are YAML.

    Raises:
        SynthError: There is no such plan, or a key or value in it is wrong.
    """
    content = load_yaml(_text(source), where=str(source))
    if not isinstance(content, dict):
        raise SynthError(
            "is not a mapping of keys", where=str(source), remedy="start from `s5kit ablate --show tiny`"
        )
    try:
        plan = AblationPlan.model_validate(_ordered(apply_overrides(content, overrides)))
    except ValidationError as error:
        raise recipe_problems(
            error, AblationPlan, str(source), remedy="correct the plan or the KEY=VALUE arguments"
        ) from error
    _check(plan, str(source))
    return plan


def plan_text(source: str | Path) -> str:
    """Return a plan as YAML with its comments."""
    load_ablation(source)
    return _text(source).decode()


def to_yaml(plan: AblationPlan) -> str:
    """Return a plan with every key; reading it back gives the same plan."""
    text: str = yaml.safe_dump(plan.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    return text


def _ordered(content: Mapping[str, object]) -> dict[str, object]:
    """Put the first stage before the second, whatever the order in the file: the second may start from it."""
    out = dict(content)
    parts = out.get("parts")
    if isinstance(parts, dict):
        out["parts"] = {**{k: parts[k] for k in ("sed", "separator") if k in parts}, **parts}
    return out


def _check(plan: AblationPlan, where: str) -> None:
    cells = len(plan.combinations()) * len(plan.seeds)
    if cells > MAX_CELLS:
        raise SynthError(f"{cells} cells", where=f"{where}: axes", remedy=f"compare at most {MAX_CELLS}")
    if len(set(plan.seeds)) < len(plan.seeds):
        raise SynthError("has a seed twice", where=f"{where}: seeds", remedy="give different integers")
    for axis, levels in plan.axes.items():
        if not levels:
            raise SynthError("has no level", where=f"{where}: axes.{axis}", remedy="give at least one")
    if plan.scenes.source == "corpus" and plan.scenes.num_scenes is None:
        raise SynthError(
            "is missing",
            where=f"{where}: scenes.num_scenes",
            remedy="say how many scenes a cell's corpus holds",
        )
    _check_names(plan, where)
    for place, part, changes in _part_changes(plan):
        if part is not None and part not in plan.parts and changes:
            raise SynthError(
                f"it changes the part {part}, which is not trained",
                where=f"{where}: {place}",
                remedy=f"add the part {part}, or take this out",
            )
        if "sed" not in plan.parts and any("{sed}" in change for change in changes):
            raise SynthError(
                "{sed} stands for the first stage, which is not trained",
                where=f"{where}: {place}",
                remedy="add the part sed, or name a file",
            )
    if "separator" not in plan.parts and (
        sound := {"ca_sdri", "capi_sdri", "casa_sdr"} & set(plan.score.metrics)
    ):
        raise SynthError(
            f"{sorted(sound)[0]} needs a separator",
            where=f"{where}: score.metrics",
            remedy="add the part separator, or score label_accuracy alone",
        )


def _check_names(plan: AblationPlan, where: str) -> None:
    """Refuse levels of different axes whose names, put together, name two cells alike."""
    names: dict[str, Cell] = {}
    for cell in plan.cells():
        other = names.setdefault(cell.name, cell)
        if other is not cell:
            raise SynthError(
                f"{' and '.join(other.levels)} would lie in the same folder as {' and '.join(cell.levels)}",
                where=f"{where}: axes",
                remedy="leave _ out of the names of these levels",
            )


def _part_changes(plan: AblationPlan) -> Iterator[tuple[str, PartName | None, Words]]:
    """Yield every list of changes to trainings: where it stands, whose it is (None: everybody's)."""
    yield "set", None, plan.set
    for name, part in plan.parts.items():
        yield f"parts.{name}.set", name, part.set
    for axis, levels in plan.axes.items():
        for level, section in levels.items():
            place = f"axes.{axis}.{level}"
            yield f"{place}.train", None, section.train
            yield f"{place}.sed", "sed", section.sed
            yield f"{place}.separator", "separator", section.separator


def _text(source: str | Path) -> bytes:
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        return read_bounded(path)
    known = _folder().joinpath(f"{source}.yaml")
    if path.name != str(source) or not known.is_file():
        names = sorted(
            item.name.removesuffix(".yaml") for item in _folder().iterdir() if item.name.endswith(".yaml")
        )
        raise SynthError(
            "there is no such ablation",
            where=str(source),
            remedy=f"give a YAML file or one of {', '.join(names)}",
        )
    return known.read_bytes()


def _folder() -> resources.abc.Traversable:
    return resources.files("manifests").joinpath("ablations")
