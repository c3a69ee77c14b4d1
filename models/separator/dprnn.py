"""Dual-path recurrent network over a map: along time for every band, then along frequency for every frame."""

from __future__ import annotations

from torch import Tensor, nn

from .gru import BiGru

_EPS = 1e-8
_DROPOUT = 0.1


class DualPathRnn(nn.Module):
    """Residual dual-path blocks, then a PReLU and a 1x1 convolution without residual.

    Args:
        channels: Channels of the map.
        hidden: Units per GRU direction.
        blocks: Number of blocks; each walks time, then frequency.
    """

    def __init__(self, channels: int, hidden: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(channels, hidden) for _ in range(blocks))
        self.activation = nn.PReLU()
        self.output = nn.Conv2d(channels, channels, 1)

    def forward(self, x_BCTF: Tensor) -> Tensor:
        """Return a map of the same shape ``(batch, channels, frames, bins)``."""
        for block in self.blocks:
            x_BCTF = block(x_BCTF)
        out_BCTF: Tensor = self.output(self.activation(x_BCTF))
        return out_BCTF


class _Block(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.time = _Path(channels, hidden)
        self.frequency = _Path(channels, hidden)

    def forward(self, x_BCTF: Tensor) -> Tensor:
        x_BCFT = self.time(x_BCTF.transpose(2, 3))
        out_BCTF: Tensor = self.frequency(x_BCFT.transpose(2, 3))
        return out_BCTF


class _Path(nn.Module):
    """A recurrence along the last axis of a map, normalised over the whole map and added to it."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.rnn = BiGru(channels, hidden, layers=2, dropout=_DROPOUT)
        self.proj = nn.Linear(2 * hidden, channels)
        self.norm = nn.GroupNorm(1, channels, eps=_EPS)

    def forward(self, x_BCKS: Tensor) -> Tensor:
        batch, channels, lines, steps = x_BCKS.shape
        sequences = x_BCKS.permute(0, 2, 3, 1).reshape(batch * lines, steps, channels)
        out = self.proj(self.rnn(sequences)).reshape(batch, lines, steps, channels)
        normed_BCKS: Tensor = self.norm(out.permute(0, 3, 1, 2))
        return x_BCKS + normed_BCKS
