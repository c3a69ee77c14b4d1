"""From a published checkpoint to a net of ours, with an account of every key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import ModelError
from ..separator import SEPARATORS, SeparatorConfig, preset
from . import sed_keys, separator_keys
from .audiosep_start import start_from_audiosep
from .download import LICENCES
from .files import sha256_file, staged, write_json
from .reading import read_tensors
from .registry import build
from .report import Translation, check
from .saving import Origin, apart, load_model, load_unused, save_model

WEIGHT_KINDS = (
    "beats",
    "atst",
    "fpasst",
    "m2d",
    "asit",
    "audiosep",
    "baseline2025",
    "baseline2026",
    "cpjku-sed",
    "cpjku-separator",
)
"""Where a checkpoint can come from."""


@dataclass(frozen=True)
class Imported:
    """A checkpoint that became a net.

    Attributes:
        model: The net, in evaluation mode.
        translation: What became of every key.
        path: Where it was saved, or None.
    """

    model: nn.Module
    translation: Translation
    path: Path | None


def import_weights(
    path: str | Path,
    kind: str,
    out: str | Path | None = None,
    *,
    target: str | SeparatorConfig | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Imported:
    """Read a published checkpoint into a net of ours, and save it.

    Nothing in the file is executed. Beside ``X.safetensors`` come ``X.json``, ``X.md`` and ``X.report.json``.

    Args:
        path: The checkpoint.
        kind: Its origin, one of `WEIGHT_KINDS`.
        out: ``X.safetensors`` or a folder to save to; None to save nothing.
        target: With ``audiosep``: a separator preset, or settings, that shall start from these weights.
        settings: What names and shapes of the file do not tell (``head``, ``size``, ``time_film``, ...).
        seed: Draws the parameters that start fresh.

    Raises:
        ModelError: An unreadable or hostile file, keys that are unexpected or missing, shapes that differ.
    """
    source = Path(path)
    if kind not in WEIGHT_KINDS:
        raise ModelError(
            f"unknown origin {kind!r}", where="--as", remedy=f"choose one of {', '.join(WEIGHT_KINDS)}"
        )
    known = isinstance(target, SeparatorConfig) or target in SEPARATORS
    if target is not None and (kind != "audiosep" or not known):
        remedy = f"only audiosep can start another separator: one of {', '.join(SEPARATORS)}"
        raise ModelError(f"no way from {kind} to {target}", where="--target", remedy=remedy)
    state = read_tensors(source)
    translation = translate(state, kind, source=source, **dict(settings or {}))
    if target is not None:
        translation = start_from_audiosep(translation, preset(target) if isinstance(target, str) else target)
    _to_float32(translation)
    model = _load(translation, source, seed)
    saved = None
    if out is not None:
        origin = Origin(
            source=f"{source.name} ({kind})",
            notes={"sha256": sha256_file(source)},
            **LICENCES[kind],
        )
        saved = save_model(model, Path(out), origin=origin, unused=translation.unused)
        write_json(saved.with_suffix(".report.json"), translation.account())
    return Imported(model, translation, saved)


def translate(
    state: Mapping[str, Tensor], kind: str, *, source: Path | None = None, **settings: Any
) -> Translation:
    """Bring a checkpoint's tensors to our names; the rules are those of its origin."""
    separator = kind in ("audiosep", "cpjku-separator")
    if separator or (kind.startswith("baseline") and separator_keys.is_separator(state)):
        return separator_keys.translate(state, kind, **settings)
    if kind == "m2d" and source is not None:
        settings = {**sed_keys.m2d_settings(source), **settings}
    return sed_keys.translate(state, kind, **settings)


def export_reference(model: nn.Module, unused: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return a net's state under the names of the reference it comes from, whole.

    Raises:
        ModelError: A net or a part of one that the references do not have.
    """
    if isinstance(model, separator_keys.Separator | separator_keys.GuidedSeparator):
        return separator_keys.export(model, unused)
    if isinstance(model, sed_keys.Net):
        return sed_keys.export(model, unused)
    raise ModelError(
        f"the references have no {type(model).__name__}", where="model", remedy="export its parts one by one"
    )


def export_weights(source: str | Path, out: str | Path) -> Path:
    """Write a net of ours as a checkpoint that the reference's programs read.

    Args:
        source: A file or folder saved by `save_model` or `import_weights`.
        out: ``X.ckpt`` as the training programs write it (``state_dict``, keys behind ``model.``), ``X.pt`` or
            ``X.safetensors`` with the bare keys.

    Raises:
        ModelError: Another suffix, or a net that the references do not have.
    """
    out = Path(out)
    if out.suffix not in (".ckpt", ".pt", ".safetensors"):
        raise ModelError(
            f"cannot write {out.suffix}", where=out, remedy="name it X.ckpt, X.pt or X.safetensors"
        )
    model = load_model(source)
    state = {key: tensor.contiguous() for key, tensor in export_reference(model, load_unused(source)).items()}
    with staged(out) as temporary:
        if out.suffix == ".safetensors":
            save_file(apart(state), temporary)
        elif out.suffix == ".pt":
            torch.save(state, temporary)
        else:
            whole = any(key.startswith("model.") for key in state)
            torch.save(
                {"state_dict": state if whole else {f"model.{k}": v for k, v in state.items()}}, temporary
            )
    return out


def _load(translation: Translation, source: Path, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(translation.family, translation.config)
    own = model.state_dict()
    check(translation, own, where=str(source))
    model.load_state_dict({**own, **translation.tensors})
    return model.eval()


def _to_float32(translation: Translation) -> None:
    """Widen half-precision weights; what is stored otherwise is noted."""
    names = {ours: theirs for theirs, ours in translation.used.items()}
    for ours, tensor in translation.tensors.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            translation.tensors[ours] = tensor.float()
            translation.adapted.setdefault(
                names[ours], f"cast from {str(tensor.dtype).removeprefix('torch.')}"
            )
