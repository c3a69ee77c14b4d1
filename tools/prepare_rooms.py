"""`s5kit prepare sofa`, `wav` and `npz`: rooms of one's own and of others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synth import RoomOptions, prepare_npz, prepare_sofa, prepare_wav

from .prepare_options import (
    Dataset,
    Kind,
    Licence,
    MaxError,
    Norm,
    Order,
    Out,
    Procs,
    RoomSet,
    Scaling,
    SkipBad,
    Split,
    ValidPlaces,
    bar,
    end,
    words,
)


def sofa(
    root: Annotated[Path, typer.Argument(help="A SOFA file, or a folder of them.")],
    out: Out,
    kind: Kind = None,
    order: Order = None,
    normalisation: Norm = None,
    scaling: Scaling = "auto",
    relative: Annotated[
        bool, typer.Option("--relative", help="Source positions are relative to the listener already.")
    ] = False,
    split: Split = "train",
    valid_places: ValidPlaces = "",
    dataset: Dataset = "sofa",
    set_name: RoomSet = None,
    licence: Licence = None,
    max_direction_error: MaxError = 20.0,
    workers: Procs = 0,
    skip_bad: SkipBad = False,
) -> None:
    """SOFA files, FOA or A-format: GeneralFIR, SingleRoomSRIR, AmbisonicsDRIR and their kin."""
    options = RoomOptions(
        kind, order, normalisation, scaling, relative, split, words(valid_places), dataset, set_name, licence,
        max_direction_error or None,
    )  # fmt: skip
    with bar(workers) as run:
        report = prepare_sofa(root, out, options, skip_bad=skip_bad, **run)
    end(report)


def wav(
    root: Annotated[Path, typer.Argument(help="Where the paths of the table start.")],
    out: Out,
    table: Annotated[
        Path | None,
        typer.Option(
            help="file, azimuth, elevation, distance (or x, y, z)[, place][, split]. [ROOT/positions.csv]"
        ),
    ] = None,
    kind: Kind = None,
    order: Order = None,
    normalisation: Norm = None,
    scaling: Scaling = "auto",
    split: Split = "train",
    valid_places: ValidPlaces = "",
    dataset: Dataset = "wav",
    set_name: RoomSet = None,
    licence: Licence = None,
    max_direction_error: MaxError = 20.0,
    workers: Procs = 0,
    skip_bad: SkipBad = False,
) -> None:
    """Folders of four-channel sound files with a table of positions."""
    options = RoomOptions(
        kind, order, normalisation, scaling, False, split, words(valid_places), dataset, set_name, licence,
        max_direction_error or None,
    )  # fmt: skip
    with bar(workers) as run:
        report = prepare_wav(root, out, options, table=table, skip_bad=skip_bad, **run)
    end(report)


def npz(
    root: Annotated[Path, typer.Argument(help="An .npz file, or a folder of them: taps, positions, rate.")],
    out: Out,
    kind: Kind = None,
    order: Order = None,
    normalisation: Norm = None,
    scaling: Scaling = "auto",
    split: Split = "train",
    valid_places: ValidPlaces = "",
    dataset: Dataset = "npz",
    set_name: RoomSet = None,
    licence: Licence = None,
    max_direction_error: MaxError = 20.0,
    workers: Procs = 0,
    skip_bad: SkipBad = False,
) -> None:
    """NumPy archives of rooms, one place each."""
    options = RoomOptions(
        kind, order, normalisation, scaling, False, split, words(valid_places), dataset, set_name, licence,
        max_direction_error or None,
    )  # fmt: skip
    with bar(workers) as run:
        report = prepare_npz(root, out, options, skip_bad=skip_bad, **run)
    end(report)
