"""Sound event detection: a backbone, 250 frames, strong and weak heads, labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .backbones import Backbone, create_backbone
from .errors import ModelError
from .heads import AttentionHead, LinearHead, SedOutput, TaggingHead
from .labels import MAX_SOURCES, decide, to_slots
from .resample import HalveRate
from .weights import UNUSED_PREFIX, load_weights, read_safetensors

HEADS = ("attention", "linear", "tagging")


class SedModel(nn.Module):
    """A backbone and a head; waveforms in, probabilities and labels out.

    Args:
        backbone: The transformer with its front end.
        head: A head from `models.heads`.
        sample_rate: Rate of the waveforms given, in Hz: the backbone's, or twice that, which is then halved
            by the Kaiser filter.
        channel: Channel that is heard when several are given.
        config: What `create_sed` needs to build this model again (JSON values).
    """

    def __init__(
        self,
        backbone: Backbone,
        head: AttentionHead | LinearHead | TaggingHead,
        *,
        sample_rate: int | None = None,
        channel: int = 0,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.sample_rate = sample_rate or backbone.sample_rate
        if self.sample_rate not in (backbone.sample_rate, 2 * backbone.sample_rate):
            raise ModelError(
                f"{self.sample_rate} Hz for a backbone that hears {backbone.sample_rate} Hz",
                where="sample_rate",
                remedy="give the backbone's rate or twice that, or resample before",
            )
        self.channel = channel
        self.config = dict(config or {})
        self.halve = HalveRate() if self.sample_rate != backbone.sample_rate else None
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> SedOutput:
        """Return the verdict on waveforms ``(batch, samples)`` or ``(batch, channels, samples)``."""
        return self.judge(self.backbone(self.mono(x)))

    def mono(self, x: Tensor) -> Tensor:
        """Return the chosen channel ``(batch, samples)`` at the backbone's rate."""
        if x.ndim not in (2, 3) or (x.ndim == 3 and x.shape[1] <= self.channel):
            raise ModelError(
                f"waveforms of shape {tuple(x.shape)}, channel {self.channel} is wanted",
                where="SED model",
                remedy="give (batch, samples) or (batch, channels, samples)",
            )
        x_BL = x[:, self.channel] if x.ndim == 3 else x
        if self.halve is None:
            return x_BL
        halved_BL: Tensor = self.halve(x_BL)
        return halved_BL

    def judge(self, sequence_BSD: Tensor) -> SedOutput:
        """Return the head's verdict on a backbone's sequence."""
        output: SedOutput = self.head(sequence_BSD)
        return output

    def predict_labels(self, x: Tensor, *, threshold: float = 0.5, slots: int = MAX_SOURCES) -> Tensor:
        """Return class indices ``(batch, slots)``, sorted, filled up with the number of classes (silence)."""
        return to_slots(decide(self(x).weak, threshold=threshold, most=slots), slots=slots)

    def layer_of(self, parameter: str) -> int | None:
        """Return the block that a parameter learns with (1 is the lowest); None for the head."""
        part, _, rest = parameter.partition(".")
        return self.backbone.layer_of(rest) if part == "backbone" else None


def create_sed(
    name: str,
    num_classes: int = 18,
    head: str = "attention",
    *,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    weak_classes: int | None = None,
    head_norm: bool = False,
    frames: int = 250,
    sample_rate: int | None = None,
    channel: int = 0,
    size: str = "base",
    **backbone_options: Any,
) -> SedModel:
    """Return an SED model.

    Args:
        name: Backbone: "m2d", "atst", "beats", "fpasst" or "asit".
        num_classes: Number of classes.
        head: "attention" (attention pooling), "linear" (independent strong and weak layers, as the AudioSet
            weights have) or "tagging" (weak only).
        weights: Our safetensors file or state dictionary to start from; the head is left fresh where its
            number of classes differs.
        weak_classes: Classes of the weak layer if other than `num_classes`; linear head only.
        head_norm: Batch norm without parameters in front of the head.
        frames: Steps per clip of the strong output.
        sample_rate: Rate of the waveforms that will be given: the backbone's (default) or twice that.
        channel: Channel that is heard when several are given.
        size: "base", "small" or "tiny".
        **backbone_options: Passed to the backbone's class.

    Raises:
        ModelError: Unknown name, head or option; weights that do not fit.
    """
    backbone = create_backbone(name, size=size, **backbone_options)
    config = {
        "name": name,
        "num_classes": num_classes,
        "head": head,
        "weak_classes": weak_classes,
        "head_norm": head_norm,
        "frames": frames,
        "sample_rate": sample_rate or backbone.sample_rate,
        "channel": channel,
        "size": size,
        **backbone_options,
    }
    net = _head(head, backbone.sequence_dim, num_classes, weak_classes, frames=frames, norm=head_norm)
    model = SedModel(backbone, net, sample_rate=sample_rate, channel=channel, config=config)
    if weights is not None:
        _load(model, weights)
    return model


def _head(
    kind: str, dim: int, num_classes: int, weak_classes: int | None, *, frames: int, norm: bool
) -> AttentionHead | LinearHead | TaggingHead:
    if kind not in HEADS:
        raise ModelError(f"no head {kind!r}", where="create_sed", remedy=f"choose one of {', '.join(HEADS)}")
    if weak_classes not in (None, num_classes) and kind != "linear":
        raise ModelError(
            f"{num_classes} strong and {weak_classes} weak classes",
            where="weak_classes",
            remedy="only the linear head can have two numbers of classes",
        )
    if kind == "attention":
        return AttentionHead(dim, num_classes, frames=frames, norm=norm)
    if kind == "linear":
        return LinearHead(dim, num_classes, weak_classes or num_classes, frames=frames, norm=norm)
    return TaggingHead(dim, num_classes, norm=norm)


def _load(model: SedModel, weights: str | Path | Mapping[str, Tensor]) -> None:
    """Load all but head layers of another number of classes; the norm goes with its layers."""
    where = "state dictionary" if isinstance(weights, Mapping) else str(weights)
    given = weights if isinstance(weights, Mapping) else read_safetensors(weights)
    given = {key: tensor for key, tensor in given.items() if not key.startswith(UNUSED_PREFIX)}
    if not any(key.startswith("backbone.") for key in given):  # saved as a bare backbone
        given = {f"backbone.{key}": tensor for key, tensor in given.items()}
    layers = {
        key: tensor
        for key, tensor in model.state_dict().items()
        if key.endswith(("strong.weight", "weak.weight"))
    }
    fits = any(key in given and given[key].shape == tensor.shape for key, tensor in layers.items())
    optional = ("head.strong.", "head.weak.") if fits else ("head.",)
    load_weights(model, given, optional=optional, where=where)
