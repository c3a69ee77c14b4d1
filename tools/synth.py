"""`s5kit synth`: many scenes as WebDataset shards."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from synth import Catalog, CorpusProgress, available_cores, load_recipe, stem_names, write_corpus

from .corpus_table import corpus_table

console = Console()

_STEMS = ("mixture", "dry", "wet", "interference", "noise")


def synth(
    recipe: Annotated[str, typer.Option(help="A preset (see `s5kit recipes`) or a YAML file.")],
    catalog: Annotated[Path, typer.Option(help="Catalog to draw from (see `s5kit catalog build`).")],
    out: Annotated[Path, typer.Option(help="Folder of the corpus; an interrupted one is continued.")],
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
) -> None:
    """Plan, render and store scenes; the same recipe, catalog, seed and version give the same bytes."""
    changes = [*(overrides or []), *([] if split is None else [f"split={split}"])]
    chosen = load_recipe(recipe, changes)
    with _Bar(num_scenes) as bar:
        report = write_corpus(
            chosen,
            Catalog.load(catalog),
            out,
            num_scenes=num_scenes,
            seed=seed,
            workers=workers or available_cores(),
            shard_size=shard_size,
            stems=stem_names(stems, _STEMS),
            progress=bar.show,
        )
    console.print(corpus_table(report.index))
    counts = [
        f"{report.outcomes.count(how)} {how}" for how in ("made", "kept", "mended") if how in report.outcomes
    ]
    text = f"{len(report.outcomes)} shard(s) in {out}: {', '.join(counts)}{bar.closing()}"
    console.print(text, markup=False, soft_wrap=True, highlight=False)
    console.print(
        f"next: s5kit verify {out} --catalog {catalog}", markup=False, soft_wrap=True, highlight=False
    )


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
        self._progress.update(self._task, completed=done, rate=text)

    def closing(self) -> str:
        return f"; {self._made} scenes at {self._rate():.1f} scenes/s" if self._made else ""

    def _rate(self) -> float:
        return self._made / max(time.monotonic() - self._begin, 1e-9)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
