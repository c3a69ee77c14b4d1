"""One look per class: nine colours that every eye can tell apart, times three patterns, plus words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..assets.classes import target_classes

COLOURS = 9
"""How many colours `report.css` has, as .c0 to .c8 (after Okabe & Ito 2008, with violet and brown)."""
PATTERNS = ("solid", "stripes", "dots")


@dataclass(frozen=True, slots=True)
class Look:
    """How a class is drawn: the number of its colour, and one of `PATTERNS`."""

    colour: int
    pattern: str

    @property
    def css(self) -> str:
        """Return the classes of an element that is drawn so."""
        return f"c{self.colour} {self.pattern}"


class Looks:
    """The look of every class; labels that come later get the next one.

    Args:
        labels: Classes known from the start. The task's own always look the same.
    """

    def __init__(self, labels: Iterable[str] = ()) -> None:
        known, standard = set(labels), target_classes()
        self._order = list(standard if known <= set(standard) else sorted(known))

    def of(self, label: str) -> Look:
        """Return how a class is drawn."""
        if label not in self._order:
            self._order.append(label)
        n = self._order.index(label)
        return Look(n % COLOURS, PATTERNS[n // COLOURS % len(PATTERNS)])
