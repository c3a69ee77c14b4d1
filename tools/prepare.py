"""`s5kit prepare`: one command per source, from what was published to a tree that catalogs are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import typer

from synth import prepare_by_config, prepare_dcase, prepare_foa_meir, prepare_semantic_hearing

from . import prepare_rooms, prepare_spatialscaper
from .prepare_options import (
    Amplitude,
    Download,
    Licence,
    Out,
    Procs,
    Quiet,
    Root,
    Scaling,
    SetName,
    Shortest,
    SkipBad,
    Split,
    Terms,
    Unpack,
    ValidPlaces,
    bar,
    bring,
    end,
    rules_of,
    words,
)

app = typer.Typer(no_args_is_help=True, help="Make published sounds and rooms ready for catalogs.")


@app.callback()
def prepare() -> None:
    """Make published sounds and rooms ready for catalogs."""


@app.command("foa-meir")
def foa_meir(
    root: Root,
    out: Out,
    subsets: Annotated[
        str,
        typer.Option(help="Of anechoic, reverb-s, test, echo, reverb-c; commas between them. [all there]"),
    ] = "",
    valid_places: ValidPlaces = "",
    split: Split = "train",
    scaling: Scaling = "auto",
    no_noise: Annotated[bool, typer.Option("--no-noise", help="Rooms only.")] = False,
    workers: Procs = 0,
    skip_bad: SkipBad = False,
    download: Download = False,
    unpack: Unpack = False,
    accept_terms: Terms = False,
) -> None:
    """FOA-MEIR: A-format responses and noises to W Y Z X at 32 kHz, one place per environment."""
    bring("foa-meir", root, download, unpack, accept_terms)
    with bar(workers) as run:
        report = prepare_foa_meir(
            root,
            out,
            subsets=words(subsets) or None,
            valid_places=words(valid_places),
            split=split,
            scaling=scaling,  # type: ignore[arg-type]
            noises=not no_noise,
            skip_bad=skip_bad,
            **run,
        )
    end(report)


def _dcase(year: Literal[2025, 2026]) -> Callable[..., None]:
    """The command of one year's development set."""

    def command(
        root: Root,
        out: Out,
        ears: Annotated[Path | None, typer.Option(help="Folder of EARS, by config/EARS_config.json.")] = None,
        fsd50k: Annotated[
            Path | None, typer.Option(help="Folder of FSD50K, by config/FSD50K_config.json.")
        ] = None,
        semantic_hearing: Annotated[Path | None, typer.Option(help="Folder with bg_scaper_fmt.")] = None,
        licences: Annotated[Path | None, typer.Option(help="Table: file, licence[, source].")] = None,
        min_amplitude: Amplitude = 0.02,
        min_seconds: Shortest = 0.1,
        quiet_seconds: Quiet = 10.0,
        workers: Procs = 0,
        skip_bad: SkipBad = False,
        download: Download = False,
        unpack: Unpack = False,
        accept_terms: Terms = False,
    ) -> None:
        bring(f"dcase{year}", root, download, unpack, accept_terms)
        with bar(workers) as run:
            report = prepare_dcase(
                year,
                root,
                out,
                ears=ears,
                fsd50k=fsd50k,
                semantic_hearing=semantic_hearing,
                licences=licences,
                rules=rules_of(min_amplitude, min_seconds, quiet_seconds),
                skip_bad=skip_bad,
                **run,
            )
        end(report)

    command.__doc__ = f"The development set of DCASE {year} Task 4, with what its configs add."
    return command


app.command("dcase2025")(_dcase(2025))
app.command("dcase2026")(_dcase(2026))


def _by_config(source: Literal["ears", "fsd50k"], text: str) -> Callable[..., None]:
    """Return the command of a source whose files one of the task's configs names."""

    def command(
        root: Root,
        out: Out,
        config: Annotated[
            Path, typer.Option(help="The source's file in the development set's config folder.")
        ],
        split: Split = "train",
        licence: Licence = None,
        set_name: SetName = "dev",
        min_amplitude: Amplitude = 0.02,
        min_seconds: Shortest = 0.1,
        quiet_seconds: Quiet = 10.0,
        workers: Procs = 0,
        skip_bad: SkipBad = False,
        download: Download = False,
        unpack: Unpack = False,
        accept_terms: Terms = False,
    ) -> None:
        bring(source, root, download, unpack, accept_terms)
        with bar(workers) as run:
            report = prepare_by_config(
                source,
                root,
                config,
                out,
                rules=rules_of(min_amplitude, min_seconds, quiet_seconds),
                split=split,
                licence=licence,
                set_name=set_name,
                skip_bad=skip_bad,
                **run,
            )
        end(report)

    command.__doc__ = text
    return command


app.command("ears")(_by_config("ears", "EARS: the files that the task's config names, curated."))
app.command("fsd50k")(
    _by_config(
        "fsd50k", "FSD50K: the clips that the task's config names, curated, each with its own licence."
    )
)


@app.command("semantic-hearing")
def semantic_hearing(
    root: Root,
    out: Out,
    splits: Annotated[str, typer.Option(help="Of train, valid, test; commas between them.")] = "train,valid",
    licence: Licence = None,
    set_name: SetName = "dev",
    min_amplitude: Amplitude = 0.02,
    min_seconds: Shortest = 0.1,
    quiet_seconds: Quiet = 10.0,
    workers: Procs = 0,
    skip_bad: SkipBad = False,
    download: Download = False,
    unpack: Unpack = False,
    accept_terms: Terms = False,
) -> None:
    """Interference: bg_scaper_fmt of Semantic Hearing, curated."""
    bring("semantic-hearing", root, download, unpack, accept_terms)
    with bar(workers) as run:
        report = prepare_semantic_hearing(
            root,
            out,
            rules=rules_of(min_amplitude, min_seconds, quiet_seconds),
            splits=words(splits),
            licence=licence or "unknown",
            set_name=set_name,
            skip_bad=skip_bad,
            **run,
        )
    end(report)


app.command("sofa")(prepare_rooms.sofa)
app.command("wav")(prepare_rooms.wav)
app.command("npz")(prepare_rooms.npz)
app.command("spatialscaper")(prepare_spatialscaper.spatialscaper)
