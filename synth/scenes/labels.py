"""Strong labels: what sounds when, and from where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SynthError
from ..units import Audio, Decibels, Degrees, Hertz, Metres, Samples, Seconds
from .effect_specs import turned
from .spec import EventSpec, Point, SceneSpec, Support

LEVEL_FRAME: Seconds = 0.010
"""Length of the frames in which the `active` support measures the level."""

BRIDGED_GAP: Seconds = 0.050
"""Pauses shorter than this do not split an `active` event."""


@dataclass(frozen=True, slots=True)
class StrongLabel:
    """One stretch of one event.

    Attributes:
        label: The class.
        onset: First sample, at the scene rate.
        offset: One past the last sample.
        support: What onset and offset enclose; see `strong_labels`.
        event: Which target of the scene this is (its index in `spec.targets`).
        azimuth: Degrees, counter-clockwise from the front, -180 to 180.
        elevation: Degrees, -90 to 90.
        distance: Metres.
    """

    label: str
    onset: Samples
    offset: Samples
    support: Support
    event: int
    azimuth: Degrees
    elevation: Degrees
    distance: Metres


def strong_labels(
    spec: SceneSpec,
    *,
    dry: Audio | None = None,
    tails: Sequence[Samples] | None = None,
    support: Support | None = None,
) -> list[StrongLabel]:
    """Return the labels of a scene's targets, in the order of `spec.targets`.

    The supports, with T the length of the scene:

    - `event`: from the onset to onset + duration, at most T.
    - `active`: where the dry target is within `labels.active_db` of its level. Its level is the
      mean power from the onset to onset + duration (at most T); it is compared with the mean
      power of frames of 10 ms counted from the onset. Runs of such frames make one label each;
      pauses shorter than 50 ms are bridged. A silent dry target has no label.
    - `tail`: from the onset to the end of the whole convolved signal, onset + duration + taps - 1,
      at most T (the support of the CP-JKU system of 2025).

    Directions are as heard: turned and mirrored when the scene is.

    Two events of one class stay two labels, also where they overlap.

    Args:
        spec: The scene.
        dry: (targets, T), needed for `active`.
        tails: Taps of each target's RIR, needed for `tail`.
        support: Which support; by default the one that the spec names.

    Raises:
        SynthError: The support needs `dry` or `tails`, and they are missing or do not fit.
    """
    kind = support or spec.labels.support
    extents: list[list[tuple[Samples, Samples]]]
    if kind == "event":
        extents = [[(e.onset, _end(e, spec))] for e in spec.targets]
    elif kind == "tail":
        _check_given("tails", tails, len(spec.targets))
        assert tails is not None
        extents = [
            [(e.onset, min(e.onset + e.duration + taps - 1, spec.duration))]
            for e, taps in zip(spec.targets, tails, strict=True)
        ]
    else:
        _check_given("dry", dry, len(spec.targets))
        assert dry is not None
        extents = [_active(e, d, spec) for e, d in zip(spec.targets, dry, strict=True)]
    return [
        StrongLabel(event.label, onset, offset, kind, n, *heard_from(event, spec))
        for n, (event, pieces) in enumerate(zip(spec.targets, extents, strict=True))
        for onset, offset in pieces
    ]


def frame_matrix(
    labels: Sequence[StrongLabel],
    duration: Samples,
    rate: Hertz,
    classes: Sequence[str],
    frame: Seconds = 0.04,
) -> NDArray[np.float32]:
    """Return which class sounds in which frame: 1.0 or 0.0, (frames, classes) float32.

    A label covers the frames from round(onset / duration * frames) up to, not including,
    round(offset / duration * frames), and at least one: the rule of the CP-JKU system of 2025.

    Args:
        labels: Strong labels of one scene.
        duration: Length of the scene in samples.
        rate: Scene rate in Hz.
        classes: Class of each column.
        frame: Length of a frame in seconds; 0.04 gives 250 frames for 10 s.

    Raises:
        SynthError: A label is none of the classes.
    """
    frames = max(round(duration / (rate * frame)), 1)
    columns = {name: n for n, name in enumerate(classes)}
    matrix = np.zeros((frames, len(columns)), dtype=np.float32)
    for label in labels:
        if label.label not in columns:
            raise SynthError(
                f"{label.label!r} is none of the {len(columns)} classes",
                where="labels",
                remedy="give the classes of the catalog",
            )
        first = min(round(label.onset / duration * frames), frames - 1)
        end = max(min(round(label.offset / duration * frames), frames), first + 1)
        matrix[first:end, columns[label.label]] = 1.0
    return matrix


def direction(xyz: Point) -> tuple[Degrees, Degrees, Metres]:
    """Return azimuth, elevation (degrees) and distance (metres) of a point.

    x is front, y left, z up; azimuth turns counter-clockwise, so left is +90.
    """
    x, y, z = xyz
    azimuth = math.degrees(math.atan2(y, x))
    elevation = math.degrees(math.atan2(z, math.hypot(x, y)))
    return azimuth, elevation, math.sqrt(x * x + y * y + z * z)


def heard_from(event: EventSpec, spec: SceneSpec) -> tuple[Degrees, Degrees, Metres]:
    """Return the direction of an event in a scene: of its position, turned as the scene is."""
    space = None if spec.effects is None else spec.effects.space
    return direction(turned(event.xyz, space))


def _end(event: EventSpec, spec: SceneSpec) -> Samples:
    return min(event.onset + event.duration, spec.duration)


def _active(event: EventSpec, dry: Audio, spec: SceneSpec) -> list[tuple[Samples, Samples]]:
    """Return the (onset, offset) of every stretch in which a dry target (T,) is loud enough."""
    power = np.square(dry[event.onset : spec.duration], dtype=np.float64)
    level = float(power[: _end(event, spec) - event.onset].mean())
    if level <= 0:
        return []
    length = max(round(LEVEL_FRAME * spec.sample_rate), 1)
    starts = np.arange(0, len(power), length)
    counts = np.minimum(starts + length, len(power)) - starts
    loud = np.add.reduceat(power, starts) / counts >= level * _ratio(-spec.labels.active_db)
    pieces: list[tuple[Samples, Samples]] = []
    bridged = round(BRIDGED_GAP * spec.sample_rate)
    for first, last in _runs(loud):
        onset, offset = event.onset + first * length, min(event.onset + last * length, spec.duration)
        if pieces and onset - pieces[-1][1] < bridged:
            onset = pieces.pop()[0]
        pieces.append((onset, offset))
    return pieces


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (first, one past last) of every run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def _ratio(level: Decibels) -> float:
    return float(10.0 ** (level / 10.0))


def _check_given(name: str, values: Sequence[int] | Audio | None, count: int) -> None:
    if values is None or len(values) != count:
        have = "none" if values is None else len(values)
        raise SynthError(
            f"one per target is needed ({count}), got {have}",
            where=name,
            remedy="render the scene with its dry stems, or choose the support 'event'",
        )
