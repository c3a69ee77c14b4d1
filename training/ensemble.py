"""Which models of an ensemble to keep: greedy forward selection on validation scenes.

As the submitted system S2 was made from S1: begin with the best single model, then keep adding the model that helps
the average most, and stop where none does (Caruana et al., 2004, without replacement).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth import SynthError

from .estimates import label_numbers
from .metrics import EPSILON
from .outputs import Outputs, read_said, read_waveforms
from .systems import ModelFiles, Part, SeparatorFiles, System, SystemFile
from .thresholds import Decision, Tuned, check_split, decide_by_class, tune

Merit = Callable[[Sequence[int]], tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Selection:
    """Models that were chosen.

    Attributes:
        chosen: Indices, in the order of their choice.
        history: The merit after each choice; its first number is the figure.
        alone: The figure of every model by itself.
        everyone: The figure of all of them together.
    """

    chosen: tuple[int, ...]
    history: tuple[float, ...]
    alone: tuple[float, ...]
    everyone: float


def select(merit: Merit, count: int, *, most: int | None = None) -> Selection:
    """Choose models greedily.

    Args:
        merit: Goodness of the average of some models, greater is better; later numbers break ties.
        count: How many there are.
        most: Greatest number to choose; None: until none helps.
    """
    if count < 1:
        raise SynthError("there is no model", where="ensemble", remedy="give at least one")
    alone = [merit([n]) for n in range(count)]
    chosen = [max(range(count), key=lambda n: alone[n])]
    history = [alone[chosen[0]]]
    while len(chosen) < min(count, most or count):
        left = [n for n in range(count) if n not in chosen]
        tried = {n: merit([*chosen, n]) for n in left}
        best = max(left, key=lambda n: tried[n])
        if tried[best] <= history[-1]:
            break
        chosen.append(best)
        history.append(tried[best])
    everyone = merit(list(range(count)))[0]
    return Selection(tuple(chosen), tuple(h[0] for h in history), tuple(a[0] for a in alone), everyone)


def tagger_merit(weak_MNK: NDArray[np.float32], truth_NK: NDArray[np.bool_], decision: Decision) -> Merit:
    """Return label accuracy [%] of averaged probabilities; of equals, the better cross-entropy."""

    def merit(models: Sequence[int]) -> tuple[float, ...]:
        mean_NK = weak_MNK[list(models)].mean(axis=0, dtype=np.float64)
        right = (decide_by_class(mean_NK, decision) == truth_NK).all(axis=1)
        likely = np.log(np.clip(np.where(truth_NK, mean_NK, 1 - mean_NK), 1e-7, None))
        return 100.0 * float(right.mean()), float(likely.mean())

    return merit


@dataclass(frozen=True, slots=True)
class Products:
    """Inner products of one target's estimates and reference: all that an average's SNR needs.

    Attributes:
        energy: Of the reference.
        cross: Of each estimate with the reference ``(models,)``.
        gram: Of all pairs of estimates ``(models, models)``.
    """

    energy: float
    cross: NDArray[np.float64]
    gram: NDArray[np.float64]

    @classmethod
    def of(cls, estimates_ML: NDArray[np.float32], reference_L: NDArray[np.float32]) -> Products:
        """Return the products of estimates ``(models, samples)`` and a reference ``(samples,)``."""
        estimates, reference = estimates_ML.astype(np.float64), reference_L.astype(np.float64)
        return cls(float(reference @ reference), estimates @ reference, estimates @ estimates.T)

    def snr_db(self, models: Sequence[int]) -> float:
        """Return the SNR of the average of some models' estimates."""
        chosen = list(models)
        mean_cross = self.cross[chosen].mean()
        error = self.energy - 2 * mean_cross + self.gram[np.ix_(chosen, chosen)].mean()
        return float(10 * np.log10((self.energy + EPSILON) / (max(error, 0.0) + EPSILON)))


def separator_merit(products: Sequence[Products]) -> Merit:
    """Return the mean SNR [dB] of averaged estimates, labels given; it differs from the mean SDRi by a constant."""

    def merit(models: Sequence[int]) -> tuple[float, ...]:
        return (float(np.mean([target.snr_db(models) for target in products])),)

    return merit


