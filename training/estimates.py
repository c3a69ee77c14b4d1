"""What a system says of scenes: from models in memory, from outputs on disk, or from a folder of estimates."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from synth import SynthError

from .official_names import SOUND, Year, assign
from .scenes_to_score import SceneToScore, read_sound, sound_stems

if TYPE_CHECKING:
    from torch import Tensor

    from models import Tags

    from .tuned_system import TunedSystem

Labels = Literal["predicted", "oracle"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One estimated source.

    Attributes:
        label: Its class.
        waveform: ``(samples,)`` float32.
        score: Probability of the label; None where labels are given.
        events: When it sounds [s]; None when the system does not tell.
    """

    label: str
    waveform: NDArray[np.float32]
    score: float | None = None
    events: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True, slots=True)
class SceneEstimate:
    """What a system says of one scene.

    Attributes:
        sources: The sources, silence left out.
        strong: Probability of each class and frame ``(classes, frames)``; None when the system does not tell.
        weak: Probability of each class ``(classes,)``; likewise.
    """

    sources: tuple[Estimate, ...]
    strong: NDArray[np.float32] | None = None
    weak: NDArray[np.float32] | None = None

    def pairs(self) -> list[tuple[str, NDArray[np.float32]]]:
        """Return the sources as pairs of label and waveform."""
        return [(source.label, source.waveform) for source in self.sources]


