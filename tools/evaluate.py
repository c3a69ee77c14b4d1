"""`s5kit evaluate`: score a system, or a folder of estimates, as the challenge does."""

from __future__ import annotations

import json
import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from synth import SynthError

if TYPE_CHECKING:
    from training.evaluate import EvaluationReport

console = Console()

_NAMES = {
    "ca_sdri": ("CA-SDRi (2025)", "dB"),
    "label_accuracy": ("label accuracy (2025)", "%"),
    "capi_sdri": ("CAPI-SDRi (2026)", "dB"),
    "accuracy_mixture": ("accuracy per mixture (2026)", "%"),
    "accuracy_source": ("accuracy per source (2026)", "%"),
    "casa_sdr": ("CASA-SDR, per source", "dB"),
    "casa_sdr_errors": ("CASA-SDR, per error", "dB"),
    "casa_sdri": ("CASA-SDRi, per source", "dB"),
    "casa_sdri_errors": ("CASA-SDRi, per error", "dB"),
}
_SED = {"psds1": "PSDS 1", "psds2": "PSDS 2", "segment_f1": "segment F1", "segment_auroc": "segment AUROC"}


class Year(StrEnum):
    """Whose rules count."""

    auto = "auto"
    y2025 = "2025"
    y2026 = "2026"

    @property
    def number(self) -> Literal[2025, 2026] | None:
        """The year; None for `auto`."""
        return None if self is Year.auto else cast(Literal[2025, 2026], int(self.value))


class Labels(StrEnum):
    """Which labels the separators get."""

    predicted = "predicted"
    oracle = "oracle"


def evaluate(
    data: Annotated[
        Path, typer.Option(help="Test folder (soundscape, oracle_target), corpus, or scene list.")
    ],
    system: Annotated[str | None, typer.Option(help="YAML file, or a name of `s5kit ensemble list`.")] = None,
    estimates: Annotated[
        Path | None, typer.Option(help="Folder of estimates under the official names.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of report.json, scenes.csv, scenes.jsonl; a stopped run goes on."),
    ] = None,
    year: Annotated[Year, typer.Option(help="Whose rules and names.")] = Year.auto,
    labels: Annotated[
        Labels, typer.Option(help="oracle: the separators get the true labels.")
    ] = Labels.predicted,
    models: Annotated[Path | None, typer.Option(help="Folder that the system's paths start from.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Run models one after another and keep their outputs here.")
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="For a scene list: where its sounds are.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Scenes at once; changes no figure.")] = 4,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …; auto: cuda if there is one.")] = "auto",
    breakdowns: Annotated[bool, typer.Option(help="Show figures by targets, overlap, class, SNR.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Score a system or estimates: CA-SDRi, CAPI-SDRi, CASA-SDR, accuracies, PSDS, with breakdowns."""
    from training.estimates import FolderEstimates
    from training.evaluate import evaluate as score
    from training.outputs import describe, open_estimator
    from training.scenes_to_score import open_scenes
    from training.systems import open_system

    if (system is None) == (estimates is None):
        raise SynthError("one of them is needed", where="--system, --estimates", remedy="give either")
    scenes = open_scenes(data, year=year.number, data_root=data_root)
    with bar() as progress:
        if estimates is not None:
            estimator: Any = FolderEstimates(estimates, scenes.names, year.number)
            what = estimator.what
        else:
            assert system is not None
            opened = open_system(system, base=models)
            what = describe(opened, labels.value)
            estimator = open_estimator(
                opened,
                scenes,
                labels=labels.value,
                device=chosen_device(device),
                cache=cache,
                batch_size=batch_size,
                progress=progress.model,
            )
        report = score(scenes, estimator, out=out, what=what, batch_size=batch_size, progress=progress.scenes)
    if as_json:
        typer.echo(json.dumps(report.to_json(), allow_nan=False))
        return
    show(report, breakdowns=breakdowns)
    if out is not None:
        console.print(f"written: {out / 'report.json'}, {out / 'scenes.csv'}", markup=False, highlight=False)


class bar:  # noqa: N801  a context manager reads like a function
    """Scenes done on stderr, for the whole run or model by model."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def scenes(self, done: int, total: int) -> None:
        """Show scenes done."""
        self.model("scenes", done, total)

    def model(self, name: str, done: int, total: int) -> None:
        """Show scenes that one model has done."""
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name)
        self._progress.update(self._tasks[name], completed=done, total=total)


def chosen_device(device: str) -> str:
    """Return the device that `auto` stands for, or `device` itself."""
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def show(report: EvaluationReport, *, breakdowns: bool = True) -> None:
    """Print a report as tables."""
    from training.score_report import HEADLINE

    console.print(
        f"{report.what}: {report.scenes} scenes, rules of {report.year}",
        markup=False,
        soft_wrap=True,
        highlight=False,
    )
    table = Table("figure", "value")
    first = HEADLINE[report.year]
    for name in (*first, *(name for name in _NAMES if name not in first)):
        label, unit = _NAMES[name]
        style = "bold" if name in first else None
        table.add_row(label, f"{number(report.figures[name])} {unit}", style=style)
    if report.sed is not None:
        for name, label in _SED.items():
            table.add_row(label, number(getattr(report.sed, name)))
    console.print(table)
    if breakdowns:
        for name, groups in report.by_scene.items():
            console.print(_scene_table(name, groups, first))
        for name, sources in report.by_source.items():
            console.print(_source_table(name, sources))


def number(value: float) -> str:
    """Write a figure; what is not defined is a dash."""
    return "–" if math.isnan(value) else f"{value:.3f}"


def _scene_table(name: str, groups: dict[str, dict[str, float]], first: tuple[str, ...]) -> Table:
    table = Table(name.replace("_", " "), "scenes", *(_NAMES[figure][0] for figure in first))
    for group, figures in groups.items():
        table.add_row(group, f"{figures['scenes']:.0f}", *(number(figures[figure]) for figure in first))
    return table


def _source_table(name: str, groups: dict[str, Any]) -> Table:
    table = Table(name.replace("_", " "), "targets", "found %", "right %", "SDRi dB")
    for group, sources in groups.items():
        values = (sources.recall, sources.precision, sources.sdri)
        table.add_row(group, str(sources.targets), *map(number, values))
    return table
