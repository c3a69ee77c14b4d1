"""What the commands of `s5kit prepare` share: options, progress, and the report at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from synth import Curation, PreparationReport, available_cores

from . import download as downloads

console = Console()

_SHOWN = 40

Root = Annotated[
    Path, typer.Argument(help="The source, unpacked; with --download or --unpack, where it goes.")
]
Out = Annotated[Path, typer.Option(help="Folder to be made; it appears when complete.")]
Procs = Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave bad files out, and say which.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch the archives into ROOT/archives first.")]
Unpack = Annotated[bool, typer.Option("--unpack", help="Unpack the archives that lie in ROOT first.")]
Terms = Annotated[bool, typer.Option(help="With --download: the terms of the source are accepted.")]
SetName = Annotated[str, typer.Option("--set", help="Named set that recipes choose by.")]
Licence = Annotated[str | None, typer.Option(help="Licence of files for which the source states none.")]
Split = Annotated[str, typer.Option(help="train, valid or test.")]
Amplitude = Annotated[float, typer.Option(help="Pieces with a lower peak are dropped.")]
Shortest = Annotated[float, typer.Option(help="Pieces shorter than this many seconds are dropped.")]
Quiet = Annotated[float, typer.Option(help="So many quiet seconds split a recording; 0: never.")]
ValidPlaces = Annotated[
    str, typer.Option(help="Places that go to the split valid, with commas between them.")
]
Kind = Annotated[str | None, typer.Option(help="foa, or tetra (A-format).")]
Order = Annotated[str | None, typer.Option(help="Channel order of FOA: acn, fuma or sid.")]
Norm = Annotated[
    str | None, typer.Option("--normalisation", "--norm", help="Of FOA: sn3d, n3d, fuma or maxn.")
]
Scaling = Annotated[
    str,
    typer.Option(
        help="A-to-B: cardioid (ideal capsules), sum (plain sums), or auto: the one that measures as SN3D."
    ),
]
Dataset = Annotated[str, typer.Option(help="Name of the collection.")]
RoomSet = Annotated[str | None, typer.Option("--set", help="Named set. [the collection]")]
MaxError = Annotated[
    float, typer.Option(help="Degrees that the direct paths of a place may be off (median); 0: any.")
]


def bring(source: str, root: Path, download: bool, unpack: bool, accept_terms: bool) -> None:
    """Fetch the archives of a source and unpack them into its folder."""
    if download:
        archives = root / "archives"
        downloads.show(downloads.fetch(source, archives, accept_terms=accept_terms))
        downloads.unpack_archives(archives, root)
    elif unpack:
        downloads.unpack_archives(root, root)


def rules_of(min_amplitude: float, min_seconds: float, quiet_seconds: float) -> Curation:
    """Return the rules of the curation."""
    return Curation(min_amplitude=min_amplitude, min_seconds=min_seconds, quiet_seconds=quiet_seconds)


def words(text: str) -> tuple[str, ...]:
    """Split at commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


@contextmanager
def bar(workers: int) -> Iterator[dict[str, Any]]:
    """A progress bar, as the keyword arguments `workers` and `progress`."""
    columns = (TextColumn("preparing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=None)
        show: Callable[[int, int], None] = lambda done, total: shown.update(task, completed=done, total=total)  # noqa: E731
        yield {"workers": workers or available_cores(), "progress": show}


def end(report: PreparationReport) -> None:
    """Print what came of it; exit 1 when nothing was written."""
    for note in report.notes[:_SHOWN]:
        _say(f"note: {note}")
    if len(report.notes) > _SHOWN:
        _say(f"note: {len(report.notes) - _SHOWN} more notes are in prepared.json")
    for problem in report.problems:
        console.print("problem:", style="bold red", end=" ")
        _say(f"{problem.where}: {problem.what} ({problem.remedy})")
    if report.result is None:
        _say(
            f"{len(report.problems)} problem(s): nothing was written. "
            "Mend them, or leave these files out by --skip-bad."
        )
        raise typer.Exit(1)
    counts = ", ".join(f"{n} in {folder}" for folder, n in sorted(report.counts.items()))
    _say(f"{report.out}: {counts}{'' if report.fresh else ' (was there already, whole)'}")
    _say(f"next: s5kit catalog build {report.out} --layout prepared --out CATALOG")


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True, highlight=False)
