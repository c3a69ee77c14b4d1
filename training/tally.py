"""Figures as sums over scenes, so that processes can add theirs up."""

from __future__ import annotations

import math

from torch import Tensor

from .task import Sums


class Tally:
    """Adds up (sum, count) by name."""

    def __init__(self) -> None:
        self.sums: Sums = {}

    def add(self, name: str, value: float, count: float = 1) -> None:
        """Add a sum over `count` things; what is no number (a scene without a figure) is left out."""
        if math.isnan(value):
            return
        before = self.sums.get(name, (0.0, 0.0))
        self.sums[name] = (before[0] + value, before[1] + count)

    def f_score(self, name: str, guess: Tensor, truth: Tensor) -> None:
        """Add the micro F-score of booleans: ``2 TP / (2 TP + FP + FN)``."""
        hits = 2 * int((guess & truth).sum())
        self.add(name, hits, int(guess.sum()) + int(truth.sum()))
