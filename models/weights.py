"""Load our own weights, a safetensors file or a state dictionary, into a net: strictly, key by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from .errors import ModelError

UNUSED_PREFIX = "unused."
"""Marks tensors of a file that only the reference implementation has; they are kept for writing back."""

_SHOWN = 10


def load_weights(
    model: nn.Module,
    weights: str | Path | Mapping[str, Tensor],
    *,
    optional: tuple[str, ...] = (),
    where: str | None = None,
) -> list[str]:
    """Load weights in place.

    Args:
        model: The net.
        weights: Our safetensors file, or a state dictionary under our keys.
        optional: Beginnings of keys that may be absent or of another shape; those stay as they are.
        where: What to call the weights in a message, if not by their path.

    Returns:
        The keys that stayed as they were.

    Raises:
        ModelError: No such file, not a safetensors file, or keys that do not fit.
    """
    given = weights if isinstance(weights, Mapping) else read_safetensors(weights)
    where = where or ("state dictionary" if isinstance(weights, Mapping) else str(weights))
    given = {key: tensor for key, tensor in given.items() if not key.startswith(UNUSED_PREFIX)}
    wanted = model.state_dict()
    misfits = {key: _misfit(key, given, wanted) for key in (*wanted, *sorted(given.keys() - wanted.keys()))}
    fresh = [key for key, fault in misfits.items() if fault and key.startswith(optional)]
    faults = [fault for key, fault in misfits.items() if fault and key not in fresh]
    if faults:
        listed = "".join(f"\n  {fault}" for fault in faults[:_SHOWN])
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise ModelError(
            f"{len(faults)} key(s) do not fit:{listed}{more}\n",
            where=where,
            remedy="check the name and options of the net, or convert the file with `s5kit weights import`",
        )
    model.load_state_dict({key: given[key] for key in wanted if key not in fresh}, strict=not fresh)
    return [key for key in fresh if key in wanted]


def read_safetensors(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        ModelError: There is no such file, or it is none of these.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"not a readable safetensors file: {error}",
            where=path,
            remedy="give a .safetensors file, made by `s5kit weights import` from a released checkpoint",
        ) from error


def _misfit(key: str, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str | None:
    if key not in given:
        return f"{key} is missing"
    if key not in wanted:
        return f"{key} is not a part of this net"
    got, expected = tuple(given[key].shape), tuple(wanted[key].shape)
    return None if got == expected else f"{key} has shape {got}, expected {expected}"
