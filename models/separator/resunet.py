"""The ResUNet: a six-level residual U-Net over spectrograms, modulated at every norm."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from .film import Modulation, modulate
from .recompute import recomputed

_MOMENTUM = 0.01
_SLOPE = 0.01
TIME_MULTIPLE = 32
"""The frames of the input are a multiple of this."""


class ResUNet(nn.Module):
    """Encoder, bottleneck and decoder; a stage at the bottleneck is handed to `forward`.

    Args:
        inputs: Input maps (microphones and fed-back estimates).
        outputs: Output maps.
        channels: Widths of the six levels.
        checkpointed: Outer levels whose activations are computed again in the backward pass.
    """

    def __init__(
        self, inputs: int, outputs: int, channels: tuple[int, ...], *, checkpointed: int = 0
    ) -> None:
        super().__init__()
        self.checkpointed = checkpointed
        self.pre_conv = _plain_conv(inputs, channels[0])
        widths = (channels[0], *channels)
        self.encoders = nn.ModuleList(
            ConvBlock(before, after) for before, after in zip(widths, channels, strict=False)
        )
        self.bottleneck = ConvBlock(channels[-1], channels[-1])
        outs = channels[::-1]
        self.decoders = nn.ModuleList(
            Decoder(before, after, (1, 2) if step == 0 else (2, 2))
            for step, (before, after) in enumerate(zip((channels[-1], *outs), outs, strict=False))
        )
        self.after_conv = _plain_conv(channels[0], outputs)

    def forward(
        self,
        x_BCTF: Tensor,
        film: Mapping[str, Modulation],
        middle: nn.Module | None = None,
        middle_input: Tensor | None = None,
    ) -> Tensor:
        """Return maps ``(batch, outputs, frames, bins)``.

        Args:
            x_BCTF: ``(batch, inputs, frames, bins)``, frames a multiple of 32, bins of 64.
            film: A modulation per name in `film.sites`.
            middle: Called as ``middle(bottleneck, middle_input)`` before decoding.
            middle_input: Its second argument.
        """
        x = self.pre_conv(x_BCTF)
        skips = []
        for level, encoder in enumerate(self.encoders):
            name = f"encoder{level + 1}"
            x = self._run(level, encoder, x, film[f"{name}_1"], film[f"{name}_2"])
            skips.append(x)
            x = F.avg_pool2d(x, (1, 2) if level == len(self.encoders) - 1 else (2, 2))
        x = self.bottleneck(x, film["bottleneck_1"], film["bottleneck_2"])
        if middle is not None:
            x = middle(x, middle_input)
        for step, decoder in enumerate(self.decoders):
            name, level = f"decoder{step + 1}", len(skips) - 1
            modulations = (film[f"{name}_up"], film[f"{name}_1"], film[f"{name}_2"])
            x = self._run(level, decoder, x, skips.pop(), *modulations)
        out: Tensor = self.after_conv(x)
        return out

    def _run(self, level: int, block: nn.Module, *inputs: Tensor | Modulation) -> Tensor:
        if level < self.checkpointed and torch.is_grad_enabled():
            return recomputed(block, *inputs)
        out: Tensor = block(*inputs)
        return out


class ConvBlock(nn.Module):
    """Two pre-activated 3x3 convolutions with a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, momentum=_MOMENTUM)
        self.conv1 = _conv(inputs, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs, momentum=_MOMENTUM)
        self.conv2 = _conv(outputs, outputs, 3)
        self.shortcut = _plain_conv(inputs, outputs) if inputs != outputs else None

    def forward(self, x_BCTF: Tensor, first: Modulation, second: Modulation) -> Tensor:
        """Return ``(batch, outputs, frames, bins)``."""
        y: Tensor = self.conv1(activate(self.bn1, x_BCTF, first))
        y = self.conv2(activate(self.bn2, y, second))
        return y.add_(x_BCTF if self.shortcut is None else self.shortcut(x_BCTF))


class Decoder(nn.Module):
    """Upsample, join the encoder's map of the same size, convolve."""

    def __init__(self, inputs: int, outputs: int, upsample: tuple[int, int]) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, momentum=_MOMENTUM)
        self.conv1 = nn.ConvTranspose2d(inputs, outputs, upsample, stride=upsample, bias=False)
        nn.init.xavier_uniform_(self.conv1.weight)
        self.block = ConvBlock(2 * outputs, outputs)

    def forward(
        self, x_BCTF: Tensor, skip: Tensor, up: Modulation, first: Modulation, second: Modulation
    ) -> Tensor:
        """Return a map of the size of `skip`."""
        x = self.conv1(activate(self.bn1, x_BCTF, up))
        out: Tensor = self.block(torch.cat((x, skip), dim=1), first, second)
        return out


def activate(norm: nn.BatchNorm2d, x_BCTF: Tensor, modulation: Modulation) -> Tensor:
    """Normalise, modulate, and pass through a leaky ReLU."""
    if norm.training or torch.is_grad_enabled() or x_BCTF.dtype != torch.float32:
        return F.leaky_relu(modulate(norm(x_BCTF), modulation), _SLOPE)
    folded = _folded(norm, modulation)
    return F.leaky_relu(modulate(x_BCTF, folded), _SLOPE, inplace=True)


def _folded(norm: nn.BatchNorm2d, modulation: Modulation) -> Modulation:
    """Take the norm's statistics into the modulation: one pass over the map instead of three."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.weight * (norm.running_var + norm.eps).rsqrt())[:, None, None]
    shift = norm.bias[:, None, None] - norm.running_mean[:, None, None] * scale
    if modulation.scale is None:
        return Modulation(modulation.shift + shift, scale)
    return Modulation(modulation.shift + modulation.scale * shift, modulation.scale * scale)


def _conv(inputs: int, outputs: int, size: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return layer


def _plain_conv(inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 1)
    nn.init.xavier_uniform_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
