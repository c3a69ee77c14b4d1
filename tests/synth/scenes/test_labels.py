"""Strong labels: a detector is trained on, and judged by, exactly these samples."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.errors import SynthError
from synth.scenes.labels import StrongLabel, direction, frame_matrix, strong_labels
from synth.scenes.spec import EventSpec, LabelSpec, SceneSpec

T = 320_000
RATE = 32_000


def event(onset: int, duration: int, label: str = "Speech", **changes: Any) -> EventSpec:
    content = {"path": "a/b.wav", "start": 0, "position": 0, "xyz": (1.0, 1.0, 0.0), "snr_db": 10.0}
    return EventSpec.model_validate(
        {**content, "label": label, "onset": onset, "duration": duration, **changes}
    )


def scene(*targets: EventSpec, **changes: Any) -> SceneSpec:
    content = {"rules": "s5kit2026", "duration": T, "ref_db": -50.0, "place": "r.sofa", "targets": targets}
    return SceneSpec.model_validate(content | changes)


def label(onset: int, offset: int, name: str = "Speech", number: int = 0) -> StrongLabel:
    return StrongLabel(name, onset, offset, "event", number, 0.0, 0.0, 1.0)


def extents(labels: list[StrongLabel]) -> list[tuple[int, int]]:
    return [(one.onset, one.offset) for one in labels]


def test_event_support_ends_with_the_sound_or_the_scene() -> None:
    spec = scene(event(100, 5000), event(300_000, 64_000))
    assert extents(strong_labels(spec)) == [(100, 5100), (300_000, T)]


def test_tail_support_is_the_length_of_the_convolution_cut_at_the_scene() -> None:
    """numpy's full convolution says how long it is."""
    spec = scene(event(100, 50), event(T - 200, 150), labels=LabelSpec(support="tail"))
    taps = [33, 100]
    labels = strong_labels(spec, tails=taps)
    whole = [
        len(np.convolve(np.ones(e.duration), np.ones(n))) for e, n in zip(spec.targets, taps, strict=True)
    ]
    assert extents(labels) == [(100, 100 + whole[0]), (T - 200, T)]
    assert T - 200 + whole[1] > T
    assert {one.support for one in labels} == {"tail"}


def test_active_support_is_where_the_dry_target_is_loud() -> None:
    """A tone with a pause, on the grid of 10 ms: the edges are known to the sample."""
    dry = np.zeros((1, T), dtype=np.float32)
    tone = np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
    dry[0, 1000 : 1000 + RATE] = tone
    dry[0, 1000 + 2 * RATE : 1000 + 3 * RATE] = tone * 10 ** (-20 / 20)
    spec = scene(event(1000, 4 * RATE), labels=LabelSpec(support="active", active_db=30))
    both = [(1000, 1000 + RATE), (1000 + 2 * RATE, 1000 + 3 * RATE)]
    assert extents(strong_labels(spec, dry=dry)) == both
    # Its level is 6 dB below the loud second's (a quarter of the span), so 15 dB leaves the quiet one in ...
    near = spec.model_copy(update={"labels": LabelSpec(support="active", active_db=15)})
    assert extents(strong_labels(near, dry=dry)) == both
    # ... and 13 dB does not.
    nearer = spec.model_copy(update={"labels": LabelSpec(support="active", active_db=13)})
    assert extents(strong_labels(nearer, dry=dry)) == both[:1]
    assert [one.event for one in strong_labels(spec, dry=dry)] == [0, 0]


def test_short_pauses_do_not_split_an_active_event() -> None:
    for pause_ms, pieces in ((40, 1), (50, 2)):
        dry = np.zeros((1, T), dtype=np.float32)
        dry[0, :3200] = 1
        second = 3200 + pause_ms * 32
        dry[0, second : second + 3200] = 1
        spec = scene(event(0, 10_000), labels=LabelSpec(support="active"))
        found = extents(strong_labels(spec, dry=dry))
        assert len(found) == pieces
        assert (found[0][0], found[-1][1]) == (0, second + 3200)


def test_active_support_reaches_the_end_of_the_scene_and_no_further() -> None:
    dry = np.zeros((2, T), dtype=np.float32)
    dry[1, T - 500 :] = 1
    spec = scene(event(0, 1000), event(T - 500, 1000, "Cough"), labels=LabelSpec(support="active"))
    labels = strong_labels(spec, dry=dry)  # the first is silent and has no label
    assert [(one.label, one.event) for one in labels] == [("Cough", 1)]
    assert extents(labels) == [(T - 500, T)]


