"""Weights that a run starts from: found, or said to be missing before anything else is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from models import ModelError, load_model, load_weights
from synth import SynthError

_BACKBONE = "backbone."


def found(path: Path, key: str, how: str) -> Path:
    """Return the path of weights that a configuration names.

    Args:
        path: The file, or the folder of a saved model.
        key: The configuration's key.
        how: How to get it, as one sentence.

    Raises:
        SynthError: There is no such file.
    """
    if not path.exists():
        raise SynthError(
            "there are no such weights",
            where=f"{key}: {path}",
            remedy=f"{how}, or give {key}=null to start fresh",
        )
    return path


def file_of(path: Path) -> Path:
    """Return the safetensors file of a saved net, which may be given as its folder."""
    return path / "model.safetensors" if path.is_dir() else path


def saved_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a net of ours under its own names.

    Raises:
        ModelError: It is no file of ours.
    """
    return dict(load_model(path).state_dict())


def load_backbone(model: nn.Module, path: Path) -> None:
    """Load a saved net's backbone into a net with another head; that head stays fresh.

    Args:
        model: Has a `backbone`.
        path: A saved SED model, tagger or bare backbone.

    Raises:
        ModelError: Its backbone does not fit.
    """
    state = saved_state(path)
    if not any(key.startswith(_BACKBONE) for key in state):
        state = {f"{_BACKBONE}{key}": tensor for key, tensor in state.items()}
    own = model.state_dict()
    head = {key: tensor for key, tensor in own.items() if not key.startswith(_BACKBONE)}
    load_weights(
        model, {**head, **{k: t for k, t in state.items() if k.startswith(_BACKBONE)}}, where=str(path)
    )


def same_net(model: nn.Module, path: Path) -> bool:
    """Say whether a saved net has the parameters of `model`, name by name and shape by shape."""
    try:
        state = saved_state(path)
    except ModelError:
        return False
    own = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    return own == {key: tuple(tensor.shape) for key, tensor in state.items()}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[torch.device]:
    """Put a net into evaluation mode, without gradients, for a body; gives its device."""
    was = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield device_of(model)
    finally:
        model.train(was)


def device_of(model: nn.Module) -> torch.device:
    """Return where a net is."""
    return next(model.parameters()).device
