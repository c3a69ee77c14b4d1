"""ASiT: ViT-B over 16 x 16 patches, time-major, with positions resized to the clip."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from ..frontends import AsitFrontend
from .base import Backbone, Encoded, grid, require_frames, token
from .vit import LAYER_NORM_EPS, Block, PatchEmbed, init_vit, run_blocks

_PATCH = 16
_ROWS = 8
_TRAINED_COLUMNS = 37
_TRAINED_FRAMES = _TRAINED_COLUMNS * _PATCH


class Asit(Backbone):
    """The audio spectrogram image transformer. Its CLS token stays in the sequence, at index 0.

    Args:
        dim: Width of the tokens.
        depth: Number of blocks.
        heads: Attention heads.
    """

    name = "asit"

    def __init__(self, *, dim: int = 768, depth: int = 12, heads: int = 12) -> None:
        super().__init__()
        self.sequence_dim = self.feature_dim = dim
        self.feature_maps = depth
        self.frontend = AsitFrontend()
        self.cls_token = token(1, dim)
        self.pos_embed = token(1 + _ROWS * _TRAINED_COLUMNS, dim)
        self.patch_embed = PatchEmbed((_PATCH, _PATCH), dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.apply(init_vit)

    def encode_mel(self, mel_B1MT: Tensor, *, keep: bool = False) -> Encoded:
        """Return the encoded clip.

        Raises:
            ModelError: Less than one column of patches.
        """
        require_frames(mel_B1MT, _PATCH, self.name)
        patches_BTFD = self.patch_embed(mel_B1MT.transpose(2, 3))
        x_BND = patches_BTFD.flatten(1, 2)
        x_BND = torch.cat([self.cls_token.expand(len(x_BND), -1, -1), x_BND], 1)
        x_BND = x_BND + self._positions(mel_B1MT.shape[-1])
        x_BND, blocks = run_blocks(self.blocks, x_BND, keep=keep)
        maps = tuple(grid(block[:, 1:], _ROWS, time_major=True) for block in blocks)
        return Encoded(self.norm(x_BND), tuple(blocks), maps)

    def _positions(self, frames: int) -> Tensor:
        """Return the positions resized to the clip, with the two axes exchanged.

        The released weights were trained with the learned 8 (frequency) x 37 (time) grid stretched to
        (time, frequency), and with the rows as they are for a clip of exactly 37 columns: kept so.
        """
        if frames == _TRAINED_FRAMES:
            return self.pos_embed
        grid_1DFT = self.pos_embed[:, 1:].transpose(1, 2).reshape(1, -1, _ROWS, _TRAINED_COLUMNS)
        size = (frames // _PATCH, _ROWS)
        resized = nnf.interpolate(grid_1DFT, size=size, mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], resized.flatten(2).transpose(1, 2)], 1)
