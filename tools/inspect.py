"""`s5kit inspect`: scenes as one HTML file, to look at and listen to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from synth import (
    Catalog,
    Estimate,
    Inspection,
    SceneView,
    SynthError,
    open_inspection,
    worst_scenes,
    write_report,
)

if TYPE_CHECKING:
    from training.evaluate import ScoredEstimate

console = Console()


class Labels(StrEnum):
    """Which labels the separators of a system get."""

    predicted = "predicted"
    oracle = "oracle"


def inspect(
    what: Annotated[
        Path,
        typer.Argument(
            help="A corpus; a scene file (official, a valid.json list, or ours); a folder with soundscape/ and "
            "oracle_target/, or one that `s5kit render` wrote."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for index.html, which has everything in it.")] = Path(
        "report"
    ),
    scenes: Annotated[
        str | None, typer.Option(help="Which scenes, from 0: 0,3,10:20 (10 to 19); else evenly spaced ones.")
    ] = None,
    num: Annotated[int, typer.Option(min=1, help="How many scenes, when --scenes does not say which.")] = 12,
    among: Annotated[
        int | None,
        typer.Option(
            min=1, help="With a system: try it on so many scenes, evenly spaced, and show the --num worst."
        ),
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="Render the scenes again from this catalog, with all stems.")
    ] = None,
    data_root: Annotated[
        Path, typer.Option(help="Folder that the paths in official scene files start from.")
    ] = Path(),
    system: Annotated[
        str | None, typer.Option(help="Also show what a system makes of them: a YAML file, or a name.")
    ] = None,
    models: Annotated[Path | None, typer.Option(help="Folder that the system's paths start from.")] = None,
    labels: Annotated[
        Labels, typer.Option(help="oracle: the system's separators get the true labels.")
    ] = Labels.predicted,
    estimates: Annotated[
        Path | None, typer.Option(help="Or a folder of estimates under the official names.")
    ] = None,
    device: Annotated[
        str, typer.Option(help="Where the system runs: cpu, cuda …; auto: cuda if there is one.")
    ] = "auto",
) -> None:
    """Write a report: spectrograms, timelines, players, directions, histograms, warnings first."""
    if system is not None and estimates is not None:
        raise SynthError("only one of them can be shown", where="--system, --estimates", remedy="give either")
    if among is not None and (scenes is not None or (system is None and estimates is None)):
        raise SynthError(
            "it chooses scenes by what a system makes of them",
            where="--among",
            remedy="give --system or --estimates, and not --scenes",
        )
    inspection = open_inspection(
        what,
        scenes=None if scenes is None else parse_scenes(scenes),
        num=among or num,
        catalog=None if catalog is None else Catalog.load(catalog),
        data_root=data_root,
    )
    judge: Callable[[SceneView], SceneView] | None = None
    if system is not None:
        judge = _by_system(system, models, labels.value, device)
    elif estimates is not None:
        judge = _by_folder(estimates, inspection)
    tried = None
    if among is not None:
        tried = len(inspection.shown)
        found = zip(inspection.shown, _views(inspection, judge, "trying"), strict=True)
        worths = ((index, view.worth) for index, view in found)
        inspection = replace(inspection, shown=worst_scenes(worths, num))
    report = write_report(_views(inspection, judge), out, summary=inspection.summary, tried=tried)
    for notice in report.notices:
        console.print(f"{notice.level}: {notice.text}", markup=False, soft_wrap=True, highlight=False)
    console.print(
        f"{report.scenes} scene(s), {report.size / 1e6:.1f} MB: {report.path}",
        markup=False,
        soft_wrap=True,
        highlight=False,
    )


def parse_scenes(text: str) -> list[range]:
    """Read `0,3,10:20` as users write it.

    Raises:
        SynthError: A part is no number and no range.
    """
    parts = []
    for part in text.split(","):
        first, colon, last = part.strip().partition(":")
        if not first.isdecimal() or (colon and not last.isdecimal()):
            raise SynthError(
                f"{part.strip()!r} is no scene and no range", where="--scenes", remedy="write 0,3,10:20"
            )
        parts.append(range(int(first), int(last) if colon else int(first) + 1))
    return parts


def _views(
    inspection: Inspection, judge: Callable[[SceneView], SceneView] | None, what: str = "scenes"
) -> Iterator[SceneView]:
    """Yield the scenes, with a bar on stderr."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        for index in bar.track(inspection.shown):
            view = inspection.view(index)
            yield view if judge is None else judge(view)


def _by_system(
    source: str, models: Path | None, labels: Any, device: str
) -> Callable[[SceneView], SceneView]:
    """Return what adds the estimates of a system to a scene."""
    from training.estimates import SystemEstimator
    from training.systems import load_system, open_system

    from .evaluate import chosen_device

    opened = open_system(source, base=models)
    estimator = SystemEstimator(load_system(opened, chosen_device(device)), opened.classes, labels)
    return lambda view: _judged(view, estimator)


def _by_folder(folder: Path, inspection: Inspection) -> Callable[[SceneView], SceneView]:
    """Return what adds the estimates in a folder to a scene."""
    from training.estimates import FolderEstimates

    estimator = FolderEstimates(folder, inspection.names)
    return lambda view: _judged(view, estimator)


def _judged(view: SceneView, estimator: Any) -> SceneView:
    from training.evaluate import estimate_scene
    from training.scenes_to_score import SceneToScore, Target

    # A target without its dry sound cannot be scored against: it would count as a false alarm.
    if any(target.dry is None for target in view.targets):
        raise SynthError(
            "its dry targets are needed to judge estimates by",
            where=view.name,
            remedy="give --catalog, or oracle_target/",
        )
    dry = [target.dry for target in view.targets if target.dry is not None]
    targets = tuple(Target(target.label, x) for target, x in zip(view.targets, dry, strict=True))
    scored = estimate_scene(SceneToScore(view.name, view.mixture, targets, None, 0.0), estimator)
    found = [_estimate(source, dry, view) for source in scored.sources if source.waveform is not None]
    return replace(view, estimates=tuple(found), score=scored.score.capi_sdri)


def _estimate(source: ScoredEstimate, dry: list[Any], view: SceneView) -> Estimate:
    assert source.waveform is not None
    hit = source.reference is not None
    return Estimate(
        source.label,
        source.waveform,
        target=next((n for n, x in enumerate(dry) if x is source.reference), None),
        sdr=source.sdr if hit else None,
        sdri=source.sdri if hit else None,
        score=source.score,
        events=tuple((round(a * view.rate), round(b * view.rate)) for a, b in source.events or ()),
    )
