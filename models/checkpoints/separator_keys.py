"""Names of the separators' parameters in the published checkpoints, in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from ..separator import GuidedSeparator, Separator, SeparatorConfig
from . import sed_keys
from .report import Translation

ORIGINS = ("audiosep", "baseline2025", "baseline2026", "cpjku-separator")

_COMPILED = "_orig_mod."
_SED = "embedding_model."
_DEAD = "the reference saves it and never uses it"
_STFT = re.compile(r"^(i?stft)\.")

# Our name -> the reference's, without its `base.` prefix; the first rule that fits.
_NET = (
    (r"net\.(pre_conv|after_conv)\.", r"\1."),
    (r"net\.encoders\.(\d)\.", lambda m: f"encoder_block{int(m[1]) + 1}.conv_block1."),
    (r"net\.bottleneck\.", "conv_block7a.conv_block1."),
    (r"net\.decoders\.(\d)\.block\.", lambda m: f"decoder_block{int(m[1]) + 1}.conv_block2."),
    (r"net\.decoders\.(\d)\.", lambda m: f"decoder_block{int(m[1]) + 1}."),
    (r"bn0_feedback\.", "bn0_fb."),
    (r"(bn0|out_conv)\.", r"\1."),
    (r"middle\.injection\.norm\.", "downsample_bn."),
    (r"middle\.injection\.merge\.conv\.", "downsample_conv."),
    (r"middle\.injection\.merge\.weight_centre$", "weight_x_center"),
    (r"middle\.injection\.merge\.weight_features$", "weight_soundbeam_features"),
    (r"middle\.injection\.merge\.merge_norm\.", "merge_bn."),
    (r"middle\.injection\.merge\.merge_conv\.", "merge_conv."),
    (r"middle\.dprnn\.blocks\.(\d)\.time\.norm\.", r"DPRNN.0.row_norm.\1."),
    (r"middle\.dprnn\.blocks\.(\d)\.frequency\.norm\.", r"DPRNN.0.col_norm.\1."),
    (r"middle\.dprnn\.blocks\.(\d)\.time\.", r"DPRNN.0.row_rnn.\1."),
    (r"middle\.dprnn\.blocks\.(\d)\.frequency\.", r"DPRNN.0.col_rnn.\1."),
    (r"middle\.dprnn\.activation\.", "DPRNN.0.output.0."),
    (r"middle\.dprnn\.output\.", "DPRNN.0.output.1."),
)
_TOP = (
    (r"label_embedding\.", "label_embedding."),
    (r"activity\.embedding\.", "time_embedding."),
    (r"middle\.injection\.layer_weights$", "soundbeam_weights"),
    (r"film\.label\.encoder(\d)_(\d)\.", r"film.encoder_block\1->conv_block1->beta\2."),
    (r"film\.label\.bottleneck_(\d)\.", r"film.conv_block7a->conv_block1->beta\1."),
    (r"film\.label\.decoder(\d)_up\.", r"film.decoder_block\1->beta1."),
    (r"film\.label\.decoder(\d)_(\d)\.", r"film.decoder_block\1->conv_block2->beta\2."),
)


def reference_key(ours: str, config: SeparatorConfig) -> str:
    """Return the reference's name of one of our parameters.

    Raises:
        ModelError: The reference has no such parameter (``scale_shift`` layers of the paper).
    """
    for rules, prefix in ((_NET, _base(config)), (_TOP, "")):
        for pattern, theirs in rules:
            name, hits = re.subn(f"^{pattern}", theirs, ours)
            if hits:
                return prefix + name
    raise ModelError(
        f"the reference has no {ours}", where=ours, remedy="save as safetensors in our own names"
    )


def dead_shapes(config: SeparatorConfig) -> dict[str, tuple[int, ...]]:
    """Return the parameters that the reference creates and never uses, with their shapes."""
    base = _base(config)
    outs = config.channels[::-1]
    ins = (config.channels[-1], *outs[:-1])
    shapes: dict[str, tuple[int, ...]] = {}
    for step, width in enumerate(ins, start=1):
        norm = f"{base}decoder_block{step}.bn2."
        shapes |= {norm + part: (width,) for part in ("weight", "bias", "running_mean", "running_var")}
        shapes[norm + "num_batches_tracked"] = ()
        shapes[f"film.decoder_block{step}->beta2.weight"] = (width, config.condition)
        shapes[f"film.decoder_block{step}->beta2.bias"] = (width,)
    if config.time_film != "none":
        labels = {key: shape for key, shape in shapes.items() if key.startswith("film.")}
        labels |= dict(_film_shapes(config))
        shapes |= {f"time_{key}": shape for key, shape in labels.items()}
    return shapes


def _film_shapes(config: SeparatorConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    with torch.device("meta"):
        film = Separator(config).film
    for name, tensor in film.state_dict().items():
        if name.startswith("label."):
            yield reference_key(f"film.{name}", config), tuple(tensor.shape)


def read_config(state: Mapping[str, Tensor], **settings: Any) -> SeparatorConfig:
    """Read a separator's settings off the names and shapes of a reference state.

    Args:
        state: Tensors under the reference's names, training prefixes removed.
        settings: What names and shapes do not tell (hop, multiplicative FiLM, ...).

    Raises:
        ModelError: Parameters are missing that every separator has.
    """
    feedback = any(key.startswith("base.ss_model.") for key in state)
    base = "base.ss_model." if feedback else "base."

    def shape(key: str) -> tuple[int, ...]:
        if key not in state:
            raise ModelError(
                "no such key in the file", where=key, remedy="give a checkpoint of a ResUNet separator"
            )
        return tuple(state[key].shape)

    mono = f"{base}out_conv.weight" in state
    mics = shape(f"{base}out_conv.weight")[1] if mono else 1
    sources = max(1, shape(f"{base}after_conv.weight")[0] // (3 * mics))
    found: dict[str, Any] = {
        "mics": mics,
        "sources": sources,
        "mono": mono,
        "classes": shape("label_embedding.0.weight")[1] // sources
        if "label_embedding.0.weight" in state
        else 0,
        "condition": shape("film.conv_block7a->conv_block1->beta1.weight")[1],
        "n_fft": 2 * (shape(f"{base}bn0.weight")[0] - 1),
        "channels": tuple(shape(f"{base}encoder_block{i}.conv_block1.conv1.weight")[0] for i in range(1, 7)),
        "time_film": "additive" if "time_embedding.0.weight" in state else "none",
        "feedback": feedback,
        "iterations": 2 if feedback else 1,
        **_bottleneck(state, base),
    }
    return SeparatorConfig.from_json({**found, **settings})


def _bottleneck(state: Mapping[str, Tensor], base: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if f"{base}downsample_conv.weight" in state and "soundbeam_weights" in state:
        found["injection"] = "concat" if f"{base}merge_conv.weight" in state else "add"
        found["features"] = state["soundbeam_weights"].shape[0]
        found["feature_width"] = state[f"{base}downsample_conv.weight"].shape[1]
    gru = f"{base}DPRNN.0.row_rnn."
    if f"{gru}0.rnn.weight_hh_l0" in state:
        found["dprnn"] = "after"
        found["dprnn_hidden"] = state[f"{gru}0.rnn.weight_hh_l0"].shape[1]
        found["dprnn_blocks"] = sum(key.startswith(gru) and key.endswith(".proj.bias") for key in state)
    return found


def translate(
    state: Mapping[str, Tensor], origin: str, *, sed: Mapping[str, Any] | None = None, **settings: Any
) -> Translation:
    """Bring a reference state to our names.

    Args:
        state: Tensors under the names of the file, without its ``state_dict`` wrapper.
        origin: One of `ORIGINS`.
        sed: What names and shapes do not tell of the SED model in the file, as `create_sed` takes it.
        settings: What names and shapes do not tell, as `SeparatorConfig` takes it (multiplicative FiLM, ...).

    Returns:
        The translation: of a separator, or of one with its SED model where the file holds both.

    Raises:
        ModelError: An unknown origin, or parameters are missing that every separator has.
    """
    if origin not in ORIGINS:
        raise ModelError(f"no origin {origin!r}", where="--as", remedy=f"choose one of {', '.join(ORIGINS)}")
    inside = {raw for raw in state if raw.replace(_COMPILED, "").startswith(_SED)}
    keys = {raw: _plain(raw, origin) for raw in state.keys() - inside}
    plain = {key: state[raw] for raw, key in sorted(keys.items())}
    if len(plain) < len(keys):
        raise ModelError("the file holds two separators", where="--as", remedy="give a file with one of them")
    hop = {"hop": 320} if origin == "audiosep" else {}
    config = read_config(plain, **{**hop, **settings})
    out = Translation("separator", config.to_json())
    _account(state, keys, config, out)
    if inside:
        heard = sed_keys.translate({raw: state[raw] for raw in sorted(inside)}, "cpjku-sed", **(sed or {}))
        return _guided(out, heard)
    return out


def is_separator(keys: Iterable[str]) -> bool:
    """Tell whether a file's keys are those of a separator (the baselines publish taggers alike)."""
    return any(".after_conv." in f".{key}" for key in keys)


