"""The data of a run: live scenes from CPU workers, scenes rendered on the device, or a stored corpus.

Whatever the source, position p of a run is the same scene for any number of ranks, workers and parts of a step.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from synth import (
    BatchRenderer,
    Catalog,
    CorpusStream,
    FolderSounds,
    Recipe,
    RenderAhead,
    SceneStream,
    SpecStream,
    SynthError,
    default_classes,
    load_recipe,
    load_scenes,
)

from .config import TrainConfig
from .copying import CopyAhead
from .facts import SceneFacts

Batch = dict[str, Tensor]
Stream = SceneStream | SpecStream | CorpusStream


class Feed:
    """Endless batches of one rank, on its device.

    Args:
        stream: Its scenes.
        device: Where batches go.
        workers: Processes that make samples.
        prefetch: Batches made ahead.
        renderer: Renders the specs of a stream that only plans; None when the stream renders.
    """

    def __init__(
        self,
        stream: Stream,
        device: torch.device,
        *,
        workers: int,
        prefetch: int,
        renderer: BatchRenderer | None = None,
    ) -> None:
        self._stream, self._device, self._renderer = stream, device, renderer
        self._ahead: RenderAhead | CopyAhead | None = None
        self._position = stream.position
        pin = device.type == "cuda" and renderer is None
        self._loader = stream.loader(workers=workers, prefetch=prefetch, pin_memory=pin)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches from where the feed stands.

        Raises:
            SynthError: A scene cannot be made; the position is named.
        """
        self._stop_ahead()
        self._stream.load_state_dict(self.state_dict())  # what was only made ahead is made again
        batches: Iterator[Any] = iter(self._loader)
        if self._renderer is not None:
            batches = self._ahead = RenderAhead(batches, self._renderer, self._stream.form)
        elif self._device.type == "cuda":
            batches = self._ahead = CopyAhead(batches, self._device)
        for batch in batches:
            self._position = self._stream.order.after(self._position)
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return where the feed stands: what was handed out over all ranks, not what was made ahead."""
        return {**self._stream.state_dict(), "position": self._position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another feed of the same scenes stood.

        Raises:
            SynthError: It was of other scenes.
        """
        self._stream.load_state_dict(state)
        self._position = self._stream.position

    def close(self) -> None:
        """End the worker processes, and the thread that works ahead."""
        self._stop_ahead()
        self._loader.close()

    def _stop_ahead(self) -> None:
        """Stop the thread that asks the loader for batches: nobody else may use it before."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None


class FixedScenes:
    """One rank's share of the validation scenes; iterable again and again, always the same.

    Args:
        stream: A fixed set.
        workers: Processes that make samples.
    """

    def __init__(self, stream: Stream, workers: int) -> None:
        self._loader = stream.loader(workers=workers)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches on the CPU; the workers stay for the next time."""
        yield from self._loader

    def close(self) -> None:
        """End the worker processes."""
        self._loader.close()


def scene_facts(config: TrainConfig) -> SceneFacts:
    """Return what the scenes of a run are like, before any is made.

    Raises:
        SynthError: The data are not where the configuration says, or not fully named in it.
    """
    data = config.data
    if data.source == "corpus":
        stream = _corpus(
            data.corpus, "data.corpus", classes=data.classes, stems=("mixture",), cache=data.cache
        )
        corpus = stream.reader.index.corpus
        frames = round(corpus.duration / corpus.sample_rate / stream.form.frame)
        return SceneFacts(stream.classes, stream.form.slots, frames, corpus.duration, corpus.sample_rate)
    recipe = training_recipe(config)
    scene = recipe.scene
    return SceneFacts(
        classes=data.classes or default_classes(open_catalog(data.catalog, "data.catalog")),
        slots=recipe.targets.count[1],
        frames=round(scene.duration / recipe.labels.frame),
        samples=round(scene.duration * scene.sample_rate),
        sample_rate=scene.sample_rate,
    )


def make_feed(config: TrainConfig, rank: int, world_size: int, device: torch.device) -> Feed:
    """Return the training data of one rank.

    Raises:
        SynthError: The data are not where the configuration says, or a step's scenes cannot be shared out evenly.
    """
    data, loop = config.data, config.loop
    share, rest = divmod(loop.batch_size, world_size * loop.accumulate)
    if rest:
        raise SynthError(
            f"{loop.batch_size} scenes per step are not shared out evenly over {world_size} process(es) "
            f"and {loop.accumulate} part(s)",
            where="loop.batch_size",
            remedy=f"give a multiple of {world_size * loop.accumulate}",
        )
    order: dict[str, Any] = {"seed": data.seed, "batch_size": share, "rank": rank, "world_size": world_size}
    stream: Stream
    renderer = None
    if data.source == "corpus":
        stream = _corpus(
            data.corpus, "data.corpus", classes=data.classes, stems=_stems(config), cache=data.cache, **order
        )
    else:
        catalog = open_catalog(data.catalog, "data.catalog")
        live = data.source == "live"
        stream = SceneStream(
            training_recipe(config), catalog, classes=data.classes, stems=_stems(config), render=live, **order
        )
        renderer = None if live else BatchRenderer(catalog, device)
    return Feed(stream, device, workers=data.workers, prefetch=data.prefetch, renderer=renderer)


