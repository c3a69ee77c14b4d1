"""Cut a long recording into overlapping windows and join what was made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .errors import ModelError


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of a recording [samples].

    Attributes:
        start: First sample that is read.
        stop: One past the last sample that is read.
        seam: Where this window takes over from the one before; 0 for the first.
    """

    start: int
    stop: int
    seam: int


def plan_windows(samples: int, length: int, overlap: int, *, shift_last: bool = True) -> list[Window]:
    """Cover a recording with windows.

    Args:
        samples: Length of the recording.
        length: Length of a window.
        overlap: What two windows share; they are joined in its middle.
        shift_last: Move the last window back so that it is whole, instead of cutting it short.

    Raises:
        ModelError: An overlap as long as the window, or an empty recording.
    """
    if samples < 1 or not 0 <= overlap < length:
        raise ModelError(
            f"{samples} samples in windows of {length} with {overlap} shared",
            where="windows",
            remedy="give a recording, and an overlap shorter than the window",
        )
    windows = [Window(0, min(length, samples), 0)]
    nominal = 0
    while nominal + length < samples:
        nominal += length - overlap
        stop = min(nominal + length, samples)
        start = stop - length if shift_last else nominal
        windows.append(Window(start, stop, nominal + overlap // 2))
    return windows


def join(windows: list[Window], parts: Iterator[Tensor], fade: int) -> Iterator[tuple[int, Tensor]]:
    """Join the windows' parts, cross-fading linearly at the seams; yield each stretch once it is final.

    Args:
        windows: From `plan_windows`.
        parts: For each window ``(..., stop - start)``.
        fade: Length of the cross-fade, centred on the seam [samples]; 0 cuts hard. At most the overlap.

    Yields:
        First sample and signal ``(..., samples)`` of consecutive stretches.

    Raises:
        ModelError: A cross-fade that reaches into the next one.
    """
    closest = min((b.seam - a.seam for a, b in pairwise(windows)), default=fade)
    if not 0 <= fade <= closest:
        raise ModelError(
            f"a cross-fade of {fade} samples between windows that begin {closest} apart",
            where="fade",
            remedy="fade for a shorter time, or let the windows share less",
        )
    tail: Tensor | None = None  # what the window before left over for the cross-fade
    for index, (window, part) in enumerate(zip(windows, parts, strict=True)):
        begin = window.seam - fade // 2 if index else 0
        fresh = part[..., begin - window.start :]
        if tail is not None and fade:
            ramp = (torch.arange(fade, device=part.device) + 0.5) / fade
            mixed = tail * (1 - ramp) + fresh[..., :fade] * ramp
            fresh = torch.cat((mixed, fresh[..., fade:]), dim=-1)
        if index + 1 == len(windows):
            yield begin, fresh
            return
        end = windows[index + 1].seam - fade // 2
        tail = fresh[..., end - begin : end - begin + fade]
        yield begin, fresh[..., : end - begin]


def in_windows(
    net: Callable[[Tensor], Tensor], mixture_BML: Tensor, *, length: int, overlap: int, fade: int = 0
) -> Tensor:
    """Run a net over a long mixture in windows, the last one cut short, and join its outputs.

    Args:
        net: Takes ``(batch, microphones, samples)``, returns ``(..., samples)``.
        mixture_BML: The mixture.
        length: Length of a window [samples]; AudioSep takes 5 s.
        overlap: What two windows share [samples]; AudioSep takes 2 s.
        fade: Length of the cross-fade [samples]; AudioSep takes none.
    """
    windows = plan_windows(mixture_BML.shape[-1], length, overlap, shift_last=False)
    parts = (net(mixture_BML[..., w.start : w.stop]) for w in windows)
    return torch.cat([stretch for _, stretch in join(windows, parts, fade)], dim=-1)
