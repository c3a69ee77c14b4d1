"""Labels that a first stage predicts for the fixed validation scenes: from a file, or from a model, once each."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from models import ModelError, load_model
from synth import SynthError, load_json, read_bounded

from .facts import SceneFacts
from .sections import ValidationSection
from .task import Batch
from .weights import found

_MAX_BYTES = 64 << 20


class PredictedLabels:
    """Label indices of scenes, by their position in the validation set.

    Args:
        validation: Names a file of predictions or a tagger.
        facts: Says which classes there are.

    Raises:
        SynthError: Neither is given, the file is no list of lists of labels, or there is no such model.
    """

    def __init__(self, validation: ValidationSection, facts: SceneFacts) -> None:
        self._facts, self._threshold = facts, validation.threshold
        self._known: dict[int, list[int]] = {}
        self._tagger: nn.Module | None = None
        self._file = validation.predictions
        if validation.predictions is not None:
            self._known = dict(enumerate(read_predictions(validation.predictions, facts.classes)))
        elif validation.tagger is not None:
            path = found(validation.tagger, "validation.tagger", "train a tagger first")
            self._tagger = load_model(path)
            if not hasattr(self._tagger, "predict_labels"):
                raise ModelError("it is no first stage", where=path, remedy="give an SED model or a tagger")
        else:
            raise SynthError(
                "predicted labels are asked for, and nothing predicts them",
                where="validation.labels",
                remedy="give validation.tagger=MODEL or validation.predictions=FILE.json",
            )

    def __call__(self, batch: Batch, device: torch.device) -> Tensor:
        """Return labels ``(batch, slots)`` on the CPU; the number of classes is silence."""
        positions = batch["position"].tolist()
        if self._tagger is not None:
            self._predict(batch, positions, device)
        missing = [position for position in positions if position not in self._known]
        if missing:
            raise SynthError(
                f"there are predictions for {len(self._known)} scenes, none for scene {missing[0]}",
                where=self._file,
                remedy="give one list of labels per validation scene, in their order",
            )
        rows = [self._known[position] for position in positions]
        slots = max(self._facts.slots, *map(len, rows))
        return torch.tensor([[*row, *[self._facts.silence] * (slots - len(row))] for row in rows])

    def _predict(self, batch: Batch, positions: list[int], device: torch.device) -> None:
        new = [n for n, position in enumerate(positions) if position not in self._known]
        if not new:
            return
        assert self._tagger is not None
        heard = self._tagger.to(device).predict_labels(  # type: ignore[operator]
            batch["mixture"][new].to(device), threshold=self._threshold, slots=self._facts.slots
        )
        for n, row in zip(new, heard.tolist(), strict=True):
            self._known[positions[n]] = [label for label in row if label < self._facts.silence]


def read_predictions(path: Path, classes: tuple[str, ...]) -> list[list[int]]:
    """Return label indices per scene from a JSON list of lists of class names.

    Raises:
        SynthError: The file is anything else, or names a class that there is not.
    """
    content = load_json(read_bounded(path, _MAX_BYTES), where=path, limit=_MAX_BYTES)
    if not isinstance(content, list) or not all(isinstance(row, list) for row in content):
        raise SynthError(
            "is no list of lists",
            where=path,
            remedy='write [["Speech", "Cough"], ["Pour"], …], one per scene',
        )
    index = {name: n for n, name in enumerate(classes)}
    for n, row in enumerate(content):
        strange = next((label for label in row if label not in index), None)
        if strange is not None:
            raise SynthError(
                f"scene {n} has the label {strange!r}", where=path, remedy=f"use {', '.join(classes)}"
            )
    return [[index[label] for label in row] for row in content]
