"""`s5kit plan`: scenes on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synth import Catalog, load_recipe
from synth import plan as plan_scene


def plan(
    recipe: Annotated[str, typer.Option(help="A preset (see `s5kit recipes`) or a YAML file.")],
    catalog: Annotated[Path, typer.Option(help="Catalog to draw from.")],
    index: Annotated[int, typer.Option(min=0, help="Which scene of the series.")] = 0,
    count: Annotated[int, typer.Option(min=1, help="How many, one JSON object a line if more than one.")] = 1,
    seed: Annotated[int, typer.Option(help="Which series of scenes.")] = 0,
    split: Annotated[str | None, typer.Option(help="train, valid or test; by default the recipe's.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe: targets.snr_db=[5,20]. Repeatable.")
    ] = None,
) -> None:
    """Print the SceneSpec of a scene as JSON; `s5kit render` takes it."""
    chosen = load_recipe(recipe, [*(overrides or []), *([] if split is None else [f"split={split}"])])
    tables = Catalog.load(catalog)
    for n in range(index, index + count):
        print(plan_scene(chosen, tables, seed, n).to_json(indent=1 if count == 1 else None))
