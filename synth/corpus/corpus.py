"""Many scenes on disk or in a bucket: write a corpus, or go on where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..assets.catalog import Catalog
from ..scenes.recipe import Recipe
from .corpus_index import CorpusIndex
from .destination import Destination, LocalFolder, Outcome, ShardDone, open_destination
from .engines import Engine, LocalEngine, Watch
from .identity import CorpusIdentity
from .live import corpus_of, parse_shards
from .shards import MakeScene
from .signals import StopRequests
from .statistics import Statistics


@dataclass(frozen=True, slots=True)
class CorpusProgress:
    """How far a run is, in scenes: made now, kept from an earlier run, and wanted in all."""

    made: int
    kept: int
    total: int


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """What a run did.

    Attributes:
        directory: The corpus.
        index: What it holds.
        outcomes: Per shard: made now, kept from an earlier run, or found damaged and made again.
    """

    directory: Path | str
    index: CorpusIndex
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class PartReport:
    """What a run for some shards of a corpus did.

    Attributes:
        directory: The corpus.
        identity: What it is.
        shards: Which shards the run was for.
        outcomes: Per shard of these; see `CorpusReport`.
        index: What the corpus holds; None while shards of it are missing.
    """

    directory: Path | str
    identity: CorpusIdentity
    shards: range
    outcomes: tuple[Outcome, ...]
    index: CorpusIndex | None


def write_corpus(
    recipe: Recipe,
    catalog: Catalog,
    directory: str | Path,
    *,
    num_scenes: int,
    seed: int = 0,
    workers: int = 1,
    shard_size: int = 100,
    stems: Collection[str] = (),
    engine: Engine | None = None,
    progress: Callable[[CorpusProgress], None] = lambda _: None,
) -> CorpusReport:
    """Plan, render and store scenes 0 to `num_scenes` - 1 as WebDataset shards.

    A folder in which the same corpus was begun is continued: finished shards are verified and
    kept. The same recipe, catalog, split, seed and version give the same bytes, whatever the
    number of workers and however often the run was interrupted.

    Args:
        recipe: How scenes are drawn, and from which split.
        catalog: From what.
        directory: Where the corpus goes, made if needed: a folder, or an address that fsspec knows
            ("s3://bucket/name"), where shards are staged, verified and then put in place.
        num_scenes: How many scenes.
        seed: Which series of scenes.
        workers: Processes; a script that asks for more than one must do so under
            `if __name__ == "__main__":`.
        shard_size: Scenes per shard.
        stems: Sounds stored beside mixture and dry targets: "wet", "interference", "noise".
        engine: Who does the work, instead of `workers` local processes.
        progress: Called after every scene.

    Raises:
        SynthError: The folder holds another corpus, another run writes into it, the disk
            refuses, a scene cannot be made (it is named), or the run was stopped by a signal
            (`StoppedError`). Finished shards stay.
    """
    identity, maker = corpus_of(
        recipe, catalog, seed=seed, shard_size=shard_size, num_scenes=num_scenes, stems=stems
    )
    return write_scenes(
        identity,
        maker,
        directory,
        recipe=recipe.model_dump(mode="json"),
        engine=engine or LocalEngine(workers),
        progress=progress,
    )


def write_corpus_part(
    recipe: Recipe,
    catalog: Catalog,
    directory: str | Path,
    *,
    shards: str,
    num_scenes: int,
    seed: int = 0,
    workers: int = 1,
    shard_size: int = 100,
    stems: Collection[str] = (),
    engine: Engine | None = None,
    progress: Callable[[CorpusProgress], None] = lambda _: None,
) -> PartReport:
    """Make some shards of a corpus, as many runs on many machines do for one corpus at the same time.

    Runs for different shards may write into one folder at once. Whichever finds that all shards
    are there writes the index; so does `write_corpus` with the same arguments.

    Args:
        recipe: As `write_corpus`, also all that is not named here.
        catalog: From what.
        directory: Where the corpus goes; a folder must be one that all machines share.
        shards: Which ones, such as "120:240" (240 is not one of them).
        num_scenes: Scenes of the whole corpus.
        seed: Which series of scenes.
        workers: Processes.
        shard_size: Scenes per shard.
        stems: Sounds stored beside mixture and dry targets.
        engine: Who does the work.
        progress: Called after every scene; its total counts the scenes of these shards.

    Raises:
        SynthError: As `write_corpus`; there are no such shards, or another run makes some of them.
    """
    identity, maker = corpus_of(
        recipe, catalog, seed=seed, shard_size=shard_size, num_scenes=num_scenes, stems=stems
    )
    wanted = parse_shards([shards], identity.num_shards, where="shards")
    return write_part(
        identity,
        maker,
        directory,
        shards=range(wanted[0], wanted[-1] + 1),
        recipe=recipe.model_dump(mode="json"),
        engine=engine or LocalEngine(workers),
        progress=progress,
    )


def write_scenes(
    identity: CorpusIdentity,
    make_scene: MakeScene,
    directory: str | Path,
    *,
    recipe: dict[str, Any],
    engine: Engine,
    progress: Callable[[CorpusProgress], None] = lambda _: None,
) -> CorpusReport:
    """Write a corpus of scenes that anything picklable makes; see `write_corpus`."""
    place = open_destination(directory)
    place.prepare()
    with place.locked(None):
        done = _write_shards(identity, make_scene, place, None, engine, progress)
        index = _publish(identity, recipe, place, done)
    return CorpusReport(_shown(directory, place), index, tuple(shard.outcome for shard in done))


def write_part(
    identity: CorpusIdentity,
    make_scene: MakeScene,
    directory: str | Path,
    *,
    shards: range,
    recipe: dict[str, Any],
    engine: Engine,
    progress: Callable[[CorpusProgress], None] = lambda _: None,
) -> PartReport:
    """Write some shards of scenes that anything picklable makes; see `write_corpus_part`."""
    place = open_destination(directory)
    place.prepare()
    with place.locked(shards):
        done = _write_shards(identity, make_scene, place, shards, engine, progress)
        everything = place.finished(identity)
        index = None if everything is None else _publish(identity, recipe, place, everything)
    outcomes = tuple(shard.outcome for shard in done)
    return PartReport(_shown(directory, place), identity, shards, outcomes, index)


def _shown(directory: str | Path, place: Destination) -> str | Path:
    return place.directory if isinstance(place, LocalFolder) else str(directory)


@dataclass(frozen=True, slots=True)
class _ShardWork:
    """What a worker does with the number of a shard."""

    identity: CorpusIdentity
    make_scene: MakeScene
    place: Destination

    def __call__(self, task: int, on_step: Callable[[], None]) -> ShardDone:
        return self.place.bring_about(self.identity, task, self.make_scene, on_step)


def _write_shards(
    identity: CorpusIdentity,
    make_scene: MakeScene,
    place: Destination,
    shards: range | None,
    engine: Engine,
    progress: Callable[[CorpusProgress], None],
) -> list[ShardDone]:
    """Let the engine bring shards about, None: all of them; return them in order."""
    place.check(identity, shards)
    place.clean(identity, shards)
    wanted = range(identity.num_shards) if shards is None else shards
    total = sum(len(identity.scenes(shard)) for shard in wanted)
    done: dict[int, ShardDone] = {}
    made = kept = 0

    def on_step() -> None:
        nonlocal made
        made += 1
        progress(CorpusProgress(made, kept, total))

    work = _ShardWork(identity, make_scene, place)
    try:
        with StopRequests() as stop:
            watch = Watch(
                name=lambda shard: place.named(identity.shard_name(shard)),
                on_step=on_step,
                check=lambda: stop.check(f"{len(done)} of {len(wanted)} shards are finished"),
            )
            with closing(engine.run(work, wanted, watch)) as results:
                for shard, result in results:
                    done[shard] = result
                    if result.outcome == "kept":
                        kept += result.entry.num_samples
                        progress(CorpusProgress(made, kept, total))
    finally:
        place.clean(identity, shards)
    return [done[shard] for shard in wanted]


def _publish(
    identity: CorpusIdentity, recipe: dict[str, Any], place: Destination, done: Sequence[ShardDone]
) -> CorpusIndex:
    index = CorpusIndex(
        corpus=identity,
        recipe=recipe,
        shards=tuple(shard.entry for shard in done),
        statistics=Statistics.total(shard.statistics for shard in done),
    )
    place.publish(index)
    return index
