"""Recompute a block's activations in the backward pass instead of keeping them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def recomputed(block: nn.Module, *inputs: Any) -> Tensor:
    """Call a block so that only its inputs are kept until the backward pass.

    Batch norms update their running statistics in the first pass only. The block must draw no random number.
    """
    if torch.compiler.is_compiling():  # the compiler functionalises the update, so it happens once
        out: Tensor = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)
        return out

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _untracked(block)

    out = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    return out


@contextmanager
def _untracked(block: nn.Module) -> Iterator[None]:
    norms = [m for m in block.modules() if isinstance(m, nn.BatchNorm2d)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, counter) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter
