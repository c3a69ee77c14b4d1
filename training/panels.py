"""What can be seen and heard of fixed validation scenes while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_FFT = 1024
_ROWS = 256
_COLUMNS = 512


@dataclass(frozen=True, slots=True)
class Panel:
    """A sound, a picture or both under one name.

    Attributes:
        name: Where it stands in the log, such as `scene-0/estimate`.
        audio: (C, T) float, full scale 1, or None.
        image: (H, W, 3) uint8, or None.
        rate: Samples per second of `audio`.
    """

    name: str
    audio: NDArray[np.floating[Any]] | None = None
    image: NDArray[np.uint8] | None = None
    rate: int = 32_000


def sound_panel(name: str, audio: Tensor, rate: int, *, range_db: float = 80.0) -> Panel:
    """Return a sound with its spectrogram.

    Args:
        name: Where it stands in the log.
        audio: (T,) or (C, T); the picture shows the first channel.
        rate: Samples per second.
        range_db: Range of the colours below the loudest bin.
    """
    channels = torch.atleast_2d(audio.detach().float().cpu())
    return Panel(
        name,
        channels.numpy(),
        map_image(decibels(channels[0]).numpy(), (-range_db, 0.0), (_ROWS, _COLUMNS)),
        rate,
    )


def decibels(audio: Tensor) -> Tensor:
    """Return a log power spectrogram (F, N) in dB relative to its loudest bin, for audio (T,).

    Clips shorter than a window are padded with zeros; silence is -200 dB throughout.
    """
    audio = torch.nn.functional.pad(audio, (0, max(_FFT - audio.shape[-1], 0)))
    spectrum = torch.stft(
        audio, _FFT, _FFT // 4, window=torch.hann_window(_FFT), return_complex=True, center=False
    )
    power = spectrum.abs().square()
    return 10 * torch.log10((power / power.max().clamp(min=1e-20)).clamp(min=1e-20))


def map_image(
    values: NDArray[Any], limits: tuple[float, float], size: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """Return a picture (H, W, 3) of a matrix (rows, columns), first row at the bottom.

    Args:
        values: Such as a spectrogram (F, N) or class probabilities (K, F).
        limits: Values of the darkest and of the brightest colour.
        size: (H, W) of the picture at most; larger matrices are thinned out.
    """
    from matplotlib import colormaps

    if size is not None:
        rows, columns = (_thinned(length, most) for length, most in zip(values.shape, size, strict=True))
        values = values[np.ix_(rows, columns)]
    scaled = np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1)
    picture: NDArray[np.uint8] = (colormaps["magma"](scaled[::-1])[..., :3] * 255).round().astype(np.uint8)
    return picture


def first_scenes(batch: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return the first scenes of a batch."""
    return {name: tensor[:count] for name, tensor in batch.items()}


def _thinned(length: int, most: int) -> NDArray[np.int64]:
    return np.linspace(0, length - 1, min(length, most)).round().astype(np.int64)
