"""Outputs of single models on disk, so that an ensemble need not fit into memory: one model at a time.

A scene of 10 s costs 18 kB per SED model and 3.8 MB per separator (three slots), all float32.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synth import SynthError, sha256_file, write_bytes

from .estimates import (
    Estimator,
    Labels,
    SceneEstimate,
    SystemEstimator,
    by_labels,
    by_tags,
    full_precision,
    label_numbers,
    one_hot,
)
from .scenes_to_score import SceneToScore, ScoringSet
from .systems import Part, System, load_separator, load_system, load_tagger

if TYPE_CHECKING:
    from torch import Tensor

    from models import SedOutput

Progress = Callable[[str, int, int], None]
"""Told which model runs, scenes done, and their number."""

Said = dict[str, NDArray[np.float32]]
"""A first-stage model's output on one scene: `weak` and perhaps `strong`, or `tracks`."""


class Outputs:
    """The models' outputs on one set, made on demand and kept.

    Args:
        folder: Where they lie; several systems and sets may share it.
        scenes: The set.
        device: Where models run.
        batch_size: Scenes put through a model at once.
        progress: Called while models run.
    """

    def __init__(
        self,
        folder: Path,
        scenes: ScoringSet,
        *,
        device: str = "cpu",
        batch_size: int = 4,
        progress: Progress | None = None,
    ) -> None:
        self.scenes, self.device, self.batch_size, self.progress = scenes, device, batch_size, progress
        self.folder = folder / scenes.identity[:16]

    def tag_all(self, system: System, part: Part) -> Path:
        """Let one first-stage model hear all scenes that it has not heard yet; return the folder of its outputs."""
        home = self.folder / f"tags-{_model_key(part)}"
        todo = [n for n, name in enumerate(self.scenes.names) if not (home / f"{name}.npz").exists()]
        net = load_tagger(part, system).to(self.device) if todo else None
        for batch, mixture_BML in self._batches(todo, part.weights.name):
            assert net is not None
            for scene, said in zip(batch, _split(net(mixture_BML)), strict=True):
                buffer = io.BytesIO()
                np.savez(buffer, **said)  # type: ignore[arg-type]
                _keep(home / f"{scene.name}.npz", buffer)
        return home

    def separate_all(self, part: Part, labels: Sequence[Sequence[int]], system: System) -> list[Path]:
        """Let one separator take the labelled sources out of all scenes; return a file ``(slots, samples)`` for each.

        Args:
            part: The separator.
            labels: Per scene its class indices.
            system: Whose passes and classes count.
        """
        from models import S5System

        home = self.folder / f"sources-{_model_key(part)}-{system.file.iterations or 'own'}"
        files = [
            home / f"{name}.{_key(row)}.npy" for name, row in zip(self.scenes.names, labels, strict=True)
        ]
        todo = [n for n, file in enumerate(files) if labels[n] and not file.exists()]
        if not todo:
            return files
        from torch import nn

        stage = S5System(
            nn.Identity(), load_separator(part), slots=system.file.slots, queries=system.file.queries
        )
        stage = stage.to(self.device).eval()
        where = dict(zip(self.scenes.names, range(len(files)), strict=True))
        for batch, mixture_BML in self._batches(todo, part.weights.name):
            rows = [labels[where[scene.name]] for scene in batch]
            vectors = one_hot(rows, system.file.slots, len(system.classes)).to(mixture_BML.device)
            out = (
                stage.separate(mixture_BML, vectors, iterations=system.file.iterations).float().cpu().numpy()
            )
            for scene, row, waveforms in zip(batch, rows, out, strict=True):
                buffer = io.BytesIO()
                np.save(buffer, waveforms[: len(row)], allow_pickle=False)
                _keep(files[where[scene.name]], buffer)
        return files

    def _batches(self, todo: Sequence[int], name: str) -> Iterator[tuple[list[SceneToScore], Tensor]]:
        import torch

        for start in range(0, len(todo), self.batch_size):
            batch = [self.scenes.read(n) for n in todo[start : start + self.batch_size]]
            for length in dict.fromkeys(scene.mixture.shape[1] for scene in batch):
                alike = [scene for scene in batch if scene.mixture.shape[1] == length]
                mixture_BML = torch.from_numpy(np.stack([scene.mixture for scene in alike]))
                with torch.no_grad(), full_precision():
                    yield alike, mixture_BML.to(self.device)
            if self.progress is not None:
                self.progress(name, start + len(batch), len(todo))


