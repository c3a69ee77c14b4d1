"""Figures over many scenes: exact sums, so that order, batches and ranks change no digit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from .metrics import SceneScore


@dataclass(slots=True)
class Mean:
    """A mean whose sum is exact: values may come in any order and groups, and be merged from any number of ranks."""

    total: Fraction = field(default_factory=Fraction)
    count: int = 0

    def add(self, value: float, times: int = 1) -> None:
        """Add a value that counts `times` times; nan is left out."""
        if not math.isnan(value):
            self.total += Fraction(value) * times
            self.count += times

    def merge(self, other: Mean) -> Mean:
        """Return the mean over both."""
        return Mean(self.total + other.total, self.count + other.count)

    @property
    def value(self) -> float:
        """The mean; nan of nothing."""
        return float(self.total / self.count) if self.count else math.nan

    def state(self) -> list[int]:
        """Return three integers that hold it exactly."""
        return [self.total.numerator, self.total.denominator, self.count]

    @classmethod
    def of_state(cls, state: Sequence[int]) -> Mean:
        """Return what `state` wrote."""
        return cls(Fraction(state[0], state[1]), state[2])


MEANS: dict[str, Callable[[SceneScore], float]] = {
    "ca_sdri": lambda score: score.ca_sdri,
    "label_accuracy": lambda score: 100.0 * score.same_set,
    "capi_sdri": lambda score: score.capi_sdri,
    "accuracy_mixture": lambda score: 100.0 * score.same_multiset,
    "casa_sdr": lambda score: score.casa_sdr,
    "casa_sdr_errors": lambda score: score.casa_sdr_errors,
    "casa_sdri": lambda score: score.casa_sdri,
    "casa_sdri_errors": lambda score: score.casa_sdri_errors,
}
"""The figures that are means over scenes; accuracies in percent."""


class Scoreboard:
    """The figures over many scenes; scoreboards of ranks merge without rounding."""

    def __init__(self) -> None:
        self.means = {name: Mean() for name in MEANS}
        self.sources = [0, 0]
        self.scenes = 0

    def add(self, score: SceneScore) -> None:
        """Count one scene."""
        for name, figure in MEANS.items():
            self.means[name].add(figure(score))
        self.sources[0] += score.hits
        self.sources[1] += score.hits + score.spurious + score.missed
        self.scenes += 1

    def merge(self, other: Scoreboard) -> None:
        """Count another one's scenes too."""
        self.means = {name: mean.merge(other.means[name]) for name, mean in self.means.items()}
        self.sources = [a + b for a, b in zip(self.sources, other.sources, strict=True)]
        self.scenes += other.scenes

    def figures(self) -> dict[str, float]:
        """Return every figure; accuracy per source is TP / (TP + FP + FN) over all scenes, in percent."""
        hits, all_sources = self.sources
        figures = {name: mean.value for name, mean in self.means.items()}
        figures["accuracy_source"] = 100.0 * hits / all_sources if all_sources else math.nan
        return figures

    def state(self) -> dict[str, Any]:
        """Return JSON values that hold it exactly."""
        means = {name: mean.state() for name, mean in self.means.items()}
        return {"means": means, "sources": list(self.sources), "scenes": self.scenes}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> Scoreboard:
        """Return what `state` wrote."""
        board = cls()
        board.means = {name: Mean.of_state(state["means"][name]) for name in MEANS}
        board.sources, board.scenes = list(state["sources"]), state["scenes"]
        return board
