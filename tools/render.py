"""`s5kit render`: one scene file, or a list of them, as WAV files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from synth import (
    STEMS,
    Catalog,
    FolderSounds,
    Renderer,
    SynthError,
    load_scenes,
    stem_names,
    write_dcase_scene,
    write_scene,
)

console = Console()


def render(
    scene: Annotated[
        Path, typer.Argument(help="Scene JSON (official 2025 or 2026, or ours), or a valid.json list.")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the WAV files; a list gets one folder per scene in it.")
    ],
    data_root: Annotated[
        Path, typer.Option(help="Folder that the paths in the scene file start from.")
    ] = Path(),
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog to take the sound from (for our own scenes).")
    ] = None,
    dcase_json: Annotated[
        Path | None, typer.Option(help="Also write the scene as an official scene file.")
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="With --dcase-json: the data root as the official program sees it.")
    ] = "",
    stems: Annotated[str, typer.Option(help=f"`all`, or some of {','.join(STEMS)}.")] = "mixture,dry",
) -> None:
    """Render a scene to mixture.wav, dry_<n>_<Label>.wav, labels.tsv and scene.json."""
    tables = None if catalog is None else Catalog.load(catalog)
    data_root = tables.root if tables is not None else data_root
    renderer = Renderer(tables or FolderSounds(data_root))
    chosen = stem_names(stems, STEMS)
    scenes = list(load_scenes(scene, data_root))
    if dcase_json is not None and len(scenes) > 1:
        raise SynthError(
            "takes a single scene", where="--dcase-json", remedy="name one scene file, not a list"
        )
    for name, spec in scenes:
        folder = out / name if len(scenes) > 1 else out
        written = write_scene(renderer.render(spec, chosen), folder)
        if dcase_json is not None:
            write_dcase_scene(spec, dcase_json, data_root, prefix=prefix)
        console.print(f"{name}: {len(spec.targets)} target(s), {len(written)} files in {folder}")
