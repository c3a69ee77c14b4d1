"""The sections of a training configuration: what each key means and what it may be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Number = TypeVar("Number", int, float)

BACKBONES = ("m2d", "atst", "beats", "fpasst", "asit")
BASELINE_TAGGERS = ("baseline2025", "baseline2026_1c", "baseline2026_4c")


def _number(value: Any) -> Any:
    """Read `1e-3`, which YAML 1.1 takes for text, as the number that it is."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) and value else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _numbers(value: Any) -> Any:
    return tuple(map(_number, value)) if isinstance(value, list) else value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("must be a finite number")
    return value


def _ordered(value: tuple[Number, Number]) -> tuple[Number, Number]:
    if value[0] > value[1]:
        raise ValueError(f"the low end {value[0]} is above the high end {value[1]}")
    return value


def _distinct(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if value is not None and (not value or len(set(value)) < len(value)):
        raise ValueError("must be a list of different names, at least one")
    return value


Real = Annotated[float, BeforeValidator(_number), AfterValidator(_finite)]
Rate = Annotated[Real, Field(ge=0, le=1)]
Place = Annotated[Path, BeforeValidator(_path)]
Span = Annotated[tuple[Real, Real], BeforeValidator(_numbers), AfterValidator(_ordered)]
Words = Annotated[tuple[str, ...], BeforeValidator(_tuple)]
Names = Annotated[tuple[str, ...] | None, BeforeValidator(_tuple), AfterValidator(_distinct)]

_FILE = "a file name, or null"
_ADDRESS = "a folder or an address (https://…, s3://…), or null"


class Section(BaseModel):
    """A group of keys: nothing else is allowed in it, and nothing changes once it is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataSection(Section):
    """Where the scenes come from."""

    source: Literal["live", "gpu", "corpus"] = Field(
        "live", description="live (CPU workers), gpu (rendered on the device) or corpus (stored shards)"
    )
    recipe: str = Field("dcase2025", min_length=1, description="a preset of `s5kit recipes list` or a file")
    set: Words = Field((), description="a list of KEY=VALUE for the recipe; by hand: set.KEY=VALUE")
    catalog: Place | None = Field(None, description="a folder made by `s5kit catalog build`")
    corpus: str | None = Field(None, description=_ADDRESS)
    cache: Place | None = Field(None, description="a folder for what is read from far away, or null")
    splits: Annotated[
        tuple[Literal["train", "valid", "test"], ...], BeforeValidator(_tuple), AfterValidator(_distinct)
    ] = Field(("train",), description="[train], or [train, valid] to learn from both")
    classes: Names = Field(None, description="a list of class names, or null for the 18 of the task")
    seed: int = Field(0, description="an integer; other seeds, other scenes")
    workers: int = Field(2, ge=0, le=256, description="0 to 256 processes per device")
    prefetch: int = Field(2, ge=1, le=64, description="1 to 64 batches made ahead, per device")


class LoopSection(Section):
    """How long, how large, how exactly."""

    steps: int = Field(25_000, ge=1, description="optimiser steps, at least 1")
    batch_size: int = Field(32, ge=1, le=65_536, description="scenes per step over all devices, at least 1")
    accumulate: int = Field(1, ge=1, le=4096, description="parts that a step's batch is taken in, at least 1")
    precision: Literal["fp32", "fp16", "bf16"] = Field("fp32", description="fp32, fp16 or bf16")
    tf32: bool = Field(False, description="true or false: TF32 products on recent GPUs")
    clip: Annotated[Real, Field(gt=0)] | None = Field(0.5, description="largest gradient norm, or null")
    ema: Annotated[Real, Field(gt=0, lt=1)] | None = Field(
        None, description="decay per step of the averaged weights, such as 0.999, or null"
    )
    compile: bool = Field(False, description="true or false: torch.compile")
    channels_last: bool = Field(False, description="true or false: memory order of convolutions")
    device: Literal["auto", "cpu"] = Field("auto", description="auto or cpu")
    seed: int = Field(
        0, ge=0, lt=1 << 63, description="an integer from 0: initial weights and training's draws"
    )
    log_every: int = Field(50, ge=1, description="steps between lines of the log, at least 1")
    skip_nonfinite: int = Field(
        0,
        ge=0,
        description="steps with a loss or gradient that is not finite to leave out before the run stops",
    )


class OptimSection(Section):
    """Which optimiser; the learning rates are its task's."""

    optimizer: Literal["adam", "adamw"] = Field("adam", description="adam or adamw")
    amsgrad: bool = Field(False, description="true or false")
    betas: Annotated[tuple[Rate, Rate], BeforeValidator(_numbers)] = Field(
        (0.9, 0.999), description="two numbers from 0 to below 1"
    )
    eps: Annotated[Real, Field(gt=0)] = Field(1e-8, description="above 0")
    weight_decay: Annotated[Real, Field(ge=0)] = Field(0.0, description="from 0; tensors of >= 2 axes only")


class SedOptimSection(OptimSection):
    """Learning rates of the first stage: `lr` for the head, `lr * layer_decay**i` for the i-th block from the top."""

    lr: Annotated[Real, Field(gt=0)] = Field(4e-4, description="above 0")
    layer_decay: Annotated[Real, Field(gt=0, le=1)] = Field(1.0, description="above 0, to 1")


class SeparatorOptimSection(OptimSection):
    """Learning rates of the separator's parts."""

    lr_pretrained: Annotated[Real, Field(gt=0)] = Field(6e-4, description="above 0: what AudioSep brings")
    lr_new: Annotated[Real, Field(gt=0)] = Field(3e-3, description="above 0: what starts fresh")
    lr_dprnn: Annotated[Real, Field(gt=0)] = Field(3e-3, description="above 0: the dual-path RNN")
    lr_sed: Annotated[Real, Field(gt=0)] = Field(4e-4, description="above 0: the guiding SED model")
    sed_decay: Annotated[Real, Field(gt=0, le=1)] = Field(0.9, description="above 0, to 1: lr_sed per block")


class ScheduleSection(Section):
    """The factor on every learning rate over the steps."""

    kind: Literal["cosine", "constant", "staircase"] = Field(
        "cosine",
        description="cosine, constant or staircase (x0.001, x0.01, x0.1 in thirds of the warm-up, then 1)",
    )
    warmup_steps: int = Field(0, ge=0, description="steps from 0")


class ValidationSection(Section):
    """Which fixed scenes a model is measured on, and by what."""

    every: int = Field(1000, ge=1, description="steps, at least 1")
    source: Literal["recipe", "scenes", "corpus"] = Field(
        "recipe", description="recipe (planned), scenes (official valid.json) or corpus (stored)"
    )
    recipe: str | None = Field(None, description="a recipe, or null for that of the training data")
    set: Words = Field((), description="a list of KEY=VALUE for the recipe; by hand: set.KEY=VALUE")
    split: Literal["train", "valid", "test"] = Field("valid", description="train, valid or test")
    catalog: Place | None = Field(None, description="a folder, or null for that of the training data")
    seed: int = Field(0, description="an integer")
    num_scenes: int | None = Field(500, ge=1, description="at least 1; null: all that a file or corpus holds")
    scenes: Place | None = Field(None, description="an official list of scenes (valid.json), or null")
    root: Place | None = Field(
        None, description="the folder that the paths of the scenes start from, or null"
    )
    corpus: str | None = Field(None, description=_ADDRESS)
    batch_size: int = Field(4, ge=1, description="scenes at once on every device; no figure depends on it")
    workers: int = Field(2, ge=0, le=256, description="0 to 256 processes per device")
    labels: Annotated[
        tuple[Literal["oracle", "predicted"], ...], BeforeValidator(_tuple), AfterValidator(_distinct)
    ] = Field(("oracle",), description="[oracle], [predicted] or both (separators)")
    tagger: Place | None = Field(None, description="a saved first stage that predicts the labels, or null")
    predictions: Place | None = Field(
        None, description="a JSON list of lists of labels, one per scene, or null"
    )
    threshold: Rate = Field(0.5, description="least probability of a label, 0 to 1")
    metric: str = Field("loss", min_length=1, description="which figure chooses the best checkpoint")
    mode: Literal["max", "min"] = Field("min", description="max or min: what is better")
    weights: Literal["ema", "raw", "both"] = Field(
        "ema",
        description="ema (raw without loop.ema), raw, or both (raw figures as raw/…; the metric is ema's)",
    )
    panels: int = Field(2, ge=0, le=16, description="scenes shown and played in the log, 0 to 16")
    patience: int | None = Field(
        None, ge=1, description="validations without a better figure, then stop; or null"
    )


class CheckpointSection(Section):
    """When the run is saved, and how many are kept."""

    every: int = Field(1000, ge=1, description="steps, at least 1")
    keep: int = Field(
        2, ge=1, description="newest ones that stay, at least 1; best and last stay beside them"
    )


class SedModelSection(Section):
    """A first-stage model."""

    name: Literal[
        "m2d", "atst", "beats", "fpasst", "asit", "baseline2025", "baseline2026_1c", "baseline2026_4c"
    ] = Field("m2d", description=", ".join((*BACKBONES, *BASELINE_TAGGERS)))
    size: Literal["base", "small", "tiny"] = Field("base", description="base, small or tiny")
    head: Literal["attention", "linear", "tagging"] = Field(
        "attention", description="attention, linear or tagging (the baselines have their own)"
    )
    head_norm: bool = Field(False, description="true or false: batch norm before the head")
    weights: Place | None = Field(None, description="a .safetensors file of ours to start from, or null")
    train_only: int | None = Field(
        None, ge=0, description="0: head only, n: and the last n blocks, null: all (the baselines' taggers)"
    )


class SedLossSection(Section):
    """Weights of frames against clip."""

    strong_weight: Rate = Field(
        0.5, description="0 to 1: the paper's lambda; the clip's labels weigh the rest"
    )


class AugmentSection(Section):
    """What is done to a batch in training (the recipe's `effects` change the scenes themselves)."""

    mixup: Annotated[Real, Field(gt=0)] | None = Field(
        None, description="alpha of Beta(alpha, alpha), or null"
    )
    freq_warp: Span | None = Field(None, description="[low, high] factors of a frequency axis, or null")
    time_masks: int = Field(0, ge=0, le=16, description="masks along time, 0 to 16")
    time_width: int = Field(20, ge=1, description="widest mask in frames")
    mel_masks: int = Field(0, ge=0, le=16, description="masks along frequency, 0 to 16")
    mel_width: int = Field(8, ge=1, description="widest mask in mel bands")
    filter_db: Span | None = Field(
        None, description="[low, high] dB of a random filter over the mel, or null"
    )


class GuideSection(Section):
    """The SED model that guides a separator."""

    name: Literal["none", "m2d", "atst", "beats", "fpasst", "asit"] = Field(
        "none", description=", ".join(("none", *BACKBONES))
    )
    head: Literal["attention", "linear"] = Field("attention", description="attention or linear")
    head_norm: bool = Field(False, description="true or false: as the model was trained")
    weights: Place | None = Field(None, description="a fine-tuned SED model (.safetensors of ours), or null")
    frozen: bool = Field(False, description="true or false: keep it as it is")


class SeparatorModelSection(Section):
    """A separator, what it starts from, and its guide."""

    preset: str = Field("cpjku_iterative", min_length=1, description="a separator of models.SEPARATORS")
    size: Literal["base", "tiny"] = Field("base", description="base or tiny, the guide too")
    overrides: dict[str, Any] = Field({}, description="settings of models' SeparatorConfig")
    weights: Place | None = Field(None, description="a .safetensors file of ours to start from, or null")
    audiosep: Place | None = Field(None, description="AudioSep's published checkpoint to start from, or null")
    guide: GuideSection = GuideSection()


class SeparatorLossSection(Section):
    """What is asked of a mixture, and how the answer is judged."""

    kind: Literal["snr", "masked_snr", "class_aware_pit"] = Field(
        "snr", description="snr (one source), masked_snr or class_aware_pit (several)"
    )
    targets_per_mixture: int = Field(
        1, ge=1, le=32, description="1 to 32 sources asked of each mixture per step"
    )
    negatives: Rate = Field(
        0.0, description="0 to 1: share of queries that ask for a class that is not there"
    )
    zero_floor_db: Annotated[Real, Field(gt=0, le=100)] = Field(
        30.0, description="dB below the mixture where silence counts as silent, above 0 to 100"
    )
    random_iterations: bool = Field(True, description="true: 1 to N passes, drawn per step; false: always N")
