"""Many scenes on disk: write a corpus, or go on where an earlier run stopped."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..assets.catalog import Catalog
from ..errors import SynthError
from ..files import write_bytes
from ..scenes.plan import check_plannable
from ..scenes.recipe import Recipe
from ..scenes.stock import scene_samples
from .card import CARD_MARK, CARD_NAME, card_text
from .corpus_index import CorpusIndex, ShardEntry
from .disk import disk_error
from .engines import Engine, LocalEngine, Watch
from .folder import check_folder, remove_leftovers
from .identity import INDEX_NAME, CorpusIdentity, check_stems, generator_version, make_identity
from .lock import folder_lock
from .maker import SceneMaker
from .shard_check import check_shard
from .shards import MakeScene, write_shard
from .signals import StopRequests
from .statistics import Statistics

Outcome = Literal["made", "kept", "mended"]


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

    directory: Path
    index: CorpusIndex
    outcomes: tuple[Outcome, ...]


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
        directory: Where the corpus goes; made if needed.
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
    extra = check_stems(stems)
    check_plannable(recipe, catalog)
    identity = make_identity(
        generator=generator_version(),
        recipe=recipe.name,
        recipe_hash=recipe.recipe_hash,
        catalog_hash=catalog.content_hash,
        synthetic=recipe.synthetic,
        split=recipe.split,
        seed=seed,
        num_scenes=num_scenes,
        shard_size=shard_size,
        slots=recipe.targets.count[1],
        stems=extra,
        sample_rate=recipe.scene.sample_rate,
        duration=scene_samples(recipe),
    )
    maker = SceneMaker(recipe, catalog, seed, ("mixture", "dry", *extra))
    return write_scenes(
        identity,
        maker,
        Path(directory),
        recipe=recipe.model_dump(mode="json"),
        engine=engine or LocalEngine(workers),
        progress=progress,
    )


def write_scenes(
    identity: CorpusIdentity,
    make_scene: MakeScene,
    directory: Path,
    *,
    recipe: dict[str, Any],
    engine: Engine,
    progress: Callable[[CorpusProgress], None] = lambda _: None,
) -> CorpusReport:
    """Write a corpus of scenes that anything picklable makes; see `write_corpus`."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, directory, 0) from error
    with folder_lock(directory):
        check_folder(directory, identity)
        remove_leftovers(directory, identity)
        try:
            done = _write_shards(identity, make_scene, directory, engine, progress)
        finally:
            remove_leftovers(directory, identity)
        index = CorpusIndex(
            corpus=identity,
            recipe=recipe,
            shards=tuple(shard.entry for shard in done),
            statistics=Statistics.total(shard.statistics for shard in done),
        )
        _write_card(directory / CARD_NAME, index)
        _write_index(directory / INDEX_NAME, index.to_bytes())
    return CorpusReport(directory, index, tuple(shard.outcome for shard in done))


@dataclass(frozen=True, slots=True)
class _ShardDone:
    entry: ShardEntry
    statistics: Statistics
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class _ShardWork:
    """What a worker does with the number of a shard."""

    identity: CorpusIdentity
    make_scene: MakeScene
    directory: Path

    def __call__(self, task: int, on_step: Callable[[], None]) -> _ShardDone:
        outcome: Outcome = "made"
        if (self.directory / self.identity.shard_name(task)).exists():
            try:
                index = check_shard(self.directory, self.identity, task, members=False)
                outcome = "kept"
            except SynthError:
                outcome = "mended"
        if outcome != "kept":
            index = write_shard(self.identity, task, self.directory, self.make_scene, on_step)
        return _ShardDone(ShardEntry.of(index), index.statistics, outcome)


def _write_shards(
    identity: CorpusIdentity,
    make_scene: MakeScene,
    directory: Path,
    engine: Engine,
    progress: Callable[[CorpusProgress], None],
) -> list[_ShardDone]:
    """Let the engine bring every shard about; return them in order."""
    done: dict[int, _ShardDone] = {}
    made = kept = 0

    def on_step() -> None:
        nonlocal made
        made += 1
        progress(CorpusProgress(made, kept, identity.num_scenes))

    work = _ShardWork(identity, make_scene, directory)
    with StopRequests() as stop:
        watch = Watch(
            name=lambda shard: str(directory / identity.shard_name(shard)),
            on_step=on_step,
            check=lambda: stop.check(f"{len(done)} of {identity.num_shards} shards are finished"),
        )
        with closing(engine.run(work, range(identity.num_shards), watch)) as results:
            for shard, result in results:
                done[shard] = result
                if result.outcome == "kept":
                    kept += result.entry.num_samples
                    progress(CorpusProgress(made, kept, identity.num_scenes))
    return [done[shard] for shard in range(identity.num_shards)]


def _write_card(path: Path, index: CorpusIndex) -> None:
    """Write the card; a file of that name that somebody else wrote stays as it is."""
    content = card_text(index).encode()
    try:
        if not path.exists() or CARD_MARK.encode() in path.read_bytes():
            write_bytes(path, content)
    except OSError as error:
        raise disk_error(error, path, len(content)) from error


def _write_index(path: Path, content: bytes) -> None:
    try:
        write_bytes(path, content)
    except OSError as error:
        raise disk_error(error, path, len(content)) from error