@given(
    onset=st.integers(0, T - 1),
    duration=st.integers(1, T),
    active_db=st.floats(1, 100),
    seed=st.integers(0, 99),
)
def test_active_pieces_are_ordered_apart_and_inside(
    onset: int, duration: int, active_db: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    dry = np.zeros((1, T), dtype=np.float32)
    end = min(onset + duration + 1600, T)
    dry[0, onset:end] = (
        rng.standard_normal(end - onset) * np.repeat(rng.random(T // 800 + 1), 800)[: end - onset] ** 8
    )
    spec = scene(event(onset, duration), labels=LabelSpec(support="active", active_db=active_db))
    found = extents(strong_labels(spec, dry=dry))
    edges = [edge for piece in found for edge in piece]
    assert found
    assert edges == sorted(edges)
    assert all(b[0] - a[1] >= 1600 for a, b in itertools.pairwise(found))
    assert edges[0] >= onset
    assert edges[-1] <= min(-(-(end - onset) // 320) * 320 + onset, T)
    # What is left out is quieter than the threshold in every frame.
    power = dry[0].astype(np.float64) ** 2
    level = power[onset : min(onset + duration, T)].mean() * 10 ** (-active_db / 10)
    for first in range(onset, end, 320):
        inside = any(a <= first < b for a, b in found)
        assert inside or power[first : min(first + 320, T)].mean() < level


def test_supports_that_need_the_renderer_say_so() -> None:
    spec = scene(event(0, 10))
    with pytest.raises(SynthError, match=r"dry: one per target is needed \(1\), got none"):
        strong_labels(spec, support="active")
    with pytest.raises(SynthError, match=r"tails: .*\(1\), got 2"):
        strong_labels(spec, tails=[1, 2], support="tail")


def test_events_of_one_class_stay_apart_also_when_they_overlap() -> None:
    labels = strong_labels(scene(event(0, 1000), event(500, 1000)))
    assert [(one.label, one.event) for one in labels] == [("Speech", 0), ("Speech", 1)]
    assert strong_labels(scene()) == []


@pytest.mark.parametrize(
    ("xyz", "expected"),
    [
        ((2, 0, 0), (0, 0, 2)),
        ((0, 1.5, 0), (90, 0, 1.5)),
        ((0, -1, 0), (-90, 0, 1)),
        ((-1, 0, 0), (180, 0, 1)),
        ((0, 0, 3), (0, 90, 3)),
        ((1, 1, -(2**0.5)), (45, -45, 2)),
        ((0, 0, 0), (0, 0, 0)),
    ],
)
def test_azimuth_turns_left_and_elevation_up(
    xyz: tuple[float, float, float], expected: tuple[float, ...]
) -> None:
    assert direction(xyz) == pytest.approx(expected, abs=1e-12)
    one = strong_labels(scene(event(0, 10, xyz=xyz)))[0]
    assert (one.azimuth, one.elevation, one.distance) == direction(xyz)


def test_frame_matrix_follows_the_published_rule() -> None:
    labels = [label(0, 1280), label(1919, 1921, "Cough"), label(T - 1, T, "Cough"), label(640, 3200, "Pour")]
    matrix = frame_matrix(labels, T, RATE, ["Speech", "Cough", "Pour", "Typing"])
    assert matrix.shape == (250, 4)
    assert matrix.dtype == np.float32
    frames = [np.flatnonzero(column).tolist() for column in matrix.T]
    # round(1919/1280) = 1, at least one frame; the last frame is clipped; round(0.5) = 0, round(2.5) = 2.
    assert frames == [[0], [1, 249], [0, 1], []]


@given(
    pieces=st.lists(st.tuples(st.integers(0, T - 1), st.integers(1, T)), max_size=4),
    frame=st.sampled_from([0.02, 0.04, 0.1]),
)
def test_frame_matrix_is_the_union_of_its_labels(pieces: list[tuple[int, int]], frame: float) -> None:
    labels = [label(on, min(on + n, T), number=k) for k, (on, n) in enumerate(pieces)]
    matrix = frame_matrix(labels, T, RATE, ["Speech"], frame)
    expected = np.zeros((round(10 / frame), 1), dtype=np.float32)
    for one in labels:
        first = min(round(one.onset / (RATE * 10.0) * len(expected)), len(expected) - 1)
        last = round(one.offset / (RATE * 10.0) * len(expected))
        expected[first : max(last, first + 1)] = 1
    assert np.array_equal(matrix, expected)


def test_a_label_of_no_class_is_an_error() -> None:
    with pytest.raises(SynthError, match="'Speech' is none of the 1 classes"):
        frame_matrix([label(0, 10)], T, RATE, ["Cough"])
