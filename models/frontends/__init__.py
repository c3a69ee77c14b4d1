"""The mel front ends of the five backbones: waveform in, normalised log-mel spectrogram out.

Every front end takes ``(batch, samples)`` and returns ``(batch, 1, mels, frames)`` in float32, also under
autocast: half precision would spoil the logarithm of quiet bins. They hold no trainable parameter and
save nothing in a state dictionary. Each class below says its figures.

Windows are computed in float32 where the reference does so: in quiet bins beside a loud tone their last bit is
heard, and with the same window the features are equal to the last bits.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .banks import htk_bank, kaldi_bank, slaney_bank
from .framing import centred_power, snipped_power

_FLOAT32_EPS = 1.1920929e-7


class MelFrontend(nn.Module):
    """Waveform to normalised log-mel spectrogram; subclasses fill in the three steps.

    Attributes:
        sample_rate: Rate of the waveforms in Hz.
        hop: Samples between frames.
    """

    sample_rate: int = 16000
    hop: int = 160
    window: Tensor
    filters: Tensor

    def __init__(self, window_W: Tensor, bank_MF: Tensor) -> None:
        super().__init__()
        self.register_buffer("window", window_W.float(), persistent=False)
        self.register_buffer("filters", bank_MF, persistent=False)

    def forward(self, x_BL: Tensor) -> Tensor:
        """Return ``(batch, 1, mels, frames)`` for waveforms ``(batch, samples)`` at `sample_rate`."""
        with torch.autocast(x_BL.device.type, enabled=False):
            mel_BMT = self.bank() @ self.power(x_BL.float())
            return self.compress(mel_BMT).unsqueeze(1)

    def bank(self) -> Tensor:
        """Return the filter bank ``(mels, bins)``."""
        return self.filters

    def power(self, x_BL: Tensor) -> Tensor:
        """Return power spectra ``(batch, bins, frames)``."""
        raise NotImplementedError

    def compress(self, mel_BMT: Tensor) -> Tensor:
        """Return the normalised logarithm of mel powers."""
        raise NotImplementedError


class M2dFrontend(MelFrontend):
    """M2D's: 80 Slaney mels from 50 Hz to Nyquist, 25 ms Hann windows every 10 ms, at 16 or 32 kHz.

    Args:
        sample_rate: 16000 or 32000 Hz.
    """

    mean: ClassVar[float] = -7.1
    std: ClassVar[float] = 4.2

    def __init__(self, sample_rate: int = 16000) -> None:
        self.n_fft = sample_rate // 40
        bank = slaney_bank(sample_rate, self.n_fft, 80, 50.0, sample_rate / 2)
        super().__init__(torch.hann_window(self.n_fft, dtype=torch.float64), bank)
        self.sample_rate, self.hop = sample_rate, sample_rate // 100

    def forward(self, x_BL: Tensor, stats_2: Tensor | None = None) -> Tensor:
        """Return ``(batch, 1, 80, frames)``, normalised by `stats_2` (mean, std) or (-7.1, 4.2)."""
        log_mel = super().forward(x_BL)
        if stats_2 is None:
            return (log_mel - self.mean) / self.std
        return (log_mel - stats_2[0].float()) / stats_2[1].float()

    def power(self, x_BL: Tensor) -> Tensor:
        """Return power spectra ``(batch, bins, frames)``."""
        return centred_power(x_BL, self.window, self.n_fft, self.hop)

    def compress(self, mel_BMT: Tensor) -> Tensor:
        """Return the normalised logarithm of mel powers."""
        return torch.log(mel_BMT + _FLOAT32_EPS)


class AtstFrontend(MelFrontend):
    """ATST-Frame's: 64 HTK mels of 60 to 7800 Hz, 64 ms Hann windows, decibels with an 80 dB floor.

    The floor lies 80 dB below the loudest bin. The reference takes that peak over the whole batch, so that
    an item's features depend on its batch mates; here each item has its own unless asked otherwise.

    Args:
        batch_floor: Take the peak over the batch, as the reference does. For one clip it is the same.
    """

    n_fft: ClassVar[int] = 1024
    low_db: ClassVar[float] = -79.6482
    high_db: ClassVar[float] = 50.6842

    def __init__(self, *, batch_floor: bool = False) -> None:
        bank = htk_bank(self.sample_rate, self.n_fft, 64, 60.0, 7800.0)
        super().__init__(torch.hann_window(self.n_fft), bank)
        self.batch_floor = batch_floor

    def power(self, x_BL: Tensor) -> Tensor:
        """Return power spectra ``(batch, bins, frames)``."""
        return centred_power(x_BL, self.window, self.n_fft, self.hop)

    def compress(self, mel_BMT: Tensor) -> Tensor:
        """Return decibels above the floor, scaled to about [-1, 1]."""
        level = 10.0 * torch.log10(mel_BMT.clamp_min(1e-10))
        peak = level.amax() if self.batch_floor else level.amax((1, 2), keepdim=True)
        level = torch.maximum(level, peak - 80.0).clamp(-50.0, 80.0)
        return 2.0 * (level - self.low_db) / (self.high_db - self.low_db) - 1.0


class FpasstFrontend(MelFrontend):
    """Frame-PaSST's: pre-emphasis, 25 ms Hann windows in 512 points, 128 Kaldi mels of 0 to 7000 Hz.

    Args:
        draw_band: While training, draw the band's edges per batch from 0..9 Hz and 6001..8000 Hz (from
            torch's generator, as dropout does).
    """

    n_fft: ClassVar[int] = 512
    mels: ClassVar[int] = 128

    def __init__(self, *, draw_band: bool = True) -> None:
        bank = kaldi_bank(self.sample_rate, self.n_fft, self.mels, 0.0, 7000.0)
        super().__init__(torch.hann_window(400), bank)
        self.draw_band = draw_band

    def bank(self) -> Tensor:
        """Return the filter bank ``(mels, bins)``, drawn anew while training."""
        if not (self.training and self.draw_band):
            return self.filters
        device = self.filters.device
        fmin = torch.randint(0, 10, (), device=device)
        fmax = 8000 - torch.randint(0, 2000, (), device=device)
        return kaldi_bank(self.sample_rate, self.n_fft, self.mels, fmin, fmax)

    def power(self, x_BL: Tensor) -> Tensor:
        """Return power spectra ``(batch, bins, frames)``."""
        return centred_power(x_BL[:, 1:] - 0.97 * x_BL[:, :-1], self.window, self.n_fft, self.hop)

    def compress(self, mel_BMT: Tensor) -> Tensor:
        """Return the normalised logarithm of mel powers."""
        return (torch.log(mel_BMT.clamp_min(1e-7)) + 4.5) / 5.0


class KaldiFrontend(MelFrontend):
    """What BEATs and ASiT share: Kaldi's 25 ms frames every 10 ms, 128 mels of 20 to 8000 Hz."""

    n_fft: ClassVar[int] = 512
    mean: ClassVar[float]
    spread: ClassVar[float]

    def __init__(self, window_W: Tensor) -> None:
        super().__init__(window_W, kaldi_bank(self.sample_rate, self.n_fft, 128, 20.0, 8000.0))

    def power(self, x_BL: Tensor) -> Tensor:
        """Return power spectra ``(batch, bins, frames)``."""
        return snipped_power(self.scale(x_BL), self.window, self.n_fft, self.hop)

    def scale(self, x_BL: Tensor) -> Tensor:
        """Return the waveform as the filter bank of the reference receives it."""
        raise NotImplementedError

    def compress(self, mel_BMT: Tensor) -> Tensor:
        """Return the normalised logarithm of mel powers."""
        return (torch.log(mel_BMT.clamp_min(_FLOAT32_EPS)) - self.mean) / (2.0 * self.spread)


