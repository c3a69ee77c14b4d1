"""ATST-Frame: ViT-B over strips of four frames, one token per 40 ms."""

from __future__ import annotations

from torch import Tensor, nn

from ..errors import ModelError
from ..frontends import AtstFrontend
from .base import Backbone, Encoded, require_frames, token
from .vit import LAYER_NORM_EPS, Block, init_vit, run_blocks

_MELS = 64
_STRIP_FRAMES = 4
_TOKENS = 250


class AtstFrame(Backbone):
    """The frame-level audio teacher-student transformer; up to 250 tokens, that is 10 s.

    Args:
        dim: Width of the tokens.
        depth: Number of blocks.
        heads: Attention heads.
        batch_floor: Take the 80 dB floor of the spectrogram from the loudest clip of the batch, as the
            reference does, and not from each clip.
    """

    name = "atst"

    def __init__(
        self, *, dim: int = 768, depth: int = 12, heads: int = 12, batch_floor: bool = False
    ) -> None:
        super().__init__()
        self.sequence_dim = self.feature_dim = dim
        self.feature_maps = depth
        self.frontend = AtstFrontend(batch_floor=batch_floor)
        self.pos_embed = token(1 + _TOKENS, dim)
        self.patch_embed = nn.Linear(_MELS * _STRIP_FRAMES, dim)
        self.blocks = nn.ModuleList(Block(dim, heads, qkv_bias=False) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.apply(init_vit)

    def encode_mel(self, mel_B1MT: Tensor, *, keep: bool = False) -> Encoded:
        """Return the encoded clip.

        Raises:
            ModelError: Less than one strip, or more than 250.
        """
        require_frames(mel_B1MT, _STRIP_FRAMES, self.name)
        B, _, M, T = mel_B1MT.shape
        strips = T // _STRIP_FRAMES
        if strips > _TOKENS:
            raise ModelError(
                f"clip of {strips} tokens of 40 ms, it has positions for {_TOKENS}",
                where=self.name,
                remedy="cut the recording into windows of at most 10 s",
            )
        cut = mel_B1MT[:, 0, :, : strips * _STRIP_FRAMES].reshape(B, M, strips, _STRIP_FRAMES)
        x_BND = self.patch_embed(cut.transpose(1, 2).flatten(2)) + self.pos_embed[:, 1 : 1 + strips]
        x_BND, blocks = run_blocks(self.blocks, x_BND, keep=keep)
        return Encoded(self.norm(x_BND), tuple(blocks), tuple(block[:, None] for block in blocks))
