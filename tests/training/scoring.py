"""Small things to score: test folders under the official names, sets in memory, tiny models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from models import GuidedSeparator, create_sed, create_separator, save_model
from tests.builders import RATE, write_wav
from training.estimates import Estimate, SceneEstimate
from training.scenes_to_score import SceneToScore, Target

SAMPLES = 8000
CLASSES = ("Speech", "Cough", "Dishes")


def sound(seed: int, samples: int = SAMPLES, channels: int | None = None) -> np.ndarray:
    shape = (samples,) if channels is None else (channels, samples)
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def scene(n: int, labels: Sequence[str], *, events: bool = True) -> SceneToScore:
    targets = tuple(Target(label, sound(100 * n + k), 5.0 + k) for k, label in enumerate(labels))
    mixture = sound(100 * n + 50, channels=4) + np.sum(
        [target.waveform for target in targets], axis=0, initial=0.0
    )
    spans = tuple((0.05 * k, 0.05 * k + 0.1, label) for k, label in enumerate(labels))
    return SceneToScore(f"scene{n}", mixture.astype(np.float32), targets, spans if events else None, 0.3)


class InMemory:
    """A set of scenes; counts how often it was read."""

    year = 2026
    identity = "0123456789abcdef" * 4

    def __init__(self, scenes: Sequence[SceneToScore], split: str = "valid") -> None:
        self.scenes, self.split = list(scenes), split
        self.names = [one.name for one in scenes]
        self.read_names: list[str] = []

    def read(self, index: int) -> SceneToScore:
        self.read_names.append(self.names[index])
        return self.scenes[index]


class Says:
    """A system that says what a function says."""

    def __init__(
        self, answer: Callable[[SceneToScore], SceneEstimate], classes: tuple[str, ...] | None = None
    ) -> None:
        self.answer, self.classes = answer, classes
        self.batches: list[int] = []

    def __call__(self, scenes: Sequence[SceneToScore]) -> list[SceneEstimate]:
        self.batches.append(len(scenes))
        return [self.answer(one) for one in scenes]


def nearly(one: SceneToScore) -> SceneEstimate:
    """Right labels, sounds with a little noise, times right."""
    sources = tuple(
        Estimate(target.label, target.waveform + 0.1 * sound(7 + k), 0.9, ((0.0, 0.1),))
        for k, target in enumerate(one.targets)
    )
    strong = np.zeros((len(CLASSES), 25), dtype=np.float32)
    for onset, offset, label in one.events or ():
        strong[CLASSES.index(label), round(onset * 100) : round(offset * 100)] = 1.0
    return SceneEstimate(sources, strong)


def test_folder(root: Path, targets: dict[str, Sequence[str]]) -> Path:
    """Write soundscape/<name>.wav and the oracle targets named by `targets`; returns `root`."""
    (root / "oracle_target").mkdir(parents=True, exist_ok=True)
    for n, (name, files) in enumerate(targets.items()):
        dry = [0.5 * sound(10 * n + k) for k in range(len(files))]
        write_wav(
            root / "soundscape" / f"{name}.wav", 0.2 * sound(n, channels=4) + np.sum(dry, axis=0, initial=0.0)
        )
        for file, waveform in zip(files, dry, strict=True):
            write_wav(root / "oracle_target" / file, waveform, RATE)
    return root


test_folder.__test__ = False  # type: ignore[attr-defined]


def save_models(folder: Path, taggers: int = 2, separators: int = 2) -> None:
    """Save tiny models of 18 classes: `sed/<n>.safetensors`, `separators/<n>.safetensors`."""
    for n in range(taggers):
        torch.manual_seed(n)
        net = create_sed("m2d", size="tiny", sample_rate=16000 if n else 32000)
        save_model(net.eval(), folder / "sed" / f"{n}.safetensors")
    for n in range(separators):
        torch.manual_seed(100 + n)
        sed = create_sed("m2d", size="tiny", sample_rate=32000)
        maps = {"features": sed.backbone.feature_maps, "feature_width": sed.backbone.feature_dim}
        net = GuidedSeparator(create_separator("cpjku_iterative-tiny", **maps), sed)
        save_model(net.eval(), folder / "separators" / f"{n}.safetensors")