def select_taggers(system: System, outputs: Outputs, *, most: int | None = None) -> Selection:
    """Choose first-stage models on validation scenes.

    Raises:
        SynthError: Other than validation data, or models with tracks.
    """
    check_split(outputs.scenes.split, "ensemble select")
    return select(
        tagger_merit(weak_of_all(system, outputs), truth_of(system, outputs), system.decision),
        len(system.taggers),
        most=most,
    )


def weak_of_all(system: System, outputs: Outputs) -> NDArray[np.float32]:
    """Return every first-stage model's weak probabilities ``(models, scenes, classes)``.

    Raises:
        SynthError: A model with tracks, which has none.
    """
    tables = []
    for part in system.taggers:
        home = outputs.tag_all(system, part)
        said = [read_said(home / f"{name}.npz") for name in outputs.scenes.names]
        if any("weak" not in one for one in said):
            raise SynthError(
                "it tells tracks, not probabilities of classes",
                where=part.weights,
                remedy="choose among and tune models for sets of labels",
            )
        tables.append(np.stack([one["weak"] for one in said]))
    return np.stack(tables)


def truth_of(system: System, outputs: Outputs) -> NDArray[np.bool_]:
    """Return which classes sound in each scene ``(scenes, classes)``."""
    truth = np.zeros((len(outputs.scenes.names), len(system.classes)), dtype=bool)
    for n in range(len(truth)):
        truth[n, label_numbers(outputs.scenes.read(n), system.classes)] = True
    return truth


def select_separators(system: System, outputs: Outputs, *, most: int | None = None) -> Selection:
    """Choose separators on validation scenes, by the true labels.

    Raises:
        SynthError: Other than validation data.
    """
    check_split(outputs.scenes.split, "ensemble select")
    scenes = outputs.scenes
    labels = [label_numbers(scenes.read(n), system.classes) for n in range(len(scenes.names))]
    files = [outputs.separate_all(part, labels, system) for part in system.separators]
    products = []
    for n in range(len(scenes.names)):
        if not labels[n]:
            continue
        answers = [read_waveforms(model[n]) for model in files]
        for slot, target in enumerate(scenes.read(n).targets):
            products.append(Products.of(np.stack([answer[slot] for answer in answers]), target.waveform))
    if not products:
        raise SynthError("no scene has a target", where="ensemble select", remedy="give scenes with targets")
    return select(separator_merit(products), len(system.separators), most=most)


def chosen_file(
    system: System, *, taggers: Selection | None = None, separators: Selection | None = None, name: str
) -> SystemFile:
    """Return a system file of the chosen models, by path; a stage without a selection stays whole."""
    first = _kept(system.taggers, taggers)
    second = _kept(system.separators, separators)

    def from_home(path: Path) -> str:
        return os.path.relpath(path, system.home)

    return replace_file(
        system.file,
        name=name,
        about=f"{len(first)} first-stage models and {len(second)} separators chosen from {system.file.name}",
        taggers=tuple(ModelFiles(weights=from_home(part.weights), weight=part.weight) for part in first),
        separators=tuple(
            SeparatorFiles(
                weights=from_home(part.weights),
                weight=part.weight,
                sed=None if part.sed is None else from_home(part.sed),
            )
            for part in second
        ),
    )


def tune_system(system: System, outputs: Outputs, *, per_class: bool = False) -> tuple[SystemFile, Tuned]:
    """Find a system's thresholds on validation scenes; return its file with them, and how much they help.

    Raises:
        SynthError: Other than validation data, or models with tracks.
    """
    check_split(outputs.scenes.split, "ensemble thresholds")
    tables = weak_of_all(system, outputs)
    weak_NK = np.average(tables, axis=0, weights=[part.weight for part in system.taggers])
    tuned = tune(weak_NK.astype(np.float32), truth_of(system, outputs), system.decision, per_class=per_class)
    found = tuned.decision.threshold
    by_name = found if isinstance(found, float) else dict(zip(system.classes, found, strict=True))
    return replace_file(system.file, threshold=by_name), tuned


def replace_file(file: SystemFile, **changes: object) -> SystemFile:
    """Return a system file with some of its keys changed."""
    return SystemFile.model_validate({**{k: getattr(file, k) for k in SystemFile.model_fields}, **changes})


def _kept(parts: Sequence[Part], selection: Selection | None) -> list[Part]:
    if selection is None:
        return list(parts)
    return [replace(parts[n], weight=1) for n in selection.chosen]
