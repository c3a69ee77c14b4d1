"""Keyed random numbers: one independent generator per purpose, the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

DEMO_VERSION = "1"
"""Raised with every change that alters a byte of the demo: the built tree carries it."""


class Draw(np.random.Generator):
    """A generator of one purpose.

    Attributes:
        rank: Where its object stands among the objects of its kind, from 0 to 1, evenly spread.
    """

    rank: float = 0.5


def draws(*purpose: str | int) -> Draw:
    """Return the generator of one purpose, for example `draws("train", "Speech", 3)`.

    The key of the counter-based generator is a BLAKE2b hash of the version and the purpose, so
    that a file never depends on which other files are built, in which order, or by which process.
    """
    text = "\x1f".join(["s5kit demo", DEMO_VERSION, *map(str, purpose)])
    key = np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), "<u8")
    return Draw(np.random.Philox(key=key))


def object_draws(split: str, label: str, number: int) -> Draw:
    """Return the generator of object `number` of a kind, ranked among its fellows.

    Ranks follow the golden ratio from a drawn start, so that a handful of objects already shows
    every style of its kind.
    """
    draw = draws("object", split, label, number)
    draw.rank = (float(draws("rank", split, label).uniform()) + number * 0.6180339887498949) % 1.0
    return draw


def style(thing: Draw, shares: Mapping[str, float]) -> str:
    """Return the style of an object, from styles and their shares of all objects."""
    edges = np.cumsum(list(shares.values())) / sum(shares.values())
    return list(shares)[int(np.searchsorted(edges[:-1], thing.rank, side="right"))]


def log_uniform(draw: Draw, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform: for frequencies, durations and rates."""
    return float(np.exp(draw.uniform(np.log(low), np.log(high))))


def chance(draw: Draw, probability: float) -> bool:
    """Return True with the given probability."""
    return bool(draw.uniform() < probability)
