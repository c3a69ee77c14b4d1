"""Our own files: safetensors that carry the settings of their net, a JSON description, a model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import ModelError
from ..weights import UNUSED_PREFIX, load_weights, read_safetensors
from .files import staged, write_json, write_text
from .registry import build, describe

_FORMAT = 1
_ENTRY = "s5kit"
_MAX_DESCRIPTION = 1 << 20


@dataclass
class Origin:
    """Where weights come from.

    Attributes:
        source: File or run that they come from.
        licence: Their licence, as stated there.
        share: Whether that licence lets them be passed on.
        notes: Anything else, JSON values.
    """

    source: str = "trained with s5kit"
    licence: str = "not stated"
    share: bool = True
    notes: dict[str, Any] = field(default_factory=dict)


def save_model(
    model: nn.Module,
    path: str | Path,
    *,
    origin: Origin | None = None,
    unused: Mapping[str, Tensor] | None = None,
) -> Path:
    """Save a net.

    Args:
        model: A net of ours.
        path: ``X.safetensors``, with ``X.json`` and ``X.md`` beside it; or a folder, as the Hub has it:
            ``model.safetensors``, ``config.json``, ``README.md``.
        origin: Where the weights come from; None takes what the net was loaded with.
        unused: Tensors that only the reference has, kept for writing its files back.

    Returns:
        The safetensors file.

    Raises:
        ModelError: A net that cannot be described, or a name without ``.safetensors``.
        OSError: The file system refuses.
    """
    weights, sidecar, card = _places(path)
    weights.parent.mkdir(parents=True, exist_ok=True)
    origin = origin or getattr(model, "origin", None) or Origin()
    family, config = describe(model)
    description = {"format": _FORMAT, "family": family, "config": config, "origin": vars(origin)}
    spare = {UNUSED_PREFIX + key: tensor for key, tensor in (unused or {}).items()}
    tensors = apart(model.state_dict() | spare)
    with staged(weights) as temporary:
        save_file(tensors, temporary, metadata={_ENTRY: json.dumps(description), "format": "pt"})
    write_json(sidecar, description)
    write_text(card, _card(description, sum(p.numel() for p in model.parameters())))
    return weights


def load_model(path: str | Path, *, device: torch.device | str = "cpu") -> nn.Module:
    """Load a net that was saved by `save_model`, in evaluation mode.

    Args:
        path: The safetensors file, or the folder.
        device: Where to put it.

    Raises:
        ModelError: No such file, not one of ours, or weights that do not fit.
    """
    weights = _places(path)[0]
    description = read_description(weights)
    model = build(description["family"], description["config"])
    load_weights(model, weights)
    model.origin = _origin(description)  # type: ignore[assignment]
    return model.to(device).eval()


def load_unused(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a file of ours that only the reference has."""
    tensors = read_safetensors(_places(path)[0])
    return {
        key.removeprefix(UNUSED_PREFIX): tensor
        for key, tensor in tensors.items()
        if key.startswith(UNUSED_PREFIX)
    }


def read_description(weights: Path) -> dict[str, Any]:
    """Return family, settings and origin from a safetensors file of ours.

    Raises:
        ModelError: Not a safetensors file, or not one of ours.
    """
    try:
        with safe_open(weights, framework="pt") as file:
            text = (file.metadata() or {}).get(_ENTRY, "")
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"not a readable safetensors file: {error}", where=weights, remedy="give a file saved by s5kit"
        ) from error
    try:
        description = json.loads(text) if len(text) <= _MAX_DESCRIPTION else None
    except (ValueError, RecursionError):
        description = None
    if not isinstance(description, dict) or description.get("format") != _FORMAT:
        raise ModelError(
            "does not say which net it holds",
            where=weights,
            remedy="import it with `s5kit weights import`, or save it with save_model",
        )
    if not isinstance(description.get("family"), str) or not isinstance(description.get("config"), dict):
        raise ModelError("its description is damaged", where=weights, remedy="save the model again")
    return description


def apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors on the CPU that share no memory, as the format wants them."""
    out: dict[str, Tensor] = {}
    seen: set[int] = set()
    for key, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        place = tensor.untyped_storage().data_ptr()
        out[key] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return out


def _origin(description: Mapping[str, Any]) -> Origin:
    values = description.get("origin")
    known = Origin.__dataclass_fields__
    return Origin(**{k: v for k, v in values.items() if k in known}) if isinstance(values, dict) else Origin()


def _places(path: str | Path) -> tuple[Path, Path, Path]:
    path = Path(path)
    if path.suffix == ".safetensors":
        return path, path.with_suffix(".json"), path.with_suffix(".md")
    if path.suffix and not path.is_dir():
        raise ModelError(
            f"cannot save as {path.suffix}", where=path, remedy="name it X.safetensors, or give a folder"
        )
    return path / "model.safetensors", path / "config.json", path / "README.md"


def _card(description: Mapping[str, Any], parameters: int) -> str:
    origin, family = description["origin"], description["family"]
    settings = "\n".join(f"- `{key}`: `{value}`" for key, value in description["config"].items())
    passing = (
        ""
        if origin["share"]
        else "\n**These weights may not be passed on**: see the licence of their origin.\n"
    )
    return f"""---
library_name: s5kit
license: other
license_name: {json.dumps(origin["licence"])}
tags:
- audio
- {"audio-classification" if family in ("sed", "tagger", "backbone") else "source-separation"}
---
# {family.replace("_", " ")}

{parameters:,} parameters, for 32 kHz sound scenes (DCASE Task 4).

- Weights from: {origin["source"]}
- Licence of the weights, as stated there: {origin["licence"]}
{passing}
## Use

```python
from models import load_model

net = load_model("model.safetensors")
```

## Settings

{settings}
"""
