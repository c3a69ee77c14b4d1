"""`s5kit weights`: published checkpoints into nets of ours, and back."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from models import ModelError

if TYPE_CHECKING:  # torch is loaded when a command runs, not when the program starts
    from models.checkpoints import Imported

app = typer.Typer(
    no_args_is_help=True, help="Import published weights, list where they are, write them back."
)
console = Console()


@app.command("import")
def import_(
    out: Annotated[Path, typer.Option(help="X.safetensors, or a folder in the Hub's layout.")],
    file: Annotated[Path | None, typer.Argument(help="The checkpoint.")] = None,
    kind: Annotated[
        str | None, typer.Option("--as", help="Its origin: one of the kinds of `s5kit weights list`.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="With audiosep: the separator that shall start from it.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="What the file does not tell, as head=linear."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the parameters that start fresh.")] = 0,
    download: Annotated[
        str | None, typer.Option(metavar="NAME", help="Fetch this checkpoint of `s5kit weights list` first.")
    ] = None,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="I have read and accept the terms of its origin.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the account of every key as JSON.")] = False,
) -> None:
    """Turn a checkpoint into safetensors; every key is used, adapted, dropped with a reason, or an error."""
    from models import PUBLISHED_WEIGHTS, download_weights, import_weights

    if (file is None) == (download is None):
        raise ModelError(
            "one checkpoint is needed", where="weights import", remedy="give either FILE or --download NAME"
        )
    if download is not None:
        folder = out if out.suffix != ".safetensors" else out.parent
        file = download_weights(download, folder, accept_terms=accept_terms)
        kind = kind or PUBLISHED_WEIGHTS[download].kind
    if kind is None:
        raise ModelError(
            "the origin of the file is not given", where="--as", remedy="see `s5kit weights list`"
        )
    assert file is not None
    done = import_weights(file, kind, out, target=target, settings=parse_settings(overrides or []), seed=seed)
    if as_json:
        typer.echo(json.dumps(done.translation.account()))
    else:
        _show(done)


@app.command("export")
def export(
    source: Annotated[Path, typer.Argument(help="A file or folder of ours.")],
    out: Annotated[Path, typer.Option(help="X.ckpt as training programs have it, X.pt or X.safetensors.")],
) -> None:
    """Write a net of ours under the names of the reference that it comes from."""
    from models import export_weights

    typer.echo(export_weights(source, out))


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List published checkpoints: kind, address, size, licence."""
    from models import PUBLISHED_WEIGHTS

    if as_json:
        typer.echo(json.dumps([_row(entry) for entry in PUBLISHED_WEIGHTS.values()]))
        return
    table = Table("name", "--as", "file", "MB", "download", box=None, pad_edge=False)
    licences: dict[str, list[str]] = {}
    for entry in PUBLISHED_WEIGHTS.values():
        if entry.address is None:
            way = f"by hand: {entry.page}" if entry.page else "by hand"
        else:
            way = "with --accept-terms" if entry.terms else "yes"
        size = "not stated" if entry.bytes is None else f"{entry.bytes / 1e6:.0f}"
        table.add_row(entry.name, entry.kind, entry.file, size, way)
        licences.setdefault(entry.licence, []).append(entry.name)
    console.print(table)
    for licence, names in licences.items():
        console.print(f"\n[bold]{', '.join(names)}[/bold]: {licence}", highlight=False)


def parse_settings(overrides: list[str]) -> dict[str, Any]:
    """Turn ``a.b=1`` into ``{"a": {"b": 1}}``; values are YAML.

    Raises:
        ModelError: An entry without ``=``, or a value that is no YAML.
    """
    settings: dict[str, Any] = {}
    for entry in overrides:
        key, equals, value = entry.partition("=")
        try:
            parsed = yaml.safe_load(value)
        except yaml.YAMLError:
            equals = ""
        if not equals or not key:
            raise ModelError(f"{entry!r}", where="--set", remedy="write KEY=VALUE, as in head=linear")
        *path, last = key.split(".")
        place = settings
        for part in path:
            place = place.setdefault(part, {})
        place[last] = parsed
    return settings


def _show(done: Imported) -> None:
    account = done.translation.account()
    parameters = sum(p.numel() for p in done.model.parameters())
    typer.echo(f"{done.path}: {account['family']}, {parameters:,} parameters")
    typer.echo(f"{len(account['used']):6d} keys used")
    for name in ("adapted", "dropped", "fresh"):
        for reason, count in Counter(account[name].values()).most_common():
            typer.echo(f"{count:6d} keys {name}: {reason}")
    if done.path is not None:
        typer.echo(f"every key: {done.path.with_suffix('.report.json')}")


def _row(entry: Any) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__dataclass_fields__}