class StreamedEstimator:
    """A system whose models run one after another; call `prepare` first.

    Args:
        system: The system.
        outputs: Where its models' outputs are kept, on the set that is scored.
        labels: "oracle" gives the separators the true labels and leaves the first stage out.
    """

    def __init__(self, system: System, outputs: Outputs, labels: Labels = "predicted") -> None:
        self.system, self.outputs, self.labels = system, outputs, labels
        self.classes = system.classes
        self._heard: list[Path] = []
        self._files: list[list[Path]] = []
        self._numbers: list[list[int]] = []

    def prepare(self) -> StreamedEstimator:
        """Run every model over the set, as far as its outputs are not there yet."""
        names = self.outputs.scenes.names
        if self.labels == "oracle":
            read = self.outputs.scenes.read
            self._numbers = [label_numbers(read(n), self.classes) for n in range(len(names))]
        else:
            self._heard = [self.outputs.tag_all(self.system, part) for part in self.system.taggers]
            self._numbers = [self._labels_of(name) for name in names]
        self._files = [
            self.outputs.separate_all(part, self._numbers, self.system) for part in self.system.separators
        ]
        return self

    def __call__(self, scenes: Sequence[SceneToScore]) -> list[SceneEstimate]:
        """Return the estimates of each scene."""
        return [self._estimate(scene) for scene in scenes]

    def _estimate(self, scene: SceneToScore) -> SceneEstimate:
        n = list(self.outputs.scenes.names).index(scene.name)
        numbers = self._numbers[n]
        weights = [part.weight for part in self.system.separators]
        waveforms_SL = np.zeros((len(numbers), scene.mixture.shape[1]), dtype=np.float32)
        if numbers:
            waveforms_SL = average([read_waveforms(files[n]) for files in self._files], weights)
        if self.labels == "oracle":
            return by_labels(numbers, waveforms_SL, self.classes)
        tags, weak = self.system.decision.tags(self._said(scene.name))
        lone = self.system.decision.threshold
        threshold = lone if isinstance(lone, float) else 0.5
        return by_tags(tags, weak, waveforms_SL[None], self.classes, threshold, [scene])[0]

    def _labels_of(self, name: str) -> list[int]:
        tags, _ = self.system.decision.tags(self._said(name))
        return [label for label in tags.labels[0].tolist() if label != tags.classes]

    def _said(self, name: str) -> list[SedOutput | Tensor]:
        outputs = []
        for part, home in zip(self.system.taggers, self._heard, strict=True):
            outputs += [_joined(read_said(home / f"{name}.npz"))] * part.weight
        return outputs


def open_estimator(
    system: System,
    scenes: ScoringSet,
    *,
    labels: Labels = "predicted",
    device: str = "cpu",
    cache: Path | None = None,
    batch_size: int = 4,
    progress: Progress | None = None,
) -> Estimator:
    """Return what gives a system's estimates on a set.

    Args:
        system: The system.
        scenes: The set.
        labels: "oracle" gives the separators the true labels.
        device: Where models run.
        cache: Folder of single models' outputs: they run one after another (and do not run again where their outputs
            are there). None: all models in memory at once.
        batch_size: Scenes put through a model at once.
        progress: Called while the models of a streamed system run.
    """
    if cache is None:
        return SystemEstimator(load_system(system, device), system.classes, labels)
    outputs = Outputs(cache, scenes, device=device, batch_size=batch_size, progress=progress)
    return StreamedEstimator(system, outputs, labels).prepare()


def describe(system: System, labels: Labels = "predicted") -> str:
    """Return one line that changes with a system's file, its models' files and the labels."""
    facts = [system.file.model_dump_json(), labels]
    for part in (*system.taggers, *system.separators):
        for path in (part.weights, part.sed):
            if path is not None:
                state = _file(path).stat()
                facts.append(f"{path.name} {part.weight} {state.st_size} {state.st_mtime_ns}")
    digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
    return f"{system.file.name} with {labels} labels ({digest})"


def average(
    waveforms: Sequence[NDArray[np.float32]], weights: Sequence[int] | None = None
) -> NDArray[np.float32]:
    """Return the weighted mean of several models' waveforms, in float32 as the system in memory takes it."""
    weights = weights or [1] * len(waveforms)
    total = np.zeros_like(waveforms[0])
    for waveform, weight in zip(waveforms, weights, strict=True):
        total += waveform * np.float32(weight)
    return total / np.float32(sum(weights))


def read_said(path: Path) -> Said:
    """Return what a first-stage model said of a scene."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise _lost(path) from error


def read_waveforms(path: Path) -> NDArray[np.float32]:
    """Return what a separator took out of a scene, ``(slots, samples)``."""
    try:
        waveforms: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise _lost(path) from error
    return waveforms


def _split(output: SedOutput | Tensor) -> list[Said]:
    from models import SedOutput

    if not isinstance(output, SedOutput):
        return [{"tracks": row.float().cpu().numpy()} for row in output]
    rows = [{"weak": row.float().cpu().numpy()} for row in output.weak]
    if output.strong is not None:
        for row, strong in zip(rows, output.strong, strict=True):
            row["strong"] = strong.float().cpu().numpy()
    return rows


def _joined(said: Said) -> SedOutput | Tensor:
    import torch

    from models import SedOutput

    parts = {name: torch.from_numpy(value)[None] for name, value in said.items()}
    return parts["tracks"] if "tracks" in parts else SedOutput(parts["weak"], parts.get("strong"))


def _keep(path: Path, buffer: io.BytesIO) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, buffer.getvalue())
    except OSError as error:
        raise SynthError(
            f"cannot be written: {error.strerror}",
            where=path,
            remedy="give a --cache folder with room and rights",
        ) from error


def _model_key(part: Part) -> str:
    digest = hashlib.sha256(part.weights.name.encode())
    for path in (part.weights, part.sed):
        if path is not None:
            digest.update(sha256_file(_file(path)).encode())
    return digest.hexdigest()[:16]


def _file(path: Path) -> Path:
    return path / "model.safetensors" if path.is_dir() else path


def _key(numbers: Sequence[int]) -> str:
    return "-".join(map(str, numbers)) or "none"


def _lost(path: Path) -> SynthError:
    return SynthError("it is damaged or gone", where=path, remedy="remove it and run again")
