"""`s5kit train`: nets learn, as a preset or a configuration file says."""

from __future__ import annotations

import json
import shlex
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup


class _RunByDefault(TyperGroup):
    """`s5kit train NAME …` is `s5kit train run NAME …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Train a net: `s5kit train NAME [KEY=VALUE …]`; `list` and `show` say what there is.",
)
console = Console()


@app.command()
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A preset (see `list`), or a YAML file.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Changes, as data.catalog=my-catalog.")
    ] = None,
    num_processes: Annotated[
        int | None, typer.Option(min=1, help="Processes; not given: one per GPU, or one.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and print the command only.")] = False,
) -> None:
    """Train; a run that was interrupted goes on where it was, when the same command is given again."""
    import torch

    from synth import available_cores
    from training import launch_command, run_command

    gpus = torch.cuda.device_count()
    processes = num_processes or max(gpus, 1)
    command = launch_command(name, overrides or [], num_processes=processes, gpus=gpus)
    if dry_run:
        typer.echo(shlex.join(command))
        return
    threads = None if gpus else max(available_cores() // processes, 1)
    status = run_command(command, threads=threads)
    if status:
        sys.exit(status)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False) -> None:
    """List the presets; every name has a small form for a CPU, NAME-tiny."""
    from training import list_presets, load_config, summary

    rows = [summary(load_config(name)) for name in list_presets()]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("name", "steps x batch", "what", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            Text(row["name"], no_wrap=True),
            Text(f"{row['steps']:,} x {row['batch_size']} {row['precision']}", no_wrap=True),
            row["title"],
        )
    console.print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A preset, NAME-tiny, or a YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Changes.")] = None,
) -> None:
    """Print a configuration in full, with where every number comes from; the output is a valid file."""
    from training import config_text

    typer.echo(config_text(name, overrides or []), nl=False)
