"""The baselines' taggers: M2D at 32 kHz, the mean over time, and a head for labels or tracks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from .backbones import Backbone, create_backbone
from .errors import ModelError
from .heads import SedOutput, TaggingHead, TrackHead
from .labels import MAX_SOURCES, decide, decide_tracks, to_slots
from .weights import load_weights


@dataclass(frozen=True)
class _Preset:
    channels: int
    num_classes: int
    tracks: int


TAGGERS = {
    "baseline2025": _Preset(channels=1, num_classes=18, tracks=0),
    "baseline2026_1c": _Preset(channels=1, num_classes=19, tracks=3),
    "baseline2026_4c": _Preset(channels=4, num_classes=19, tracks=3),
}


class Tagger(nn.Module):
    """M2D on one or on four channels, their features side by side, averaged over time, and a head.

    Args:
        backbone: M2D at 32 kHz.
        head: `TaggingHead` for a set of labels, `TrackHead` for one label (or silence) per track.
        channels: How many of the first channels are heard.
        config: What `create_tagger` needs to build this model again (JSON values).
    """

    def __init__(
        self,
        backbone: Backbone,
        head: TaggingHead | TrackHead,
        *,
        channels: int = 1,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.config = dict(config or {})
        self.backbone = backbone
        self.head = head

    @property
    def sample_rate(self) -> int:
        """Rate of the waveforms in Hz."""
        return self.backbone.sample_rate

    def forward(self, x_BCL: Tensor) -> SedOutput | Tensor:
        """Return the head's output for waveforms ``(batch, channels, samples)``.

        Returns:
            A `SedOutput` with weak probabilities (2025), or logits ``(batch, tracks, classes)`` (2026).
        """
        output: SedOutput | Tensor = self.head(self.features(x_BCL))
        return output

    def features(self, x_BCL: Tensor) -> Tensor:
        """Return M2D's sequence ``(batch, columns, channels * 3840)``, channel after channel."""
        if x_BCL.ndim != 3 or x_BCL.shape[1] < self.channels:
            raise ModelError(
                f"waveforms of shape {tuple(x_BCL.shape)}, {self.channels} channel(s) are heard",
                where="tagger",
                remedy="give (batch, channels, samples)",
            )
        heard_BCL = x_BCL[:, : self.channels]
        sequence: Tensor = self.backbone(heard_BCL.flatten(0, 1))
        B, C, _ = heard_BCL.shape
        return sequence.view(B, C, *sequence.shape[1:]).transpose(1, 2).flatten(2)

    def predict_labels(self, x_BCL: Tensor, *, threshold: float = 0.5, slots: int = MAX_SOURCES) -> Tensor:
        """Return class indices ``(batch, slots)``, filled up with the index of silence (18).

        The labels of 2025 are sorted; those of 2026 keep the order of their tracks and may occur twice, and
        have as many slots as there are tracks.
        """
        output = self(x_BCL)
        if isinstance(output, Tensor):
            return decide_tracks(output)
        return to_slots(decide(output.weak, threshold=threshold, most=slots), slots=slots)

    def layer_of(self, parameter: str) -> int | None:
        """Return the block that a parameter learns with (1 is the lowest); None for the head."""
        part, _, rest = parameter.partition(".")
        return self.backbone.layer_of(rest) if part == "backbone" else None

    def train_only(self, blocks: int | None) -> None:
        """Freeze all but the head and the last blocks, as the baselines are fine-tuned.

        Args:
            blocks: 0 for the head alone, n for the head, the final norm and the last n blocks, None for all.
        """
        depth = len(self.backbone.blocks)
        lowest = 1 if blocks is None else depth + 1 - blocks
        for name, parameter in self.named_parameters():
            layer = self.layer_of(name)
            parameter.requires_grad_(layer is None or blocks is None or (blocks > 0 and layer >= lowest))


def create_tagger(
    name: str,
    *,
    weights: str | Path | Mapping[str, Tensor] | None = None,
    size: str = "base",
    **backbone_options: Any,
) -> Tagger:
    """Return one of the baselines' taggers.

    Args:
        name: "baseline2025" (18 classes, channel 0), "baseline2026_1c" or "baseline2026_4c" (three tracks of
            18 classes and silence, from channel 0 or from four channels).
        weights: Our safetensors file or state dictionary to start from.
        size: "base", "small" or "tiny".
        **backbone_options: Passed to `M2d`.

    Raises:
        ModelError: Unknown name; weights that do not fit.
    """
    if name not in TAGGERS:
        raise ModelError(
            f"no tagger {name!r}", where="create_tagger", remedy=f"choose one of {', '.join(TAGGERS)}"
        )
    preset = TAGGERS[name]
    config = {"name": name, "size": size, **backbone_options}
    options = {"mel_rate": 32000, "use_norm_stats": True, "pad_clip": True, **backbone_options}
    backbone = create_backbone("m2d", size=size, **options)
    dim = preset.channels * backbone.sequence_dim
    head: TaggingHead | TrackHead
    if preset.tracks:
        head = TrackHead(dim, preset.num_classes, tracks=preset.tracks)
    else:
        head = TaggingHead(dim, preset.num_classes, norm=True)
    model = Tagger(backbone, head, channels=preset.channels, config=config)
    if weights is not None:
        load_weights(model, weights)
    return model
