"""Counts of a collection against counts by hand, and what is said of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.assets.licences import ledger_of
from synth.report.charts import binned
from synth.report.notices import direction_notices, gathered, sort_notices, summary_notices, view_notices
from synth.report.overview import common_start
from synth.report.summary import Summary, at_once, spec_facts, view_facts
from synth.report.view import Estimate, Source
from synth.scenes.labels import StrongLabel
from tests.synth.report.scenes import SAMPLES, clicks, event, paper, scene, target


def three() -> Summary:
    """Three scenes counted."""
    summary = Summary("three")
    summary.add(
        spec_facts(paper(event("Speech", 0, 16_000, 5.0), event("Cough", 8_000, 16_000, 15.0, 0.0, 1.0)))
    )
    summary.add(
        spec_facts(
            paper(event("Speech", 0, 8_000), event("Speech", 0, 8_000), interferers=(event("Rain", 0, 99),))
        )
    )
    summary.add(spec_facts(paper()))
    return summary


def test_counts_are_those_by_hand() -> None:
    """Histograms that miscount would hide a thin class or a wrong SNR."""
    found = three()
    assert found.targets == {"Speech": 3, "Cough": 1}
    assert found.interferers == {"Rain": 1}
    assert found.counts == {0: 1, 2: 2}
    assert (found.scenes, found.counted, found.seconds) == (3, 3, 3.0)
    assert found.snr_db == [5.0, 15.0, 10.0, 10.0]
    assert found.durations == [0.5, 0.5, 0.25, 0.25]
    assert found.directions == [(0.0, 0.0), (90.0, 0.0), (0.0, 0.0), (0.0, 0.0)]
    assert found.places == {"room_ir/hall.sofa": 3}
    # Scene 1: one from 0 to 0.25, two to 0.5, one to 0.75. Scene 2: two to 0.25. Scene 3: none.
    assert found.overlap == pytest.approx({0: 0.25 + 0.75 + 1.0, 1: 0.25 + 0.25, 2: 0.25 + 0.25})
    assert found.matrix().tolist() == [[0, 1], [1, 1]]  # Cough, Speech; the diagonal: twice in a scene


def test_known_labels_replace_the_times_of_the_paper() -> None:
    """A corpus with active or tail supports shows those, in pieces, and silent targets have none."""
    spec = paper(event("Speech", 0, 16_000), event("Cough", 0, 16_000))
    labels = [
        StrongLabel("Speech", 100, 200, "active", 0, 10.0, 5.0, 2.0),
        StrongLabel("Speech", 400, 900, "active", 0, 10.0, 5.0, 2.0),
    ]
    speech, cough = spec_facts(spec, labels).targets
    assert speech.extents == ((100, 200), (400, 900))
    assert (speech.azimuth, speech.elevation, speech.distance) == (10.0, 5.0, 2.0)
    assert cough.extents == ()


def test_an_official_set_has_labels_but_no_times() -> None:
    """What is not known is left out, not counted as zero."""
    summary = Summary("test")
    unknown = replace(target("Speech", 1), extents=(), azimuth=None, snr_db=None)
    summary.add(view_facts(scene("s", unknown)))
    assert summary.targets == {"Speech": 1}
    assert (summary.durations, summary.snr_db, summary.directions, summary.overlap) == ([], [], [], {})


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=6))
def test_overlap_is_counted_sample_by_sample(pairs: list[tuple[int, int]]) -> None:
    """The overlap histogram agrees with counting every sample, whatever starts and ends where."""
    extents = [(min(p), max(p)) for p in pairs]
    active = np.zeros(40, int)
    for start, end in extents:
        active[start:end] += 1
    found = at_once([Source("a", "target", (e,)) for e in extents], 40)
    assert {n: c for n, c in found.items() if c} == {
        n: int((active == n).sum()) for n in set(active.tolist())
    }


@given(st.lists(st.floats(-200, 200), min_size=1, max_size=50))
def test_every_value_is_in_one_bin(values: list[float]) -> None:
    """No event is lost between bins, and a phone can show all columns."""
    bins = binned(values)
    assert sum(count for _, count in bins) == len(values)
    assert len(bins) <= 12
    assert bins[0][1] > 0


def test_bins_have_round_edges() -> None:
    """5 to 20 dB reads as 4, 6, 8 …, each with its count."""
    assert binned([5.0, 5.9, 6.0, 19.9, 20.0])[:2] == [("4", 2), ("6", 1)]
    assert binned([0.0, 1.0, 1.5, 12.0])[0] == ("0", 3)


def texts(notices: list) -> list[str]:
    return [f"{n.level}: {n.text}" for n in notices]


def test_faults_of_a_collection_are_named() -> None:
    """Thin and unbalanced classes, clipping, licences, made-up sounds: all come before the pictures."""
    summary = Summary("s", scenes=40, synthetic=True, clipped=(7, 2), noiseless=3)
    for n in range(20):
        summary.add(spec_facts(paper(event("Speech", 0, 99), *([event("Cough", 0, 99)] if n < 4 else []))))
    summary.ledger = ledger_of([("d", "CC0-1.0"), ("e", "unknown"), ("e", "unknown")])
    found = texts(sort_notices(summary_notices(summary)))
    assert found[0] == "problem: 7 sample(s) in 2 scene(s) were clipped when they were stored."
    assert "caution: Thin classes, with fewer than 10 target events: Cough (4)." in found
    assert "caution: Classes are out of balance: Speech has 5.0 times the events of Cough." in found
    assert "caution: The licence of 2 of 3 uses of sounds is not known: do not pass them on yet." in found
    assert "note: Synthetic: these are no recordings, and the rooms are simulated." in found
    assert "note: 3 scene(s) have no background." in found
    assert "note: The histograms count 20 of 40 scenes, evenly spaced." in found
    assert any(text.startswith("note: No target of 16 of the task's classes: AlarmClock") for text in found)


def test_licences_that_forbid_are_a_problem() -> None:
    """Nobody passes on a report whose sounds may not be passed on without having been told."""
    summary = Summary("s", ledger=ledger_of([("FOA-MEIR", "proprietary"), ("d", "CC-BY-NC-4.0")]))
    summary.ledger = tuple(replace(row, redistribution="forbidden") for row in summary.ledger or ())
    assert texts(summary_notices(summary))[-1].startswith(
        "problem: Some licences forbid passing these sounds on"
    )
    summary.ledger = ()
    assert "caution: No licence is recorded for any of the sounds." in texts(summary_notices(summary))


def test_a_good_collection_has_nothing_to_warn_of() -> None:
    """Warnings that are always there are not read."""
    summary = Summary("s", ledger=ledger_of([("d", "CC0-1.0")]), clipped=(0, 0), noiseless=0)
    for _ in range(10):
        summary.add(spec_facts(paper(event("Bell", 0, 99), event("Drum", 0, 99))))
    assert summary_notices(summary) == []
    assert view_notices(scene()) == []


def test_faults_of_a_scene_are_named_once_for_all_scenes() -> None:
    """Clipped mixtures, silent targets, NaN and mono are found, and gathered with the scenes they are in."""
    good = scene("a")
    loud = replace(good, name="b", mixture=good.mixture * np.float32(100))
    silent = replace(good, name="c", targets=(target("Speech", 1, dry=np.zeros(SAMPLES, np.float32)),))
    mono = replace(good, name="d", mixture=good.mixture[:1])
    broken = replace(good, name="e", mixture=np.full((4, SAMPLES), np.nan, np.float32))
    empty = replace(good, name="f", mixture=np.zeros((4, SAMPLES), np.float32))
    views = (good, loud, replace(loud, name="b2"), silent, mono, broken, empty)
    found = gathered([notice for view in views for notice in view_notices(view)])
    said = {n.text: n.scenes for n in found}
    assert said["The mixture reaches full scale: integer formats clip it."] == ("b", "b2")
    assert said["Silent target(s): Speech."] == ("c",)
    assert said["The mixture has values that are no numbers."] == ("e",)
    assert said["The mixture is silent."] == ("f",)
    assert [n.level for n in found][-1] == "caution"
    assert found[-1].scenes == ("d",)


def test_directions_that_never_fit_raise_a_doubt() -> None:
    """Channels in the wrong order would otherwise only look odd."""
    assert direction_notices([80.0] * 6)[0].level == "caution"
    assert direction_notices([80.0] * 4) == []
    assert direction_notices([10.0] * 50) == []


def test_the_worth_of_a_scene() -> None:
    """Worst scenes first: missed targets and false alarms count as no improvement."""

    def estimate(target: int | None, sdri: float | None) -> Estimate:
        return Estimate("Speech", clicks(0), target=target, sdri=sdri)

    assert scene().worth is None
    assert scene("s", estimates=()).worth == 0.0
    assert scene("s", estimates=(estimate(0, 9.0), estimate(1, 6.0))).worth == pytest.approx(7.5)
    assert scene("s", estimates=(estimate(0, 9.0), estimate(None, None))).worth == pytest.approx(3.0)
    assert scene("s", estimates=(estimate(0, 9.0),)).missed == (1,)
    assert scene("s", estimates=(), score=-1.5).worth == -1.5
    assert scene("s", estimates=(), score=float("nan")).worth is None


def test_what_names_have_in_common_is_left_out_up_to_a_separator() -> None:
    """Small pictures show the part of a name that tells scenes apart."""
    assert common_start(["train-0-000012", "train-0-000019"]) == len("train-0-")
    assert common_start(["0001", "0002"]) == common_start(["only-one"]) == common_start([]) == 0
