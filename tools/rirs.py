"""`s5kit rirs`: what room responses say about themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from synth import PlaceFigures, RirReport, SynthError, available_cores, check_rirs

app = typer.Typer(no_args_is_help=True, help="Room responses: check them and draw them.")
console = Console()

_DRAWN = 12
_HEADINGS = (
    "place", "RIRs", "Hz", "s", "RT60/s", "DRR/dB", "error/deg", "worst", "YZX/dB", "noise/dB", "clipped", "silent",
)  # fmt: skip


@app.callback()
def rirs() -> None:
    """Room responses: check them and draw them."""


@app.command()
def check(
    where: Annotated[Path, typer.Argument(help="A catalog, a folder of SOFA files, or a SOFA file.")],
    out: Annotated[Path | None, typer.Option(help="Draw them into this PNG, PDF or SVG file.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
) -> None:
    """Print per place: count, rate, length, RT60, DRR, direction, faults; exit 1 if there are faults."""
    pyplot = None if out is None else _pyplot()
    columns = (TextColumn("places"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=None)
        report = check_rirs(
            where,
            workers=workers or available_cores(),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    console.print(_table(report.places), markup=False, soft_wrap=True, highlight=False)
    for problem in report.problems:
        console.print("problem:", style="bold red", end=" ")
        console.print(
            f"{problem.where}: {problem.what} ({problem.remedy})",
            markup=False,
            soft_wrap=True,
            highlight=False,
        )
    if out is not None:
        _draw(pyplot, report, out)
        console.print(f"drawn into {out}", markup=False, soft_wrap=True, highlight=False)
    if report.problems:
        raise typer.Exit(1)


def _table(places: Sequence[PlaceFigures]) -> str:
    """One line per place, as wide as it must be: it is read by people and by grep."""
    rows = [_HEADINGS]
    for place in places:
        rows.append(
            (
                place.place,
                str(place.count),
                str(place.rate),
                f"{place.seconds:.3f}",
                _number(place.median("rt60"), ".2f"),
                _number(place.median("drr"), "+.1f"),
                _number(place.median("direction_error"), ".2f"),
                _number(place.worst_direction_error, ".2f"),
                _number(place.median("dipole_level"), "+.2f"),
                _number(place.median("noise_floor"), ".0f"),
                str(len(place.clipped)),
                str(len(place.silent)),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(row).rstrip() for row in cells)


def _number(value: float, form: str) -> str:
    return "-" if value != value else format(value, form)


def _pyplot() -> Any:
    """Import matplotlib before any work is done, with a canvas that needs no screen."""
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise SynthError(
            "drawing needs matplotlib, which is not installed",
            where="--out",
            remedy="pip install 's5kit[plots]', or leave --out away",
        ) from error
    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def _draw(pyplot: Any, report: RirReport, out: Path) -> None:
    """Decay curves, directions stated and found, reverberation times."""
    figure, axes = pyplot.subplots(1, 3, figsize=(16, 4.5), layout="constrained")
    for place in report.places[:_DRAWN]:
        step = place.seconds / max(1, len(place.decay))
        axes[0].plot([n * step for n in range(len(place.decay))], place.decay, lw=1, label=place.place)
        axes[1].plot(place.stated[:, 0], place.stated[:, 1], "k+", ms=7, lw=0.5)
        axes[1].plot(place.found[:, 0], place.found[:, 1], ".", ms=4)
    axes[0].set(xlabel="s", ylabel="dB", ylim=(-80, 3), title="decay of W (Schroeder), first response")
    axes[0].legend(fontsize=6)
    axes[1].set(
        xlabel="azimuth",
        ylabel="elevation",
        xlim=(180, -180),
        ylim=(-90, 90),
        title="direction: + stated, . found (degrees)",
    )
    times = [[t for t in place.rt60 if t == t] or [0.0] for place in report.places]
    axes[2].boxplot(times, showfliers=False)
    axes[2].set(xlabel="place", ylabel="s", title="RT60")
    if len(times) > _DRAWN:
        axes[2].set_xticks([])
    figure.savefig(out, dpi=110)
    pyplot.close(figure)
