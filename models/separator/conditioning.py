"""What the stage-2 SED model tells the separator: activity in time, and features at the bottleneck."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from .dprnn import DualPathRnn
from .film import mlp
from .presets import SeparatorConfig

_MOMENTUM = 0.01
_SLOPE = 0.01
_EPS = 1e-6


class Hints(NamedTuple):
    """What an SED model heard in a batch of mixtures; either part may be absent.

    Attributes:
        logits: Strong logits ``(batch, classes, frames)`` of every class.
        features: Feature maps ``(batch, maps, frequency, time, width)``: the patch embedding before its
            position is added, then every block's output; special tokens left out.
    """

    logits: Tensor | None = None
    features: Tensor | None = None


class Activity(nn.Module):
    """Embed when the wanted classes sound.

    Args:
        config: The separator's settings (`sed_input`, `sources`, `condition`).
    """

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        self.sed_input = config.sed_input
        self.embedding = mlp(config.sources, config.condition)

    def forward(self, logits_BKN: Tensor, labels_BSK: Tensor) -> Tensor:
        """Return ``(batch, frames, condition)``; a silent slot counts as logits of zero."""
        chosen_BSN = (labels_BSK.float()[..., None] * logits_BKN.float()[:, None]).sum(dim=2)
        if self.sed_input == "probabilities":
            chosen_BSN = chosen_BSN.sigmoid() * labels_BSK.sum(dim=2, keepdim=True)
        elif self.sed_input == "binary":
            chosen_BSN = (chosen_BSN > 0).float()
        embedded_BND: Tensor = self.embedding(chosen_BSN.transpose(1, 2))
        return embedded_BND


class Injection(nn.Module):
    """Join a learned mixture of SED features to the bottleneck.

    Args:
        config: The separator's settings (`injection`, `features`, `feature_width`, `channels`).
    """

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        width, channels = config.feature_width, config.channels[-1]
        self.layer_weights = nn.Parameter(torch.full((config.features,), 1 / config.features))
        self.norm = nn.BatchNorm2d(width, momentum=_MOMENTUM)
        self.merge = _Add(width, channels) if config.injection == "add" else _Concat(width, channels)

    def forward(self, x_BCTF: Tensor, features_BNFTD: Tensor) -> Tensor:
        """Return the bottleneck ``(batch, channels, frames, bins)`` with the features joined."""
        weights = self.layer_weights.softmax(dim=0).to(features_BNFTD.dtype)
        grid_BDTF = torch.einsum("n,bnftd->bdtf", weights, features_BNFTD)
        grid_BDTF = F.leaky_relu(self.norm(grid_BDTF), _SLOPE)
        grid_BDTF = F.interpolate(grid_BDTF, size=x_BCTF.shape[2:], mode="bilinear", align_corners=False)
        merged_BCTF: Tensor = self.merge(x_BCTF, grid_BDTF)
        return merged_BCTF


class _Add(nn.Module):
    """Project, standardise both maps per item and channel, add with learned weights."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, channels, 1)
        self.weight_centre = nn.Parameter(torch.ones(()))
        self.weight_features = nn.Parameter(torch.ones(()))

    def forward(self, x_BCTF: Tensor, grid_BDTF: Tensor) -> Tensor:
        projected = self.conv(grid_BDTF)
        return self.weight_centre * _standardise(x_BCTF) + self.weight_features * _standardise(projected)


class _Concat(nn.Module):
    """Project, stack both maps, normalise, mix back to the bottleneck's width."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, channels, 1)
        self.merge_norm = nn.BatchNorm2d(2 * channels, momentum=_MOMENTUM)
        self.merge_conv = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x_BCTF: Tensor, grid_BDTF: Tensor) -> Tensor:
        both = torch.cat((x_BCTF, self.conv(grid_BDTF)), dim=1)
        merged_BCTF: Tensor = self.merge_conv(F.leaky_relu(self.merge_norm(both), _SLOPE))
        return merged_BCTF


def _standardise(x_BCTF: Tensor) -> Tensor:
    x = x_BCTF.float()
    mean = x.mean(dim=(2, 3), keepdim=True)
    return (x - mean) / (x.std(dim=(2, 3), keepdim=True) + _EPS)


class Middle(nn.Module):
    """The bottleneck of one separator: injection and dual-path RNN in the asked order.

    Args:
        config: The separator's settings (`injection`, `dprnn`).
    """

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        self.order = config.dprnn
        self.injection = Injection(config) if config.injection != "none" else None
        channels = config.channels[-1]
        self.dprnn = (
            DualPathRnn(channels, config.dprnn_hidden, config.dprnn_blocks)
            if config.dprnn != "none"
            else None
        )

    def forward(self, x_BCTF: Tensor, features_BNFTD: Tensor | None) -> Tensor:
        """Return a map of the same shape."""
        if self.dprnn is not None and self.order == "before":
            x_BCTF = self.dprnn(x_BCTF)
        if self.injection is not None and features_BNFTD is not None:
            x_BCTF = self.injection(x_BCTF, features_BNFTD)
        if self.dprnn is not None and self.order == "after":
            x_BCTF = self.dprnn(x_BCTF)
        return x_BCTF
