"""What a collection of scenes holds, counted for its histograms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..assets.licences import LedgerRow
from ..scenes.labels import StrongLabel, heard_from
from ..scenes.spec import SceneSpec
from ..units import Decibels, Degrees, Hertz, Samples, Seconds
from .view import SceneView, Source


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """What counts of a scene, without its sound."""

    targets: tuple[Source, ...]
    interferers: tuple[Source, ...]
    samples: Samples
    rate: Hertz
    place: str | None = None


@dataclass(slots=True)
class Summary:
    """What a report says of a collection as a whole.

    Attributes:
        title: What the collection is called.
        scenes: How many it has.
        counted: How many of them the figures are from.
        synthetic: Its sounds and rooms are made up.
        facts: (name, value) pairs that identify it.
        seconds: Length of all counted scenes together.
        targets: Events per class.
        interferers: Interfering events per class.
        together: Scenes in which two classes both are; (class, class) in alphabetical order, and
            (class, class) of one class for scenes with it twice.
        counts: Scenes by their number of targets.
        overlap: Seconds by how many targets sound at once.
        snr_db: Of targets, and `interferer_snr_db` of interferers.
        durations: Of targets in seconds.
        directions: Azimuth and elevation of targets in degrees.
        places: Scenes per place.
        rt60: Reverberation time of places in seconds.
        ledger: Uses of files under each licence; None where that is not recorded.
        clipped: (samples, scenes) beyond full scale as stored; None where that is not recorded.
        noiseless: Scenes without background; None where that is not recorded.
    """

    title: str
    scenes: int = 0
    counted: int = 0
    synthetic: bool = False
    facts: list[tuple[str, str]] = field(default_factory=list)
    seconds: Seconds = 0.0
    targets: Counter[str] = field(default_factory=Counter)
    interferers: Counter[str] = field(default_factory=Counter)
    together: Counter[tuple[str, str]] = field(default_factory=Counter)
    counts: Counter[int] = field(default_factory=Counter)
    overlap: dict[int, Seconds] = field(default_factory=dict)
    snr_db: list[Decibels] = field(default_factory=list)
    interferer_snr_db: list[Decibels] = field(default_factory=list)
    durations: list[Seconds] = field(default_factory=list)
    directions: list[tuple[Degrees, Degrees]] = field(default_factory=list)
    places: Counter[str] = field(default_factory=Counter)
    rt60: dict[str, Seconds] = field(default_factory=dict)
    ledger: tuple[LedgerRow, ...] | None = None
    clipped: tuple[int, int] | None = None
    noiseless: int | None = None

    def add(self, scene: SceneFacts) -> None:
        """Count one scene."""
        self.counted += 1
        self.scenes = max(self.scenes, self.counted)
        self.seconds += scene.samples / scene.rate
        labels = Counter(source.label for source in scene.targets)
        self.targets.update(labels)
        self.interferers.update(source.label for source in scene.interferers)
        self.counts[len(scene.targets)] += 1
        self.together.update(_pairs(labels))
        self.snr_db += [s.snr_db for s in scene.targets if s.snr_db is not None]
        self.interferer_snr_db += [s.snr_db for s in scene.interferers if s.snr_db is not None]
        # An official test set says what sounds in a scene, but not when.
        timed = [s for s in scene.targets if s.extents]
        self.durations += [sum(end - start for start, end in s.extents) / scene.rate for s in timed]
        self.directions += [
            (s.azimuth, s.elevation)
            for s in scene.targets
            if s.azimuth is not None and s.elevation is not None
        ]
        if scene.place is not None:
            self.places[scene.place] += 1
        for number, samples in at_once(timed, scene.samples).items() if timed or not scene.targets else ():
            self.overlap[number] = self.overlap.get(number, 0.0) + samples / scene.rate

    @property
    def classes(self) -> list[str]:
        """Return the classes of targets, sorted."""
        return sorted(self.targets)

    def matrix(self) -> NDArray[np.int64]:
        """Return `together` as a symmetric matrix in the order of `classes`, (classes, classes)."""
        names = self.classes
        out = np.zeros((len(names), len(names)), dtype=np.int64)
        for (a, b), count in self.together.items():
            i, j = names.index(a), names.index(b)
            out[i, j] = out[j, i] = count
        return out


def spec_facts(spec: SceneSpec, labels: Iterable[StrongLabel] | None = None) -> SceneFacts:
    """Return what counts of a planned scene; `labels` where they are known, else the spec's own times."""
    return SceneFacts(
        targets=target_sources(spec, labels),
        interferers=tuple(
            Source(
                event.label,
                "interferer",
                ((event.onset, min(event.onset + event.duration, spec.duration)),),
                event.snr_db,
                *heard_from(event, spec),
                path=event.path,
            )
            for event in spec.interferers
        ),
        samples=spec.duration,
        rate=spec.sample_rate,
        place=spec.place,
    )


def view_facts(view: SceneView) -> SceneFacts:
    """Return what counts of a scene that is shown."""
    return SceneFacts(view.targets, view.interferers, view.samples, view.rate, view.place)


def target_sources(spec: SceneSpec, labels: Iterable[StrongLabel] | None = None) -> tuple[Source, ...]:
    """Return the targets of a scene as sources, with the times and directions of its strong labels."""
    pieces: dict[int, list[StrongLabel]] = {}
    for label in labels or ():
        pieces.setdefault(label.event, []).append(label)
    out = []
    for n, event in enumerate(spec.targets):
        own = pieces.get(n)
        end = min(event.onset + event.duration, spec.duration)
        place = (own[0].azimuth, own[0].elevation, own[0].distance) if own else heard_from(event, spec)
        extents = tuple((p.onset, p.offset) for p in own) if own else ((event.onset, end),)
        if labels is not None and own is None:
            extents = ()  # silent: the support `active` finds nothing of it
        out.append(Source(event.label, "target", extents, event.snr_db, *place, path=event.path))
    return tuple(out)


def at_once(sources: Sequence[Source], samples: Samples) -> Counter[int]:
    """Return how many samples of a scene have 0, 1, 2 … sources in them."""
    change = Counter({0: 0, samples: 0})
    for source in sources:
        for first, last in source.extents:
            change[min(first, samples)] += 1
            change[min(last, samples)] -= 1
    out: Counter[int] = Counter()
    active, before = 0, 0
    for at in sorted(change):
        if at > before:
            out[active] += at - before
        active, before = active + change[at], at
    return out


def _pairs(labels: Counter[str]) -> list[tuple[str, str]]:
    names = sorted(labels)
    twice = [(name, name) for name in names if labels[name] > 1]
    return twice + [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
