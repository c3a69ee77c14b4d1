"""`s5kit synth`: many scenes as WebDataset shards."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

import synth as s5
from synth import Catalog, available_cores, load_recipe, stem_names

from .corpus_table import corpus_table

if TYPE_CHECKING:  # the rest is loaded when the command runs
    from synth import CorpusProgress, Engine, PartReport

console = Console()

_STEMS = ("mixture", "dry", "wet", "interference", "noise")


def synth(
    recipe: Annotated[str, typer.Option(help="A preset (see `s5kit recipes`) or a YAML file.")],
    catalog: Annotated[Path, typer.Option(help="Catalog to draw from (see `s5kit catalog build`).")],
    out: Annotated[
        str, typer.Option(help="Folder or address (s3://…) of the corpus; an interrupted one is continued.")
    ],
    num_scenes: Annotated[int, typer.Option(help="How many scenes.")],
    seed: Annotated[int, typer.Option(help="Which series of scenes.")] = 0,
    split: Annotated[str | None, typer.Option(help="train, valid or test; by default the recipe's.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0: one per core.")] = 0,
    shard_size: Annotated[int, typer.Option(help="Scenes per shard.")] = 100,
    stems: Annotated[
        str, typer.Option(help=f"`all`, or some of {','.join(_STEMS)}; mixture and dry are always stored.")
    ] = "mixture,dry",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe: targets.snr_db=[5,20]. Repeatable.")
    ] = None,
    shards: Annotated[
        str | None,
        typer.Option(help="Only these shards, 120:240 (240 is not one): jobs of an array share a corpus."),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local: processes of this machine; ray: a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None, typer.Option(help="Of the Ray cluster (auto, HOST:6379); by default one is started here.")
    ] = None,
    retries: Annotated[
        int, typer.Option(help="Ray: so often is a shard begun again whose worker was lost.")
    ] = 3,
) -> None:
    """Plan, render and store scenes; the same recipe, catalog, seed and version give the same bytes."""
    changes = [*(overrides or []), *([] if split is None else [f"split={split}"])]
    chosen = load_recipe(recipe, changes)
    with _Bar(num_scenes) as bar:
        asked: dict[str, Any] = {
            "num_scenes": num_scenes,
            "seed": seed,
            "shard_size": shard_size,
            "stems": stem_names(stems, _STEMS),
            "engine": _engine(engine, workers, address, retries),
            "progress": bar.show,
        }
        if shards is not None:
            part = s5.write_corpus_part(chosen, Catalog.load(catalog), out, shards=shards, **asked)
            index, outcomes = part.index, part.outcomes
        else:
            report = s5.write_corpus(chosen, Catalog.load(catalog), out, **asked)
            part, index, outcomes = None, report.index, report.outcomes
    if index is not None:
        console.print(corpus_table(index))
    counts = [f"{outcomes.count(how)} {how}" for how in ("made", "kept", "mended") if how in outcomes]
    _say(f"{len(outcomes)} shard(s) in {out}: {', '.join(counts)}{bar.closing()}")
    _say(_missing(part) if part is not None and index is None else _next(out, catalog))


def _engine(name: str, workers: int, address: str | None, retries: int) -> Engine:
    """Return who does the work."""
    if name == "local" and address is None:
        return s5.LocalEngine(workers or available_cores())
    if name == "ray":
        return s5.RayEngine(address, workers or None, retries)
    raise s5.SynthError(
        f"{name!r} does not go with an address" if name == "local" else f"there is no engine {name!r}",
        where="--engine",
        remedy="give --engine local, or --engine ray with --address",
    )


def _next(out: str, catalog: Path) -> str:
    return f"next: s5kit verify {out} --catalog {catalog}"


def _missing(part: PartReport) -> str:
    return (
        f"these were {len(part.shards):,} of {part.identity.num_shards:,} shards, and others are missing: "
        "whoever makes the last of them also writes index.json (or the same command without --shards does)"
    )


def _say(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True, highlight=False)


class _Bar:
    """Scenes done, scenes per second and time left, on stderr."""

    def __init__(self, total: int) -> None:
        self._progress = Progress(
            TextColumn("scenes"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            console=Console(stderr=True),
        )
        self._task: TaskID = self._progress.add_task("", total=total, rate="")
        self._begin = time.monotonic()
        self._made = 0

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, progress: CorpusProgress) -> None:
        self._made = progress.made
        done = progress.made + progress.kept
        rate = self._rate()
        left = _duration((progress.total - done) / rate) if rate else "?"
        text = f"{rate:.1f} scenes/s, {left} left"
        self._progress.update(self._task, completed=done, total=progress.total, rate=text)

    def closing(self) -> str:
        return f"; {self._made} scenes at {self._rate():.1f} scenes/s" if self._made else ""

    def _rate(self) -> float:
        return self._made / max(time.monotonic() - self._begin, 1e-9)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
