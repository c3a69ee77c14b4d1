"""A wrong PSDS or a crash on an odd clip hides which SED model is the better one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from synth import SynthError
from training.sed_metrics import SedScores, merge_events, sed_scores

CLASSES = ("Speech", "Cough", "Pour")
FRAMES = 50
SECONDS = 10.0


def perfect(events: list[tuple[float, float, str]], classes: tuple[str, ...] = CLASSES) -> np.ndarray:
    """1 where a class sounds, on a grid of 0.2 s."""
    strong = np.zeros((len(classes), FRAMES))
    for onset, offset, label in events:
        strong[classes.index(label), round(onset * 5) : round(offset * 5)] = 1.0
    return strong


TRUTH = {
    "one": [(1.0, 3.0, "Speech"), (2.0, 6.0, "Cough")],
    "two": [(0.0, 4.0, "Pour"), (6.0, 9.0, "Speech")],
    "none": [],
}
LENGTHS = dict.fromkeys(TRUTH, SECONDS)


def test_perfect_probabilities_score_one_everywhere() -> None:
    found = sed_scores({clip: perfect(events) for clip, events in TRUTH.items()}, TRUTH, LENGTHS, CLASSES)
    assert (found.psds1, found.psds2, found.segment_f1, found.segment_auroc) == (1.0, 1.0, 1.0, 1.0)
    assert found.left_out == ()
    assert set(found.per_class) == set(CLASSES)


def test_segment_f1_is_the_count_by_hand() -> None:
    truth = {"clip": [(0.0, 4.0, "Speech")]}
    guess = {"clip": perfect([(2.0, 5.0, "Speech")], ("Speech",))}
    found = sed_scores(guess, truth, {"clip": SECONDS}, ["Speech"])
    assert found.segment_f1 == pytest.approx(2 * 2 / (2 * 2 + 1 + 2))  # 2 right, 1 too many, 2 missed


def test_segment_auroc_is_the_share_of_pairs_in_order() -> None:
    levels = np.linspace(0.05, 0.95, 10)[[3, 7, 1, 9, 0, 5, 2, 8, 4, 6]]  # one level per second
    strong = np.repeat(levels, FRAMES // 10)[None]
    found = sed_scores({"clip": strong}, {"clip": [(0.0, 4.0, "Speech")]}, {"clip": SECONDS}, ["Speech"])
    pairs = [positive > negative for positive in levels[:4] for negative in levels[4:]]
    assert found.segment_auroc == pytest.approx(np.mean(pairs))


def test_a_false_alarm_costs_the_detections_below_it() -> None:
    """Two events at 0.9 and 0.5, a false alarm at 0.7: in 10 s it is 360 an hour, beyond the 100 that count."""
    truth = {"clip": [(0.0, 2.0, "Speech"), (4.0, 6.0, "Speech")]}
    strong = np.zeros((1, FRAMES))
    strong[0, 0:10], strong[0, 20:30], strong[0, 40:50] = 0.9, 0.5, 0.7
    found = sed_scores({"clip": strong}, truth, {"clip": SECONDS}, ["Speech"])
    assert found.psds1 == pytest.approx(0.5)


def test_overlapping_events_of_one_class_become_one() -> None:
    """PSDS refuses them (turpaultn/DESED issue 55); 2026 scenes have two sources of a class at once."""
    events = [(3.0, 5.0, "Speech"), (1.0, 2.0, "Speech"), (1.5, 3.0, "Speech"), (1.0, 4.0, "Cough")]
    assert merge_events(events) == [(1.0, 4.0, "Cough"), (1.0, 5.0, "Speech")]
    truth = {"clip": events}
    found = sed_scores({"clip": perfect(events)}, truth, {"clip": SECONDS}, CLASSES)
    assert (found.psds1, found.psds2) == (1.0, 1.0)
    assert found.left_out == ("Pour",)


def test_clips_without_events_and_classes_without_clips_are_no_error() -> None:
    nothing = sed_scores({"clip": perfect([])}, {"clip": []}, {"clip": SECONDS}, CLASSES)
    assert all(math.isnan(figure) for figure in (nothing.psds1, nothing.psds2, nothing.segment_f1))
    assert nothing.left_out == CLASSES
    assert nothing.to_json()["psds1"] is None
    always = sed_scores(
        {"clip": np.ones((1, FRAMES))}, {"clip": [(0.0, 12.0, "Speech")]}, {"clip": SECONDS}, ["Speech"]
    )
    assert always.segment_f1 == 1.0
    assert math.isnan(always.segment_auroc)  # it never pauses
    assert always.to_json()["per_class"]["Speech"]["segment_auroc"] is None


def test_confusing_classes_costs_in_scenario_2_only() -> None:
    """A false alarm of Cough inside Speech is a cross trigger."""
    truth = {"clip": [(0.0, 4.0, "Speech"), (6.0, 8.0, "Cough")]}
    strong = perfect(truth["clip"], ("Speech", "Cough"))
    strong[1, 5:15] = 1.0  # 1 s to 3 s

    def both(duration: float) -> SedScores:
        padded = np.zeros((2, round(FRAMES * duration / SECONDS)))
        padded[:, :FRAMES] = strong
        return sed_scores({"clip": padded}, truth, {"clip": duration}, ["Speech", "Cough"])

    found = both(1000.0)  # one false alarm is 3.6 an hour
    assert found.per_class["Cough"]["psds1"] == pytest.approx(1 - 3.6 / 100, abs=1e-6)
    # scenario 2 adds half of the cross trigger rate: one per 4 s of Speech, 450 an hour
    assert found.per_class["Cough"]["psds2"] == 0.0


@pytest.mark.parametrize(
    ("events", "named"),
    [
        ([(2.0, 1.0, "Speech")], "from 2.0 s to 1.0 s"),
        ([(0.0, math.inf, "Speech")], "inf"),
        ([(-1.0, 1.0, "Speech")], "-1.0"),
    ],
)
def test_impossible_events_are_named(events: list[tuple[float, float, str]], named: str) -> None:
    with pytest.raises(SynthError, match=named):
        merge_events(events)


def test_scores_that_do_not_fit_are_named() -> None:
    with pytest.raises(SynthError, match="no events, the first is 'clip'"):
        sed_scores({"clip": perfect([])}, {}, {"clip": SECONDS}, CLASSES)
    for strong in (np.zeros((2, FRAMES)), np.full((3, FRAMES), np.nan), np.zeros((3, 0))):
        with pytest.raises(SynthError, match="3 classes"):
            sed_scores({"clip": strong}, {"clip": []}, {"clip": SECONDS}, CLASSES)
