"""Effects of single events: dry sound in, dry sound out, on any device, nothing drawn.

Filters, gain, polarity, pitch shift and coloured noise are the transforms of torch-audiomentations
(extra `augment`) with their parameters set and frozen. That package has no time stretch: see
`stretch.py`. The noise it draws by itself comes from a generator with the spec's seed, on the CPU, so
that every device gets the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ...errors import SynthError
from ...scenes.effect_specs import (
    BandPass,
    ColouredNoise,
    EventEffect,
    Gain,
    HighPass,
    LowPass,
    PitchShift,
    Polarity,
    TimeStretch,
    read_samples,
    stretched,
)
from ...scenes.effects import pitch_steps
from ...scenes.spec import EventSpec, Rules
from ...units import Audio, Hertz
from ..sounds import Sounds

if TYPE_CHECKING:  # loaded when the first effect is applied
    from torch import Tensor


def read_event(sounds: Sounds, event: EventSpec, rules: Rules, rate: Hertz) -> Audio:
    """Return the dry sound of an event with its effects, `(cut_before + duration,)` float32.

    Raises:
        SynthError: As `Sounds.event`, or the extra `augment` is not installed.
    """
    if not event.effects and not event.cut_before:
        return sounds.event(event, rules, rate)
    signal = sounds.event(as_read(event), rules, rate)
    if not event.effects:
        return signal
    import torch

    with torch.inference_mode():
        changed = apply_event_effects(torch.from_numpy(signal.copy()), event.effects, rate)
    out: Audio = changed.numpy()
    return out


def as_read(event: EventSpec) -> EventSpec:
    """Return the event as its recording is read: what its effects start from."""
    samples = read_samples(event.effects, event.cut_before + event.duration)
    return event.model_copy(update={"duration": samples, "cut_before": 0, "effects": ()})


def apply_event_effects(signal: Tensor, effects: Sequence[EventEffect], rate: Hertz) -> Tensor:
    """Apply effects in their order.

    Args:
        signal: (n,) float32, on any device.
        effects: Of the event.
        rate: In Hz.

    Returns:
        (m,) float32 on the same device; m differs from n by the time stretch only.

    Raises:
        SynthError: The extra `augment` is not installed.
    """
    for effect in effects:
        signal = _APPLY[type(effect)](signal, effect, rate)
    return signal


def _gain(signal: Tensor, effect: Gain, rate: Hertz) -> Tensor:
    factors = signal.new_full((1, 1, 1), 10 ** (effect.db / 20))
    return _frozen("Gain", signal, rate, {"gain_factors": factors})


def _polarity(signal: Tensor, effect: Polarity, rate: Hertz) -> Tensor:
    return _frozen("PolarityInversion", signal, rate, {})


def _pitch(signal: Tensor, effect: PitchShift, rate: Hertz) -> Tensor:
    steps = pitch_steps(rate)
    ratio = Fraction(steps, max(round(steps / 2 ** (effect.semitones / 12)), 1))
    if ratio == 1:
        return signal
    # The shortest STFT that the transform can take is longer than a very short click.
    padded = _at_least(signal, rate // 32)
    shifted = _frozen("PitchShift", padded, rate, {"transpositions": [ratio]}, sample_rate=rate)
    return shifted[: len(signal)]


def _high_pass(signal: Tensor, effect: HighPass, rate: Hertz) -> Tensor:
    return _frozen("HighPassFilter", signal, rate, {"cutoff_freq": _doubles(effect.cutoff_hz)})


def _low_pass(signal: Tensor, effect: LowPass, rate: Hertz) -> Tensor:
    return _frozen("LowPassFilter", signal, rate, {"cutoff_freq": _doubles(effect.cutoff_hz)})


def _band_pass(signal: Tensor, effect: BandPass, rate: Hertz) -> Tensor:
    parameters = {"center_freq": _doubles(effect.centre_hz), "bandwidth": _doubles(effect.width)}
    return _frozen("BandPassFilter", signal, rate, parameters)


def _noise(signal: Tensor, effect: ColouredNoise, rate: Hertz) -> Tensor:
    import torch

    parameters = {
        "snr_in_db": torch.tensor([effect.snr_db]),
        "f_decay": torch.tensor([effect.decay]),
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(effect.seed)
        noisy = _frozen("AddColoredNoise", signal.cpu(), rate, parameters)
    return noisy.to(signal.device)


def _stretch(signal: Tensor, effect: TimeStretch, rate: Hertz) -> Tensor:
    from .stretch import time_stretch

    return time_stretch(signal, stretched(len(signal), effect.factor), rate)


_APPLY: dict[type[Any], Callable[[Tensor, Any, Hertz], Tensor]] = {
    Gain: _gain,
    Polarity: _polarity,
    PitchShift: _pitch,
    HighPass: _high_pass,
    LowPass: _low_pass,
    BandPass: _band_pass,
    ColouredNoise: _noise,
    TimeStretch: _stretch,
}


def _frozen(name: str, signal: Tensor, rate: Hertz, parameters: dict[str, Any], **options: Any) -> Tensor:
    """Apply a transform of torch-audiomentations with the given parameters to (n,)."""
    import torch

    transform = getattr(_audiomentations(), name)(p=1.0, output_type="dict", **options)
    transform.transform_parameters = {"should_apply": torch.tensor([True]), **parameters}
    transform.freeze_parameters()
    result: Tensor = transform(signal[None, None], sample_rate=rate).samples[0, 0]
    return result


def _doubles(value: float) -> Tensor:
    import torch

    return torch.tensor([value], dtype=torch.float64)


def _at_least(signal: Tensor, samples: int) -> Tensor:
    import torch

    return torch.nn.functional.pad(signal, (0, max(samples - len(signal), 0)))


def _audiomentations() -> Any:
    try:
        import torch_audiomentations
    except ModuleNotFoundError as error:
        raise SynthError(
            f"effects of events need {error.name}, which is not installed",
            where="effects",
            remedy="pip install 's5kit[augment]', or switch off effects.events in the recipe",
        ) from error
    return torch_audiomentations
