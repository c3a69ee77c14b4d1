"""Scores of sound event detection: PSDS, segment-based F1 and AUROC (sed_scores_eval)."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth import SynthError

Event = tuple[float, float, str]
"""Onset [s], offset [s], class."""

SCENARIOS: dict[str, dict[str, Any]] = {
    "psds1": {
        "dtc_threshold": 0.7,
        "gtc_threshold": 0.7,
        "cttc_threshold": None,
        "alpha_ct": 0.0,
        "alpha_st": 1.0,
    },
    "psds2": {
        "dtc_threshold": 0.1,
        "gtc_threshold": 0.1,
        "cttc_threshold": 0.3,
        "alpha_ct": 0.5,
        "alpha_st": 1.0,
    },
}
"""The two settings of DESED (DCASE 2021 to 2023 Task 4): react fast; do not confuse classes."""

_MAX_EFPR = 100.0
_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class SedScores:
    """The figures over many clips, all from 0 to 1.

    Attributes:
        psds1: Polyphonic sound detection score, scenario 1.
        psds2: Scenario 2; with one class it has no cross triggers to count.
        segment_f1: F1 over segments at the threshold, mean over classes.
        segment_auroc: Area under the ROC over segments, mean over the classes that have both kinds of segment.
        per_class: The same four by class; nan where one is not defined.
        left_out: Classes without any event in the ground truth; nothing can be said of them.
    """

    psds1: float
    psds2: float
    segment_f1: float
    segment_auroc: float
    per_class: dict[str, dict[str, float]]
    left_out: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is not defined is null."""
        clean = {
            label: {name: None if math.isnan(value) else value for name, value in figures.items()}
            for label, figures in self.per_class.items()
        }
        figures = {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
        }
        return {**figures, "per_class": clean, "left_out": list(self.left_out)}


def merge_events(events: Iterable[Event]) -> list[Event]:
    """Return events with those of one class that overlap or touch made one; sorted by class and onset.

    PSDS is not defined on overlapping events of one class (turpaultn/DESED issue 55); two sources of one class that
    sound together are one event of that class.

    Raises:
        SynthError: An event that does not end after it begins.
    """
    merged: list[Event] = []
    for onset, offset, label in sorted(events, key=lambda event: (event[2], event[0], event[1])):
        if not (0 <= onset < offset and math.isfinite(offset)):
            what = f"{label} sounds from {onset} s to {offset} s"
            raise SynthError(what, where="events", remedy="give events that end after they begin")
        if merged and merged[-1][2] == label and onset <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], offset), label)
        else:
            merged.append((onset, offset, label))
    return merged


def sed_scores(
    strong_KF: Mapping[str, NDArray[np.floating[Any]]],
    events: Mapping[str, Iterable[Event]],
    durations: Mapping[str, float],
    classes: Sequence[str],
    *,
    threshold: float = 0.5,
    segment: float = 1.0,
) -> SedScores:
    """Score frame-wise probabilities against events.

    Args:
        strong_KF: By clip, probability of each class and frame ``(classes, frames)``; equal frames that span the clip.
        events: By clip, the true events; overlapping ones of one class are merged, ends beyond the clip cut.
        durations: By clip, its length [s].
        classes: Class of each row.
        threshold: Of the F1.
        segment: Length of a segment [s].

    Returns:
        nan for what the data cannot tell (no events at all).

    Raises:
        SynthError: Clips or classes that do not fit together.
    """
    _check(strong_KF, events, durations, classes)
    truth = {clip: _inside(merge_events(events[clip]), durations[clip]) for clip in strong_KF}
    heard = [
        label for label in classes if any(event[2] == label for clip in truth.values() for event in clip)
    ]
    left_out = tuple(label for label in classes if label not in heard)
    if not heard:
        return SedScores(math.nan, math.nan, math.nan, math.nan, {}, left_out)
    rows = [list(classes).index(label) for label in heard]
    scores = {clip: _frame(strong[rows], durations[clip], heard) for clip, strong in strong_KF.items()}
    lengths = {clip: float(durations[clip]) for clip in strong_KF}
    psds = {name: _psds(scores, truth, lengths, heard, name) for name in SCENARIOS}
    f1, auroc = _segments(scores, truth, lengths, heard, threshold, segment)
    per_class = {
        label: {
            "psds1": psds["psds1"][1][label],
            "psds2": psds["psds2"][1][label],
            "segment_f1": f1[label],
            "segment_auroc": auroc[label],
        }
        for label in heard
    }
    defined = [value for value in auroc.values() if not math.isnan(value)]
    return SedScores(
        psds1=psds["psds1"][0],
        psds2=psds["psds2"][0],
        segment_f1=float(np.mean(list(f1.values()))),
        segment_auroc=float(np.mean(defined)) if defined else math.nan,
        per_class=per_class,
        left_out=left_out,
    )


