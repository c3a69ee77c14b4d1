"""`s5kit publish`: pass a corpus on, if its licences let you."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from synth import available_cores, prepare_publication, upload

from .licence_table import licence_table, redistribution_line

console = Console()


def publish(
    corpus: Annotated[Path, typer.Argument(help="Folder that `s5kit synth` wrote.")],
    repo: Annotated[
        str | None,
        typer.Option(help="owner/name of a dataset on the Hugging Face Hub; else nothing is sent."),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="Make a new repository public.")] = False,
    i_have_the_rights: Annotated[
        bool,
        typer.Option(
            "--i-have-the-rights", help="You may pass it on although a licence forbids it or is unknown."
        ),
    ] = False,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read shards; 0: one per core.")] = 0,
) -> None:
    """Check every byte and every licence of a corpus; with --repo upload it."""
    columns = (TextColumn("shards"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        ready = prepare_publication(
            corpus,
            i_have_the_rights=i_have_the_rights,
            workers=workers or available_cores(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    ledger = ready.index.ledger
    console.print(licence_table(ledger, "uses"))
    console.print(redistribution_line(ledger), markup=False, soft_wrap=True, highlight=False)
    text = f"{len(ready.files)} files, {ready.size:,} bytes: whole, and ready to be passed on"
    console.print(text, highlight=False, soft_wrap=True)
    if repo is None:
        text = f"nothing was sent. Give --repo OWNER/NAME, or copy the folder {corpus}"
    else:
        text = f"uploaded: {upload(ready, repo, private=not public)}"
    console.print(text, markup=False, soft_wrap=True, highlight=False)
