"""An optimiser's state as tensors under the names of the parameters, and back: no ids, no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from synth import SynthError

_REMEDY = "continue with the version and the configuration that wrote it, or choose another `out`"
_ADAM = {"step", "exp_avg", "exp_avg_sq"}


def flatten(optimizer: torch.optim.Optimizer, model: nn.Module) -> tuple[dict[str, Tensor], list[list[str]]]:
    """Return an optimiser's tensors as `{state name}/{parameter name}`, and its groups as names.

    Args:
        optimizer: One whose state is tensors only, as Adam's is.
        model: The bare net whose parameters it trains.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = [[names[id(p)] for p in group["params"]] for group in optimizer.param_groups]
    tensors = {
        f"{key}/{names[id(parameter)]}": torch.as_tensor(value)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }
    return tensors, groups


def restore(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    groups: list[list[str]],
    where: Path,
) -> None:
    """Put a flattened state back; rates and the like stay those of the configuration.

    Raises:
        SynthError: Groups, names or shapes are not those of this optimiser.
    """
    _, own = flatten(optimizer, model)
    if groups != own:
        raise SynthError("its parameter groups are not those of this run", where=where, remedy=_REMEDY)
    order = [name for group in own for name in group]
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    states: dict[int, dict[str, Tensor]] = {}
    numbers = {name: number for number, name in enumerate(order)}
    for entry, tensor in tensors.items():
        key, _, name = entry.partition("/")
        if name not in numbers:
            raise SynthError(f"{entry} belongs to no trained parameter", where=where, remedy=_REMEDY)
        if tensor.shape not in (shapes[name], torch.Size([])):
            raise SynthError(
                f"{entry} has shape {tuple(tensor.shape)}, expected {tuple(shapes[name])}",
                where=where,
                remedy=_REMEDY,
            )
        states.setdefault(numbers[name], {})[key] = tensor
    for number, state in states.items():
        if state.keys() != _keys(optimizer):
            raise SynthError(
                f"{order[number]} has {', '.join(sorted(state))}, expected {', '.join(sorted(_keys(optimizer)))}",
                where=where,
                remedy=_REMEDY,
            )
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})


def _keys(optimizer: torch.optim.Optimizer) -> set[str]:
    return _ADAM | ({"max_exp_avg_sq"} if optimizer.param_groups[0].get("amsgrad") else set())