def _plain(raw: str, origin: str) -> str:
    """Take a training program's prefixes off a key."""
    key = raw.replace(_COMPILED, "")
    return key.removeprefix("ss_model." if origin == "audiosep" else "model.")


def _account(
    state: Mapping[str, Tensor], keys: Mapping[str, str], config: SeparatorConfig, out: Translation
) -> None:
    """Say of every key of the file what becomes of it."""
    base = _base(config)
    with torch.device("meta"):
        names = {reference_key(ours, config): ours for ours in Separator(config).state_dict()}
    dead = dead_shapes(config)
    for raw, key in sorted(keys.items()):
        if key in names:
            out.use(raw, names[key], state[raw])
        elif key in dead and tuple(state[raw].shape) == dead[key]:
            out.keep(raw, key, state[raw], _DEAD)
        elif _STFT.match(key.removeprefix(base)):
            out.drop(raw, "a fixed transform, rebuilt from n_fft")
        elif key.startswith("query_encoder."):
            out.drop(raw, "AudioSep's text and audio encoder: the caller gives the condition vector")
        else:
            out.refuse(raw)


def _guided(separator: Translation, sed: Translation) -> Translation:
    """Join the translations of a separator and of the SED model that guides it."""
    out = Translation("guided_separator", {"separator": separator.config, "sed": sed.config, "frozen": False})
    for prefix, kept, part in (("separator.", "model.", separator), ("sed.", _SED, sed)):
        out.tensors |= {prefix + ours: tensor for ours, tensor in part.tensors.items()}
        out.used |= {theirs: prefix + ours for theirs, ours in part.used.items()}
        out.unused |= {kept + key: tensor for key, tensor in part.unused.items()}
        out.fresh |= {prefix + ours: why for ours, why in part.fresh.items()}
        out.dropped |= part.dropped
        out.unexpected += part.unexpected
    return out


