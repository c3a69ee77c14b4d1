"""Frame-PaSST: a convolutional stem, then ViT-B with one token per 40 ms and two special tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from ..frontends import FpasstFrontend
from .base import Backbone, Encoded, require_frames, token
from .vit import LAYER_NORM_EPS, Block, init_vit, run_blocks

_MELS = 128
_TOKENS = 250
_SPECIAL = 2


class _ColumnEmbed(nn.Module):
    """A convolution over two whole columns; the padding in front makes one column too many."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, (_MELS, 2), padding=(0, 1))

    def forward(self, x_BCMT: Tensor) -> Tensor:
        columns_BD1T: Tensor = self.proj(x_BCMT)[..., 1:]
        return columns_BD1T


class FramePasst(Backbone):
    """Frame-wise PaSST. As in the reference, a clip is heard up to 250 tokens (10 s), the rest is cut off.

    Args:
        dim: Width of the tokens.
        depth: Number of blocks.
        heads: Attention heads.
        draw_band: While training, draw the edges of the mel bank per batch.
    """

    name = "fpasst"

    def __init__(self, *, dim: int = 768, depth: int = 12, heads: int = 12, draw_band: bool = True) -> None:
        super().__init__()
        self.sequence_dim = self.feature_dim = dim
        self.feature_maps = depth
        self.frontend = FpasstFrontend(draw_band=draw_band)
        self.conv_in_1 = nn.Conv2d(1, 16, 3, stride=2, padding=1)
        self.conv_in_2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv_in_3 = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.patch_embed = _ColumnEmbed(16, dim)
        self.cls_token = token(1, dim)
        self.dist_token = token(1, dim)
        self.new_pos_embed = token(_SPECIAL, dim)
        self.freq_new_pos_embed = nn.Parameter(torch.empty(1, dim, 1, 1))
        self.time_new_pos_embed = nn.Parameter(torch.empty(1, dim, 1, _TOKENS))
        nn.init.trunc_normal_(self.freq_new_pos_embed, std=0.02)
        nn.init.trunc_normal_(self.time_new_pos_embed, std=0.02)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.apply(init_vit)

    def encode_mel(self, mel_B1MT: Tensor, *, keep: bool = False) -> Encoded:
        """Return the encoded clip, its first 250 tokens."""
        require_frames(mel_B1MT, 1, self.name)
        x_BD1T = self.patch_embed(self._stem(mel_B1MT))[..., :_TOKENS]
        x_BD1T = x_BD1T + self._time_positions(x_BD1T.shape[-1]) + self.freq_new_pos_embed
        special = torch.cat([self.cls_token, self.dist_token], 1) + self.new_pos_embed
        tokens_BTD = x_BD1T[:, :, 0].transpose(1, 2)
        x_BND = torch.cat([special.expand(len(tokens_BTD), -1, -1), tokens_BTD], 1)
        x_BND, blocks = run_blocks(self.blocks, x_BND, keep=keep)
        maps = tuple(block[:, None, _SPECIAL:] for block in blocks)
        return Encoded(self.norm(x_BND)[:, _SPECIAL:], tuple(blocks), maps)

    def _stem(self, mel_B1MT: Tensor) -> Tensor:
        x = nnf.gelu(self.conv_in_1(mel_B1MT))
        x = nnf.gelu(self.conv_in_2(x))
        x = nnf.gelu(self.conv_in_3(x))
        return x.reshape(len(x), -1, _MELS, x.shape[-1])  # channels and height merged, cut in rows of 128

    def _time_positions(self, columns: int) -> Tensor:
        """Return the first positions or, while training, those from a random offset (torch's generator)."""
        if not self.training or columns == _TOKENS:
            return self.time_new_pos_embed[..., :columns]
        device = self.time_new_pos_embed.device
        offset = torch.randint(0, _TOKENS - columns + 1, (), device=device)
        return self.time_new_pos_embed.index_select(-1, offset + torch.arange(columns, device=device))
