"""Augmentation of batches in training: mixup of waveforms, and what happens to mel spectrograms.

What changes the scenes themselves is drawn in the plan (the recipe's `effects`). Here everything is
drawn from the generator that is given, on the CPU, so that a resumed run draws it again; nothing
looks at the net's device but to send a handful of numbers there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Generator, Tensor, nn

from synth import SynthError

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

    from .sections import AugmentSection

_MIXED = ("mixture", "noise", "strong", "weak")
_OWN = ("dry", "wet")
_BANDS = (3, 6)
_CUBIC = -0.75
_PROBE_SECONDS = 1.0


def mixup(batch: Mapping[str, Tensor], generator: Generator, alpha: float = 0.2) -> dict[str, Tensor]:
    """Mix every scene of a batch with another one (Zhang et al., "mixup", ICLR 2018).

    With c from Beta(alpha, alpha) per scene and c = max(c, 1 - c), so that the scene itself prevails:
    mixture, noise, strong and weak become c * own + (1 - c) * other. `dry` and `wet`, where there,
    are the scene's own targets at their level in the mix, `labels` and `position` its own; the
    other's targets are among what interferes, so a stem `interference` is left out.

    Args:
        batch: Tensors by name, B scenes first; see `synth.scene_sample`.
        generator: On the CPU; takes the same numbers whatever the batch holds.
        alpha: Of the Beta distribution.

    Returns:
        A new dictionary; no tensor of `batch` is changed.

    Raises:
        SynthError: alpha is not above 0.
    """
    if not alpha > 0:
        raise SynthError(f"is {alpha}, must be above 0", where="augment.mixup", remedy="0.2 is usual")
    from scipy.special import betaincinv

    mixture = batch["mixture"]
    other = torch.randperm(len(mixture), generator=generator).to(mixture.device)
    uniform = torch.rand(len(mixture), generator=generator, dtype=torch.float64)
    c = torch.from_numpy(betaincinv(alpha, alpha, uniform.numpy()))
    c_B = torch.maximum(c, 1 - c).to(mixture)
    mixed = {name: tensor for name, tensor in batch.items() if name != "interference"}
    for name in (*_MIXED, *_OWN):
        if name in mixed:
            own = mixed[name]
            weight = c_B.view(-1, *[1] * (own.ndim - 1))
            mixed[name] = weight * own if name in _OWN else torch.lerp(own[other], own, weight)
    return mixed


class MelAugment:
    """What a configuration does to normalised log-mel spectrograms, all of it different for every clip.

    In this order: `freq_warp`, `filter_db`, masks.

    - Frequency warp: of the M bands a part (factor uniform, e.g. 0.6 to 1; place uniform) is resized to M
      bands by bicubic interpolation.
    - Filter (Nam et al., "FilterAugment", ICASSP 2022, the linear form): a gain in dB that is a polygon
      over frequency, with 3 to 6 bands of random edges.
    - Masks (Park et al., "SpecAugment", Interspeech 2019): runs of 0 up to `time_width` frames and
      `mel_width` bands become 0, the mean of normalised features.

    Args:
        config: The section `augment` of a training configuration.

    Attributes:
        generator: Where a net that this is attached to draws from; None: it leaves spectrograms alone.
        per_db: What 1 dB is in the features; `attach` measures it.
    """

    def __init__(self, config: AugmentSection) -> None:
        self.config = config
        self.generator: Generator | None = None
        self.per_db = 1.0

    def __bool__(self) -> bool:
        c = self.config
        return bool(c.freq_warp or c.filter_db or c.time_masks or c.mel_masks)

    def __call__(self, mel_B1MT: Tensor, generator: Generator) -> Tensor:
        """Return the spectrograms ``(batch, 1, mels, frames)`` changed; the given ones stay as they are.

        Args:
            mel_B1MT: Normalised log-mel spectrograms.
            generator: On the CPU.
        """
        c, mel = self.config, mel_B1MT
        B, _, M, T = mel.shape
        if c.freq_warp is not None:
            weights = warp_weights(B, M, c.freq_warp, generator)
            mel = torch.matmul(weights.to(mel), mel.squeeze(1)).unsqueeze(1)
        if c.filter_db is not None:
            gains = filter_gains(B, M, c.filter_db, generator) * self.per_db
            mel = mel + gains.to(mel)[:, None, :, None]
        for count, width, size, axis in (
            (c.time_masks, c.time_width, T, 3),
            (c.mel_masks, c.mel_width, M, 2),
        ):
            if count:
                shape = [B, 1, 1, 1]
                shape[axis] = size
                mel = mel.masked_fill(masks(B, size, count, width, generator).to(mel.device).view(shape), 0.0)
        return mel


def warp_weights(B: int, M: int, factors: tuple[float, float], generator: Generator) -> Tensor:
    """Return matrices ``(batch, M, M)`` that resize a random part of M bands to M (bicubic, ends held)."""
    factor = _uniform(B, factors, generator).clamp(0.0, 1.0)
    start = torch.rand(B, generator=generator, dtype=torch.float64) * (1 - factor) * (M - 1)
    steps = torch.arange(M, dtype=torch.float64)
    places = (start[:, None] + factor[:, None] * steps).clamp(0, M - 1)
    below = places.floor()
    weights = torch.zeros(B, M, M, dtype=torch.float64)
    for tap in (-1, 0, 1, 2):
        source = (below + tap).clamp(0, M - 1).long()
        weights.scatter_add_(2, source[..., None], _cubic((places - below - tap).abs())[..., None])
    return weights.float()


def filter_gains(B: int, M: int, db: tuple[float, float], generator: Generator) -> Tensor:
    """Return gains in dB ``(batch, M)``: polygons over the bands, corners at random bands and heights."""
    gains = torch.empty(B, M, dtype=torch.float64)
    bands = torch.arange(M, dtype=torch.float64)
    most = _BANDS[1] + 1
    # As many numbers for every clip, however many corners it has.
    counts = torch.randint(_BANDS[0], most, (B,), generator=generator)
    edges = torch.rand(B, most, generator=generator, dtype=torch.float64) * (M - 1)
    heights = _uniform(B * most, db, generator).view(B, most)
    for n in range(B):
        inner = edges[n, 1 : counts[n]].sort().values
        corners = torch.cat([edges.new_zeros(1), inner, edges.new_full((1,), M - 1)])
        gains[n] = _polygon(bands, corners, heights[n])
    return gains.float()


def masks(B: int, size: int, count: int, width: int, generator: Generator) -> Tensor:
    """Return ``(batch, size)``, true inside any of `count` runs of 0 to `width`, inside 0 to size."""
    widths = torch.randint(0, min(width, size) + 1, (B, count, 1), generator=generator)
    starts = torch.rand(B, count, 1, generator=generator, dtype=torch.float64) * (size - widths + 1)
    index, starts = torch.arange(size), starts.floor().long()
    return ((index >= starts) & (index < starts + widths)).any(1)


def attach(model: nn.Module, augment: MelAugment) -> RemovableHandle:
    """Let a net's front end pass its spectrograms through an augmentation while it trains.

    The net stays as it is: remove the handle returned, and nothing is left. In evaluation, and while
    `augment.generator` is None, nothing happens. Set it before every step:
    `augment.generator = draws("mel")`.

    Args:
        model: A SED model or tagger with a `backbone`, or a backbone.
        augment: What to do; its `per_db` becomes that of this net's features.

    Raises:
        SynthError: The net has no mel front end.
    """
    backbone: Any = getattr(model, "backbone", model)
    frontend = getattr(backbone, "frontend", None)
    if not isinstance(frontend, nn.Module):
        raise SynthError(
            f"{type(model).__name__} has no mel front end",
            where="augment",
            remedy="leave freq_warp, filter_db and masks to SED models and taggers",
        )
    augment.per_db = _feature_per_db(backbone)
    return frontend.register_forward_hook(_hook(augment))


def _hook(augment: MelAugment) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    @torch.compiler.disable
    def changed(frontend: nn.Module, inputs: Any, mel_B1MT: Tensor) -> Tensor:
        if augment.generator is None or not frontend.training:
            return mel_B1MT
        return augment(mel_B1MT, augment.generator)

    return changed


def _feature_per_db(backbone: Any) -> float:
    """Measure by how much features rise when a sound gets 1 dB louder, with broad-band noise."""
    training = backbone.frontend.training
    samples = round(_PROBE_SECONDS * backbone.sample_rate)
    noise = 0.1 * torch.randn(1, samples, generator=Generator().manual_seed(0))
    noise = noise.to(backbone.frontend.window.device)
    backbone.frontend.eval()
    try:
        with torch.no_grad():
            rise = backbone.mel(noise * 10**0.5) - backbone.mel(noise)
    finally:
        backbone.frontend.train(training)
    return float(rise.median()) / 10


def _uniform(count: int, bounds: tuple[float, float], generator: Generator) -> Tensor:
    low, high = bounds
    return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float64)


def _cubic(distance: Tensor) -> Tensor:
    """Return the weights of cubic convolution (Keys 1981) with the constant that torch uses."""
    d, a = distance, _CUBIC
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))


def _polygon(x: Tensor, corners: Tensor, heights: Tensor) -> Tensor:
    """Interpolate linearly between corners (n,) of the first n heights."""
    right = torch.searchsorted(corners, x, right=True).clamp(1, len(corners) - 1)
    left = right - 1
    part = (x - corners[left]) / (corners[right] - corners[left]).clamp_min(math.ulp(1.0))
    return heights[left] + (heights[right] - heights[left]) * part.clamp(0, 1)
