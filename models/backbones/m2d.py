"""M2D: ViT-B over 16 x 16 patches of an 80-mel spectrogram; five frequency tokens make one column.

Written from the published architecture; checkpoints come under NTT's own terms.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from ..frontends import M2dFrontend
from .base import Backbone, Encoded, require_frames, token
from .vit import LAYER_NORM_EPS, Block, PatchEmbed, init_vit, run_blocks

_PATCH = 16
_ROWS = 5
_COLUMNS = 62
_CHUNK_FRAMES = 1001


class M2d(Backbone):
    """Masked modelling duo's encoder.

    A clip of more than 1001 frames is encoded in chunks of 1001 that do not see each other, joined in time;
    the sequence has a column per 160 ms, 62 for 10 s, each of its five frequency tokens one after the other.

    Args:
        dim: Width of the tokens.
        depth: Number of blocks.
        heads: Attention heads.
        mel_rate: Rate of the waveforms that the front end hears: 16000 or 32000 Hz.
        use_norm_stats: Normalise the spectrogram with the checkpoint's `norm_stats`, as NTT's taggers do,
            and not with (-7.1, 4.2), as PretrainedSED does whatever the checkpoint says.
        pad_clip: Pad the whole clip to a multiple of 16 frames before it is cut into chunks, as NTT's taggers
            do, and not the last chunk alone. The same for up to 1001 frames; of a longer clip, a last chunk
            of less than 16 frames is then left out.
    """

    name = "m2d"
    frontend: M2dFrontend
    norm_stats: Tensor

    def __init__(
        self,
        *,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        mel_rate: int = 16000,
        use_norm_stats: bool = False,
        pad_clip: bool = False,
    ) -> None:
        super().__init__()
        self.sequence_dim, self.feature_dim, self.feature_maps = _ROWS * dim, dim, depth + 1
        self.use_norm_stats, self.pad_clip = use_norm_stats, pad_clip
        self.frontend = M2dFrontend(mel_rate)
        self.register_buffer("norm_stats", torch.tensor([M2dFrontend.mean, M2dFrontend.std]))
        self.cls_token = token(1, dim)
        self.pos_embed = token(1 + _ROWS * _COLUMNS, dim)
        self.patch_embed = PatchEmbed((_PATCH, _PATCH), dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.apply(init_vit)

    def mel(self, x_BL: Tensor) -> Tensor:
        """Return the log-mel spectrogram ``(batch, 1, 80, frames)``, normalised as `use_norm_stats` says."""
        mel_B1MT: Tensor = self.frontend(x_BL, self.norm_stats if self.use_norm_stats else None)
        return mel_B1MT

    def encode_mel(self, mel_B1MT: Tensor, *, keep: bool = False) -> Encoded:
        """Return the encoded clip, chunk by chunk.

        Raises:
            ModelError: Not a single frame.
        """
        require_frames(mel_B1MT, 1, self.name)
        parts = [self._encode_chunk(chunk, keep=keep) for chunk in self._chunks(mel_B1MT)]
        if len(parts) == 1:
            return parts[0]
        return Encoded(
            torch.cat([part.sequence for part in parts], 1),
            tuple(torch.cat(depth, 1) for depth in zip(*(part.blocks for part in parts), strict=True)),
            tuple(torch.cat(depth, 2) for depth in zip(*(part.features for part in parts), strict=True)),
        )

    def _chunks(self, mel_B1MT: Tensor) -> list[Tensor]:
        frames = mel_B1MT.shape[-1]
        last = frames if self.pad_clip else frames % _CHUNK_FRAMES
        padded = nnf.pad(mel_B1MT, (0, -last % _PATCH))
        chunks = [padded[..., at : at + _CHUNK_FRAMES] for at in range(0, frames, _CHUNK_FRAMES)]
        return [chunk for chunk in chunks if chunk.shape[-1] >= _PATCH]

    def _encode_chunk(self, mel_B1MT: Tensor, *, keep: bool) -> Encoded:
        patches_BFTD = self.patch_embed(mel_B1MT)
        B, F, T, D = patches_BFTD.shape
        pos_1FTD = self.pos_embed[:, 1:].view(1, _ROWS, _COLUMNS, D)[:, :, :T]
        cls_B1D = (self.cls_token + self.pos_embed[:, :1]).expand(B, -1, -1)
        x_BND = torch.cat([cls_B1D, (patches_BFTD + pos_1FTD).flatten(1, 2)], 1)
        x_BND, blocks = run_blocks(self.blocks, x_BND, keep=keep)
        columns = self.norm(x_BND)[:, 1:].view(B, F, T, D).transpose(1, 2)
        maps = [patches_BFTD, *(block[:, 1:].view(B, F, T, D) for block in blocks)] if keep else []
        return Encoded(columns.reshape(B, T, F * D), tuple(blocks), tuple(maps))
