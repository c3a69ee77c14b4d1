"""What is in a corpus, counted in integers so that any order of counting gives the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from ..scenes.spec import SceneSpec
from ..units import Decibels, Hertz, Samples


class Statistics(BaseModel):
    """Counts over scenes.

    Attributes:
        scenes: How many.
        samples: Length of all scenes together, in samples per channel.
        targets: Target events per class.
        interferers: Interfering events per class.
        targets_per_scene: Scenes by their number of targets.
        interferers_per_scene: Scenes by their number of interferers.
        snr_db: Target events by SNR; key k counts those in [k, k + `SNR_BIN_DB`) dB.
        active_targets: Samples by how many targets sound at once (onset to onset + duration).
        same_class_scenes: Scenes with two or more targets of one class.
        noiseless_scenes: Scenes without background.
        clipped_samples: Stored samples that were beyond full scale, over all sounds.
        clipped_scenes: Scenes with at least one of those.
        licences: Uses of files, rooms included, by "dataset<TAB>licence".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    SNR_BIN_DB: ClassVar[Decibels] = 5

    scenes: int = 0
    samples: Samples = 0
    targets: dict[str, int] = {}
    interferers: dict[str, int] = {}
    targets_per_scene: dict[int, int] = {}
    interferers_per_scene: dict[int, int] = {}
    snr_db: dict[int, int] = {}
    active_targets: dict[int, Samples] = {}
    same_class_scenes: int = 0
    noiseless_scenes: int = 0
    clipped_samples: int = 0
    clipped_scenes: int = 0
    licences: dict[str, int] = {}

    @classmethod
    def of_scene(cls, spec: SceneSpec, clipped: int) -> Statistics:
        """Count one scene, of whose stored samples `clipped` were clipped."""
        labels = Counter(event.label for event in spec.targets)
        bins = Counter(int(event.snr_db // cls.SNR_BIN_DB * cls.SNR_BIN_DB) for event in spec.targets)
        return cls(
            scenes=1,
            samples=spec.duration,
            targets=labels,
            interferers=Counter(event.label for event in spec.interferers),
            targets_per_scene={len(spec.targets): 1},
            interferers_per_scene={len(spec.interferers): 1},
            snr_db=bins,
            active_targets=_active_targets(spec),
            same_class_scenes=int(any(count > 1 for count in labels.values())),
            noiseless_scenes=int(spec.noise is None),
            clipped_samples=clipped,
            clipped_scenes=int(clipped > 0),
        )

    @classmethod
    def total(cls, parts: Iterable[Statistics]) -> Statistics:
        """Add up the counts of several parts."""
        counted: dict[str, int] = Counter()
        tables: dict[str, Counter[int | str]] = {}
        for part in parts:
            for name in cls.model_fields:
                value = getattr(part, name)
                if isinstance(value, dict):
                    tables.setdefault(name, Counter()).update(value)
                else:
                    counted[name] += value
        return cls.model_validate({**counted, **{name: dict(table) for name, table in tables.items()}})

    def hours(self, sample_rate: Hertz) -> float:
        """Return the length of all scenes together, in hours."""
        return self.samples / sample_rate / 3600

    def overlap(self) -> float:
        """Return the part of the time with a target in which two or more sound at once."""
        active = sum(count for number, count in self.active_targets.items() if number >= 1)
        several = sum(count for number, count in self.active_targets.items() if number >= 2)
        return several / active if active else 0.0


def _active_targets(spec: SceneSpec) -> dict[int, Samples]:
    """Return how many samples of the scene have 0, 1, 2 … targets in them."""
    edges = [(0, 0), (spec.duration, 0)]
    for event in spec.targets:
        edges += [(event.onset, 1), (min(event.onset + event.duration, spec.duration), -1)]
    edges.sort()
    counted: Counter[int] = Counter()
    active = 0
    for (start, change), (end, _) in pairwise(edges):
        active += change
        if end > start:
            counted[active] += end - start
    return dict(counted)
