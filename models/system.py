"""The two-stage system: hear which classes sound, then take each of them out of the mixture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .errors import ModelError
from .labels import MAX_SOURCES
from .separator import GuidedSeparator, Hints, Separator, SeparatorConfig
from .streaming import Recording, Sliceable, Stretch, collect, stream
from .tagging import Spans, Tags, spans, tag

SAMPLE_RATE = 32000


@dataclass(frozen=True)
class Separation:
    """What the system says of a batch of scenes.

    Attributes:
        labels: Class index per slot ``(batch, slots)``; the number of classes means silence.
        scores: Probability of each label ``(batch, slots)``.
        waveforms: Dry waveform per slot ``(batch, slots, samples)``; zero where silent.
        events: Per scene and slot the stretches in which the class sounds [s]; None when the first stage
            does not tell times.
    """

    labels: Tensor
    scores: Tensor
    waveforms: Tensor
    events: tuple[tuple[Spans, ...], ...] | None


class S5System(nn.Module):
    """First-stage models and separators, one or several of each.

    Several first-stage models decide by their average probabilities; several separators answer by the average
    of their waveforms. Nothing here is trained: gradients are off.

    Args:
        tagger: One or more SED models or taggers; they hear 32 kHz mixtures.
        separator: One or more separators, those that need hints with their SED model.
        threshold: Least probability of a label.
        slots: Greatest number of labels per scene.
        queries: Greatest number of (scene, label) pairs separated at once.

    Raises:
        ModelError: No model in a stage, another sample rate, or a separator without the SED model it needs.
    """

    def __init__(
        self,
        tagger: nn.Module | Sequence[nn.Module],
        separator: Separator | GuidedSeparator | Sequence[Separator | GuidedSeparator],
        *,
        threshold: float = 0.5,
        slots: int = MAX_SOURCES,
        queries: int = 8,
    ) -> None:
        super().__init__()
        self.taggers = nn.ModuleList([tagger] if isinstance(tagger, nn.Module) else tagger)
        self.separators = nn.ModuleList([separator] if isinstance(separator, nn.Module) else separator)
        self.threshold, self.slots, self.queries = threshold, slots, queries
        _check_stages(self.taggers, self.separators)
        self.eval()

    def settings(self) -> dict[str, Any]:
        """Return what `S5System` takes beside its models."""
        return {"threshold": self.threshold, "slots": self.slots, "queries": self.queries}

    @torch.no_grad()
    def forward(self, mixture_BML: Tensor, *, iterations: int | None = None) -> Separation:
        """Label and separate scenes.

        Args:
            mixture_BML: ``(batch, microphones, samples)`` at 32 kHz.
            iterations: Passes of iterative separators; None takes their setting.
        """
        tags = self.tag(mixture_BML)
        waveforms = self.separate(mixture_BML, tags.vectors(), iterations=iterations)
        events = None
        if tags.strong is not None:
            seconds = mixture_BML.shape[-1] / SAMPLE_RATE
            events = tuple(
                tuple(
                    spans(strong_CT[label], seconds, threshold=self.threshold) if label < tags.classes else ()
                    for label in labels
                )
                for strong_CT, labels in zip(tags.strong, tags.labels.tolist(), strict=True)
            )
        return Separation(tags.labels, tags.scores, waveforms, events)

    @torch.no_grad()
    def tag(self, mixture_BML: Tensor) -> Tags:
        """Run the first stage alone."""
        return tag(list(self.taggers), mixture_BML, threshold=self.threshold, slots=self.slots)

    @torch.no_grad()
    def separate(self, mixture_BML: Tensor, labels_BSK: Tensor, *, iterations: int | None = None) -> Tensor:
        """Run the second stage alone, with labels given.

        Args:
            mixture_BML: ``(batch, microphones, samples)``.
            labels_BSK: One-hot labels ``(batch, slots, classes)``; all zero is silence.
            iterations: Passes of iterative separators; None takes their setting.

        Returns:
            ``(batch, slots, samples)``. A separator of one source gives equal labels equal waveforms.
        """
        parts = [
            answer_slots(net, mixture_BML, labels_BSK, iterations=iterations, queries=self.queries)
            for net in self.separators
        ]
        return torch.stack(parts).mean(dim=0)

    def stream(
        self, recording_ML: Sliceable, *, window: float = 10.0, overlap: float = 2.0, fade: float = 0.5
    ) -> Iterator[Stretch]:
        """Label and separate a long recording window by window; memory does not grow with its length.

        Args:
            recording_ML: ``(microphones, samples)`` at 32 kHz: a tensor, an array, a memory map; it is read
                window by window.
            window: Length of a window [s]; what the models were trained on.
            overlap: What two windows share [s].
            fade: Cross-fade in the middle of the overlap [s].

        Yields:
            Consecutive stretches that cover the recording.
        """
        return stream(self.by_class, recording_ML, SAMPLE_RATE, window=window, overlap=overlap, fade=fade)

    def separate_recording(
        self, recording_ML: Sliceable, *, window: float = 10.0, overlap: float = 2.0, fade: float = 0.5
    ) -> Recording:
        """Label and separate a long recording, all of it in memory; arguments as for `stream`."""
        stretches = self.stream(recording_ML, window=window, overlap=overlap, fade=fade)
        return collect(stretches, SAMPLE_RATE, threshold=self.threshold)

    @torch.no_grad()
    def by_class(self, mixture_ML: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return one scene's waveform per class, and the strong probabilities of the classes labelled.

        Args:
            mixture_ML: ``(microphones, samples)``.

        Returns:
            ``(classes, samples)``, zero for classes that were not labelled, and ``(classes, frames)``, likewise;
            None from taggers without times.
        """
        mixture_1ML = mixture_ML.to(next(self.parameters()).device)[None]
        tags = self.tag(mixture_1ML)
        labels_SK = tags.vectors()[0]
        if all(_config(net).sources == 1 for net in self.separators):  # equal labels, equal answers: keep one
            labels_SK = labels_SK * (labels_SK.cumsum(dim=0) <= 1)
        waveforms_SL = self.separate(mixture_1ML, labels_SK[None])[0]
        stems_KL = labels_SK.T @ waveforms_SL
        if tags.strong is None:
            return stems_KL, None
        return stems_KL, tags.strong[0] * (labels_SK.sum(dim=0)[:, None] > 0)


