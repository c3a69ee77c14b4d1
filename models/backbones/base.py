"""What every backbone is: a mel front end and a transformer over its patches."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..frontends import MelFrontend


class Encoded(NamedTuple):
    """A clip's tokens at every depth.

    Attributes:
        sequence: The backbone's output, special tokens treated as the reference does.
        blocks: Output of each block ``(batch, tokens, dim)``, special tokens included, before the final norm.
            For a clip that is encoded in chunks the tokens of the chunks follow each other.
        features: The maps that the separator listens to, each ``(batch, frequency, time, dim)``: the blocks'
            outputs without special tokens; M2D has the patch embedding before them.

    `blocks` and `features` are empty unless every depth was asked for.
    """

    sequence: Tensor
    blocks: tuple[Tensor, ...] = ()
    features: tuple[Tensor, ...] = ()


class Backbone(nn.Module):
    """A mel front end and a transformer; subclasses write `encode`.

    Attributes:
        name: What `create_backbone` calls it.
        sequence_dim: Width of the output sequence.
        feature_dim: Width of the blocks.
        feature_maps: Number of maps in `Encoded.features`.
        frontend: The mel front end.
        config: What `create_backbone` needs to build this net again (JSON values).
    """

    name: str
    sequence_dim: int
    feature_dim: int
    feature_maps: int
    frontend: MelFrontend
    blocks: nn.ModuleList
    config: dict[str, Any]

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms in Hz."""
        return self.frontend.sample_rate

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return the sequence ``(batch, tokens, sequence_dim)`` of waveforms ``(batch, samples)``."""
        return self.encode_mel(self.mel(x_BL)).sequence

    def encode(self, x_BL: Tensor) -> Encoded:
        """Return the sequence and every block's output of waveforms ``(batch, samples)``."""
        return self.encode_mel(self.mel(x_BL), keep=True)

    def mel(self, x_BL: Tensor) -> Tensor:
        """Return the normalised log-mel spectrogram ``(batch, 1, mels, frames)``."""
        mel_B1MT: Tensor = self.frontend(x_BL)
        return mel_B1MT

    def encode_mel(self, mel_B1MT: Tensor, *, keep: bool = False) -> Encoded:
        """Return the sequence of log-mel spectrograms and, to `keep` every depth, all blocks' outputs."""
        raise NotImplementedError

    def layer_of(self, parameter: str) -> int:
        """Return the block a parameter learns with: 1 at the bottom, the number of blocks at the top.

        Everything below the first block counts with it, the final norm with the last; layer-wise learning
        rates are built on this.

        Args:
            parameter: Name within the backbone.
        """
        part, _, rest = parameter.partition(".")
        if part == "blocks":
            return int(rest.partition(".")[0]) + 1
        return len(self.blocks) if part == "norm" else 1


def grid(tokens_BND: Tensor, rows: int, *, time_major: bool) -> Tensor:
    """Return patch tokens as a map ``(batch, rows of frequency, columns of time, dim)``."""
    B, N, D = tokens_BND.shape
    if time_major:
        return tokens_BND.view(B, N // rows, rows, D).transpose(1, 2)
    return tokens_BND.view(B, rows, N // rows, D)


def require_frames(mel_B1MT: Tensor, frames: int, name: str) -> None:
    """Refuse a spectrogram that is too short for one column of patches.

    Raises:
        ModelError: Fewer than `frames` frames.
    """
    if mel_B1MT.shape[-1] < frames:
        raise ModelError(
            f"clip of {mel_B1MT.shape[-1]} frames of 10 ms, {name} needs at least {frames}",
            where=name,
            remedy="pad the clip with zeros or leave it out",
        )


def token(count: int, dim: int) -> nn.Parameter:
    """Return fresh learned tokens ``(1, count, dim)``."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(1, count, dim), std=0.02))
