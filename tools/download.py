"""`s5kit download`: collections from their public addresses, resumed and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from synth import (
    DownloadReport,
    SynthError,
    Unpacked,
    download_source,
    download_state,
    load_sources,
    unpack_all,
)

console = Console()

_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    DownloadColumn(),
    TransferSpeedColumn(),
    TimeRemainingColumn(),
)


def download(
    source: Annotated[
        str | None, typer.Argument(help="What to fetch; see --list.", show_default=False)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the files.", show_default=False)] = None,
    list_: Annotated[bool, typer.Option("--list", help="Show what can be fetched and where it is.")] = False,
    missing: Annotated[
        bool, typer.Option("--missing", help="Fetch nothing: say what is missing and how to get it by hand.")
    ] = False,
    accept_terms: Annotated[
        bool, typer.Option(help="You have read and accept the terms of the source.")
    ] = False,
    verify: Annotated[bool, typer.Option(help="Read files again that were found whole before.")] = False,
    unpack: Annotated[
        Path | None, typer.Option(help="Unpack the archives into this folder afterwards.", show_default=False)
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="Addresses of your own, like manifests/sources.yaml.", show_default=False),
    ] = None,
) -> None:
    """Fetch a collection: goes on where it broke off, checks sizes and checksums, once per machine."""
    if list_:
        _list(table)
        return
    if source is None or out is None:
        raise SynthError(
            "SOURCE and --out are needed", where="s5kit download", remedy="see s5kit download --list"
        )
    if missing:
        report = download_state(source, out, table=table)
        show(report)
        raise typer.Exit(0 if report.whole else 1)
    show(fetch(source, out, accept_terms=accept_terms, verify=verify, table=table))
    if unpack is not None:
        unpack_archives(out, unpack)


def fetch(
    source: str, out: Path, *, accept_terms: bool = False, verify: bool = False, table: Path | None = None
) -> DownloadReport:
    """Fetch a source with a progress bar; `s5kit prepare --download` calls this, too."""
    with Progress(*_COLUMNS, console=Console(stderr=True)) as bar:
        tasks = {}

        def progress(name: str, here: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=here, total=total)

        return download_source(
            source,
            out,
            table=table,
            accept_terms=accept_terms,
            verify=verify,
            progress=progress,
            waiting=lambda: _say(f"another process of this machine fetches into {out}: waiting for it"),
        )


def unpack_archives(source: Path, out: Path) -> list[Unpacked]:
    """Unpack every archive of a folder with a progress bar."""
    with Progress(*_COLUMNS, console=Console(stderr=True)) as bar:
        tasks = {}

        def progress(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done)

        unpacked = unpack_all(source, out, progress=progress)
    for one in unpacked:
        _say(f"{one.archive.name}: {len(one.files):,} files, {one.written:,} of them new, in {out}")
    return unpacked


def show(report: DownloadReport) -> None:
    """Print what is in a folder and what is not."""
    grid = Table("file", "state", "bytes", "checked", box=None)
    for file in report.files:
        grid.add_row(file.name, file.state, f"{file.bytes:,}", file.checked)
    console.print(grid)
    for note in report.notes:
        _say(f"note: {note}")
    if report.whole:
        _say(f"{report.source} is whole in {report.folder}")
        return
    for file in report.files:
        if file.state in ("missing", "partial"):
            _say(f"missing: {file.name}, at {file.address}")
    _say(f"to get it by hand: {report.by_hand}")


def _list(table: Path | None) -> None:
    for name, source in load_sources(table).items():
        _say(f"{name}: {source.title}")
        _say(f"  at      {source.page or 'no address on record: ' + source.by_hand}")
        _say(f"  licence {source.licence}{'' if source.terms is None else ' (--accept-terms)'}")


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True, highlight=False)