class Estimator(Protocol):
    """Anything that estimates the sources of scenes."""

    @property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the rows of `SceneEstimate.strong`; None when it gives none."""

    def __call__(self, scenes: Sequence[SceneToScore]) -> list[SceneEstimate]:
        """Return the estimates of each scene."""


class SystemEstimator:
    """A system with all its models in memory.

    Args:
        system: The system.
        classes: Names of its classes.
        labels: "oracle" gives the separators the true labels and leaves the first stage out.
    """

    def __init__(self, system: TunedSystem, classes: Sequence[str], labels: Labels = "predicted") -> None:
        self.system = system
        self.classes = tuple(classes)
        self.labels = labels

    def __call__(self, scenes: Sequence[SceneToScore]) -> list[SceneEstimate]:
        """Return the estimates of each scene; scenes of one length are put through together."""
        import torch

        device = next(self.system.parameters()).device
        found: dict[int, SceneEstimate] = {}
        for length in dict.fromkeys(scene.mixture.shape[1] for scene in scenes):
            chosen = [n for n, scene in enumerate(scenes) if scene.mixture.shape[1] == length]
            mixture_BML = torch.from_numpy(np.stack([scenes[n].mixture for n in chosen])).to(device)
            with full_precision():
                found |= zip(chosen, self._run(mixture_BML, [scenes[n] for n in chosen]), strict=True)
        return [found[n] for n in range(len(scenes))]

    def _run(self, mixture_BML: Tensor, scenes: Sequence[SceneToScore]) -> list[SceneEstimate]:
        if self.labels == "oracle":
            numbers = [label_numbers(scene, self.classes) for scene in scenes]
            vectors = one_hot(numbers, self.system.slots, len(self.classes)).to(mixture_BML.device)
            waveforms = self.system.separate(mixture_BML, vectors).float().cpu().numpy()
            return [by_labels(n, w, self.classes) for n, w in zip(numbers, waveforms, strict=True)]
        tags, weak = self.system.hear(mixture_BML)
        waveforms = self.system.separate(mixture_BML, tags.vectors()).float().cpu().numpy()
        return by_tags(tags, weak, waveforms, self.classes, self.system.threshold, scenes)


class FolderEstimates:
    """A folder of estimates under the official names, of any system.

    Args:
        folder: It holds `<name>_<Label>.wav` or `<name>_<n>_<Label>.wav`.
        mixtures: Names of the mixtures.
        year: Form of the names; None: what the files have.

    Raises:
        SynthError: A file of no mixture, or names of another form.
    """

    classes = None

    def __init__(self, folder: Path, mixtures: Sequence[str], year: Year | None = None) -> None:
        self.folder = folder
        files = [f"{stem}{SOUND}" for stem in sound_stems(folder)]
        self.files = assign(files, mixtures, year=year, where=str(folder))

    @property
    def what(self) -> str:
        """One line that changes with the files."""
        states = [(path.name, path.stat()) for path in sorted(self.folder.iterdir())]
        facts = "\n".join(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states)
        return f"estimates in {self.folder} ({hashlib.sha256(facts.encode()).hexdigest()[:16]})"

    def __call__(self, scenes: Sequence[SceneToScore]) -> list[SceneEstimate]:
        """Return the estimates of each scene; a mixture without files is silent."""
        return [self._read(scene) for scene in scenes]

    def _read(self, scene: SceneToScore) -> SceneEstimate:
        samples = scene.mixture.shape[1]
        return SceneEstimate(
            tuple(
                Estimate(source.label, read_sound(self.folder / source.file, samples=samples)[0])
                for source in self.files[scene.name]
            )
        )


class MixtureEstimates:
    """The floor: the true labels, each with channel 0 of the mixture; every improvement is 0 dB."""

    classes = None

    def __call__(self, scenes: Sequence[SceneToScore]) -> list[SceneEstimate]:
        """Return the estimates of each scene."""
        return [
            SceneEstimate(tuple(Estimate(target.label, scene.mixture[0]) for target in scene.targets))
            for scene in scenes
        ]


def full_precision() -> AbstractContextManager[None]:
    """Keep convolutions in float32 on a GPU, where TF32 would be the default: figures do not hang on the batch."""
    import torch

    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    return flags


def label_numbers(scene: SceneToScore, classes: Sequence[str]) -> list[int]:
    """Return the class index of each target.

    Raises:
        SynthError: A target of a class that the system does not know.
    """
    for target in scene.targets:
        if target.label not in classes:
            raise SynthError(
                f"{target.label!r} is none of the {len(classes)} classes",
                where=scene.name,
                remedy="list the classes in the system file, in the order of the models' outputs",
            )
    return [list(classes).index(target.label) for target in scene.targets]


def one_hot(numbers: Sequence[Sequence[int]], slots: int, classes: int) -> Tensor:
    """Return label vectors ``(batch, slots, classes)``; slots grow when a scene has more labels."""
    import torch

    vectors = torch.zeros(len(numbers), max(slots, *map(len, numbers)), classes)
    for n, row in enumerate(numbers):
        for slot, label in enumerate(row):
            vectors[n, slot, label] = 1.0
    return vectors


def by_labels(
    numbers: Sequence[int], waveforms_SL: NDArray[np.float32], classes: Sequence[str]
) -> SceneEstimate:
    """Return the estimate of a scene whose labels were given."""
    pairs = zip(numbers, waveforms_SL, strict=False)
    return SceneEstimate(tuple(Estimate(classes[label], waveform.copy()) for label, waveform in pairs))


def by_tags(
    tags: Tags,
    weak: Tensor | None,
    waveforms_BSL: NDArray[np.float32],
    classes: Sequence[str],
    threshold: float,
    scenes: Sequence[SceneToScore],
) -> list[SceneEstimate]:
    """Return the estimates of scenes whose labels were found."""
    from models import spans

    found = []
    for n, scene in enumerate(scenes):
        sources = []
        for slot, label in enumerate(tags.labels[n].tolist()):
            if label == tags.classes:
                continue
            events = None
            if tags.strong is not None:
                events = spans(tags.strong[n, label], scene.seconds, threshold=threshold)
            score = float(tags.scores[n, slot])
            sources.append(Estimate(classes[label], waveforms_BSL[n, slot].copy(), score, events))
        strong = None if tags.strong is None else _numpy(tags.strong[n])
        found.append(SceneEstimate(tuple(sources), strong, None if weak is None else _numpy(weak[n])))
    return found


def _numpy(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.detach().float().cpu().numpy()
    return array
