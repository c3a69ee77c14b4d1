"""Feature-wise modulation: what the wanted labels and their activity in time do to every norm of the net."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from .presets import SeparatorConfig


class Modulation(NamedTuple):
    """``scale * norm(x) + shift``, each ``(B, C, 1 or frames, 1)``; no scale means 1."""

    shift: Tensor
    scale: Tensor | None = None


class Site(NamedTuple):
    """One norm of the net that is modulated: its name, its channels, how often time was halved before it."""

    name: str
    channels: int
    halvings: int


def sites(channels: tuple[int, ...]) -> Iterator[Site]:
    """List the 32 norms that are modulated, in the order of the forward pass."""
    halvings = (0, 1, 2, 3, 4, 5)  # the sixth level and the bottleneck pool frequency only
    width = channels[0]
    for level, out in enumerate(channels):
        yield Site(f"encoder{level + 1}_1", width, halvings[level])
        yield Site(f"encoder{level + 1}_2", out, halvings[level])
        width = out
    yield Site("bottleneck_1", width, halvings[-1])
    yield Site("bottleneck_2", width, halvings[-1])
    for step, level in enumerate(reversed(range(len(channels)))):
        out = channels[level]
        before = halvings[min(level + 1, len(channels) - 1)]
        yield Site(f"decoder{step + 1}_up", width, before)
        yield Site(f"decoder{step + 1}_1", 2 * out, halvings[level])
        yield Site(f"decoder{step + 1}_2", out, halvings[level])
        width = out


def mlp(inputs: int, width: int) -> nn.Sequential:
    """Return the two-layer embedding of labels or activities: linear, LayerNorm, ReLU, twice."""
    return nn.Sequential(
        nn.Linear(inputs, width),
        nn.LayerNorm(width),
        nn.ReLU(),
        nn.Linear(width, width),
        nn.LayerNorm(width),
        nn.ReLU(),
    )


class Film(nn.Module):
    """One linear layer per modulated norm, from the label condition and, if asked, from activity in time.

    Args:
        config: The separator's settings; `time_film` chooses what activity does:

            - ``additive``: ``norm(x) + label + time``
            - ``multiplicative``: ``sigmoid(time) * (norm(x) + label)``
            - ``scale_shift``: ``(1 + scale) * (norm(x) + label) + shift``, both from layers of their own
    """

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        self.mode = config.time_film
        self.sites = tuple(sites(config.channels))
        self.label = nn.ModuleDict({s.name: _linear(config.condition, s.channels) for s in self.sites})
        if self.mode == "scale_shift":
            self.time = nn.ModuleDict({s.name: _linear(config.condition, 2 * s.channels) for s in self.sites})

    def forward(self, condition_BD: Tensor, time_BND: Tensor | None, frames: int) -> Mapping[str, Modulation]:
        """Return the modulation of every norm.

        Args:
            condition_BD: Label condition.
            time_BND: Embedded activity per SED frame, or None for labels alone.
            frames: STFT frames of the padded input.
        """
        out = {}
        for site in self.sites:
            label = self.label[site.name](condition_BD)[:, :, None, None]
            if self.mode == "none" or time_BND is None:
                out[site.name] = Modulation(label)
            else:
                out[site.name] = self._in_time(site, label, time_BND, frames >> site.halvings)
        return out

    def _in_time(self, site: Site, label: Tensor, time_BND: Tensor, frames: int) -> Modulation:
        layers = self.time if self.mode == "scale_shift" else self.label
        activity = layers[site.name](time_BND).transpose(1, 2)
        activity = F.interpolate(activity, size=frames, mode="linear", align_corners=False)[..., None]
        if self.mode == "additive":
            return Modulation(label + activity)
        if self.mode == "multiplicative":
            scale = activity.sigmoid()
            return Modulation(scale * label, scale)
        gain, shift = activity.chunk(2, dim=1)
        return Modulation((1 + gain) * label + shift, 1 + gain)


def modulate(x_BCTF: Tensor, modulation: Modulation) -> Tensor:
    """Apply a modulation to a normalised map."""
    if modulation.scale is None:
        return x_BCTF + modulation.shift
    return torch.addcmul(modulation.shift, x_BCTF, modulation.scale)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
