"""What a device wants: arrays through pinned memory, transforms in numbers it has seen before."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

FFT_QUANTUM = {"cuda": 32}
"""Transforms are made in numbers that are multiples of this: cuFFT plans anew for every other number."""


def fft_count(count: int, device: torch.device) -> int:
    """Round a number of transforms up to one that a device has a plan for."""
    quantum = FFT_QUANTUM.get(device.type, 1)
    return -(-count // quantum) * quantum


def send(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """Copy an array to a device without waiting; on the CPU it is shared, not copied."""
    host = torch.from_numpy(array)
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host.to(device)
