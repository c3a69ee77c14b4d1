"""`s5kit recipes`: which presets there are, and what is in one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from synth import list_recipes, load_recipe, recipe_text

app = typer.Typer(help="List the recipes, or show one with a comment on every number.")


@app.callback(invoke_without_command=True)
def recipes(context: typer.Context) -> None:
    """List the presets."""
    if context.invoked_subcommand is not None:
        return
    table = Table("recipe", "what it draws", box=None, pad_edge=False)
    for name in list_recipes():
        table.add_row(name, load_recipe(name).title)
    Console().print(table)
    typer.echo("\ns5kit recipes show NAME    prints one; redirect it into a .yaml file to make your own")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A preset, or a .yaml file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a value, as in --set targets.snr_db=[5,20]."),
    ] = None,
) -> None:
    """Print a recipe as YAML with its comments."""
    typer.echo(recipe_text(name, overrides or ()), nl=False)
