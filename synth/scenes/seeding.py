"""Random numbers as a function of (seed, epoch, index, purpose), equal on every machine and version.

Only the raw 64-bit words of Philox are used: NumPy guarantees the bit stream of a bit generator,
but not what its `Generator` methods make of it. Everything below is our own arithmetic on them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, MutableSequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SynthError

_WORD = 1 << 64
_BLOCK = 32
_ROUNDS = 6


class Draws:
    """A stream of random numbers; every draw takes exactly one word, so streams stay aligned.

    Args:
        words: Uniform integers in [0, 2**64).
    """

    __slots__ = ("_words",)

    def __init__(self, words: Iterator[int]) -> None:
        self._words = words

    def uniform(self, low: float, high: float) -> float:
        """Return a float in [low, high], on a grid of 2**-53 of the range."""
        return low + (high - low) * ((next(self._words) >> 11) * 2.0**-53)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included.

        The bias of multiply-and-shift is below (high - low + 1) / 2**64, far below what a corpus
        could show, and it needs no rejection loop.

        Raises:
            ValueError: high is below low.
        """
        if high < low:
            raise ValueError(f"no integer from {low} to {high}")
        return low + ((next(self._words) * (high - low + 1)) >> 64)

    def choice(self, count: int) -> int:
        """Return an integer in [0, count)."""
        return self.integer(0, count - 1)

    def shuffle(self, items: MutableSequence[Any]) -> None:
        """Put items into a uniformly random order, in place; takes len(items) - 1 words."""
        for last in range(len(items) - 1, 0, -1):
            other = self.integer(0, last)
            items[last], items[other] = items[other], items[last]


def draws_for(seed: int, index: int, purpose: str, epoch: int = 0) -> Draws:
    """Return the stream of one purpose of one scene.

    Seed and purpose make the key of the counter-based generator Philox4x64-10 (Salmon et al.,
    "Parallel random numbers: as easy as 1, 2, 3", SC 2011); index and epoch are words of its
    counter, so streams of one key can never overlap.

    Args:
        seed: Any integer.
        index: Number of the scene, 0 to 2**63 - 1.
        purpose: What the numbers are for; different purposes are independent.
        epoch: Number of the epoch, 0 to 2**63 - 1.

    Raises:
        SynthError: index or epoch is negative or too large.
    """
    for name, value in (("index", index), ("epoch", epoch)):
        if not 0 <= value < 1 << 63:
            raise SynthError(f"{value} is outside 0 to 2**63 - 1", where=name, remedy=f"give another {name}")
    counter = np.array([0, index, epoch, 0], dtype=np.uint64)
    return Draws(_words(np.random.Philox(key=_key(seed, purpose), counter=counter)))


def permute(index: int, length: int, seed: int, epoch: int = 0) -> int:
    """Return where a keyed permutation of range(length) sends `index`, without building it.

    A balanced Feistel network over the next power of four with cycle walking (Black and Rogaway,
    "Ciphers with arbitrary finite domains", CT-RSA 2002): constant memory, a few microseconds.

    Args:
        index: 0 to length - 1.
        length: How many items are permuted.
        seed: Any integer; every (seed, epoch) is another order.
        epoch: Any integer.

    Raises:
        SynthError: index is outside the range.
    """
    if not 0 <= index < length:
        raise SynthError(f"{index} is outside 0 to {length - 1}", where="index", remedy="give another index")
    half = max(((length - 1).bit_length() + 1) // 2, 1)
    keys = _round_keys(seed, epoch)
    value = index
    while True:
        value = _feistel(value, half, keys)
        if value < length:
            return value


def _words(bits: np.random.Philox) -> Iterator[int]:
    while True:
        yield from bits.random_raw(_BLOCK).tolist()


@lru_cache(maxsize=256)
def _key(seed: int, purpose: str) -> NDArray[np.uint64]:
    digest = hashlib.sha256(f"s5kit draws 1\0{seed}\0{purpose}".encode()).digest()
    return np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)


@lru_cache(maxsize=256)
def _round_keys(seed: int, epoch: int) -> tuple[int, ...]:
    digest = hashlib.sha512(f"s5kit permute 1\0{seed}\0{epoch}".encode()).digest()
    return tuple(int.from_bytes(digest[8 * n : 8 * n + 8], "little") for n in range(_ROUNDS))


def _feistel(value: int, half: int, keys: tuple[int, ...]) -> int:
    mask = (1 << half) - 1
    left, right = value >> half, value & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right ^ key) & mask)
    return left << half | right


def _mixed(value: int) -> int:
    """Return the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % _WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB % _WORD
    return value ^ value >> 31
