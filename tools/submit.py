"""`s5kit submit`: a submission to the challenge, or a check of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from synth import SynthError

from .evaluate import Year, bar, chosen_device

console = Console()


def submit(
    data: Annotated[
        Path, typer.Option(help="Evaluation set: a folder with soundscape/, or that folder itself.")
    ],
    system: Annotated[str | None, typer.Option(help="YAML file, or a name of `s5kit ensemble list`.")] = None,
    author: Annotated[str | None, typer.Option(help="Last name of the corresponding author.")] = None,
    affiliation: Annotated[str | None, typer.Option(help="Short name of the affiliation.")] = None,
    index: Annotated[int, typer.Option(help="Number of the submission, from 1.")] = 1,
    out: Annotated[
        Path, typer.Option(help="Folder for the sources and the zip; a stopped run goes on.")
    ] = Path("."),
    year: Annotated[Year, typer.Option(help="Form of the names; auto: of the system.")] = Year.auto,
    models: Annotated[Path | None, typer.Option(help="Folder that the system's paths start from.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Run models one after another and keep their outputs here.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Mixtures at once.")] = 4,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …; auto: cuda if there is one.")] = "auto",
    check: Annotated[Path | None, typer.Option(help="Only check this folder or zip.")] = None,
) -> None:
    """Write `<Author>_<Affil>_task4_<n>_out.zip` under the official names, and check it."""
    from training.outputs import describe, open_estimator
    from training.scenes_to_score import TestFolder, open_scenes
    from training.submission import submission_name, validate
    from training.submission import submit as write
    from training.systems import open_system

    place = data.parent if data.name == "soundscape" else data
    scenes = cast(TestFolder, open_scenes(place, year=year.number, need_targets=False))
    if check is not None:
        silent = validate(check, scenes, year=year.number)
        _say(f"{check}: good, {len(scenes.names)} mixtures, {len(silent)} of them without a source")
        return
    if system is None or author is None or affiliation is None:
        raise SynthError(
            "needed", where="--system, --author, --affiliation", remedy="give all three, or --check"
        )
    name = submission_name(author, affiliation, index)
    opened = open_system(system, base=models)
    with bar() as progress:
        estimator = open_estimator(
            opened,
            scenes,
            device=chosen_device(device),
            cache=cache,
            batch_size=batch_size,
            progress=progress.model,
        )
        done = write(
            scenes,
            estimator,
            out,
            name,
            what=describe(opened),
            year=year.number or opened.file.year,
            batch_size=batch_size,
            progress=progress.scenes,
        )
    _say(
        f"{done.archive}: {done.sources} sources of {done.mixtures} mixtures, {len(done.silent)} without one"
    )
    if done.clipped:
        _say(f"{done.clipped} samples were beyond full scale and are clipped")


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True, highlight=False)
