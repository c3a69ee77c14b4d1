"""When an event starts: uniform over all onsets at which not too many sound at once."""

from __future__ import annotations

from collections.abc import Sequence

from ..units import Samples
from .seeding import Draws

Extent = tuple[Samples, Samples]


def draw_onset(
    draws: Draws, others: Sequence[Extent], duration: Samples, scene: Samples, max_overlap: int
) -> Samples | None:
    """Draw the onset of an event among those that are there.

    Every onset from 0 to scene - duration at which at most `max_overlap` events, the new one
    counted, sound at any sample of the new one is equally likely; one draw, no retries. While
    fewer than `max_overlap` others exist that is a plain uniform draw.

    Args:
        draws: Where the random number comes from.
        others: (onset, offset) of the events that are there, offset exclusive.
        duration: Length of the new event, at most `scene`.
        scene: Length of the scene.
        max_overlap: How many events may sound at once.

    Returns:
        The onset, or None if there is no room; then nothing was drawn.
    """
    if len(others) < max_overlap:
        return draws.integer(0, scene - duration)
    starts = [
        (first, last - duration - first + 1) for first, last in free_stretches(others, scene, max_overlap)
    ]
    starts = [(first, count) for first, count in starts if count > 0]
    total = sum(count for _, count in starts)
    if not total:
        return None
    chosen = draws.choice(total)
    for first, count in starts:
        if chosen < count:
            return first + chosen
        chosen -= count
    raise AssertionError("the choice is below the total")


def free_stretches(others: Sequence[Extent], scene: Samples, max_overlap: int) -> list[Extent]:
    """Return the longest stretches of the scene in which fewer than `max_overlap` events sound."""
    edges = sorted([(onset, 1) for onset, _ in others] + [(offset, -1) for _, offset in others])
    stretches: list[Extent] = []
    sounding, free_from = 0, 0
    for at, change in edges:
        # Ends sort before starts, so a start right at an end does not count twice.
        before, sounding = sounding, sounding + change
        if before < max_overlap <= sounding and at > free_from:
            stretches.append((free_from, at))
        elif sounding < max_overlap <= before:
            free_from = at
            # An end and a start at one sample leave no gap: the stretch opens and closes there.
    if sounding < max_overlap and free_from < scene:
        stretches.append((free_from, scene))
    return stretches