def answer_slots(
    net: nn.Module,
    mixture_BML: Tensor,
    labels_BSK: Tensor,
    *,
    iterations: int | None = None,
    queries: int = 8,
) -> Tensor:
    """Answer all slots with one separator, asking only for those that are not silent.

    Args:
        net: A `Separator` without hints, or a `GuidedSeparator`.
        mixture_BML: ``(batch, microphones, samples)``.
        labels_BSK: One-hot labels ``(batch, slots, classes)``; all zero is silence.
        iterations: Passes of an iterative separator; None takes its setting.
        queries: Greatest number of (scene, label) pairs separated at once.

    Returns:
        ``(batch, slots, samples)``. A separator of one source gives equal labels equal waveforms.

    Raises:
        ModelError: More slots than a separator of several sources has.
    """
    separator = net.separator if isinstance(net, GuidedSeparator) else net
    sources, slots = _config(net).sources, labels_BSK.shape[1]
    count = iterations if _config(net).feedback else None
    if sources > 1:
        if slots > sources:
            raise ModelError(
                f"{slots} labels for {sources} sources",
                where="labels",
                remedy="ask for fewer labels at once",
            )
        groups_QSK = nn.functional.pad(labels_BSK, (0, 0, 0, sources - slots))
        scenes = torch.arange(len(mixture_BML), device=mixture_BML.device)
    else:
        groups_QSK = labels_BSK.flatten(0, 1)[:, None]
        scenes = torch.arange(len(mixture_BML), device=mixture_BML.device).repeat_interleave(slots)
    if not labels_BSK.any():  # no net runs on an empty batch
        return mixture_BML.new_zeros(len(mixture_BML), slots, mixture_BML.shape[-1])
    hints = net.hints(mixture_BML) if isinstance(net, GuidedSeparator) else None
    out = mixture_BML.new_zeros(len(groups_QSK), sources, mixture_BML.shape[-1])
    for asked in groups_QSK.sum(dim=(1, 2)).nonzero()[:, 0].split(queries):
        scene = scenes[asked]
        estimate = separator(mixture_BML[scene], groups_QSK[asked], _of(hints, scene), iterations=count)
        out[asked] = estimate.to(out.dtype)
    return out[:, :slots] if sources > 1 else out.view(len(mixture_BML), slots, -1)


def _config(net: nn.Module) -> SeparatorConfig:
    if isinstance(net, GuidedSeparator):
        return net.separator.config
    assert isinstance(net, Separator)
    return net.config


def _of(hints: Hints | None, scenes: Tensor) -> Hints | None:
    """Return the hints of chosen scenes."""
    if hints is None:
        return None
    return Hints(*(None if part is None else part[scenes] for part in hints))


def _check_stages(taggers: nn.ModuleList, separators: nn.ModuleList) -> None:
    for name, stage in (("tagger", taggers), ("separator", separators)):
        if not len(stage):
            raise ModelError("no model", where=name, remedy="give at least one")
    for model in taggers:
        rate = getattr(model, "sample_rate", SAMPLE_RATE)
        if rate != SAMPLE_RATE:
            remedy = f"create the SED model with sample_rate={SAMPLE_RATE}"
            raise ModelError(
                f"it hears {rate} Hz, the system {SAMPLE_RATE} Hz", where="tagger", remedy=remedy
            )
    for model in separators:
        if not isinstance(model, Separator | GuidedSeparator):
            raise ModelError(
                f"{type(model).__name__} is no separator", where="separator", remedy="use create_separator"
            )
        config = _config(model)
        needs = config.time_film != "none" or config.injection != "none"
        if isinstance(model, Separator) and needs:
            raise ModelError(
                "it needs hints", where="separator", remedy="give GuidedSeparator(separator, sed_model)"
            )
        if not config.classes:
            raise ModelError(
                "it is not queried by labels", where="separator", remedy="give a separator with classes"
            )
