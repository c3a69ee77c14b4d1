"""Label files: what other tools read is what we meant, and nothing is lost on the way."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.errors import SynthError
from synth.scenes.label_files import (
    TsvRow,
    from_json,
    from_seld,
    from_tsv,
    samples,
    to_json,
    to_seld,
    to_tsv,
)
from synth.scenes.labels import StrongLabel

T = 320_000
RATE = 32_000
CLASSES = ["Cough", "Musical Keyboard", "Speech"]

LABELS = st.builds(
    lambda name, onset, length, support, number, azimuth, elevation, distance: StrongLabel(
        name, onset, onset + length, support, number, azimuth, elevation, distance
    ),
    st.sampled_from(CLASSES),
    st.integers(0, T - 1),
    st.integers(1, T),
    st.sampled_from(["event", "active", "tail"]),
    st.integers(0, 5),
    st.floats(-180, 180),
    st.floats(-90, 90),
    st.floats(0, 50),
)


def label(onset: int, offset: int, name: str = "Speech", number: int = 0, **place: float) -> StrongLabel:
    where = {"azimuth": 90.4, "elevation": -20.0, "distance": 1.504} | place
    return StrongLabel(name, onset, offset, "event", number, **where)


def test_tsv_is_what_desed_tools_expect() -> None:
    text = to_tsv({"a.wav": [label(1, 32_000), label(0, T, "Cough", 1)], "b.wav": []}, RATE)
    assert text == (
        "filename\tonset\toffset\tevent_label\n"
        "a.wav\t0.000031\t1.000000\tSpeech\n"
        "a.wav\t0.000000\t10.000000\tCough\n"
        "b.wav\t\t\t\n"
    )
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t"))
    assert rows[0] == {
        "filename": "a.wav",
        "onset": "0.000031",
        "offset": "1.000000",
        "event_label": "Speech",
    }


@given(
    labels=st.lists(LABELS, max_size=6),
    rate=st.sampled_from([8_000, 32_000, 44_100, 192_000]),
    name=st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1).filter(str.isprintable),
)
def test_tsv_gives_back_every_sample(labels: list[StrongLabel], rate: int, name: str) -> None:
    rows = from_tsv(to_tsv({name: labels}, rate))
    if not labels:
        assert rows == [TsvRow(name, None, None, None)]
        return
    back = [
        (r.filename, samples(r.onset or 0, rate), samples(r.offset or 0, rate), r.event_label) for r in rows
    ]
    assert back == [(name, one.onset, one.offset, one.label) for one in labels]


@pytest.mark.parametrize(
    ("line", "number"),
    [
        ("a.wav\t1.0\t2.0", 2),
        ("a.wav\tx\t2.0\tSpeech", 2),
        ("a.wav\t2.0\t1.0\tSpeech", 2),
        ("a.wav\t-1\t1.0\tSpeech", 2),
        ("a.wav\tnan\t1.0\tSpeech", 2),
        ("a.wav\t0\tinf\tSpeech", 2),
        ("\t0\t1\tSpeech", 2),
        ("a.wav\t0\t1\t", 2),
        ("a.wav\t0\t1\tSpeech\n\nb.wav\t0\t1", 4),
    ],
)
def test_a_wrong_tsv_line_is_named(line: str, number: int) -> None:
    with pytest.raises(SynthError, match=f"my.tsv, line {number}:"):
        from_tsv(f"filename\tonset\toffset\tevent_label\n{line}\n", where="my.tsv")


def test_tsv_of_other_tools_is_read() -> None:
    header = "filename\tonset\toffset\tevent_label"
    assert from_tsv(f"\ufeff{header}\r\na.wav\t0\t1.5\tSpeech\r\n") == [TsvRow("a.wav", 0.0, 1.5, "Speech")]
    for text in ("", "onset\toffset\n", "a.wav\t0\t1\tSpeech\n"):
        with pytest.raises(SynthError, match="not the header"):
            from_tsv(text)


@pytest.mark.parametrize("name", ["a\tb", "a\nb", ""])
def test_names_that_would_break_the_table_are_refused(name: str) -> None:
    with pytest.raises(SynthError, match="cannot stand in a table"):
        to_tsv({name: []}, RATE)


def test_seld_has_a_row_for_every_frame_that_an_event_touches() -> None:
    labels = [
        label(3199, 6401, number=1),
        label(0, 3200, "Cough", azimuth=-179.6, elevation=0.5, distance=0.756),
    ]
    text = to_seld(labels, RATE, CLASSES)
    assert text == "0,0,0,-180,0,76\n0,2,1,90,-20,150\n1,2,1,90,-20,150\n2,2,1,90,-20,150\n"


def test_two_sources_of_one_class_keep_their_numbers_in_seld() -> None:
    rows = from_seld(to_seld([label(0, 3200), label(0, 3200, number=1, azimuth=-30.0)], RATE, CLASSES))
    assert [(row.class_index, row.source, row.azimuth) for row in rows] == [(2, 0, 90), (2, 1, -30)]
    # Two pieces of one event in a frame are one row.
    assert len(from_seld(to_seld([label(0, 100), label(2000, 3000)], RATE, CLASSES))) == 1


@given(labels=st.lists(LABELS, max_size=5))
def test_seld_rows_are_those_of_the_overlaps(labels: list[StrongLabel]) -> None:
    rows = from_seld(to_seld(labels, RATE, CLASSES))
    expected = {
        (
            f,
            CLASSES.index(one.label),
            one.event,
            round(one.azimuth),
            round(one.elevation),
            round(100 * one.distance),
        )
        for one in labels
        for f in range(2 * T // 3200)
        if one.onset < (f + 1) * 3200 and one.offset > f * 3200
    }
    assert rows == sorted(expected)


def test_faulty_seld_is_named() -> None:
    for text in ("1,2,3\n", "0,0,0,0,0,1.5\n"):
        with pytest.raises(SynthError, match=r"x\.csv, line 1"):
            from_seld(text, where="x.csv")
    with pytest.raises(SynthError, match="none of the"):
        to_seld([label(0, 1)], RATE, ["Cough"])


@given(labels=st.lists(LABELS, max_size=6))
def test_json_gives_back_every_label(labels: list[StrongLabel]) -> None:
    assert from_json(to_json(labels)) == labels


@pytest.mark.parametrize(
    ("change", "message"),
    [({"onset": "x"}, "0.onset"), ({"support": "all"}, "0.support"), ({"azimuth": None}, "0.azimuth")],
)
def test_faulty_json_names_the_field(change: dict[str, Any], message: str) -> None:
    content = [json.loads(to_json([label(0, 1)]))[0] | change]
    with pytest.raises(SynthError, match=message):
        from_json(json.dumps(content))
    with pytest.raises(SynthError, match="JSON"):
        from_json("[NaN]")
