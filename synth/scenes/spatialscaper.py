"""What a `Scaper` of SpatialScaper has drawn, as a SceneSpec.

The object is only read: `fg_events`, `bg_events`, `room`, `format`, `sr`, `duration`, `ref_db`. The
spec says `rules: spatialscaper`, by which the renderer makes what `Scaper.generate` makes: levels by
mean magnitude, wet signals cut at the end of the event, the ambience averaged to one channel.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..assets.audio import samples_at
from ..assets.catalog import Catalog
from ..errors import Problem, ProblemsError, SynthError
from .spec import EventSpec, NoiseSpec, SceneSpec

_ATTRIBUTES = ("fg_events", "bg_events", "room", "format", "sr", "duration", "ref_db")


def scaper_scene(scaper: Any, catalog: Catalog, *, background: bool = True) -> SceneSpec:
    """Turn the event lists of a `Scaper` into a scene.

    Static events only: one position, or a path that stays with one room response. As SpatialScaper
    does, the start of a sound is its start in the scene whatever `source_time` says, and the position
    is that of the nearest response. Events are in the order of their onsets.

    Args:
        scaper: A `spatialscaper.Scaper` after its `add_event`s.
        catalog: What `build_scaper_catalog` made of its folders.
        background: Take its background, too.

    Raises:
        ProblemsError: Some events move, or their sounds are not in the catalog; all are named.
        SynthError: It is no `Scaper`, its room is not in the catalog, or its background is drawn at
            random while it renders.
    """
    lacking = [name for name in _ATTRIBUTES if not hasattr(scaper, name)]
    if lacking:
        raise SynthError(
            f"a {type(scaper).__name__} is no Scaper of SpatialScaper: it has no {', '.join(lacking)}",
            where="scaper",
            remedy="give the object that add_event and add_background were called on",
        )
    place = _place(scaper, catalog)
    rate, duration = int(scaper.sr), int(scaper.duration * scaper.sr)
    rows = catalog.positions[catalog.positions["path"] == place].sort_values("position")
    points = rows[["x", "y", "z"]].to_numpy(np.float64)
    sounds = _Sounds(catalog, "events", rate)
    targets, problems = [], []
    for n, event in enumerate(sorted(scaper.fg_events, key=lambda event: event.event_time)):
        try:
            targets.append(_event(event, points, sounds))
        except SynthError as error:
            problems.append(Problem(f"event {n} ({event.source_file})", error.what, error.remedy))
    if problems:
        raise ProblemsError(problems, remedy="draw static events from the folders of the catalog")
    return SceneSpec(
        rules="spatialscaper",
        sample_rate=rate,
        duration=duration,
        ref_db=float(scaper.ref_db),
        place=place,
        targets=tuple(targets),
        noise=_noise(scaper.bg_events, _Sounds(catalog, "noises", rate), duration) if background else None,
    )


class _Sounds:
    """The files of a table by their path, as a Scaper names them."""

    def __init__(self, catalog: Catalog, table: str, rate: int) -> None:
        frame = getattr(catalog, table)
        self.rate = rate
        self._root = os.path.realpath(catalog.root)
        columns = (frame[name].tolist() for name in ("path", "rate", "frames", "source"))
        self._rows = {path: rest for path, *rest in zip(*columns, strict=True)}

    def find(self, file: str | Path) -> tuple[str, int, str]:
        """Return path, samples at the scene's rate, and source of a file."""
        path = Path(os.path.relpath(os.path.realpath(file), self._root)).as_posix()
        if path not in self._rows:
            raise SynthError(
                "the catalog has no such sound",
                where=file,
                remedy="build the catalog from the folders that the Scaper has",
            )
        rate, frames, source = self._rows[path]
        return path, samples_at(frames, rate, self.rate), source


def _place(scaper: Any, catalog: Catalog) -> str:
    name = f"{scaper.room}_{scaper.format}"
    paths = catalog.places["path"][catalog.places["place"] == name].tolist()
    if len(paths) != 1:
        raise SynthError(
            f"the catalog has {len(paths)} places of the name {name}, expected is one",
            where=catalog.directory,
            remedy="build it from the rir_dir of the Scaper, with the same format",
        )
    return str(paths[0])


def _event(event: Any, points: NDArray[np.float64], sounds: _Sounds) -> EventSpec:
    rate = sounds.rate
    path, samples, source = sounds.find(event.source_file)
    position = _position(event.event_position, points)
    if event.pitch_shift is not None or event.time_stretch is not None:
        raise SynthError(
            "it is shifted in pitch or stretched",
            where=path,
            remedy="draw it without pitch_shift and time_stretch",
        )
    x, y, z = points[position].tolist()
    return EventSpec(
        label=event.label,
        path=path,
        start=0,
        duration=min(int(event.event_duration * rate), samples),
        onset=int(event.event_time * rate),
        position=position,
        xyz=(x, y, z),
        snr_db=float(event.snr),
        source=source,
    )


def _position(path: Sequence[Sequence[float]], points: NDArray[np.float64]) -> int:
    track = np.atleast_2d(np.asarray(path, dtype=np.float64))
    distances = ((track[:, None, :] - points[None]) ** 2).sum(axis=2)
    nearest = set(distances.argmin(axis=1).tolist())
    if len(nearest) > 1:
        raise SynthError(
            f"it moves past {len(nearest)} room responses; only static events can be taken",
            where="event_position",
            remedy="draw it with event_position=('static', ('uniform', None, None))",
        )
    return int(nearest.pop())


def _noise(events: Sequence[Any], sounds: _Sounds, duration: int) -> NoiseSpec | None:
    if not events:
        return None
    if len(events) > 1 or not events[0].source_file:
        raise SynthError(
            f"it has {len(events)} backgrounds; one can be taken"
            if len(events) > 1
            else "its background is Gaussian noise, drawn while it renders",
            where="bg_events",
            remedy="use one ambience of the room, or leave the background out (background=False)",
        )
    event = events[0]
    path, samples, _ = sounds.find(event.source_file)
    start = 0 if event.source_time is None else int(event.source_time * sounds.rate)
    length = min(int(event.event_duration * sounds.rate), duration, samples - start)
    if length <= 0:
        raise SynthError("it begins after its end", where=path, remedy="draw the background again")
    return NoiseSpec(path=path, start=start, duration=length, snr_db=float(event.snr))