class BeatsFrontend(KaldiFrontend):
    """BEATs': samples as 16-bit integers, Povey window (a symmetric Hann to the power 0.85)."""

    mean: ClassVar[float] = 15.41663
    spread: ClassVar[float] = 6.55582

    def __init__(self) -> None:
        super().__init__(torch.hann_window(400, periodic=False) ** 0.85)

    def scale(self, x_BL: Tensor) -> Tensor:
        """Return the waveform as the filter bank of the reference receives it."""
        return x_BL * 2.0**15


class AsitFrontend(KaldiFrontend):
    """ASiT's: the clip without its mean, symmetric Hann window."""

    mean: ClassVar[float] = -4.2677393
    spread: ClassVar[float] = 4.5689974

    def __init__(self) -> None:
        super().__init__(torch.hann_window(400, periodic=False))

    def scale(self, x_BL: Tensor) -> Tensor:
        """Return the waveform as the filter bank of the reference receives it."""
        return x_BL - x_BL.mean(-1, keepdim=True)


_CLASSES: dict[str, type[MelFrontend]] = {
    "m2d": M2dFrontend,
    "atst": AtstFrontend,
    "beats": BeatsFrontend,
    "fpasst": FpasstFrontend,
    "asit": AsitFrontend,
}


def create_frontend(name: str, **options: object) -> MelFrontend:
    """Return the mel front end of a backbone.

    Args:
        name: "m2d", "atst", "beats", "fpasst" or "asit".
        **options: ``sample_rate`` (m2d), ``batch_floor`` (atst), ``draw_band`` (fpasst).

    Raises:
        ModelError: There is no front end of that name.
    """
    if name not in _CLASSES:
        raise ModelError(
            f"no front end {name!r}", where="create_frontend", remedy=f"choose one of {', '.join(_CLASSES)}"
        )
    return _CLASSES[name](**options)  # type: ignore[arg-type]
