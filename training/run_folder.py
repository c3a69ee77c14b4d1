"""The folder of a run: its configuration, its figures as JSON lines, its best and last weights.

config.yaml       the configuration as resolved
run.json          hashes of configuration, recipe and catalog; versions
metrics.jsonl     one line per logged step and per validation
nonfinite.jsonl   scenes of the batches whose loss or gradient was not finite
checkpoints/      what a run continues from
best/, last/      weights for `models.load_model`
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from models import ModelError, Origin, save_model
from synth import SynthError, atomic_write, write_text

from .checkpoint import write_tensors
from .config import TrainConfig

_FREE = (  # what may change when a run is continued: none of it alters what a step computes
    "title", "out", "trackers", "checkpoint", "validation", "loop.steps", "loop.log_every", "loop.device",
    "loop.compile", "loop.skip_nonfinite", "data.workers", "data.prefetch", "data.cache", "data.catalog",
    "data.corpus", "model.weights", "model.audiosep",
)  # fmt: skip


class RunFolder:
    """Writes a run's files.

    Args:
        path: The folder; made if needed.
        main: Whether this process writes (rank 0); others read only.

    Raises:
        SynthError: The folder cannot be made.
    """

    def __init__(self, path: Path, *, main: bool) -> None:
        self.path, self.main = path, main
        self.checkpoints = path / "checkpoints"
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(error, path) from error

    def write_config(self, config: TrainConfig, facts: Mapping[str, Any]) -> None:
        """Write `config.yaml`, and `run.json` with hashes and versions."""
        if self.main:
            self._write("config.yaml", config.to_yaml())
            self._write(
                "run.json",
                json.dumps({"config_hash": config.config_hash, **facts}, indent=2, sort_keys=True) + "\n",
            )

    def log(self, figures: Mapping[str, float | None]) -> None:
        """Append a line to `metrics.jsonl`; what is no finite number becomes null."""
        finite = {name: value if _finite(value) else None for name, value in figures.items()}
        self._append("metrics.jsonl", finite)

    def log_nonfinite(self, record: Mapping[str, Any]) -> None:
        """Append a line to `nonfinite.jsonl`."""
        self._append("nonfinite.jsonl", record)

    def forget_after(self, step: int, validated: int) -> None:
        """Cut `metrics.jsonl` back to what a checkpoint knows of: the rest is done again.

        Args:
            step: Steps done in it.
            validated: The last of them that was validated.
        """
        path = self.path / "metrics.jsonl"
        if not self.main or not path.exists():
            return
        try:
            with path.open("rb") as lines, atomic_write(path) as kept:
                for line in lines:
                    done = _step_of(line)
                    if done is not None and done <= (validated if b'"valid/' in line else step):
                        kept.write(line)
        except OSError as error:
            raise _refused(error, path) from error

    def save_weights(self, name: str, model: nn.Module, step: int, figures: Mapping[str, float]) -> None:
        """Write `best/` or `last/`: the weights say themselves which step they are from."""
        if self.main:
            folder = self.path / name
            origin = described_origin(model, f"s5kit run {self.path.name}, step {step}", figures)
            try:
                folder.mkdir(exist_ok=True)
                save_net(model, folder, origin)
            except (OSError, SafetensorError) as error:
                raise _refused(error, folder) from error

    def _append(self, name: str, record: Mapping[str, Any]) -> None:
        if self.main:
            try:
                with (self.path / name).open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record, allow_nan=False) + "\n")
            except OSError as error:
                raise _refused(error, self.path / name) from error

    def _write(self, name: str, text: str) -> None:
        try:
            write_text(self.path / name, text)
        except OSError as error:
            raise _refused(error, self.path / name) from error


def save_net(model: nn.Module, place: Path, origin: Origin | None = None) -> None:
    """Save a net so that `models.load_model` reads it; one that is not of `models` as bare tensors.

    Args:
        model: The bare net.
        place: `X.safetensors`, or a folder for `model.safetensors`.
        origin: Where its weights come from.
    """
    try:
        save_model(model, place, origin=origin)
    except ModelError:
        file = place if place.suffix == ".safetensors" else place / "model.safetensors"
        write_tensors({name: tensor.clone() for name, tensor in model.state_dict().items()}, file)


def described_origin(model: nn.Module, source: str, figures: Mapping[str, float]) -> Origin:
    """Return where trained weights come from; the licence of what they started from stays with them."""
    start = getattr(model, "origin", None) or Origin()
    notes = {name: value for name, value in figures.items() if _finite(value)}
    before = "" if start.source == Origin().source else f"; started from {start.source}"
    return dataclasses.replace(start, source=source + before, notes={**start.notes, "figures": notes})


def check_same_run(saved: Mapping[str, Any], config: TrainConfig, where: Path) -> None:
    """Refuse to continue a run with a configuration that trains differently.

    Args:
        saved: The configuration in the checkpoint, as JSON values.
        config: That of now.
        where: The checkpoint.

    Raises:
        SynthError: Naming every key that differs.
    """
    before, now = _flat(saved), _flat(config.model_dump(mode="json"))
    changed = [
        f"{key}: was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not any(key == f or key.startswith(f"{f}.") for f in _FREE)
    ]
    if changed:
        raise SynthError(
            f"the run was begun with another configuration: {'; '.join(changed)}",
            where=where,
            remedy="set these keys back to continue it, or choose another `out` for a new run",
        )


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _step_of(line: bytes) -> int | None:
    """Return the step of a line; None for one that a crash tore."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return step if isinstance(step, int) and line.endswith(b"\n") else None


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _refused(error: Exception, path: Path) -> SynthError:
    return SynthError(
        f"it cannot be written: {getattr(error, 'strerror', None) or error}",
        where=path,
        remedy="make room or choose another `out`, then run the same command again",
    )
