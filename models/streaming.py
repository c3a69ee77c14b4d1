"""Long recordings: run the system over overlapping windows and hand out what is finished."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from .errors import ModelError
from .tagging import Spans, spans
from .windows import Window, join, plan_windows


@dataclass(frozen=True)
class Stretch:
    """A finished part of a long recording.

    Attributes:
        start: First sample.
        waveforms: Dry waveform of every class ``(classes, samples)``; zero where it was not heard.
        strong: Probability of every class ``(classes, frames)`` in the frames whose middle lies in this
            stretch, zero where it was not labelled; None from taggers without times.
        frame: Length of a frame [samples].
    """

    start: int
    waveforms: Tensor
    strong: Tensor | None
    frame: float


@dataclass(frozen=True)
class Recording:
    """A long recording taken apart.

    Attributes:
        waveforms: Class index -> dry waveform ``(samples,)``, of the classes that were heard.
        events: Class index -> the stretches in which it sounds [s]; None from taggers without times.
    """

    waveforms: dict[int, Tensor]
    events: dict[int, Spans] | None


class Sliceable(Protocol):
    """A recording ``(microphones, samples)``: a tensor, an array, a memory map."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Microphones and samples."""

    def __getitem__(self, index: Any, /) -> Any:
        """Return a part of it."""


def stream(
    separate: Callable[[Tensor], tuple[Tensor, Tensor | None]],
    recording_ML: Sliceable,
    sample_rate: int,
    *,
    window: float,
    overlap: float,
    fade: float,
) -> Iterator[Stretch]:
    """Run a system over a recording window by window.

    Args:
        separate: Waveform per class ``(classes, samples)`` and probability per class and frame, or None, of one
            scene ``(microphones, samples)``.
        recording_ML: The recording.
        sample_rate: Its rate [Hz].
        window: Length of a window [s].
        overlap: What two windows share [s].
        fade: Cross-fade in the middle of the overlap [s].

    Raises:
        ModelError: An overlap that is longer than the window, or a fade that is longer than the overlap.
    """
    length, shared, faded = (round(value * sample_rate) for value in (window, overlap, fade))
    windows = plan_windows(recording_ML.shape[-1], length, shared)
    if not 0 <= faded <= shared:
        raise ModelError(f"{fade} s", where="fade", remedy=f"give 0 to {overlap} s, the overlap")
    heard = _Heard(separate, recording_ML, windows)
    for start, joined in join(windows, iter(heard), faded):
        if heard.frame is None:
            yield Stretch(start, joined, None, 0.0)
        else:
            stems, held = joined.chunk(2)
            first, last = (_frames_before(at, heard.frame) for at in (start, start + joined.shape[-1]))
            middles = ((torch.arange(first, last) + 0.5) * heard.frame).long() - start
            yield Stretch(start, stems, held[:, middles.to(held.device)], heard.frame)


def collect(stretches: Iterable[Stretch], sample_rate: int, *, threshold: float) -> Recording:
    """Join all stretches; an event is where a class's probability reaches the threshold."""
    parts = list(stretches)
    waveforms_KL = torch.cat([part.waveforms for part in parts], dim=1)
    present = waveforms_KL.abs().amax(dim=1).nonzero()[:, 0].tolist()
    events = None
    strong = [part.strong for part in parts if part.strong is not None]
    if strong:
        strong_KT = torch.cat(strong, dim=1)
        seconds = strong_KT.shape[1] * parts[0].frame / sample_rate
        events = {label: spans(strong_KT[label], seconds, threshold=threshold) for label in present}
    return Recording({label: waveforms_KL[label] for label in present}, events)


class _Heard:
    """The system's answers window by window; probabilities are held per sample so that they join alike."""

    def __init__(
        self,
        separate: Callable[[Tensor], tuple[Tensor, Tensor | None]],
        recording_ML: Sliceable,
        windows: list[Window],
    ) -> None:
        self.separate, self.recording, self.windows = separate, recording_ML, windows
        self.frame: float | None = None

    def __iter__(self) -> Iterator[Tensor]:
        for window in self.windows:
            cut = torch.as_tensor(self.recording[:, window.start : window.stop], dtype=torch.float32)
            stems_KL, strong_KT = self.separate(cut)
            if strong_KT is not None:
                samples = stems_KL.shape[-1]
                self.frame = self.frame or samples / strong_KT.shape[-1]
                stems_KL = torch.cat((stems_KL, F.interpolate(strong_KT[None], size=samples)[0]))
            yield stems_KL


def _frames_before(sample: int, frame: float) -> int:
    """Return how many frames have their middle before a sample."""
    return max(0, -int(-(sample / frame - 0.5) // 1))