def export(
    model: Separator | GuidedSeparator, unused: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Return a separator's state under the reference's names, whole.

    Args:
        model: The separator; with its SED model the names get the training program's prefixes.
        unused: Values of the parameters that the reference saves and never uses, when a file brought them;
            the others are neutral (norms 1 and 0, shifts 0).

    Raises:
        ModelError: A part that the reference does not have (``scale_shift``).
    """
    spare = unused or {}
    if isinstance(model, GuidedSeparator):
        parts = {
            "model.": export(model.separator, _below("model.", spare)),
            _SED: sed_keys.export(model.sed, _below(_SED, spare)),
        }
        return {prefix + key: value for prefix, part in parts.items() for key, value in part.items()}
    config = model.config
    state = {reference_key(ours, config): tensor for ours, tensor in model.state_dict().items()}
    for key, shape in dead_shapes(config).items():
        state[key] = spare[key] if key in spare else _neutral(key, shape)
    return state | {_base(config) + key: tensor for key, tensor in _transforms(config.n_fft).items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _base(config: SeparatorConfig) -> str:
    return "base.ss_model." if config.feedback else "base."


def _neutral(key: str, shape: tuple[int, ...]) -> Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    one = ".bn2." in key and key.endswith(("weight", "running_var"))
    return torch.ones(shape) if one else torch.zeros(shape)


def _transforms(n_fft: int) -> dict[str, Tensor]:
    """Return the reference's convolution kernels of the STFT and its inverse."""
    n = torch.arange(n_fft)
    angle = torch.outer(n, n).remainder(n_fft).double() * (2 * torch.pi / n_fft)
    window = torch.hann_window(n_fft, periodic=True, dtype=torch.float64)
    cosine, sine = angle.cos() * window[:, None], angle.sin() * window[:, None]  # (sample, bin)
    bins = n_fft // 2 + 1
    return {
        "stft.conv_real.weight": cosine[:, :bins].T[:, None].float(),
        "stft.conv_imag.weight": -sine[:, :bins].T[:, None].float(),
        "istft.ola_window": window.square().float(),
        "istft.conv_real.weight": (cosine / n_fft)[:, :, None].float(),
        "istft.conv_imag.weight": (sine / n_fft)[:, :, None].float(),
    }
