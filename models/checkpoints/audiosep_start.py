"""Start a four-microphone separator from AudioSep's weights, as the seed system does."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModelError
from ..separator import Separator, SeparatorConfig
from .report import Translation

_FRESH = "AudioSep has no such part: it starts from its initial values"
_BASE, _WRAPPED = "base.", "base.ss_model."


def start_from_audiosep(audiosep: Translation, config: SeparatorConfig) -> Translation:
    """Turn a translation of AudioSep's checkpoint into one of another separator.

    The input convolution is spread over the microphones so that it hears their mean, with nothing from a
    feedback channel; the mask convolution is repeated for every microphone and source. All else is copied.

    Args:
        audiosep: The translation of AudioSep's own net.
        config: The separator that shall start from it.

    Raises:
        ModelError: A separator of another window or other widths.
    """
    was = SeparatorConfig.from_json(audiosep.config)
    for name in ("n_fft", "channels", "condition"):
        if getattr(was, name) != getattr(config, name):
            raise ModelError(
                f"AudioSep has {getattr(was, name)}, the target {getattr(config, name)}",
                where=name,
                remedy="choose a target with AudioSep's window, widths and condition",
            )
    out = Translation(
        "separator", config.to_json(), dropped=dict(audiosep.dropped), unexpected=list(audiosep.unexpected)
    )
    wrapped = _WRAPPED if config.feedback else _BASE
    out.unused = {_moved(key, wrapped): tensor for key, tensor in audiosep.unused.items()}
    for theirs, ours in audiosep.used.items():
        tensor = audiosep.tensors[ours]
        adapted = _adapt(ours, tensor, config)
        if adapted is None:
            out.use(theirs, ours, tensor)
        else:
            out.adapt(theirs, ours, *adapted)
    with torch.device("meta"):
        wanted = Separator(config).state_dict()
    out.fresh = {ours: _FRESH for ours in wanted if ours not in out.tensors and not _from_audiosep(ours)}
    return out


def _adapt(ours: str, tensor: Tensor, config: SeparatorConfig) -> tuple[Tensor, str] | None:
    if ours == "net.pre_conv.weight":
        spread = tensor.repeat(1, config.mics, 1, 1) / config.mics
        fed_back = config.sources if config.feedback else 0
        silent = tensor.new_zeros(tensor.shape[0], fed_back, 1, 1)
        how = f"spread over {config.mics} microphones" + (", feedback from zero" if fed_back else "")
        return torch.cat((spread, silent), dim=1), how
    if ours.startswith("net.after_conv."):
        count = config.mics * config.sources
        return torch.cat([tensor] * count), f"repeated for {count} microphones and sources"
    return None


def _from_audiosep(ours: str) -> bool:
    """Tell whether a parameter has its counterpart in AudioSep; such a one must not be missing."""
    return ours.startswith(("net.", "bn0.", "film.label."))


def _moved(key: str, wrapped: str) -> str:
    return wrapped + key.removeprefix(_BASE) if key.startswith(_BASE) else key
