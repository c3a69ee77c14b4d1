"""Strong labels as files: TSV (DESED), CSV (SELD) and JSON. Text in, text out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from ..errors import SynthError
from ..units import Hertz, Samples, Seconds
from .bounded import load_json
from .labels import StrongLabel

TSV_HEADER = ("filename", "onset", "offset", "event_label")
SELD_HOP: Seconds = 0.1


class TsvRow(NamedTuple):
    """One event of one file, in seconds; a file without events has one row of Nones."""

    filename: str
    onset: Seconds | None
    offset: Seconds | None
    event_label: str | None


class SeldRow(NamedTuple):
    """One event in one frame of 100 ms: degrees and centimetres, whole numbers."""

    frame: int
    class_index: int
    source: int
    azimuth: int
    elevation: int
    distance: int


def to_tsv(scenes: Mapping[str, Sequence[StrongLabel]], rate: Hertz) -> str:
    """Return the labels of some scenes as tab-separated text, DESED style.

    The header is `filename onset offset event_label`; times are seconds with six decimals, which
    give the sample back at any rate up to 192 kHz. A scene without labels has one row with its
    name and three empty fields, so that no scene is lost.

    Args:
        scenes: File name -> its labels.
        rate: Scene rate in Hz.

    Raises:
        SynthError: A name cannot stand in a table.
    """
    rows = ["\t".join(TSV_HEADER)]
    for name, labels in scenes.items():
        _check_field(name, "filename")
        if not labels:
            rows.append(f"{name}\t\t\t")
        for label in labels:
            _check_field(label.label, name)
            rows.append(f"{name}\t{label.onset / rate:.6f}\t{label.offset / rate:.6f}\t{label.label}")
    return "\n".join(rows) + "\n"


def from_tsv(text: str, *, where: str | Path = "TSV") -> list[TsvRow]:
    """Read what `to_tsv`, or DESED, wrote.

    Raises:
        SynthError: A line is not a row of such a table; the error names it.
    """
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if not lines or tuple(lines[0].split("\t")) != TSV_HEADER:
        raise SynthError(
            "the first line is not the header", where=where, remedy=f"begin with {', '.join(TSV_HEADER)}"
        )
    return [_tsv_row(line, f"{where}, line {n}") for n, line in enumerate(lines[1:], 2) if line]


def to_seld(labels: Sequence[StrongLabel], rate: Hertz, classes: Sequence[str]) -> str:
    """Return the labels of one scene as SELD CSV: one row per event and frame of 100 ms, no header.

    Columns: frame, class index, source (the index of the target), azimuth, elevation (degrees,
    rounded), distance (centimetres, rounded). An event is in every frame that it touches.

    Raises:
        SynthError: A label is none of the classes.
    """
    rows: set[SeldRow] = set()
    hop = SELD_HOP * rate
    for label in labels:
        if label.label not in classes:
            raise SynthError(
                f"{label.label!r} is none of the {len(classes)} classes",
                where="labels",
                remedy="give the classes of the catalog",
            )
        place = round(label.azimuth), round(label.elevation), round(100 * label.distance)
        frames = range(math.floor(label.onset / hop), math.ceil(label.offset / hop))
        rows.update(SeldRow(frame, classes.index(label.label), label.event, *place) for frame in frames)
    return "".join(",".join(map(str, row)) + "\n" for row in sorted(rows))


def from_seld(text: str, *, where: str | Path = "SELD CSV") -> list[SeldRow]:
    """Read what `to_seld` wrote.

    Raises:
        SynthError: A line does not hold six whole numbers; the error names it.
    """
    rows = []
    for n, line in enumerate(text.splitlines(), 1):
        try:
            rows.append(SeldRow(*map(int, line.split(","))))
        except (ValueError, TypeError) as error:
            raise _bad_line(line, f"{where}, line {n}", "six whole numbers with commas") from error
    return rows


def to_json(labels: Iterable[StrongLabel]) -> str:
    """Return labels as a JSON list of objects, every field of StrongLabel, times in samples."""
    return json.dumps([asdict(label) for label in labels], allow_nan=False)


def from_json(text: str | bytes, *, where: str | Path = "labels") -> list[StrongLabel]:
    """Read what `to_json` wrote.

    Raises:
        SynthError: The text is no such list; the error names the faulty field.
    """
    try:
        return _LABELS.validate_python(load_json(text, where=where))
    except ValidationError as error:
        fault = error.errors()[0]
        spot = ".".join(map(str, fault["loc"]))
        raise SynthError(fault["msg"], where=f"{where}: {spot}", remedy="write the labels again") from error


_LABELS = TypeAdapter(list[StrongLabel])


def samples(seconds: Seconds, rate: Hertz) -> Samples:
    """Return the sample that a time in a table stands for."""
    return round(seconds * rate)


def _tsv_row(line: str, where: str) -> TsvRow:
    fields = line.split("\t")
    if len(fields) == len(TSV_HEADER):
        name, onset, offset, label = fields
        if name and not (onset or offset or label):
            return TsvRow(name, None, None, None)
        try:
            row = TsvRow(name, float(onset), float(offset), label)
            if name and label and 0 <= float(onset) <= float(offset) < math.inf:
                return row
        except ValueError:
            pass
    raise _bad_line(line, where, "a file name, onset <= offset in seconds, and a label, with tabs")


def _check_field(value: str, where: str) -> None:
    if not value or not value.isprintable():
        raise SynthError(
            f"{value!r} cannot stand in a table",
            where=where,
            remedy="use a name without tabs and line breaks",
        )


def _bad_line(line: str, where: str, expected: str) -> SynthError:
    return SynthError(f"{line[:60]!r} is not {expected}", where=where, remedy="correct the line")
