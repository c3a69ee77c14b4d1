"""Separators and hints for the tests: filled by the rule of tests/golden/models/separator/ORIGIN.md."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.checkpoints.separator_keys import translate
from models.separator import Hints, Separator, SeparatorConfig
from tests.models.filling import noise, tensor_for

GOLDEN = Path(__file__).parents[1] / "golden" / "models" / "separator"
SPEECH, BLENDER = 15, 2
ORIGINS = {"audiosep_resunet30": "audiosep"}


def key_list(name: str) -> Any:
    """One of the JSON lists of reference keys."""
    with gzip.open(GOLDEN / "keys" / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


def unit(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Noise of mean 0 and variance 1 that depends on the name only."""
    return np.concatenate(list(noise(name, math.prod(shape)))).reshape(shape)


def filled(key: str, shape: tuple[int, ...], *, salt: str = "") -> torch.Tensor:
    """The filled value of one key, by the rule and its cases for separators."""
    last = key.rpartition(".")[2]
    if last == "soundbeam_weights":
        values = unit(salt + key, shape)
    elif last in ("weight_x_center", "weight_soundbeam_features"):
        values = 1.0 + 0.1 * unit(salt + key, shape)
    elif last == "weight" and shape == (1,):
        values = 0.25 + 0.1 * unit(salt + key, shape)
    else:
        return tensor_for(key, shape, salt=salt)
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def reference_state(name: str, *, salt: str = "", fixed: bool = False) -> dict[str, torch.Tensor]:
    """A state with the reference's keys, filled; with `fixed`, counters and transforms hold small noise."""
    state = {}
    for entry in key_list(name)["entries"]:
        key, shape = entry["key"], tuple(entry["shape"])
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(len(key))
        elif not entry["fixed"] or fixed:
            state[key] = filled(key, shape, salt=salt)
    return state


def reference_separator(name: str, *, salt: str = "", **settings: Any) -> Separator:
    """One of the reference's separators with filled weights, in eval mode."""
    state = reference_state(name, salt=salt)
    translated = translate(state, ORIGINS.get(name, "cpjku-separator"), **settings)
    model = Separator(SeparatorConfig.from_json(translated.config))
    model.load_state_dict(translated.tensors)
    return model.eval()


def golden(name: str) -> dict[str, torch.Tensor]:
    """The reference outputs of one separator."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


def one_hot(*classes: int | None, count: int = 18) -> torch.Tensor:
    """Label vectors ``(slots, classes)``; None is silence."""
    labels = torch.zeros(len(classes), count)
    for slot, label in enumerate(classes):
        if label is not None:
            labels[slot, label] = 1
    return labels


def small_hints(config: SeparatorConfig, batch: int, *, frames: int = 25) -> Hints:
    """Hints of the right shape, made of noise."""
    logits = unit("hints/logits", (batch, max(1, config.classes), frames))
    features = unit("hints/features", (batch, config.features, 5, 6, config.feature_width))
    return Hints(torch.from_numpy(logits).float(), torch.from_numpy(features).float())


def small_labels(config: SeparatorConfig, batch: int) -> torch.Tensor:
    """One active label per item and slot, or condition vectors."""
    if not config.classes:
        return torch.from_numpy(unit("condition", (batch, config.condition))).float()
    labels = torch.zeros(batch, config.sources, config.classes)
    for item in range(batch):
        for slot in range(config.sources):
            labels[item, slot, (3 * item + slot) % config.classes] = 1
    return labels


def small_mixture(config: SeparatorConfig, batch: int, samples: int = 6400) -> torch.Tensor:
    """Noise mixtures ``(batch, microphones, samples)``."""
    return torch.from_numpy(unit("mixture", (batch, config.mics, samples))).float() * 0.1
