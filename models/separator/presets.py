"""The switches of the separator, and the published separators as settings of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args, get_type_hints

from ..errors import ModelError

TimeFilm = Literal["none", "additive", "multiplicative", "scale_shift"]
SedInput = Literal["logits", "probabilities", "binary"]
Injection = Literal["none", "add", "concat"]
Dprnn = Literal["none", "before", "after"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparatorConfig:
    """The settings of one separator; plain JSON values.

    Attributes:
        mics: Channels of the mixture.
        sources: Sources estimated in one pass (slots of the label vector).
        classes: Length of one slot's label vector; 0 when the caller gives the condition vector itself.
        condition: Length of the condition vector.
        n_fft: Window length and FFT size [samples].
        hop: Step between frames [samples].
        channels: Widths of the six encoder levels.
        mono: Mix the microphones' estimates to one channel (``out_conv``); needed when `mics` > 1.
        time_film: How frame-wise class activity shifts the norms: ``additive`` and ``multiplicative`` go
            through the label's FiLM layers, ``scale_shift`` through layers of its own, as in the paper.
        sed_input: What is made of the SED model's logits first.
        injection: How the SED model's token features join the bottleneck.
        features: Number of feature maps that are mixed.
        feature_width: Width of one token.
        dprnn: Dual-path recurrent network at the bottleneck, before or after the injection.
        dprnn_hidden: Units of one direction of its GRUs.
        dprnn_blocks: Its blocks.
        feedback: Take the previous estimate as additional input (iterative refinement).
        iterations: Passes at inference; in training the largest number drawn.
        checkpointed: Outer levels whose activations are recomputed in the backward pass (0 to 6).
    """

    mics: int = 4
    sources: int = 1
    classes: int = 18
    condition: int = 512
    n_fft: int = 2048
    hop: int = 160
    channels: tuple[int, ...] = (32, 64, 128, 256, 384, 384)
    mono: bool = True
    time_film: TimeFilm = "none"
    sed_input: SedInput = "logits"
    injection: Injection = "none"
    features: int = 13
    feature_width: int = 768
    dprnn: Dprnn = "none"
    dprnn_hidden: int = 256
    dprnn_blocks: int = 2
    feedback: bool = False
    iterations: int = 1
    checkpointed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        _check_choices(self)
        _check_numbers(self)

    @property
    def bins(self) -> int:
        """Frequency bins of one frame, Nyquist included."""
        return self.n_fft // 2 + 1

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values."""
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SeparatorConfig:
        """Build from JSON values.

        Raises:
            ModelError: An unknown key, a wrong type or a value out of range.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise ModelError(
                f"unknown separator setting {unknown[0]!r}",
                where=unknown[0],
                remedy=f"known settings: {', '.join(sorted(known))}",
            )
        return cls(**values)


_CHOICES = {
    "time_film": get_args(TimeFilm),
    "sed_input": get_args(SedInput),
    "injection": get_args(Injection),
    "dprnn": get_args(Dprnn),
}
_LEAST = {"classes": 0, "checkpointed": 0}
_POOLINGS = 6


def _check_choices(config: SeparatorConfig) -> None:
    for name, allowed in _CHOICES.items():
        value = getattr(config, name)
        if value not in allowed:
            raise ModelError(f"{value!r} is not a choice", where=name, remedy=f"choose {', '.join(allowed)}")


def _check_numbers(config: SeparatorConfig) -> None:
    hints = get_type_hints(SeparatorConfig)
    for name, kind in hints.items():
        value = getattr(config, name)
        if kind is bool and not isinstance(value, bool):
            raise ModelError(f"{value!r} is not true or false", where=name, remedy="give a boolean")
        if kind is int and (type(value) is not int or value < _LEAST.get(name, 1)):
            least = _LEAST.get(name, 1)
            raise ModelError(
                f"{value!r} is too small or no integer", where=name, remedy=f"give at least {least}"
            )
    if len(config.channels) != _POOLINGS or any(type(c) is not int or c < 1 for c in config.channels):
        raise ModelError(
            f"{config.channels!r} are not six widths", where="channels", remedy="give six integers"
        )
    if config.n_fft % (2 << _POOLINGS):
        remedy = f"give a multiple of {2 << _POOLINGS}: the bins are halved six times"
        raise ModelError(f"{config.n_fft} cannot be halved six times", where="n_fft", remedy=remedy)
    if config.hop > config.n_fft // 2:
        raise ModelError(f"{config.hop} leaves gaps", where="hop", remedy="give at most half of n_fft")
    if config.mics > 1 and not config.mono:
        raise ModelError("several microphones need one output", where="mono", remedy="leave mono at true")
    if config.checkpointed > _POOLINGS:
        raise ModelError(f"{config.checkpointed} of 6 levels", where="checkpointed", remedy="give 0 to 6")


_CPJKU = SeparatorConfig(time_film="additive", injection="add")

SEPARATORS: Mapping[str, SeparatorConfig] = {
    "audiosep": SeparatorConfig(mics=1, classes=0, hop=320, mono=False),
    "baseline_resunet": SeparatorConfig(n_fft=1024),
    "baseline_resunetk": SeparatorConfig(n_fft=1024, sources=3),
    "cpjku_non_iterative": _CPJKU,
    "cpjku_iterative": replace(_CPJKU, dprnn="after", feedback=True, iterations=2),
}

TINY: Mapping[str, Any] = {
    "n_fft": 256,
    "hop": 80,
    "channels": (8, 8, 8, 8, 16, 16),
    "condition": 16,
    "features": 3,
    "feature_width": 24,
    "dprnn_hidden": 8,
}
"""Settings that turn any preset into a net of a few thousand parameters, for tests and dry runs."""


def preset(name: str, **overrides: Any) -> SeparatorConfig:
    """Return a published separator's settings, with some of them replaced.

    Args:
        name: One of `SEPARATORS`; with the suffix ``-tiny`` its small form for tests and dry runs.
        overrides: Settings of `SeparatorConfig`.

    Raises:
        ModelError: An unknown preset or setting, or a value out of range.
    """
    base, _, size = name.partition("-")
    if base not in SEPARATORS or size not in ("", "tiny"):
        raise ModelError(
            f"unknown separator {name!r}",
            where="preset",
            remedy=f"choose one of {', '.join(SEPARATORS)} (or …-tiny)",
        )
    small = TINY if size else {}
    return SeparatorConfig.from_json({**SEPARATORS[base].to_json(), **small, **overrides})
