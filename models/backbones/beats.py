"""BEATs: a post-norm transformer with a convolutional and a gated relative position."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from ..frontends import BeatsFrontend
from .base import Backbone, Encoded, grid, require_frames

_PATCH = 16
_ROWS = 8
_BUCKETS = 320
_EXACT = 80
_MAX_DISTANCE = 800
_KERNEL = 128
_GROUPS = 16
_GATES = 8
_LAYER_DROP = 0.05


class Beats(Backbone):
    """Audio pre-training with acoustic tokenizers, iteration 3+; any clip of at least 16 frames.

    Args:
        dim: Width of the tokens.
        depth: Number of blocks.
        heads: Attention heads.
        patch_dim: Width of the patch embedding before it is projected to `dim`.
        dropout: Dropout and attention dropout while training.
        layer_drop: Share of blocks left out while training.
    """

    name = "beats"

    def __init__(
        self,
        *,
        dim: int = 768,
        depth: int = 12,
        heads: int = 12,
        patch_dim: int = 512,
        dropout: float = 0.1,
        layer_drop: float = _LAYER_DROP,
    ) -> None:
        super().__init__()
        self.sequence_dim = self.feature_dim = dim
        self.feature_maps = depth
        self.dropout, self.layer_drop = dropout, layer_drop
        self.frontend = BeatsFrontend()
        self.patch_embedding = nn.Conv2d(1, patch_dim, _PATCH, stride=_PATCH, bias=False)
        self.layer_norm = nn.LayerNorm(patch_dim)
        self.post_extract_proj = nn.Linear(patch_dim, dim)
        self.pos_conv = PositionalConv(dim)
        self.embed_norm = nn.LayerNorm(dim)
        self.relative_attention_bias = nn.Embedding(_BUCKETS, heads)
        alpha = (2 * depth) ** 0.25
        self.blocks = nn.ModuleList(BeatsBlock(dim, heads, alpha, dropout) for _ in range(depth))
        for block in self.blocks:
            init_deep_norm(block, depth)

    def encode_mel(self, mel_B1MT: Tensor, *, keep: bool = False) -> Encoded:
        """Return the encoded clip.

        Raises:
            ModelError: Less than one column of patches.
        """
        require_frames(mel_B1MT, _PATCH, self.name)
        x_BND = self.patch_embedding(mel_B1MT.transpose(2, 3)).flatten(2).transpose(1, 2)
        x_BND = self._drop(self.post_extract_proj(self.layer_norm(x_BND)))
        x_BND = self._drop(self.embed_norm(x_BND + self.pos_conv(x_BND)))
        bias_HNN = self._relative_bias(x_BND.shape[1])
        blocks: list[Tensor] = []
        for block in self.blocks:
            x_BND = self._maybe_skip(x_BND, block(x_BND, bias_HNN))
            if keep:
                blocks.append(x_BND)
        maps = tuple(grid(block, _ROWS, time_major=True) for block in blocks)
        return Encoded(x_BND, tuple(blocks), maps)

    def _drop(self, x: Tensor) -> Tensor:
        return nnf.dropout(x, self.dropout, self.training)

    def _maybe_skip(self, before: Tensor, after: Tensor) -> Tensor:
        """Choose by tensor operations: a Python branch on a random number would break a compiled step."""
        if not self.training or self.layer_drop == 0.0:
            return after
        return torch.where(torch.rand((), device=after.device) < self.layer_drop, before, after)

    def _relative_bias(self, tokens: int) -> Tensor:
        """Return the table's entry for every pair of tokens ``(heads, tokens, tokens)``, key minus query."""
        device = self.relative_attention_bias.weight.device
        at = torch.arange(tokens, device=device)
        per_distance = self.relative_attention_bias(_bucket(torch.arange(1 - tokens, tokens, device=device)))
        pairs_NNH: Tensor = per_distance[at[None, :] - at[:, None] + tokens - 1]
        return pairs_NNH.permute(2, 0, 1)


