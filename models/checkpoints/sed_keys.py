"""Names of the SED models' and taggers' parameters in the published checkpoints, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..backbones import BACKBONES, Backbone, create_backbone
from ..errors import ModelError
from ..heads import LinearHead, TrackHead
from ..sed import SedModel, create_sed
from ..taggers import Tagger, create_tagger
from .report import Translation
from .sed_leftovers import leftovers

ORIGINS = (*BACKBONES, "cpjku-sed", "baseline2025", "baseline2026")

Net = SedModel | Tagger | Backbone
Rules = tuple[tuple[str, str], ...]

# What stands before a backbone's parameters in the reference, and before the buffers beside it.
_PLACE = {
    "m2d": "model.m2d.backbone.",
    "atst": "model.atst.",
    "beats": "model.beats.",
    "fpasst": "model.fpasst.",
    "asit": "model.asit.",
}
_ROOT = {**_PLACE, "m2d": "model.m2d.", "atst": "model."}

# Our name -> the reference's, the first rule that fits; other names are the same.
_BACKBONE: dict[str, Rules] = {
    "atst": ((r"^norm\.", "norm_frame."), (r"^patch_embed\.", "patch_embed.patch_embed.")),
    "beats": (
        (r"^blocks\.", "encoder.layers."),
        (r"^embed_norm\.", "encoder.layer_norm."),
        (r"^pos_conv\.weight_g$", "encoder.pos_conv.0.parametrizations.weight.original0"),
        (r"^pos_conv\.weight_v$", "encoder.pos_conv.0.parametrizations.weight.original1"),
        (r"^pos_conv\.", "encoder.pos_conv.0."),
        (r"^relative_attention_bias\.", "encoder.layers.0.self_attn.relative_attention_bias."),
    ),
}
_SED_HEAD: Rules = ((r"^head\.norm\.", "head_norm."), (r"^head\.(strong|weak)\.", r"\1_head."))
_TAGGING_HEAD: Rules = ((r"^head\.norm\.", "head_norm."), (r"^head\.weak\.", "head."))
_TRACK_HEAD: Rules = ((r"^head\.norm\.", "head.m2d_out_norm."),)

_SHARED_TABLE = "model.beats.encoder.layers.{}.self_attn.relative_attention_bias.weight"
_AUDIOSET = 400  # classes; heads of so many are AudioSet's, which are linear

# Parts of a checkpoint that no net of ours has.
_DROPPED = (
    (r"(^|\.)predictor\.", "the classifier of a fine-tuned BEATs"),
    (r"^module\.", "a part of M2D's training program around the backbone"),
)


def reference_names(net: Net) -> dict[str, str]:
    """Return the reference's name of every entry of a net's state dictionary."""
    if isinstance(net, Backbone):
        return {ours: _backbone_name(net.name, ours) for ours in net.state_dict()}
    if isinstance(net, SedModel):
        name, rules = net.backbone.name, _SED_HEAD
        inner = {ours: _backbone_name(name, ours) for ours in net.backbone.state_dict()}
    else:
        rules = _TRACK_HEAD if isinstance(net.head, TrackHead) else _TAGGING_HEAD
        inner = {ours: f"{_tagger_root(net)}backbone.{ours}" for ours in net.backbone.state_dict()}
    whole = {f"backbone.{ours}": theirs for ours, theirs in inner.items()}
    return whole | {ours: _rename(ours, rules) for ours in net.state_dict() if ours not in whole}


def export(net: Net, unused: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return a net's state under the reference's names, whole.

    Args:
        net: An SED model, a tagger or a backbone.
        unused: Values of what only the reference has (spectrogram kernels, an unused mask token ...), when a
            file brought them; the others are rebuilt or neutral.
    """
    state = net.state_dict()
    out = {theirs: state[ours] for ours, theirs in reference_names(net).items()}
    for key, value in _leftovers(net).items():
        out[key] = (unused or {}).get(key, value)
    return out | {key: out[_SHARED_TABLE.format(0)] for key in _shared_tables(net)}


