"""Scenes for a report: from a corpus, from scene files, from folders of sound files."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from ..assets.catalog import Catalog
from ..assets.licences import ledger_of
from ..corpus.identity import INDEX_NAME
from ..corpus.reader import CorpusReader
from ..corpus.records import parse_record
from ..corpus.terms import Terms
from ..errors import SynthError
from ..rendering.folder import load_scenes
from ..rendering.scene import STEMS, Renderer, Scene
from ..rendering.sounds import FolderSounds
from ..scenes.labels import StrongLabel
from ..scenes.spec import SceneSpec
from ..units import Audio, Decibels
from .folders import folder_facts, folder_scenes, folder_view
from .rooms import reverberation_times
from .summary import Summary, spec_facts, target_sources
from .view import SceneView

DEFAULT_SCENES = 12
"""How many scenes are shown when nobody says which, evenly spaced."""
MAX_COUNTED = 5_000
"""So many scenes are counted for the histograms; of larger collections evenly spaced ones."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `write_report` takes: scenes, and the collection they are from.

    Attributes:
        summary: Counts over the whole collection.
        names: What its scenes are called, all of them.
        shown: Which of them to show.
        view: Reads or renders a scene.
    """

    summary: Summary
    names: Sequence[str]
    shown: tuple[int, ...]
    view: Callable[[int], SceneView]

    def views(self) -> Iterator[SceneView]:
        """Yield the scenes to show; each is read or rendered when it is asked for."""
        for index in self.shown:
            yield self.view(index)


def open_inspection(
    path: str | Path,
    *,
    scenes: Sequence[range] | None = None,
    num: int | None = None,
    catalog: Catalog | None = None,
    data_root: str | Path = ".",
) -> Inspection:
    """Find the scenes that a path stands for.

    Args:
        path: A corpus; an official scene file, a list of them (`valid.json`) or our own SceneSpec;
            a folder with `soundscape/` (and `oracle_target/`); or what `s5kit render` wrote.
        scenes: Which to show, counted from 0; None: `num` of them, evenly spaced.
        num: How many to show when `scenes` does not say which.
        catalog: Where to render scenes from again, with all their stems.
        data_root: The folder that the paths in official scene files start from.

    Raises:
        SynthError: There is no such thing, it is damaged, or it has no such scene.
    """
    path = Path(path)
    if (path / INDEX_NAME).exists():
        names, view, summary = _of_corpus(path, catalog)
    elif path.is_dir():
        names, view, summary = _of_folder(path)
    elif path.exists():
        names, view, summary = _of_files(path, catalog, Path(data_root))
    else:
        raise SynthError("there is no such corpus, scene file or folder", where=path, remedy="check the path")
    return Inspection(summary, names, chosen(len(names), scenes, num, path), view)


def chosen(count: int, scenes: Sequence[range] | None, num: int | None, where: Path) -> tuple[int, ...]:
    """Return which of `count` scenes to show, in the order asked for.

    Raises:
        SynthError: There is no scene, or not that one.
    """
    if count == 0:
        raise SynthError("it has no scenes", where=where, remedy="give something with at least one scene")
    if scenes is None:
        return evenly(count, DEFAULT_SCENES if num is None else num)
    wanted = [index for part in scenes for index in part]
    outside = [index for index in wanted if not 0 <= index < count]
    if outside or not wanted:
        what = f"there is no scene {outside[0]}" if outside else "no scene was named"
        raise SynthError(
            f"{what}: it has scenes 0 to {count - 1}", where=where, remedy="ask for one of these"
        )
    return tuple(dict.fromkeys(wanted))


def evenly(count: int, wanted: int) -> tuple[int, ...]:
    """Return at most `wanted` of `count` indexes, evenly spaced from the first."""
    kept = min(max(wanted, 1), count)
    return tuple(n * count // kept for n in range(kept))


def worst_scenes(worths: Iterable[tuple[int, Decibels | None]], wanted: int) -> tuple[int, ...]:
    """Return which scenes to show of all that a system was tried on: the worst, the worst first.

    Args:
        worths: (index, what the system's work on it is worth); None: it cannot be told.
        wanted: At most so many.
    """
    known = ((math.inf if worth is None else worth, index) for index, worth in worths)
    return tuple(index for _, index in heapq.nsmallest(wanted, known))


def scene_view(name: str, scene: Scene) -> SceneView:
    """Return a rendered scene as a view, with the stems that it has.

    Raises:
        SynthError: It has no mixture.
    """
    if scene.mixture is None:
        raise SynthError("it was rendered without its mixture", where=name, remedy="ask for the stem mixture")
    view = spec_view(name, scene.spec, scene.labels, scene.mixture)
    targets = [
        replace(
            source,
            dry=None if scene.dry is None else scene.dry[n],
            wet=None if scene.wet is None else scene.wet[n],
        )
        for n, source in enumerate(view.targets)
    ]
    return replace(view, targets=tuple(targets), interference=scene.interference, noise=scene.noise)


def spec_view(name: str, spec: SceneSpec, labels: Sequence[StrongLabel], mixture: Audio) -> SceneView:
    """Return a scene that has only its mixture as a view."""
    facts = spec_facts(spec, labels)
    return SceneView(
        name,
        mixture,
        spec.sample_rate,
        targets=target_sources(spec, labels),
        interferers=facts.interferers,
        place=spec.place,
        spec=spec,
    )


_Opened: TypeAlias = tuple[list[str], Callable[[int], SceneView], Summary]


def _of_corpus(path: Path, catalog: Catalog | None) -> _Opened:
    reader = CorpusReader(path)
    corpus = reader.index.corpus
    if catalog is not None and catalog.content_hash != corpus.catalog_hash:
        raise SynthError(
            "the corpus was made from another catalog",
            where=catalog.directory,
            remedy="give the catalog that it was made from, or leave --catalog away",
        )
    renderer = None if catalog is None else Renderer(catalog)
    summary = _corpus_summary(reader)
    if catalog is not None:
        summary.rt60 = reverberation_times(catalog, summary.places, corpus.sample_rate)

    def view(index: int) -> SceneView:
        if renderer is not None:
            stored = reader.read_scene(index, ())
            return scene_view(stored.key, renderer.render(stored.spec, STEMS))
        return _stored_view(reader, index)

    return [corpus.key(n) for n in range(len(reader))], view, summary


def _stored_view(reader: CorpusReader, index: int) -> SceneView:
    stored = reader.read_scene(index)
    view = spec_view(stored.key, stored.spec, stored.labels, stored.sounds["mixture"])
    targets = [
        replace(source, dry=stored.sounds[f"dry{n}"][0], wet=stored.sounds.get(f"wet{n}"))
        for n, source in enumerate(view.targets)
    ]
    sounds = stored.sounds
    return replace(
        view, targets=tuple(targets), interference=sounds.get("interference"), noise=sounds.get("noise")
    )


def _corpus_summary(reader: CorpusReader) -> Summary:
    index, corpus = reader.index, reader.index.corpus
    found = index.statistics
    summary = Summary(
        corpus.name,
        scenes=len(reader),
        synthetic=corpus.synthetic,
        facts=[
            ("Recipe", f"{corpus.recipe} ({corpus.recipe_hash[:12]})"),
            ("Catalog", corpus.catalog_hash[:12]),
            ("Split", corpus.split),
            ("Seed", str(corpus.seed)),
            (
                "Sound",
                f"{corpus.duration / corpus.sample_rate:g} s, {corpus.sample_rate / 1000:g} kHz, W Y Z X",
            ),
            ("Made by", f"s5kit {corpus.generator}"),
        ],
        ledger=index.ledger,
        clipped=(found.clipped_samples, found.clipped_scenes),
        noiseless=found.noiseless_scenes,
    )
    for n in evenly(len(reader), MAX_COUNTED):
        record = parse_record(reader.read_members(n, ("json",))["json"], corpus.key(n))
        summary.add(spec_facts(record.spec, record.labels))
    return summary


def _of_files(path: Path, catalog: Catalog | None, data_root: Path) -> _Opened:
    root = catalog.root if catalog is not None else data_root
    scenes = list(load_scenes(path, root))
    renderer = Renderer(catalog or FolderSounds(root))
    summary = Summary(path.name, scenes=len(scenes), synthetic=_all_synthetic(catalog))
    for n in evenly(len(scenes), MAX_COUNTED):
        summary.add(spec_facts(scenes[n][1]))
    summary.noiseless = sum(spec.noise is None for _, spec in scenes)
    if catalog is not None:
        terms = Terms(catalog)
        uses = [
            key for _, spec in scenes for key, count in terms.of_scene(spec).items() for _ in range(count)
        ]
        summary.ledger = ledger_of((key.partition("\t")[0], key.partition("\t")[2]) for key in uses)
        summary.rt60 = reverberation_times(catalog, summary.places, scenes[0][1].sample_rate)

    def view(index: int) -> SceneView:
        name, spec = scenes[index]
        return scene_view(name, renderer.render(spec, STEMS))

    return [name for name, _ in scenes], view, summary


def _all_synthetic(catalog: Catalog | None) -> bool:
    """Say whether every sound of a catalog is of the embedded demo, which calls itself synthetic."""
    if catalog is None or catalog.events.empty:
        return False
    return all("(synthetic)" in name for name in catalog.events["dataset"].unique())


def _of_folder(path: Path) -> _Opened:
    scenes = folder_scenes(path)
    summary = Summary(path.name or str(path), scenes=len(scenes))
    for n in evenly(len(scenes), MAX_COUNTED):
        summary.add(folder_facts(scenes[n]))
    return [scene.name for scene in scenes], lambda index: folder_view(scenes[index]), summary
