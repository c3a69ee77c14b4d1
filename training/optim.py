"""Which parameter learns how fast, and when: groups, optimisers, schedules.

A parameter tensor of two and more axes decays (weight decay), one of fewer never does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import torch
from torch import nn

from models import GuidedSeparator, Separator

from .sections import OptimSection, ScheduleSection, SedOptimSection, SeparatorOptimSection
from .task import Group

_STAIRS = (0.001, 0.01, 0.1)

Named = Iterable[tuple[str, nn.Parameter]]


class Layered(Protocol):
    """A net that says which block each parameter learns with: `SedModel`, `Tagger`."""

    backbone: nn.Module

    def layer_of(self, parameter: str) -> int | None:
        """Return the block, 1 at the bottom, or None for the head."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield names and parameters."""
        ...


def sed_groups(model: Layered, optim: SedOptimSection) -> list[Group]:
    """Return the groups of a first-stage model: the head, then the blocks from the top.

    The head learns at `lr`, the i-th block from the top at ``lr * layer_decay**i``: i = 1 is the top block with the
    final norm, the last i block 0 with everything below it. Frozen parameters are in no group.
    """
    named = list(model.named_parameters())
    head = [(name, p) for name, p in named if model.layer_of(name) is None]
    groups = _split("head", head, optim.lr, optim.weight_decay)
    return groups + _blocks(model, optim.lr, optim.layer_decay, optim.weight_decay)


def separator_groups(model: Separator | GuidedSeparator, optim: SeparatorOptimSection) -> list[Group]:
    """Return the groups of a separator: what AudioSep brings, what is new, the recurrence, the guide's blocks.

    The guide's heads are in no group, as in the seed system: they stay as its own training left them.
    """
    separator = model.separator if isinstance(model, GuidedSeparator) else model
    parts: dict[str, list[tuple[str, nn.Parameter]]] = {"pretrained": [], "new": [], "dprnn": []}
    for name, parameter in separator.named_parameters():
        parts[separator.group_of(name)].append((name, parameter))
    rates = {"pretrained": optim.lr_pretrained, "new": optim.lr_new, "dprnn": optim.lr_dprnn}
    decay = optim.weight_decay
    groups = [group for part in parts for group in _split(part, parts[part], rates[part], decay)]
    if isinstance(model, GuidedSeparator):
        guide = _blocks(model.sed, optim.lr_sed, optim.sed_decay, decay)
        groups += [{**group, "name": f"guide_{group['name']}"} for group in guide]
    return groups


def make_optimizer(groups: list[Group], optim: OptimSection) -> torch.optim.Optimizer:
    """Return Adam or AdamW over the groups; every group keeps its own `lr` and `weight_decay`."""
    kind = torch.optim.AdamW if optim.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, betas=optim.betas, eps=optim.eps, amsgrad=optim.amsgrad)


def factor(step: int, schedule: ScheduleSection, steps: int) -> float:
    """Return what multiplies every learning rate in optimiser step `step`, counted from 0.

    - cosine: ``step / warmup``, then ``(1 + cos(pi p)) / 2`` with p from 0 to 1 over the remaining steps
    - staircase: 0.001, 0.01, 0.1 in equal thirds of the warm-up, then 1 (AudioSep)
    - constant: ``step / warmup``, then 1

    Args:
        step: From 0. With a warm-up the first step does not move the weights, as in the references.
        schedule: The section of the configuration.
        steps: Steps of the whole run.
    """
    warmup = schedule.warmup_steps
    if schedule.kind == "staircase":
        return _STAIRS[step * len(_STAIRS) // warmup] if step < warmup else 1.0
    if step < warmup:
        return step / warmup
    if schedule.kind == "constant":
        return 1.0
    progress = min((step - warmup) / (steps - warmup), 1.0)
    return 0.5 * (1 + math.cos(math.pi * progress))


def freeze_ungrouped(model: nn.Module, groups: Iterable[Mapping[str, list[nn.Parameter]]]) -> None:
    """Switch off the gradients of parameters that no group trains, so that nothing computes or reduces them."""
    trained = {id(parameter) for group in groups for parameter in group["params"]}
    for parameter in model.parameters():
        if id(parameter) not in trained:
            parameter.requires_grad_(False)


def _blocks(model: Layered, lr: float, layer_decay: float, weight_decay: float) -> list[Group]:
    depth = len(model.backbone.blocks)  # type: ignore[arg-type]
    layers: dict[int, list[tuple[str, nn.Parameter]]] = {layer: [] for layer in range(depth, 0, -1)}
    for name, parameter in model.named_parameters():
        layer = model.layer_of(name)
        if layer is not None:
            layers[layer].append((name, parameter))
    return [
        group
        for layer, named in layers.items()
        for group in _split(f"block{layer - 1}", named, lr * layer_decay ** (depth + 1 - layer), weight_decay)
    ]


def _split(name: str, named: Named, lr: float, weight_decay: float) -> list[Group]:
    wide = [p for _, p in named if p.requires_grad and p.ndim >= 2]
    flat = [p for _, p in named if p.requires_grad and p.ndim < 2]
    both = ((name, wide, weight_decay), (f"{name}_1d", flat, 0.0))
    return [
        {"name": label, "params": params, "lr": lr, "weight_decay": decay}
        for label, params, decay in both
        if params
    ]