def translate(state: Mapping[str, Tensor], origin: str, **settings: Any) -> Translation:
    """Bring a reference state to our names.

    Args:
        state: Tensors under the names of the file, without its ``state_dict`` or ``model`` wrapper.
        origin: One of `ORIGINS`.
        settings: What names and shapes do not tell, as `create_sed`, `create_tagger` or `create_backbone`
            take it: ``head``, ``sample_rate``, ``mel_rate``, ``size``.

    Returns:
        The translation. Of a file without heads it is that of a bare backbone.

    Raises:
        ModelError: An unknown origin, or nothing of such a net in the file.
    """
    if origin not in ORIGINS:
        raise ModelError(f"no origin {origin!r}", where="--as", remedy=f"choose one of {', '.join(ORIGINS)}")
    keys = _unwrap({raw: raw.replace("_orig_mod.", "") for raw in state})
    family: str
    net: Net
    with torch.device("meta"):
        if origin.startswith("baseline"):
            family, net = "tagger", _meta_tagger(keys.values(), origin, settings)
        else:
            shapes = {key: tuple(state[raw].shape) for raw, key in keys.items()}
            family, net = _meta_sed(shapes, origin, settings)
    out = Translation(family, net.config)
    _account(state, keys, net, out)
    for raw in state.keys() - keys.keys():
        out.drop(raw, "belongs to the separator around the SED model")
    return out


def m2d_settings(path: str | Path) -> dict[str, Any]:
    """Return what the folder name of an M2D checkpoint tells: ``{"mel_rate": 16000 or 32000}``.

    The names end like ``-80x1001p16x16p32k-…``: mels, frames, patch, and the rate unless it is 16 kHz.

    Raises:
        ModelError: Another geometry than ours.
    """
    found = re.search(r"-(\d+x\d+p\d+x\d+)(?:p(\d+)k)?(?![\dx])", str(path))
    if found and (found[1] != "80x1001p16x16" or found[2] not in (None, "16", "32")):
        raise ModelError(
            f"geometry {found[0][1:]}, this M2D has 80x1001p16x16 at 16 or 32 kHz",
            where=path,
            remedy="take a checkpoint of that geometry",
        )
    return {"mel_rate": 1000 * int(found[2] or 16)} if found else {}


def _account(state: Mapping[str, Tensor], keys: Mapping[str, str], net: Net, out: Translation) -> None:
    """Say of every key of the file what becomes of it."""
    ours = {theirs: name for name, theirs in reference_names(net).items()}
    spare, shared = _leftovers(net), set(_shared_tables(net))
    known = ours.keys() | spare.keys() | shared
    canonical = {raw: _canonical(key, net, known) for raw, key in keys.items()}
    table = next((state[raw] for raw, key in canonical.items() if key == _SHARED_TABLE.format(0)), None)
    for raw, key in canonical.items():
        tensor = state[raw]
        dropped = next((why for pattern, why in _DROPPED if re.search(pattern, keys[raw])), None)
        if key in ours:
            out.use(raw, ours[key], tensor)
        elif key in spare and tensor.shape == spare[key].shape:
            out.keep(raw, key, tensor, "the reference saves it, our net does not need it")
        elif key in shared and table is not None and torch.equal(tensor, table):
            out.drop(raw, "all layers share the first one's table")
        elif dropped:
            out.drop(raw, dropped)
        else:
            out.refuse(raw)
    missing = net.state_dict().keys() - out.tensors.keys()
    out.fresh |= {name: "the file has none: -7.1, 4.2" for name in missing if name.endswith("norm_stats")}
    if isinstance(net, SedModel) and isinstance(net.head, LinearHead):
        for layer in ("strong", "weak"):  # AudioSet files of one task may leave out the other's layer
            names = {f"head.{layer}.weight", f"head.{layer}.bias"}
            if names <= missing:
                out.fresh |= {name: f"the file has no {layer} head" for name in sorted(names)}


def _meta_tagger(keys: Iterable[str], origin: str, settings: Mapping[str, Any]) -> Tagger:
    spatial = any(key.startswith("m2d.backbone.") for key in keys)
    name = origin if origin == "baseline2025" else f"{origin}_{'4c' if spatial else '1c'}"
    return create_tagger(name, **settings)