def make_validation(
    config: TrainConfig, rank: int, world_size: int, device: torch.device | None = None
) -> FixedScenes:
    """Return one rank's share of the validation scenes.

    Raises:
        SynthError: The scenes are not where the configuration says, or not fully named in it.
    """
    section = config.validation
    order: dict[str, Any] = {"batch_size": section.batch_size, "rank": rank, "world_size": world_size}
    classes = scene_facts(config).classes
    stream: Stream
    if section.source == "scenes":
        stream = _official(config, classes, order)
    elif section.source == "corpus":
        stream = _corpus(
            section.corpus,
            "validation.corpus",
            classes=classes,
            stems=_stems(config),
            cache=config.data.cache,
            epochs=1,
            shuffle=False,
            **order,
        )
        _shorten(stream, section.num_scenes)
    else:
        if section.num_scenes is None:
            raise SynthError(
                "planned scenes have no end",
                where="validation.num_scenes",
                remedy="give a number, such as 500",
            )
        where = "data.catalog" if section.catalog is None else "validation.catalog"
        catalog = open_catalog(section.catalog or config.data.catalog, where)
        stream = SceneStream(
            validation_recipe(config),
            catalog,
            section.seed,
            length=section.num_scenes,
            classes=classes,
            stems=_stems(config),
            **order,
        )
    return FixedScenes(stream, section.workers)


def training_recipe(config: TrainConfig) -> Recipe:
    """Return how training scenes are drawn, from the splits named; two are pooled (`split: train-valid`).

    Raises:
        SynthError: There is no such recipe, or no such pool of splits.
    """
    data = config.data
    split = "-".join(sorted(data.splits, key=("train", "valid", "test").index))
    if split.count("-") and split != "train-valid":
        raise SynthError(
            f"{list(data.splits)} is no pool of splits",
            where="data.splits",
            remedy="give one split, or [train, valid]",
        )
    return load_recipe(data.recipe, [*data.set, f"split={split}"])


def validation_recipe(config: TrainConfig) -> Recipe:
    """Return how validation scenes are drawn: as the training scenes unless said otherwise, never with effects.

    Raises:
        SynthError: There is no such recipe.
    """
    section, data = config.validation, config.data
    if section.recipe is None and not section.set:
        recipe = load_recipe(data.recipe, [*data.set, f"split={section.split}"])
        return recipe.model_copy(update={"effects": Recipe.model_fields["effects"].default})
    return load_recipe(section.recipe or data.recipe, [*section.set, f"split={section.split}"])


def open_catalog(directory: Path | None, key: str) -> Catalog:
    """Return a catalog, read once per process.

    Raises:
        SynthError: None is named, or there is none.
    """
    if directory is None:
        raise SynthError(
            "no catalog is named",
            where=key,
            remedy=f"give {key}=FOLDER, made by `s5kit catalog build` (`make demo` makes demo/catalog)",
        )
    return _loaded(directory)


@lru_cache(maxsize=4)
def _loaded(directory: Path) -> Catalog:
    return Catalog.load(directory)


def _corpus(address: str | None, key: str, **settings: Any) -> CorpusStream:
    if address is None:
        raise SynthError(
            "no corpus is named", where=key, remedy=f"give {key}=FOLDER_OR_ADDRESS, made by `s5kit synth`"
        )
    return CorpusStream(address, **settings)


def _official(config: TrainConfig, classes: tuple[str, ...], order: dict[str, Any]) -> SpecStream:
    section = config.validation
    if section.scenes is None or section.root is None:
        raise SynthError(
            "official scenes need their list and the folder that its paths start from",
            where="validation.scenes",
            remedy="give validation.scenes=…/valid.json and validation.root=FOLDER",
        )
    specs = [spec for _, spec in _first(load_scenes(section.scenes, section.root), section.num_scenes)]
    return SpecStream(specs, FolderSounds(section.root), classes=classes, stems=_stems(config), **order)


def _stems(config: TrainConfig) -> tuple[str, ...]:
    """Return the sounds that a task listens to: the first stage needs no dry ones."""
    return ("mixture", "dry") if config.task == "separator" else ("mixture",)


def _first(items: Iterable[Any], count: int | None) -> Iterator[Any]:
    for n, item in enumerate(items):
        if n == count:
            return
        yield item


def _shorten(stream: Stream, count: int | None) -> None:
    """Let a fixed set end earlier."""
    length = stream.order.length
    if count is not None and length is not None and count < length:
        stream.order = dataclasses.replace(stream.order, length=count)
