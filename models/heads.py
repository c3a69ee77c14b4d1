"""From a backbone's sequence to class probabilities: alignment in time and the heads."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

_ATTENTION_FLOOR = 1e-7


class SedOutput(NamedTuple):
    """What an SED model says of a clip; probabilities and logits are float32.

    Attributes:
        weak: Probability that a class sounds anywhere in the clip ``(batch, classes)``.
        strong: Probability per frame ``(batch, classes, frames)``; None for tagging.
        weak_logits: ``(batch, classes)``; None for the attention head, whose weak output has no logits.
        strong_logits: ``(batch, classes, frames)``; None for tagging.
        attention_logits: ``(batch, frames, classes)``; of the attention head only.
    """

    weak: Tensor
    strong: Tensor | None = None
    weak_logits: Tensor | None = None
    strong_logits: Tensor | None = None
    attention_logits: Tensor | None = None


def align(sequence_BSD: Tensor, frames: int) -> Tensor:
    """Return the sequence with exactly `frames` steps: averaged if it is longer, interpolated if shorter.

    Averaging is adaptive: step i takes tokens floor(i S / frames) to ceil((i + 1) S / frames) - 1.
    """
    if sequence_BSD.shape[1] == frames:
        return sequence_BSD
    sequence_BDS = sequence_BSD.transpose(1, 2)
    if sequence_BDS.shape[2] > frames:
        return nnf.adaptive_avg_pool1d(sequence_BDS, frames).transpose(1, 2)
    return nnf.interpolate(sequence_BDS, size=frames, mode="linear").transpose(1, 2)


def head_norm(dim: int) -> nn.BatchNorm1d:
    """Return the batch norm before the heads: running statistics only, nothing to train."""
    return nn.BatchNorm1d(dim, affine=False)


class AttentionHead(nn.Module):
    """Strong probabilities, and weak ones as their mean weighted by attention.

    The attention is a softmax over the classes of a frame (not over frames), clamped to [1e-7, 1].

    Args:
        dim: Width of the sequence.
        num_classes: Number of classes.
        frames: Steps that the sequence is brought to.
        norm: Put a batch norm without parameters in front.
    """

    def __init__(self, dim: int, num_classes: int, *, frames: int = 250, norm: bool = False) -> None:
        super().__init__()
        self.frames = frames
        self.norm = head_norm(dim) if norm else None
        self.strong = nn.Linear(dim, num_classes)
        self.weak = nn.Linear(dim, num_classes)

    def forward(self, sequence_BSD: Tensor) -> SedOutput:
        """Return strong and weak probabilities, strong and attention logits."""
        x_BTD = _prepare(sequence_BSD, self.frames, self.norm)
        strong_logits_BTC = self.strong(x_BTD).float()
        attention_logits_BTC = self.weak(x_BTD).float()
        strong_BTC = strong_logits_BTC.sigmoid()
        attention_BTC = attention_logits_BTC.softmax(-1).clamp(_ATTENTION_FLOOR, 1.0)
        return SedOutput(
            weak=(strong_BTC * attention_BTC).sum(1) / attention_BTC.sum(1),
            strong=strong_BTC.transpose(1, 2),
            strong_logits=strong_logits_BTC.transpose(1, 2),
            attention_logits=attention_logits_BTC,
        )


class LinearHead(nn.Module):
    """Two independent linear layers: one per frame, one on the mean of the frames (AudioSet's heads).

    Args:
        dim: Width of the sequence.
        num_classes: Number of classes of the strong layer.
        weak_classes: Number of classes of the weak layer.
        frames: Steps that the sequence is brought to.
        norm: Put a batch norm without parameters in front.
    """

    def __init__(
        self, dim: int, num_classes: int, weak_classes: int, *, frames: int = 250, norm: bool = False
    ) -> None:
        super().__init__()
        self.frames = frames
        self.norm = head_norm(dim) if norm else None
        self.strong = nn.Linear(dim, num_classes)
        self.weak = nn.Linear(dim, weak_classes)

    def forward(self, sequence_BSD: Tensor) -> SedOutput:
        """Return strong and weak probabilities and logits."""
        x_BTD = _prepare(sequence_BSD, self.frames, self.norm)
        strong_logits = self.strong(x_BTD).float().transpose(1, 2)
        weak_logits = self.weak(x_BTD.mean(1)).float()
        return SedOutput(weak_logits.sigmoid(), strong_logits.sigmoid(), weak_logits, strong_logits)


class TaggingHead(nn.Module):
    """Classes of the whole clip: one linear layer on the mean token.

    Args:
        dim: Width of the sequence.
        num_classes: Number of classes.
        norm: Put a batch norm without parameters between mean and layer.
    """

    def __init__(self, dim: int, num_classes: int, *, norm: bool = False) -> None:
        super().__init__()
        self.norm = head_norm(dim) if norm else None
        self.weak = nn.Linear(dim, num_classes)

    def forward(self, sequence_BSD: Tensor) -> SedOutput:
        """Return weak probabilities and logits."""
        mean_BD = sequence_BSD.mean(1)
        logits = self.weak(mean_BD if self.norm is None else self.norm(mean_BD)).float()
        return SedOutput(logits.sigmoid(), weak_logits=logits)


class TrackHead(nn.Module):
    """One class, or silence, for each of several tracks, from the mean token: the 2026 taggers' head.

    Args:
        dim: Width of the sequence.
        num_classes: Number of classes, silence included as the last.
        tracks: Number of tracks.
        track_dim: Width given to each track.
        hidden: Width of a track's hidden layer.
    """

    def __init__(
        self, dim: int, num_classes: int, *, tracks: int = 3, track_dim: int = 1024, hidden: int = 512
    ) -> None:
        super().__init__()
        wide = tracks * track_dim
        self.norm = head_norm(dim)
        self.linear = nn.Sequential(nn.Linear(dim, wide), nn.LayerNorm(wide))
        self.tracks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(track_dim, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, num_classes)
            )
            for _ in range(tracks)
        )

    def forward(self, sequence_BSD: Tensor) -> Tensor:
        """Return logits ``(batch, tracks, classes)``."""
        wide = nnf.relu(self.linear(self.norm(sequence_BSD.mean(1))))
        parts = wide.chunk(len(self.tracks), dim=-1)
        return torch.stack([track(part) for track, part in zip(self.tracks, parts, strict=True)], 1).float()


def _prepare(sequence_BSD: Tensor, frames: int, norm: nn.Module | None) -> Tensor:
    x_BTD = align(sequence_BSD, frames)
    if norm is None:
        return x_BTD
    normed_BDT: Tensor = norm(x_BTD.transpose(1, 2))
    return normed_BDT.transpose(1, 2)
