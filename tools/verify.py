"""`s5kit verify`: is a corpus whole, and does it say what its specs say?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from synth import Catalog, available_cores, verify_corpus

from .corpus_table import corpus_table

console = Console()


def verify(
    directory: Annotated[str, typer.Argument(help="Folder or address that `s5kit synth` wrote to.")],
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog of the corpus: some scenes are rendered again.")
    ] = None,
    rerender: Annotated[int, typer.Option(min=0, help="How many scenes are rendered again.")] = 5,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read shards; 0: one per core.")] = 0,
    table: Annotated[bool, typer.Option(help="Print what the corpus holds.")] = True,
) -> None:
    """Check every byte of a corpus; with --catalog also render some of its scenes again."""
    columns = (TextColumn("shards"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        report = verify_corpus(
            directory,
            None if catalog is None else Catalog.load(catalog),
            rerender=rerender,
            workers=workers or available_cores(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if table:
        console.print(corpus_table(report.index))
    shards = (
        f"{len(report.index.shards)} shard(s), {report.index.size:,} bytes: every byte is as it was written"
    )
    console.print(shards, highlight=False)
    if report.rerendered:
        text = f"{len(report.rerendered)} scene(s) rendered again: {report.identical} identical"
        other = len(report.rerendered) - report.identical
        if other:
            text += f", {other} within one step of 16 bits (made on another machine or with other libraries)"
        console.print(text, highlight=False, soft_wrap=True)
    elif catalog is None:
        console.print("no scene was rendered again: give --catalog for that", highlight=False)
