"""Position -> sample: what the processes that make samples are given. Torch is not needed here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from ..assets.catalog import Catalog
from ..assets.classes import target_classes
from ..errors import SynthError
from ..rendering.sample import Sample, SampleFormat, scene_sample
from ..rendering.scene import Renderer, Scene
from ..rendering.sounds import SoundSource
from ..scenes.recipe import Recipe
from ..scenes.seeding import permute
from ..scenes.spec import SceneSpec
from .maker import SceneMaker, reopened
from .reader import CorpusReader, StoredScene

Made: TypeAlias = Sample | SceneSpec
"""What is made for one position."""


class Source(Protocol):
    """Makes what is at a position of a stream; it can be sent to another process.

    Attributes:
        identity: What the samples depend on besides the position: plain JSON values by name.
    """

    identity: dict[str, str | int]

    def __call__(self, position: int) -> Made:
        """Return the sample at a position, equal in every process."""
        ...


class LiveSource:
    """Scenes planned and rendered on the spot: `render(plan(recipe, catalog, seed, position))`.

    Args:
        recipe: How scenes are drawn.
        catalog: From what.
        seed: Which series.
        form: What samples look like.
        render: False: only plan, and return the SceneSpec.
    """

    def __init__(
        self, recipe: Recipe, catalog: Catalog, seed: int, form: SampleFormat, *, render: bool
    ) -> None:
        self.identity: dict[str, str | int] = {
            "seed": seed,
            "recipe_hash": recipe.recipe_hash,
            "catalog_hash": catalog.content_hash,
        }
        self._make = SceneMaker(recipe, catalog, seed, form.stems)
        self._form, self._render = form, render

    def __call__(self, position: int) -> Made:
        """Return the sample, or the spec, of scene `position`."""
        if not self._render:
            return self._make.plan(position)
        return _sample(self._make(position), self._form, position)


class SpecSource:
    """Scenes that are given one by one.

    Args:
        specs: The scenes; all of one length and rate.
        sounds: A catalog, or where else their sound lies.
        form: What samples look like.
        render: False: return the SceneSpec.

    Raises:
        SynthError: Scenes differ in length or rate, or have more targets or other classes than `form`.
    """

    def __init__(
        self, specs: Sequence[SceneSpec], sounds: SoundSource, form: SampleFormat, *, render: bool
    ) -> None:
        _check_specs(specs, form)
        digest = hashlib.sha256()
        for spec in specs:
            digest.update(spec.to_json().encode() + b"\n")
        self.identity: dict[str, str | int] = {"scenes": len(specs), "scenes_hash": digest.hexdigest()}
        self._specs, self._form, self._render = tuple(specs), form, render
        self._sounds: SoundSource | None = sounds
        self._place: tuple[Path, Path, str] | None = None
        if isinstance(sounds, Catalog):
            self._place = (sounds.directory, sounds.root, sounds.content_hash)
        self._renderer: Renderer | None = None

    def __call__(self, position: int) -> Made:
        """Return the sample, or the spec, number `position` of the list."""
        spec = self._specs[position]
        if not self._render:
            return spec
        if self._renderer is None:
            if self._sounds is None:
                assert self._place is not None
                self._sounds = reopened(*self._place)
            self._renderer = Renderer(self._sounds)
        return _sample(self._renderer.render(spec, self._form.stems), self._form, position)

    def __getstate__(self) -> dict[str, Any]:
        sounds = None if self._place else self._sounds
        return {**self.__dict__, "_renderer": None, "_sounds": sounds}


class CorpusSource:
    """Scenes of a finished corpus, every epoch in another order.

    Args:
        reader: The corpus.
        seed: Which series of orders.
        shuffle: False: in the order stored, every epoch.
        form: What samples look like.
    """

    def __init__(self, reader: CorpusReader, seed: int, shuffle: bool, form: SampleFormat) -> None:
        corpus = reader.index.corpus
        self.identity: dict[str, str | int] = {
            "seed": seed,
            "shuffle": int(shuffle),
            "scenes": corpus.num_scenes,
            "corpus_seed": corpus.seed,
            "recipe_hash": corpus.recipe_hash,
            "catalog_hash": corpus.catalog_hash,
        }
        self._reader, self._seed, self._shuffle, self._form = reader, seed, shuffle, form
        self._sounds = [name for name in _stored_sounds(reader) if _stem(name) in form.stems]

    def __call__(self, position: int) -> Made:
        """Return the sample at a position; `stored_index` says of which scene."""
        stored = self._reader.read_scene(self.stored_index(position), self._sounds, empty_slots=False)
        return _sample(_as_scene(stored, self._form), self._form, position)

    def stored_index(self, position: int) -> int:
        """Return the number in its corpus of the scene at a position."""
        epoch, index = divmod(position, len(self._reader))
        return permute(index, len(self._reader), self._seed, epoch) if self._shuffle else index


def form_of_specs(
    specs: Sequence[SceneSpec],
    *,
    classes: Sequence[str] | None,
    slots: int | None,
    frame: float,
    stems: Sequence[str],
) -> SampleFormat:
    """Return the format of scenes that are given one by one; what is None fits them all."""
    own = {event.label for spec in specs for event in spec.targets}
    return SampleFormat(
        classes=_classes(own) if classes is None else tuple(classes),
        slots=max((len(spec.targets) for spec in specs), default=0) if slots is None else slots,
        frame=frame,
        stems=tuple(stems),
    )


def form_of_corpus(
    reader: CorpusReader, *, classes: Sequence[str] | None, slots: int | None, stems: Sequence[str]
) -> SampleFormat:
    """Return the format of a corpus's scenes.

    Raises:
        SynthError: The corpus does not hold one of the stems.
    """
    index = reader.index
    held = {_stem(name) for name in _stored_sounds(reader)}
    if index.corpus.slots == 0:
        held |= {"dry"}
    if missing := sorted(set(stems) - held):
        raise SynthError(
            f"the corpus holds no {missing[0]}, it has {', '.join(sorted(held))}",
            where="stems",
            remedy="ask for stems that it holds, or make it again with more",
        )
    labels = index.recipe.get("labels")
    frame = labels.get("frame", 0.04) if isinstance(labels, dict) else 0.04
    return SampleFormat(
        classes=_classes(set(index.statistics.targets)) if classes is None else tuple(classes),
        slots=index.corpus.slots if slots is None else slots,
        frame=float(frame),
        stems=tuple(stems),
    )


def _sample(scene: Scene, form: SampleFormat, position: int) -> Sample:
    return scene_sample(scene, form.classes, form.slots, form.frame, position)


def _classes(own: set[str]) -> tuple[str, ...]:
    return target_classes() if own <= set(target_classes()) else tuple(sorted(own))


def _check_specs(specs: Sequence[SceneSpec], form: SampleFormat) -> None:
    for n, spec in enumerate(specs):
        first = specs[0]
        if (spec.duration, spec.sample_rate) != (first.duration, first.sample_rate):
            raise SynthError(
                f"has {spec.duration} samples at {spec.sample_rate} Hz, scene 0 has {first.duration} at "
                f"{first.sample_rate} Hz",
                where=f"scene {n}",
                remedy="stream scenes of different lengths apart",
            )
        strange = sorted({event.label for event in spec.targets} - set(form.classes))
        if strange or len(spec.targets) > form.slots:
            what = f"the target {strange[0]!r}" if strange else f"{len(spec.targets)} targets"
            raise SynthError(
                f"has {what}; there are {form.slots} slots and {len(form.classes)} classes",
                where=f"scene {n}",
                remedy="give more slots, or all classes of the scenes",
            )


def _stored_sounds(reader: CorpusReader) -> list[str]:
    return [name.removesuffix(".flac") for name in reader.members if name.endswith(".flac")]


def _stem(name: str) -> str:
    return name.rstrip("0123456789")


def _as_scene(stored: StoredScene, form: SampleFormat) -> Scene:
    spec, sounds = stored.spec, stored.sounds
    targets = range(len(spec.targets))
    shape = (0, spec.duration)
    dry = [sounds[f"dry{n}"][0] for n in targets] if "dry" in form.stems else []
    wet = [sounds[f"wet{n}"] for n in targets] if "wet" in form.stems else []
    return Scene(
        spec=spec,
        mixture=sounds.get("mixture"),
        dry=(np.stack(dry) if dry else np.zeros(shape, np.float32)) if "dry" in form.stems else None,
        wet=(np.stack(wet) if wet else np.zeros((0, 4, shape[1]), np.float32))
        if "wet" in form.stems
        else None,
        interference=sounds.get("interference"),
        noise=sounds.get("noise"),
        labels=stored.labels,
    )
