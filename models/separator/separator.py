"""The label-queried separator: spectrum in, modulated ResUNet, complex masks, waveforms out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ..errors import ModelError
from .conditioning import Activity, Hints, Middle
from .film import Film, Modulation, mlp
from .presets import SeparatorConfig
from .refinement import refine
from .resunet import TIME_MULTIPLE, ResUNet
from .stft import Spectrum, Stft

_MOMENTUM = 0.01
_TINY = 1e-10
_FROM_AUDIOSEP = ("net.encoders.", "net.bottleneck.", "net.decoders.", "film.label.")
_PARTS = 3  # gain and the two parts of the phase turn


class Separator(nn.Module):
    """Estimate the dry waveforms of the queried classes from a mixture.

    Args:
        config: The switches; see `presets` for the published settings.
    """

    def __init__(self, config: SeparatorConfig) -> None:
        super().__init__()
        self.config = config
        self.stft = Stft(config.n_fft, config.hop)
        self.bn0 = nn.BatchNorm1d(config.bins, momentum=_MOMENTUM)
        self.bn0_feedback = nn.BatchNorm1d(config.bins, momentum=_MOMENTUM) if config.feedback else None
        self.net = ResUNet(
            config.mics + (config.sources if config.feedback else 0),
            config.sources * config.mics * _PARTS,
            config.channels,
            checkpointed=config.checkpointed,
        )
        self.out_conv = nn.Conv2d(config.mics, 1, 1) if config.mono and config.mics > 1 else None
        self.label_embedding = (
            mlp(config.sources * config.classes, config.condition) if config.classes else None
        )
        self.activity = Activity(config) if config.time_film != "none" else None
        self.film = Film(config)
        self.middle = Middle(config)

    def forward(
        self,
        mixture_BML: Tensor,
        labels: Tensor,
        hints: Hints | None = None,
        *,
        iterations: int | None = None,
    ) -> Tensor:
        """Return the estimates ``(batch, sources, samples)``; the slots without a label are silent.

        Args:
            mixture_BML: ``(batch, microphones, samples)`` at 32 kHz.
            labels: Multi-hot ``(batch, sources, classes)`` or ``(batch, sources * classes)``; all zero means
                silence. With ``classes=0`` the condition vector ``(batch, condition)``.
            hints: What the SED model heard; needed where the settings use it. Without logits the labels
                alone modulate.
            iterations: Passes of the iterative form; None takes the setting. Gradients flow through the last.

        Raises:
            ModelError: A shape that does not fit, or missing hints.
        """
        last = mixture_BML
        for estimate in self.passes(mixture_BML, labels, hints, iterations=iterations):
            last = estimate
        return last

    def passes(
        self,
        mixture_BML: Tensor,
        labels: Tensor,
        hints: Hints | None = None,
        *,
        iterations: int | None = None,
    ) -> Iterator[Tensor]:
        """Yield the estimate of every pass; arguments as for `forward`."""
        count = self._check(mixture_BML, labels, hints, iterations)
        samples = mixture_BML.shape[-1]
        spectrum = self.stft(mixture_BML)
        labels_BSK = self._slots(labels)
        film = self._film(labels, labels_BSK, hints, spectrum.magnitude.shape[-2])
        features = None if hints is None else hints.features

        def step(feedback_BSL: Tensor) -> Tensor:
            maps = self._inputs(spectrum.magnitude, feedback_BSL)
            masks = self.net(maps, film, self.middle, features)
            waveform_BSL = self._resynthesise(masks, spectrum, samples)
            if labels_BSK is None:
                return waveform_BSL
            return waveform_BSL * (labels_BSK.sum(dim=2, keepdim=True) != 0)

        start = mixture_BML.new_zeros(mixture_BML.shape[0], self.config.sources, samples)
        yield from refine(step, start, count)

    def group_of(self, parameter: str) -> Literal["pretrained", "new", "dprnn"]:
        """Return the group that a parameter learns with: what AudioSep brings, what is new, the recurrence."""
        if parameter.startswith("middle.dprnn."):
            return "dprnn"
        return "pretrained" if parameter.startswith(_FROM_AUDIOSEP) else "new"

    def _film(
        self, labels: Tensor, labels_BSK: Tensor | None, hints: Hints | None, frames: int
    ) -> Mapping[str, Modulation]:
        time = None
        if self.label_embedding is None or labels_BSK is None:
            condition = labels
        else:
            condition = self.label_embedding(labels_BSK.flatten(1))
            if self.activity is not None and hints is not None and hints.logits is not None:
                time = self.activity(hints.logits, labels_BSK)
        film: Mapping[str, Modulation] = self.film(condition, time, _padded(frames))
        return film

    def _inputs(self, magnitude_BMTF: Tensor, feedback_BSL: Tensor) -> Tensor:
        maps = _normalise(self.bn0, magnitude_BMTF)
        if self.bn0_feedback is not None:
            fed_back = self.stft(feedback_BSL).magnitude
            maps = torch.cat((maps, _normalise(self.bn0_feedback, fed_back)), dim=1)
        frames = maps.shape[2]
        return F.pad(maps[..., :-1], (0, 0, 0, _padded(frames) - frames))

    def _resynthesise(self, masks_BOTF: Tensor, spectrum: Spectrum, samples: int) -> Tensor:
        """Apply ``(batch, sources * mics * 3, frames, bins - 1)`` to the mixture's spectrum."""
        config, magnitude = self.config, spectrum.magnitude[:, None]
        with torch.autocast(masks_BOTF.device.type, enabled=False):
            masks = F.pad(masks_BOTF[:, :, : magnitude.shape[-2]].float(), (0, 1))
            masks = masks.view(len(masks), config.sources, config.mics, _PARTS, *masks.shape[2:])
            gain, turn = masks[:, :, :, 0].sigmoid(), masks[:, :, :, 1:].tanh()
            norm = turn.square().sum(dim=3).clamp(min=_TINY**2).sqrt()
            turn_real, turn_imag = (turn / norm.unsqueeze(3)).unbind(dim=3)
            cosine, sine = spectrum.cosine[:, None], spectrum.sine[:, None]
            scaled = gain * magnitude
            real = scaled * (cosine * turn_real - sine * turn_imag)
            imag = scaled * (sine * turn_real + cosine * turn_imag)
            return self.stft.inverse(self._mixed(real), self._mixed(imag), samples)

    def _mixed(self, part_BSMTF: Tensor) -> Tensor:
        if self.out_conv is None:
            return part_BSMTF.squeeze(2)
        assert self.out_conv.bias is not None
        weights = self.out_conv.weight.float()
        mixed = F.conv2d(part_BSMTF.flatten(0, 1), weights, self.out_conv.bias.float())
        return mixed.view(*part_BSMTF.shape[:2], *part_BSMTF.shape[3:])

    def _slots(self, labels: Tensor) -> Tensor | None:
        if not self.config.classes:
            return None
        return labels.reshape(labels.shape[0], self.config.sources, self.config.classes).float()

    def _check(self, mixture_BML: Tensor, labels: Tensor, hints: Hints | None, iterations: int | None) -> int:
        config = self.config
        least = config.n_fft // 2 + 1
        if mixture_BML.dim() != 3 or mixture_BML.shape[1] != config.mics or mixture_BML.shape[2] < least:
            raise ModelError(
                f"mixture has shape {tuple(mixture_BML.shape)}",
                where="mixture",
                remedy=f"give (batch, {config.mics}, at least {least} samples)",
            )
        batch, slots = mixture_BML.shape[0], config.sources * config.classes
        allowed = (
            {(batch, config.sources, config.classes), (batch, slots)}
            if slots
            else {(batch, config.condition)}
        )
        if tuple(labels.shape) not in allowed:
            raise ModelError(
                f"labels have shape {tuple(labels.shape)}",
                where="labels",
                remedy=f"give one of {sorted(allowed)}",
            )
        if config.injection != "none" and (hints is None or hints.features is None):
            raise ModelError(
                "this separator needs the SED model's features",
                where="hints",
                remedy="give Hints(features=…)",
            )
        if config.time_film != "none" and hints is None:
            raise ModelError(
                "this separator needs the SED model's logits", where="hints", remedy="give Hints(…)"
            )
        count = config.iterations if iterations is None else iterations
        if count < 1 or (count > 1 and not config.feedback):
            raise ModelError(
                f"{count} iterations", where="iterations", remedy="give at least 1, and 1 without feedback"
            )
        return count


def _normalise(norm: nn.BatchNorm1d, magnitude_BMTF: Tensor) -> Tensor:
    """Normalise every frequency bin over batch, microphones and time."""
    normed: Tensor = norm(magnitude_BMTF.flatten(0, 2))
    return normed.view_as(magnitude_BMTF)


def _padded(frames: int) -> int:
    return -(-frames // TIME_MULTIPLE) * TIME_MULTIPLE