class PositionalConv(nn.Module):
    """gelu(grouped convolution over tokens), its weight normalised per tap.

    Args:
        dim: Width of the tokens, a multiple of 16.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.weight_v = nn.Parameter(torch.empty(dim, dim // _GROUPS, _KERNEL))
        nn.init.normal_(self.weight_v, std=math.sqrt(4.0 / (_KERNEL * dim)))
        self.weight_g = nn.Parameter(self.weight_v.detach().norm(dim=(0, 1), keepdim=True))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x_BND: Tensor) -> Tensor:
        """Return the positional part ``(batch, tokens, dim)``, to be added."""
        weight = self.weight_v * (self.weight_g / self.weight_v.norm(dim=(0, 1), keepdim=True))
        y_BDN = nnf.conv1d(x_BND.transpose(1, 2), weight, self.bias, padding=_KERNEL // 2, groups=_GROUPS)
        return nnf.gelu(y_BDN[..., :-1]).transpose(1, 2)  # an even kernel gives one token too many


class BeatsAttention(nn.Module):
    """Self-attention whose relative bias is scaled by a gate per head and query."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.q_proj = nn.Linear(dim, dim)
        self.k_proj = nn.Linear(dim, dim)
        self.v_proj = nn.Linear(dim, dim)
        self.out_proj = nn.Linear(dim, dim)
        self.grep_linear = nn.Linear(dim // heads, _GATES)
        self.grep_a = nn.Parameter(torch.ones(1, heads, 1, 1))

    def forward(self, x_BND: Tensor, bias_HNN: Tensor) -> Tensor:
        """Return tokens mixed with each other; `bias_HNN` is per head, query and key."""
        B, N, D = x_BND.shape
        q, k, v = (
            proj(x_BND).view(B, N, self.heads, -1).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        gates = self.grep_linear(q).view(B, self.heads, N, 2, _GATES // 2).sum(-1).sigmoid()
        a_BHN, b_BHN = gates.unbind(-1)
        scale_BHN1 = (a_BHN * (b_BHN * self.grep_a[..., 0] - 1.0) + 2.0)[..., None]
        mask = (scale_BHN1 * bias_HNN).to(q.dtype)
        dropout = self.dropout if self.training else 0.0
        mixed = nnf.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)
        out_BND: Tensor = self.out_proj(mixed.transpose(1, 2).reshape(B, N, D))
        return out_BND


class BeatsBlock(nn.Module):
    """Post-norm block with deep-norm residuals: LN(alpha x + f(x))."""

    def __init__(self, dim: int, heads: int, alpha: float, dropout: float) -> None:
        super().__init__()
        self.alpha, self.dropout = alpha, dropout
        self.self_attn = BeatsAttention(dim, heads, dropout)
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.fc2 = nn.Linear(4 * dim, dim)
        self.final_layer_norm = nn.LayerNorm(dim)

    def forward(self, x_BND: Tensor, bias_HNN: Tensor) -> Tensor:
        """Return tokens ``(batch, tokens, dim)``."""
        heard = nnf.dropout(self.self_attn(x_BND, bias_HNN), self.dropout, self.training)
        x_BND = self.self_attn_layer_norm(self.alpha * x_BND + heard)
        thought = nnf.dropout(self.fc2(nnf.gelu(self.fc1(x_BND))), self.dropout, self.training)
        out_BND: Tensor = self.final_layer_norm(self.alpha * x_BND + thought)
        return out_BND


def init_deep_norm(block: nn.Module, depth: int) -> None:
    """Initialise as deep-norm asks: value, output and feed-forward weights small by (8 depth)^-1/4."""
    for name, module in block.named_modules():
        if isinstance(module, nn.Linear):
            small = name.rpartition(".")[2] in ("v_proj", "out_proj", "fc1", "fc2")
            nn.init.xavier_normal_(module.weight, gain=(8 * depth) ** -0.25 if small else 1.0)
            nn.init.zeros_(module.bias)


def _bucket(distance: Tensor) -> Tensor:
    """Return the bucket of key minus query: exact below 80, logarithmic to 800; keys ahead have their own."""
    size = distance.abs()
    half = _BUCKETS // 2
    log_ratio = torch.log(size.clamp_min(1).float() / _EXACT) / math.log(_MAX_DISTANCE / _EXACT)
    far = (_EXACT + (log_ratio * (half - _EXACT)).long()).clamp_max(half - 1)
    return torch.where(size < _EXACT, size, far) + half * (distance > 0)
