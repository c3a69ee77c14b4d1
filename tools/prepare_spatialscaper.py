"""`s5kit prepare spatialscaper`: a catalog of the folders that SpatialScaper works on."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synth import SPATIALSCAPER_INSTALL, available_cores, build_scaper_catalog

from .catalog import Bars, show

console = Console()


def spatialscaper(
    rir_dir: Annotated[Path, typer.Argument(help="What Scaper calls rir_dir.")],
    out: Annotated[Path, typer.Option(help="Folder for the catalog and its cache.")],
    foreground_dir: Annotated[
        Path | None,
        typer.Option("--foreground", help="What Scaper calls foreground_dir.", show_default=False),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="Where paths start. [the folder that holds both]", show_default=False)
    ] = None,
    fmt: Annotated[str, typer.Option("--format", help="foa or mic.")] = "foa",
    rooms: Annotated[str, typer.Option(help="Rooms, with commas between them; all if empty.")] = "",
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "train",
    licences: Annotated[
        Path | None,
        typer.Option(help="TSV or CSV with the columns file, licence[, source].", show_default=False),
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of files that are not listed.")] = "unknown",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out, and say which.")] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Look at headers only; decode when first used.")
    ] = False,
) -> None:
    """Make a catalog of SpatialScaper's SOFA rooms, sounds and ambiences; the files stay where they are."""
    with Bars() as bars:
        report = build_scaper_catalog(
            rir_dir,
            out,
            foreground_dir=foreground_dir,
            root=root,
            fmt=fmt,
            rooms=[room.strip() for room in rooms.split(",") if room.strip()] or None,
            split=split,
            workers=workers or available_cores(),
            skip_bad=skip_bad,
            licences=licences,
            licence=licence,
            cache=not no_cache,
            progress=bars.show,
        )
    show(report, out)
    if importlib.util.find_spec("spatialscaper") is None:
        _say(
            f"note: the package spatialscaper is not installed. The catalog does without; to draw with it: {SPATIALSCAPER_INSTALL}"
        )
    else:
        _say(f"a Scaper's events as a scene: synth.scaper_scene(scaper, synth.Catalog.load({str(out)!r}))")


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True, highlight=False)
