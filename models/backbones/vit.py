"""The pre-norm transformer block that M2D, ATST-F, fPaSST and ASiT share (ViT-B: 12 x 768, 12 heads)."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn import functional as nnf

LAYER_NORM_EPS = 1e-6


class Attention(nn.Module):
    """Multi-head self-attention, queries, keys and values from one projection.

    Args:
        dim: Width of the tokens.
        heads: Number of heads; divides `dim`.
        qkv_bias: Whether the joint projection has a bias.
    """

    def __init__(self, dim: int, heads: int, *, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        """Return tokens ``(batch, tokens, dim)`` mixed with each other."""
        B, N, D = x_BND.shape
        q, k, v = self.qkv(x_BND).view(B, N, 3, self.heads, D // self.heads).permute(2, 0, 3, 1, 4)
        mixed_BHNE = nnf.scaled_dot_product_attention(q, k, v)
        out_BND: Tensor = self.proj(mixed_BHNE.transpose(1, 2).reshape(B, N, D))
        return out_BND


class Mlp(nn.Module):
    """Two linear layers with an exact (erf) GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        """Return tokens ``(batch, tokens, dim)``, each changed by itself."""
        out_BND: Tensor = self.fc2(nnf.gelu(self.fc1(x_BND)))
        return out_BND


class Block(nn.Module):
    """x += attention(norm x); x += mlp(norm x)."""

    def __init__(self, dim: int, heads: int, *, qkv_bias: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.attn = Attention(dim, heads, qkv_bias=qkv_bias)
        self.norm2 = nn.LayerNorm(dim, eps=LAYER_NORM_EPS)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, x_BND: Tensor) -> Tensor:
        """Return tokens ``(batch, tokens, dim)``."""
        x_BND = x_BND + self.attn(self.norm1(x_BND))
        x_BND = x_BND + self.mlp(self.norm2(x_BND))
        return x_BND


class PatchEmbed(nn.Module):
    """One convolution whose stride is its kernel; what does not fill a patch is left out.

    Args:
        patch: Height and width of a patch.
        dim: Width of the tokens.
    """

    def __init__(self, patch: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, dim, patch, stride=patch)

    def forward(self, image_B1HW: Tensor) -> Tensor:
        """Return tokens on their grid ``(batch, rows, columns, dim)``."""
        tokens_BHWD: Tensor = self.proj(image_B1HW).permute(0, 2, 3, 1)
        return tokens_BHWD


def run_blocks(blocks: Iterable[nn.Module], x_BND: Tensor, *, keep: bool) -> tuple[Tensor, list[Tensor]]:
    """Run tokens through blocks.

    Returns:
        The last output and, if `keep`, every block's output.
    """
    outputs: list[Tensor] = []
    for block in blocks:
        x_BND = block(x_BND)
        if keep:
            outputs.append(x_BND)
    return x_BND, outputs


def init_vit(module: nn.Module) -> None:
    """Initialise as ViTs are: linear weights from a normal of std 0.02 cut at two sigma, biases zero."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
