"""Torch's random numbers as a function of (seed, step, purpose): nothing to save, nothing to lose.

A resumed run draws what an uninterrupted one would have drawn, because no generator lives longer than a step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class KeyedDraws:
    """The draws of one part of a step, equal on all ranks.

    Attributes:
        seed: Of the run (`loop.seed`).
        step: Number of the optimiser step, from 0.
        part: Which part of the step's batch (gradient accumulation), from 0.
    """

    seed: int
    step: int
    part: int = 0

    def __call__(self, purpose: str) -> torch.Generator:
        """Return a new CPU generator for one purpose; different purposes are independent."""
        return torch.Generator().manual_seed(_key(self.seed, self.step, self.part, purpose))


@contextmanager
def seeded(seed: int, step: int, part: int, purpose: str, device: torch.device) -> Iterator[None]:
    """Seed torch's own generators (dropout, initial weights) for the body; afterwards they are as before.

    Args:
        seed: Of the run.
        step: Number of the optimiser step.
        part: Part of the step's batch.
        purpose: What the numbers are for; a rank that must differ from others is named here.
        device: Whose generator is seeded beside the CPU's.
    """
    cuda = device.type == "cuda"
    key = _key(seed, step, part, purpose)
    with torch.random.fork_rng(devices=[device] if cuda else []):
        torch.default_generator.manual_seed(key)  # torch.manual_seed asks all kinds of devices: 0.1 ms
        if cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(key)
        yield


def _key(seed: int, step: int, part: int, purpose: str) -> int:
    digest = hashlib.sha256(f"s5kit training 1\0{seed}\0{step}\0{part}\0{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
