"""Figures, pictures and sounds to TensorBoard, Weights & Biases or MLflow, through Accelerate's trackers.

A tracker is a comfort: when one fails in the middle of a run, that is said once and the run goes on.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth import SynthError, encode_flac16, write_text

from .panels import Panel

_PACKAGES = {"tensorboard": "tensorboard", "wandb": "wandb", "mlflow": "mlflow"}


class Trackers:
    """The trackers of a run; empty on all ranks but the first.

    Args:
        names: Some of tensorboard, wandb, mlflow.
        run: Name of the run.
        folder: Of the run; TensorBoard's files are in `tensorboard/`.
        step: Steps done before: what a tracker holds of later steps is replaced where it can be.
        config: The configuration, as JSON values.
        say: Told what went wrong.

    Raises:
        SynthError: A tracker is unknown, not installed or cannot be started.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        run: str,
        folder: Path,
        step: int,
        config: Mapping[str, Any],
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._say = say
        self._failed: set[str] = set()
        self._trackers = [(name, _started(name, run, folder, step)) for name in names]
        for name, tracker in self._trackers:
            if name == "tensorboard":
                text = f"```\n{json.dumps(config, indent=2)}\n```"
                self._try(name, tracker.writer.add_text, "config", text, step)
            else:
                self._try(name, tracker.store_init_configuration, _flat(config))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Log figures of a step."""
        for name, tracker in self._trackers:
            self._try(name, tracker.log, dict(figures), step)

    def show(self, panels: Sequence[Panel], step: int) -> None:
        """Log pictures and sounds of a step."""
        for name, tracker in self._trackers:
            for panel in panels:
                self._try(name, _SHOW[name], tracker, panel, step)

    def close(self) -> None:
        """Finish all."""
        for name, tracker in self._trackers:
            self._try(name, tracker.finish)

    def _try(self, name: str, act: Callable[..., object], *arguments: object) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                act(*arguments)
        except Exception as error:  # whatever a service or its client may throw
            if name not in self._failed:
                self._failed.add(name)
                self._say(
                    f"{name} did not take what was logged ({type(error).__name__}: {error}); the run goes on"
                )


def _started(name: str, run: str, folder: Path, step: int) -> Any:
    from accelerate.tracking import MLflowTracker, TensorBoardTracker, WandBTracker

    identity = hashlib.sha256(f"{run}\0{folder.resolve()}".encode()).hexdigest()[:16]
    makers: dict[str, Callable[[], Any]] = {
        # purge_step hides what an interrupted run wrote beyond the step that is continued from
        "tensorboard": lambda: TensorBoardTracker(
            "tensorboard", folder, purge_step=step + 1 if step else None
        ),
        "wandb": lambda: WandBTracker("s5kit", name=run, id=identity, resume="allow", dir=str(folder)),
        "mlflow": lambda: MLflowTracker("s5kit", run_name=run, run_id=_kept_id(folder)),
    }
    if name not in makers:
        raise SynthError(
            f"{name!r} is not one of {', '.join(makers)}", where="trackers", remedy="choose from these, or []"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tracker = makers[name]()
            tracker.start()
    except ModuleNotFoundError as error:
        package = _PACKAGES[name]
        raise SynthError(
            f"{name} needs the package {package}, which is not installed",
            where="trackers",
            remedy=f"pip install {package}, or leave it out",
        ) from error
    except Exception as error:
        raise SynthError(
            f"{name} cannot be started: {error}", where="trackers", remedy="mend its set-up, or leave it out"
        ) from error
    if name == "mlflow":
        write_text(folder / "mlflow.json", json.dumps({"run_id": tracker.tracker.info.run_id}))
    return tracker


def _kept_id(folder: Path) -> str | None:
    try:
        kept = json.loads((folder / "mlflow.json").read_text())["run_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept if isinstance(kept, str) else None


def _show_tensorboard(tracker: Any, panel: Panel, step: int) -> None:
    if panel.image is not None:
        tracker.writer.add_image(panel.name, panel.image, step, dataformats="HWC")
    if panel.audio is not None:
        tracker.writer.add_audio(panel.name, _mono(panel), step, sample_rate=panel.rate)
    tracker.writer.flush()


def _show_wandb(tracker: Any, panel: Panel, step: int) -> None:
    import wandb

    shown: dict[str, Any] = {}
    if panel.image is not None:
        shown[panel.name] = wandb.Image(panel.image)
    if panel.audio is not None:
        shown[f"{panel.name}/sound"] = wandb.Audio(_mono(panel), sample_rate=panel.rate)
    tracker.run.log(shown, step=step)


def _show_mlflow(tracker: Any, panel: Panel, step: int) -> None:
    import mlflow

    if panel.image is not None:
        mlflow.log_image(panel.image, key=panel.name, step=step)
    if panel.audio is not None:
        name = f"{panel.name.replace('/', '-')}-step{step:09d}.flac"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(encode_flac16(_mono(panel).astype(np.float32), panel.rate))
            mlflow.log_artifact(str(path), "sounds")


def _mono(panel: Panel) -> NDArray[np.floating[Any]]:
    """Return the first channel (T,), within full scale: what a browser plays."""
    assert panel.audio is not None
    sound = panel.audio[0]
    return sound / max(float(np.abs(sound).max(initial=0.0)), 1.0)


_SHOW: dict[str, Callable[[Any, Panel, int], None]] = {
    "tensorboard": _show_tensorboard,
    "wandb": _show_wandb,
    "mlflow": _show_mlflow,
}


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, int | float | str) else str(value)
    return flat
