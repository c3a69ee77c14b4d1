"""Thresholds tuned on test data, or that decide otherwise than the task, make figures that do not hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import SedOutput, decide
from synth import SynthError
from training.thresholds import Decision, check_split, decide_by_class, threshold_of, tune

CLASSES = 4
probabilities = st.lists(
    st.lists(st.floats(0, 1, width=32), min_size=CLASSES, max_size=CLASSES, unique=True),
    min_size=1,
    max_size=5,
)


@given(probabilities, st.floats(0, 1, width=32), st.integers(1, 4))
def test_one_threshold_decides_as_the_task_does(
    rows: list[list[float]], threshold: float, slots: int
) -> None:
    weak = np.array(rows, dtype=np.float32)
    expected = decide(torch.from_numpy(weak), threshold=threshold, most=slots).numpy()
    np.testing.assert_array_equal(decide_by_class(weak, Decision(threshold, slots)), expected)
    same = Decision((threshold,) * CLASSES, slots)
    np.testing.assert_array_equal(decide_by_class(weak, same), expected)


def test_a_class_has_its_own_threshold_and_silence_is_possible() -> None:
    weak = np.array([[0.6, 0.3, 0.2, 0.1], [0.4, 0.1, 0.1, 0.05]], dtype=np.float32)
    decision = Decision((0.7, 0.25, 0.5, 0.5), at_least_one=False)
    assert decide_by_class(weak, decision).tolist() == [[False, True, False, False], [False] * 4]
    tags, mean = decision.tags([SedOutput(torch.from_numpy(weak))])
    assert tags.labels.tolist() == [[1, 4, 4], [4, 4, 4]]
    assert mean is not None
    torch.testing.assert_close(tags.scores, torch.tensor([[0.3, 0.0, 0.0], [0.0, 0.0, 0.0]]))


def test_an_average_of_models_decides() -> None:
    one, two = (SedOutput(torch.tensor([[a, 0.1, 0.1, 0.1]])) for a in (0.9, 0.3))
    for decision in (Decision(0.55), Decision((0.55,) * 4)):
        tags, mean = decision.tags([one, two])
        assert mean is not None
        assert float(mean[0, 0]) == pytest.approx(0.6)
        assert tags.labels.tolist() == [[0, 4, 4]]


def test_tuning_finds_the_threshold_that_parts_the_classes() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((60, CLASSES)) < 0.3
    truth[:, 3] = False
    truth[~truth.any(axis=1), 0] = True
    weak = np.where(truth, 0.35, 0.15) + 0.1 * rng.random(truth.shape)  # parts at 0.25 to 0.35, not at 0.5
    found = tune(weak, truth, Decision(0.5))
    assert isinstance(found.decision.threshold, float)
    assert 0.25 <= found.decision.threshold <= 0.36
    assert found.after == 100.0 > found.before


def test_tuning_per_class_helps_where_classes_differ() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((80, 2)) < 0.5
    truth[~truth.any(axis=1), 0] = True
    noise = 0.1 * rng.random(truth.shape)
    weak = np.where(truth, [0.8, 0.3], [0.5, 0.1]) + noise
    one = tune(weak, truth, Decision(0.5))
    each = tune(weak, truth, Decision(0.5), per_class=True)
    assert each.after == 100.0 > one.after
    assert isinstance(each.decision.threshold, tuple)
    low, high = each.decision.threshold[1], each.decision.threshold[0]
    assert 0.1 < low < 0.41
    assert 0.5 < high < 0.91


def test_only_validation_data_may_be_tuned_on() -> None:
    check_split("valid", "here")
    for split, named in (
        ("test", "it is test data"),
        ("train", "it is train data"),
        ("unknown", "is not known"),
    ):
        with pytest.raises(SynthError, match=named):
            check_split(split, "here")  # type: ignore[arg-type]


def test_thresholds_of_a_file_fit_the_classes() -> None:
    assert threshold_of(0.4, ["a", "b"]) == 0.4
    assert threshold_of({"b": 0.2, "a": 0.1}, ["a", "b"]) == (0.1, 0.2)
    with pytest.raises(SynthError, match="'c' has no threshold or is no class"):
        threshold_of({"a": 0.1, "b": 0.2, "c": 0.3}, ["a", "b"])
    with pytest.raises(SynthError, match="2 thresholds for 3 classes"):
        decide_by_class(np.zeros((1, 3)), Decision((0.1, 0.2)))
    with pytest.raises(SynthError, match="at least one scene"):
        tune(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool), Decision())
