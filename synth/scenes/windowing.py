"""Shift and crop: events moved in time, and cut where they leave the scene, with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..units import Hertz, Samples
from .effect_sections import EffectsSection
from .effects import stream_if
from .spec import EventSpec

_TRIES = 32


@dataclass(frozen=True, slots=True)
class Window:
    """Where the scene lies on the time line on which its events are drawn.

    Attributes:
        extra: Samples by which that time line is longer than the scene.
        starts: Where the scene may start on it, the first choice first; below 0: events are moved
            to later.
    """

    extra: Samples = 0
    starts: tuple[Samples, ...] = (0,)


def draw_window(section: EffectsSection, seed: int, index: int, rate: Hertz) -> Window:
    """Draw how far a scene is shifted, and out of how much longer a one it is cut."""
    shift, crop = section.scene.shift, section.scene.crop
    extra, starts = 0, [0]
    draws = stream_if(seed, index, "crop", crop.rate)
    if draws is not None:
        extra = round(draws.uniform(*crop.extra) * rate)
        starts = [draws.integer(0, extra) for _ in range(_TRIES)]
    draws = stream_if(seed, index, "shift", shift.rate)
    if draws is not None:
        by = round(draws.uniform(*shift.seconds) * rate)
        starts = [start - by for start in starts] + starts
    return Window(extra, tuple(starts))


def seen(
    window: Window,
    targets: Sequence[EventSpec],
    interferers: Sequence[EventSpec],
    scene: Samples,
    keep: Samples,
    wanted: int,
) -> tuple[tuple[EventSpec, ...], tuple[EventSpec, ...]]:
    """Return targets and interferers as the window shows them.

    The first start that leaves `wanted` targets is taken, or the one that leaves most.

    Args:
        window: Where the scene may lie.
        targets: On the long time line.
        interferers: On the long time line.
        scene: Length of the scene.
        keep: An event of which less than this is left is left out, unless all of it is.
        wanted: How many targets should be left.
    """
    best = moved(targets, window.starts[0], scene, keep)
    start = window.starts[0]
    for other in window.starts[1:]:
        if len(best) >= wanted:
            break
        left = moved(targets, other, scene, keep)
        if len(left) > len(best):
            best, start = left, other
    return best, moved(interferers, start, scene, keep)


def moved(
    events: Sequence[EventSpec], start: Samples, scene: Samples, keep: Samples
) -> tuple[EventSpec, ...]:
    """Return the events of which the scene from `start` on has something, with its times."""
    found = []
    for event in events:
        onset = event.onset - start
        end = onset + event.duration
        inside = min(end, scene) - max(onset, 0)
        if inside < min(keep, event.duration):
            continue
        changes = {"onset": max(onset, 0)}
        if onset < 0:
            changes |= {"cut_before": event.cut_before - onset, "duration": end}
        found.append(event.model_copy(update=changes))
    # Those that started before the scene now start together: the order in which they are listed stays.
    return tuple(found)
