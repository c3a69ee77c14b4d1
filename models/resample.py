"""From 32 to 16 kHz with the Kaiser-windowed sinc that the SED models were trained behind."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

_ZEROS = 6  # zero crossings of the sinc on each side
_ROLLOFF = 0.99
_BETA = 14.769656459379492


class HalveRate(nn.Module):
    """2:1 decimation by a 28-tap FIR filter, in float32 also under autocast.

    The taps are added one by one: a convolution would be rounded to TF32 on a GPU by default.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reach = math.ceil(_ZEROS * 2 / _ROLLOFF)
        self.taps: list[float] = _kaiser_sinc(self.reach)

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return ``(batch, ceil(samples / 2))`` for waveforms ``(batch, samples)``."""
        count = (x_BL.shape[-1] + 1) // 2
        padded_BL = nnf.pad(x_BL.float(), (self.reach, self.reach + 2))
        halved_BL = self.taps[0] * padded_BL[:, : 2 * count : 2]
        for k, tap in enumerate(self.taps[1:], start=1):
            halved_BL = halved_BL + tap * padded_BL[:, k : k + 2 * count : 2]
        return halved_BL


def _kaiser_sinc(reach: int) -> list[float]:
    with torch.device("cpu"):
        k = torch.arange(-reach, reach + 2, dtype=torch.float64)
        peak = torch.i0(torch.tensor(_BETA, dtype=torch.float64))
    u = (k / 2 * _ROLLOFF).clamp(-_ZEROS, _ZEROS)
    kaiser = torch.i0(_BETA * torch.sqrt(1 - (u / _ZEROS) ** 2))
    taps: list[float] = (torch.sinc(u) * kaiser / peak * _ROLLOFF / 2).tolist()
    return taps
