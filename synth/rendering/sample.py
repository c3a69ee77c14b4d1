"""Scene -> sample: the arrays of fixed shape that a net is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..assets.catalog import Catalog
from ..assets.classes import target_classes
from ..errors import SynthError
from ..scenes.labels import StrongLabel, frame_matrix
from ..scenes.recipe import Recipe
from ..scenes.spec import SceneSpec
from ..units import Seconds
from .scene import DEFAULT_STEMS, STEMS, Scene

Sample: TypeAlias = dict[str, NDArray[Any]]
"""Arrays by name; see `scene_sample`."""

MAX_SLOTS = 100
_SLOTTED = ("dry", "wet")


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """What the samples of a stream look like.

    Attributes:
        classes: Names of the K classes; index K is an empty slot.
        slots: S, the targets that every sample has room for.
        frame: Length of a label frame in seconds.
        stems: Which of `STEMS` a sample holds.

    Raises:
        SynthError: A field has a value that no sample can have.
    """

    classes: tuple[str, ...]
    slots: int
    frame: Seconds = 0.04
    stems: tuple[str, ...] = DEFAULT_STEMS

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise SynthError(
                f"must be different names, at least one, got {list(self.classes)}",
                where="classes",
                remedy="name every class once",
            )
        if not 0 <= self.slots <= MAX_SLOTS:
            raise SynthError(
                f"is {self.slots}, allowed are 0 to {MAX_SLOTS}",
                where="slots",
                remedy="take the upper limit of the recipe's targets.count",
            )
        if not 0.001 <= self.frame <= 1:
            raise SynthError(
                f"is {self.frame} s, allowed are 0.001 to 1 s", where="frame", remedy="0.04 is usual"
            )
        if not self.stems or set(self.stems) - set(STEMS):
            raise SynthError(
                f"must be some of {', '.join(STEMS)}, got {list(self.stems)}",
                where="stems",
                remedy="choose from these",
            )

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        catalog: Catalog,
        *,
        classes: Sequence[str] | None = None,
        slots: int | None = None,
        stems: Sequence[str] = DEFAULT_STEMS,
    ) -> SampleFormat:
        """Return the format of a recipe's scenes.

        Args:
            recipe: Says how many targets there are at most, and how long a label frame is.
            catalog: Says which classes there are.
            classes: Other classes; None: `default_classes(catalog)`.
            slots: Other number of slots; None: the upper limit of `targets.count`.
            stems: Which of `STEMS`.
        """
        return cls(
            classes=default_classes(catalog) if classes is None else tuple(classes),
            slots=recipe.targets.count[1] if slots is None else slots,
            frame=recipe.labels.frame,
            stems=tuple(stems),
        )

    @property
    def silence(self) -> int:
        """Return the index of an empty slot in `labels`."""
        return len(self.classes)


def default_classes(catalog: Catalog) -> tuple[str, ...]:
    """Return the 18 target classes of the task if the catalog has no other, else the catalog's own, sorted."""
    own = {str(label) for label in catalog.events["label"].unique()}
    return target_classes() if own <= set(target_classes()) else tuple(sorted(own))


def scene_sample(
    scene: Scene, classes: Sequence[str], slots: int, frame: Seconds = 0.04, position: int = 0
) -> Sample:
    """Return a scene as arrays whose shapes do not depend on how many targets it has.

    Args:
        scene: What was rendered; only the stems that it holds are in the sample.
        classes: Names of the K classes.
        slots: S, room for so many targets.
        frame: Length of a label frame in seconds.
        position: Of the sample in its stream.

    Returns:
        position: int64 ().
        mixture, interference, noise: float32 (4, T), W Y Z X.
        dry: float32 (S, T) and wet: float32 (S, 4, T), in the order of `spec.targets`; zeros in
        empty slots.
        labels, strong, weak: As `label_arrays`.

    Raises:
        SynthError: The scene has more targets than slots, or a target is none of the classes.
    """
    spec = scene.spec
    sample: Sample = {"position": np.array(position, dtype=np.int64)}
    sample.update(label_arrays(spec, scene.labels, classes, slots, frame))
    for stem in STEMS:
        sound = getattr(scene, stem)
        if sound is None:
            continue
        if stem in _SLOTTED and len(sound) < slots:
            # Not np.pad: this is the largest copy of the whole way.
            padded = np.empty((slots, *sound.shape[1:]), dtype=np.float32)
            padded[: len(sound)], padded[len(sound) :] = sound, 0
            sound = padded
        sample[stem] = sound
    return sample


def label_arrays(
    spec: SceneSpec,
    strong: Sequence[StrongLabel],
    classes: Sequence[str],
    slots: int,
    frame: Seconds = 0.04,
) -> Sample:
    """Return what a sample says of its targets, for whichever renderer made the sound.

    Args:
        spec: The scene.
        strong: Its strong labels.
        classes: Names of the K classes.
        slots: S, room for so many targets.
        frame: Length of a label frame in seconds.

    Returns:
        labels: int64 (S,), index of every target in `classes`, K in empty slots.
        strong: float32 (K, F), 1.0 where a class sounds; see `frame_matrix`.
        weak: float32 (K,), 1.0 if the class is among the targets.

    Raises:
        SynthError: There are more targets than slots, or a target is none of the classes.
    """
    if len(spec.targets) > slots:
        raise SynthError(
            f"the scene has {len(spec.targets)} targets, a sample has {slots} slots",
            where="slots",
            remedy=f"give {len(spec.targets)} or more slots",
        )
    index = {name: n for n, name in enumerate(classes)}
    labels = np.full(slots, len(index), dtype=np.int64)
    for slot, event in enumerate(spec.targets):
        if event.label not in index:
            raise SynthError(
                f"target {slot} is {event.label!r}, none of the {len(index)} classes",
                where="classes",
                remedy="give all classes of the scenes, as default_classes(catalog) does",
            )
        labels[slot] = index[event.label]
    weak = np.zeros(len(index), dtype=np.float32)
    weak[labels[: len(spec.targets)]] = 1.0
    frames = frame_matrix(strong, spec.duration, spec.sample_rate, classes, frame)
    return {"labels": labels, "strong": np.ascontiguousarray(frames.T), "weak": weak}
