"""`s5kit ensemble`: systems of many models: which there are, which models to keep, which thresholds."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from .evaluate import bar, chosen_device, number

if TYPE_CHECKING:
    from training.ensemble import Selection
    from training.outputs import Outputs
    from training.systems import Part

app = typer.Typer(no_args_is_help=True, help="Systems of many models: list, choose models, tune thresholds.")
console = Console()

_System = Annotated[str, typer.Option(help="YAML file, or a name of `s5kit ensemble list`.")]
_Data = Annotated[
    Path, typer.Option(help="Validation data: a corpus, a scene list, a test folder named valid.")
]
_Cache = Annotated[
    Path, typer.Option(help="Folder of the models' outputs; what is there is not computed again.")
]
_Out = Annotated[Path, typer.Option(help="The new system file.")]
_Models = Annotated[Path | None, typer.Option(help="Folder that the system's paths start from.")]
_Root = Annotated[Path | None, typer.Option(help="For a scene list: where its sounds are.")]
_Batch = Annotated[int, typer.Option(min=1, help="Scenes at once.")]
_Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …; auto: cuda if there is one.")]


class Stage(StrEnum):
    """Which stage to choose models of."""

    taggers = "taggers"
    separators = "separators"
    both = "both"


@app.command("list")
def list_() -> None:
    """List the systems that come with s5kit."""
    from training.systems import list_systems

    table = Table("name", "what it is", box=None, pad_edge=False)
    for name, about in list_systems().items():
        table.add_row(name, about)
    console.print(table)


@app.command("select")
def select(
    system: _System,
    data: _Data,
    cache: _Cache,
    out: _Out,
    stage: Annotated[Stage, typer.Option(help="Which models to choose.")] = Stage.both,
    most: Annotated[int | None, typer.Option(min=1, help="Greatest number per stage.")] = None,
    models: _Models = None,
    data_root: _Root = None,
    batch_size: _Batch = 4,
    device: _Device = "auto",
) -> None:
    """Choose models greedily on validation data, and write the system of those chosen."""
    from training.ensemble import chosen_file, select_separators, select_taggers
    from training.systems import open_system, write_system

    opened = open_system(system, base=models)
    with bar() as progress:
        outputs = _outputs(cache, data, data_root, device, batch_size, progress)
        taggers = select_taggers(opened, outputs, most=most) if stage is not Stage.separators else None
        separators = select_separators(opened, outputs, most=most) if stage is not Stage.taggers else None
    chosen = chosen_file(opened, taggers=taggers, separators=separators, name=out.stem)
    write_system(out, chosen, home=opened.home)
    if taggers is not None:
        console.print(_table("label accuracy %", taggers, opened.taggers))
    if separators is not None:
        console.print(_table("SNR dB", separators, opened.separators))
    console.print(f"written: {out}", markup=False, soft_wrap=True, highlight=False)


@app.command("thresholds")
def thresholds(
    system: _System,
    data: _Data,
    cache: _Cache,
    out: _Out,
    per_class: Annotated[bool, typer.Option(help="One threshold per class.")] = False,
    models: _Models = None,
    data_root: _Root = None,
    batch_size: _Batch = 4,
    device: _Device = "auto",
) -> None:
    """Tune the thresholds on validation data, and write the system with them."""
    from training.ensemble import tune_system
    from training.systems import open_system, write_system

    opened = open_system(system, base=models)
    with bar() as progress:
        outputs = _outputs(cache, data, data_root, device, batch_size, progress)
        file, tuned = tune_system(opened, outputs, per_class=per_class)
    write_system(out, file, home=opened.home)
    text = f"label accuracy on these scenes: {tuned.before:.2f} % before, {tuned.after:.2f} % with {file.threshold}"
    console.print(text, markup=False, soft_wrap=True, highlight=False)
    console.print(f"written: {out}", markup=False, soft_wrap=True, highlight=False)


def _outputs(
    cache: Path, data: Path, data_root: Path | None, device: str, batch_size: int, progress: bar
) -> Outputs:
    from training.outputs import Outputs
    from training.scenes_to_score import open_scenes

    scenes = open_scenes(data, data_root=data_root)
    return Outputs(
        cache, scenes, device=chosen_device(device), batch_size=batch_size, progress=progress.model
    )


def _table(figure: str, selection: Selection, parts: tuple[Part, ...]) -> Table:
    table = Table("chosen", "model", "alone", f"{figure}, with those above")
    for n, (index, merit) in enumerate(zip(selection.chosen, selection.history, strict=True), start=1):
        name = parts[index].weights
        table.add_row(str(n), name.stem or str(name), number(selection.alone[index]), number(merit))
    table.add_row("", f"all {len(parts)}", "", number(selection.everyone))
    return table