def _meta_sed(
    shapes: Mapping[str, tuple[int, ...]], origin: str, settings: Mapping[str, Any]
) -> tuple[str, SedModel | Backbone]:
    """Read a SED model's settings off the names and shapes of a file."""
    name = _find_backbone(shapes) if origin == "cpjku-sed" else origin
    strong, weak = ((shapes.get(f"{which}_head.bias") or (0,))[0] for which in ("strong", "weak"))
    if not strong and not weak:
        return "backbone", create_backbone(name, **settings)
    found: dict[str, Any] = {"num_classes": strong or weak, "head": "attention"}
    if origin == "cpjku-sed":
        found["sample_rate"] = 32000
    if origin == "cpjku-sed" and not strong:
        found["head"] = "tagging"
    elif max(strong, weak) >= _AUDIOSET or strong != weak:
        found |= {"head": "linear", "weak_classes": weak or strong}
    if "head_norm.running_mean" in shapes:
        found["head_norm"] = True
    return "sed", create_sed(name, **{**found, **settings})


def _find_backbone(keys: Iterable[str]) -> str:
    listed = list(keys)
    for name, place in _PLACE.items():
        if any(key.startswith(place) for key in listed):
            return name
    raise ModelError(
        "no SED model's backbone in the file",
        where="--as cpjku-sed",
        remedy="give a checkpoint whose keys hold model.m2d.backbone or the like",
    )


def _unwrap(plain: Mapping[str, str]) -> dict[str, str]:
    """Take off a training prefix, or take the SED model out of a separator's checkpoint."""
    inside = "embedding_model."
    if any(key.startswith(inside) for key in plain.values()):
        return {raw: key.removeprefix(inside) for raw, key in plain.items() if key.startswith(inside)}
    lightning = r"model\.(strong_head|weak_head|head|head_norm)\."
    if any(re.match(lightning, key) for key in plain.values()):
        return {raw: key.removeprefix("model.") for raw, key in plain.items()}
    return dict(plain)


def _canonical(key: str, net: Net, known: set[str]) -> str:
    """Return the reference's own spelling of a key that comes in one of its published spellings."""
    key = re.sub(r"pos_conv\.0\.weight_g$", "pos_conv.0.parametrizations.weight.original0", key)
    key = re.sub(r"pos_conv\.0\.weight_v$", "pos_conv.0.parametrizations.weight.original1", key)
    if isinstance(net, Tagger) or key in known:
        return key
    name = net.name if isinstance(net, Backbone) else net.backbone.name
    for prefix in ("module.ar.runtime.", "model.model.", "model.", f"{name}.", ""):
        for place in (_ROOT[name], _PLACE[name]):
            candidate = place + key.removeprefix(prefix)
            if key.startswith(prefix) and candidate in known:
                return candidate
    return key


def _leftovers(net: Net) -> dict[str, Tensor]:
    """Return what only the reference has, by its names, with neutral or rebuilt values."""
    if isinstance(net, Tagger):
        return leftovers(net.backbone, _tagger_root(net), head_norm=isinstance(net.head, TrackHead))
    backbone = net if isinstance(net, Backbone) else net.backbone
    return leftovers(backbone, _ROOT[backbone.name])


def _shared_tables(net: Net) -> list[str]:
    """Return the names under which BEATs' layers save the first one's table again."""
    backbone = net if isinstance(net, Backbone) else net.backbone
    layers = len(backbone.blocks) if backbone.name == "beats" else 0
    return [_SHARED_TABLE.format(layer) for layer in range(1, layers)]


def _tagger_root(net: Tagger) -> str:
    return "m2d." if net.channels > 1 else ""


def _backbone_name(name: str, inner: str) -> str:
    return _PLACE[name] + _rename(inner, _BACKBONE.get(name, ()))


def _rename(key: str, rules: Rules) -> str:
    for pattern, theirs in rules:
        renamed, hits = re.subn(pattern, theirs, key)
        if hits:
            return renamed
    return key
