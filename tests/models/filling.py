"""Deterministic weights and test signals, made from names alone (rule: tests/golden/models/sed/ORIGIN.md)."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

GOLDEN = Path(__file__).parents[1] / "golden" / "models" / "sed"
_PIECE = 1 << 17


def noise(name: str, count: int) -> Iterator[np.ndarray]:
    """Uniform noise of mean 0 and variance 1 that depends on the name only; float64, piece by piece."""
    stream = np.random.PCG64(zlib.crc32(name.encode()))
    for start in range(0, count, _PIECE):
        piece = (stream.random_raw(min(_PIECE, count - start)) >> np.uint64(11)).astype(np.float64)
        piece *= 2.0**-52
        piece -= 1.0
        piece *= math.sqrt(3.0)
        yield piece


def tensor_for(key: str, shape: tuple[int, ...], *, salt: str = "") -> torch.Tensor:
    """The filled value of one key; `salt` makes another filling by the same rule."""
    count = math.prod(shape)
    filled = np.empty(count, dtype=np.float32)
    for i, piece in enumerate(noise(salt + key, count)):
        filled[i * _PIECE : i * _PIECE + len(piece)] = _rule(key, shape, piece)
    return torch.from_numpy(filled.reshape(shape))


def _rule(key: str, shape: tuple[int, ...], n: np.ndarray) -> np.ndarray:
    last = key.rpartition(".")[2]
    if last == "running_var":
        return 1.0 + 0.1 * np.abs(n)
    if last in ("original0", "weight_g", "grep_a"):
        return 1.0 + 0.1 * n
    if last == "original1" or (last.startswith("weight") and len(shape) > 1):
        return n / math.sqrt(math.prod(shape[1:]))
    if last == "weight" and len(shape) == 1:
        return 1.0 + 0.1 * n
    return 0.1 * n


def entries(name: str) -> list[dict[str, Any]]:
    """Keys, shapes and marks of one reference state dictionary."""
    with gzip.open(GOLDEN / "keys" / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)["entries"]


def reference_state(name: str, *, salt: str = "", fixed: bool = True) -> dict[str, torch.Tensor]:
    """A state dictionary with the reference's keys, filled by the rule.

    Buffers that the reference computes itself ("fixed") get small noise, for they must survive a round trip;
    the normalisation statistics and counters keep the reference's values.
    """
    state: dict[str, torch.Tensor] = {}
    for entry in entries(name):
        key, shape = entry["key"], tuple(entry["shape"])
        if "tied_to" in entry:
            state[key] = state[entry["tied_to"]]
        elif key.endswith("norm_stats"):
            state[key] = torch.tensor([-7.1, 4.2])
        elif key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(0)
        elif not entry["fixed"] or fixed:
            state[key] = tensor_for(key, shape, salt=salt)
    return state


@contextmanager
def blank() -> Iterator[None]:
    """Build nets without drawing initial weights, which are about to be overwritten."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("trunc_normal_", "kaiming_uniform_", "uniform_", "normal_", "xavier_normal_"):
            patch.setattr(torch.nn.init, name, lambda tensor, *_, **__: tensor)
        yield


def waveform(rate: int, channels: int = 1, seconds: float = 10.0) -> torch.Tensor:
    """The test signal ``(channels, samples)``: noise and a logarithmic chirp, half a second silent at 7 s."""
    samples = round(rate * seconds)
    t = np.arange(samples) / rate
    growth = math.log(0.45 * rate / 50.0) / seconds
    swell = 0.5 - 0.5 * np.cos(2.0 * math.pi * t / 2.5)
    out = np.empty((channels, samples))
    for c in range(channels):
        phase = 2.0 * math.pi * 50.0 * (np.exp(growth * (t - 0.00025 * c)) - 1.0) / growth
        hiss = np.concatenate(list(noise(f"waveform/{rate}/{c}", samples)))
        out[c] = 0.03 * hiss + 0.2 / (1 + c) * swell * np.sin(phase)
    out[:, (t >= 7.0) & (t < 7.5)] = 0.0
    return torch.from_numpy(out.astype(np.float32))


def golden(name: str) -> dict[str, torch.Tensor]:
    """The reference outputs of one net."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}