def _check(
    strong_KF: Mapping[str, NDArray[np.floating[Any]]],
    events: Mapping[str, Iterable[Event]],
    durations: Mapping[str, float],
    classes: Sequence[str],
) -> None:
    for name, others in (("events", events), ("durations", durations)):
        if missing := sorted(strong_KF.keys() - others.keys()):
            what = f"{len(missing)} clip(s) have scores and no {name}, the first is {missing[0]!r}"
            raise SynthError(what, where=name, remedy="give all three for every clip")
    for clip, strong in strong_KF.items():
        if (
            strong.ndim != 2
            or len(strong) != len(classes)
            or not strong.shape[1]
            or not np.isfinite(strong).all()
        ):
            raise SynthError(
                f"scores of shape {strong.shape} for {len(classes)} classes, or not finite",
                where=clip,
                remedy="give (classes, frames) probabilities",
            )


def _inside(events: list[Event], duration: float) -> list[Event]:
    cut = [(onset, min(offset, duration), label) for onset, offset, label in events]
    return [event for event in cut if event[0] < event[1]]


def _frame(strong_KF: NDArray[np.floating[Any]], duration: float, classes: Sequence[str]) -> Any:
    create_score_dataframe = _library().base_modules.scores.create_score_dataframe
    frames = strong_KF.shape[1]
    edges = np.round(np.arange(frames + 1) * (duration / frames), _DECIMALS)
    return _own_frame()(create_score_dataframe(strong_KF.T.astype(np.float64), edges, list(classes)))


@cache
def _library() -> Any:
    """Import sed_scores_eval; setuptools below 81, which it needs, warns of what it uses: nothing a user can mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
        warnings.filterwarnings("ignore", "Deprecated call to `pkg_resources", DeprecationWarning)
        return importlib.import_module("sed_scores_eval")


@cache
def _own_frame() -> Any:
    """Return a table whose arrays may be written to: sed_scores_eval 0.0.4 asks for that, pandas 3 refuses it."""
    import pandas as pd

    class Writable(pd.DataFrame):
        @property
        def _constructor(self) -> Any:
            return Writable

        def to_numpy(self, *args: Any, **options: Any) -> Any:
            return super().to_numpy(*args, **options).copy()

    return Writable


def _psds(
    scores: Any, truth: Any, lengths: Any, classes: Sequence[str], name: str
) -> tuple[float, dict[str, float]]:
    intersection_based = _library().intersection_based
    setting = dict(SCENARIOS[name])
    if len(classes) == 1:  # no other class can be confused with it: the mean over none would be nan
        setting |= {"cttc_threshold": None, "alpha_ct": 0.0}
    value, single, *_ = intersection_based.psds(
        scores, truth, lengths, max_efpr=_MAX_EFPR, unit_of_time="hour", time_decimals=_DECIMALS, **setting
    )
    return float(value), {label: float(single[label]) for label in classes}


def _segments(
    scores: Any, truth: Any, lengths: Any, classes: Sequence[str], threshold: float, segment: float
) -> tuple[dict[str, float], dict[str, float]]:
    segment_based = _library().segment_based
    options = {"segment_length": segment, "time_decimals": _DECIMALS}
    f1, *_ = segment_based.fscore(scores, truth, lengths, threshold, **options)
    segments = sum(math.ceil(round(length / segment, _DECIMALS)) for length in lengths.values())
    # A class that never pauses has no false alarm to trade: its curve is not defined.
    paused = [label for label in classes if _covered(truth, label, segment) < segments]
    auroc = dict.fromkeys(classes, math.nan)
    if paused:
        some = {clip: frame[["onset", "offset", *paused]] for clip, frame in scores.items()}
        kept = {clip: [event for event in events if event[2] in paused] for clip, events in truth.items()}
        areas, _ = segment_based.auroc(some, kept, lengths, **options)
        auroc |= {label: float(areas[label]) for label in paused}
    return {label: float(f1[label]) for label in classes}, auroc


def _covered(truth: Mapping[str, Sequence[Event]], label: str, segment: float) -> int:
    """Return in how many segments of all clips a class sounds."""
    touched: set[tuple[str, int]] = set()
    for clip, events in truth.items():
        for onset, offset, name in events:
            if name == label:
                first = math.floor(round(onset / segment, _DECIMALS))
                touched.update((clip, n) for n in range(first, math.ceil(round(offset / segment, _DECIMALS))))
    return len(touched)
