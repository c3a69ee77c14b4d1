"""Scene JSON to SceneSpec, and back: the official files of DCASE 2025 and 2026, and our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from ..errors import SynthError
from .bounded import MAX_LIST_BYTES, load_json, path_inside, read_bounded
from .dcase_schema import Background, Event, Form, ListedScene, SceneFile, problems_in
from .dcase_write import RoomFacts, to_dcase_scene
from .spec import DrySpec, EventSpec, FileTimes, NoiseSpec, Point, SceneSpec

Positions = Callable[[Path], NDArray[np.float64]]
__all__ = ["Form", "ListEntry", "Positions", "RoomFacts", "read_list", "read_scene", "to_dcase_scene"]

POSITION_TOLERANCE = 1e-6
"""Metres by which a 2026 position may miss its row in the SOFA file, per coordinate."""


def read_scene(path: Path, data_root: Path, positions: Positions) -> SceneSpec:
    """Read a scene file: of the official 2025 or 2026 generator, a SceneSpec, or a shard's JSON.

    The shape of `room` tells the year, and with it the rules: a name (2025) takes the nearest
    stored position and keeps the interferers in file order; an object (2026) wants the position
    to 1e-6 m and sorts interferers by onset. Targets are sorted by onset (stable) in both.
    `start`, `duration` and `onset` are the seconds of the file times the scene rate, truncated as
    the official renderers do; `file_times` keeps the seconds themselves.

    A SceneSpec (it has a key `rules`) and the JSON of a scene in one of our shards (the spec is
    under `spec`) come back as they are.

    Args:
        path: The scene file.
        data_root: The folder that the paths in the file (`data/dev_set/...`) start from.
        positions: Gives the `(positions, 3)` coordinates in metres stored in a SOFA file; called
            with `data_root` joined to the file's path.

    Raises:
        SynthError: The file is no such scene; every faulty field is named. Or a path in it leads
            out of `data_root`, or a position is not in the SOFA file.
    """
    data = load_json(read_bounded(path), where=path)
    if isinstance(data, dict) and ("rules" in data or "spec" in data):
        own = data if "rules" in data else data["spec"]
        return SceneSpec.from_json(own if isinstance(own, str) else json.dumps(own), where=path)
    try:
        scene = SceneFile.model_validate(data)
    except ValidationError as error:
        raise problems_in(error, str(path)) from error
    return _Reader(scene, path, data_root, positions).spec()


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One scene of an official list: its file, and the order of the output slots (2025)."""

    path: Path
    ref_event: tuple[str, ...] | None


def read_list(path: Path) -> list[ListEntry]:
    """Read an official `valid.json`: which scene files there are, relative to its own folder.

    A file that holds a single scene (an object) is no list: it gives an empty one.

    Raises:
        SynthError: The file is no such list, or names a file outside its folder.
    """
    data = load_json(read_bounded(path, MAX_LIST_BYTES), where=path, limit=MAX_LIST_BYTES)
    if isinstance(data, dict):
        return []
    try:
        listed = TypeAdapter(list[ListedScene]).validate_python(data)
    except ValidationError as error:
        raise problems_in(error, str(path)) from error
    folder = path.parent
    return [
        ListEntry(folder / path_inside(folder, entry.metadata_path, where=f"{path}: {n}"), entry.ref_event)
        for n, entry in enumerate(listed)
    ]


class _Reader:
    """Turns one validated scene file into a SceneSpec."""

    def __init__(self, scene: SceneFile, path: Path, root: Path, positions: Positions) -> None:
        self.scene, self.path, self.root = scene, path, root
        self.rate = scene.config.sr
        self.samples = int(scene.config.duration * self.rate)
        self.rules: Form = "dcase2025" if isinstance(scene.room, str) else "dcase2026"
        self.place = self._place()
        self.grid = np.asarray(positions(root / self.place), dtype=np.float64)

    def spec(self) -> SceneSpec:
        scene = self.scene
        targets = [self._event("fg_events", n, event) for n, event in enumerate(scene.fg_events)]
        interferers = [self._event("int_events", n, event) for n, event in enumerate(scene.int_events)]
        targets.sort(key=_official_onset)
        if self.rules == "dcase2026":
            interferers.sort(key=_official_onset)
        return SceneSpec(
            rules=self.rules,
            sample_rate=self.rate,
            duration=self.samples,
            ref_db=scene.config.ref_db,
            place=self.place,
            targets=tuple(targets),
            interferers=tuple(interferers),
            noise=self._noise(scene.bg_events[0]) if scene.bg_events else None,
            dry=self._dry(),
        )

    def _place(self) -> str:
        room = self.scene.room
        if isinstance(room, str):
            return self._inside("rir_dir", room, "room")
        return path_inside(
            self.root, room.args.metadata.sofa_path, where=f"{self.path}: room.args.metadata.sofa_path"
        )

    def _event(self, kind: Literal["fg_events", "int_events"], n: int, event: Event) -> EventSpec:
        where = f"{kind}.{n}"
        folder = "foreground_dir" if kind == "fg_events" else "interference_dir"
        start, onset = int(event.source_time * self.rate), int(event.event_time * self.rate)
        duration = int(event.event_duration * self.rate)
        if onset >= self.samples or duration < 1:
            raise self._fault(
                where, f"onset {onset} and length {duration} in samples do not fit a scene of {self.samples}"
            )
        row = self._row(where, event.event_position[0])
        try:
            return EventSpec(
                label=event.label,
                path=self._inside(folder, event.source_file, f"{where}.source_file"),
                start=start,
                duration=duration,
                onset=onset,
                position=row,
                xyz=_point(self.grid[row]),
                snr_db=event.snr,
                file_times=_file_times(event),
            )
        except ValidationError as error:
            raise problems_in(error, f"{self.path}: {where}") from error

    def _noise(self, noise: Background) -> NoiseSpec:
        return NoiseSpec(
            path=self._inside("background_dir", noise.source_file, "bg_events.0.source_file"),
            start=int((noise.source_time or 0.0) * self.rate),
            duration=max(int(noise.event_duration * self.rate), 1),
            snr_db=noise.snr,
            file_times=_file_times(noise),
        )

    def _dry(self) -> DrySpec:
        config, room = self.scene.config, self.scene.room
        if not isinstance(room, str):
            before, after = room.args.metadata.direct_range_ms
            return DrySpec(before_ms=before, after_ms=after)
        before, after = config.spatialize_direct_path_time_ms
        channel = config.ref_channel
        if channel is None or channel < 0:
            if config.return_dry:
                raise self._fault("config.ref_channel", f"{channel} is no channel, yet return_dry is true")
            channel = 0
        return DrySpec(channel=channel, before_ms=before, after_ms=after)

    def _inside(self, folder: str, name: str, where: str) -> str:
        base = getattr(self.scene.config, folder)
        if base is None:
            raise self._fault(f"config.{folder}", f"is missing, and {where} needs it")
        # Both parts are looked at by themselves: an absolute name would swallow the folder.
        path_inside(self.root, name, where=f"{self.path}: {where}")
        return path_inside(self.root, PurePosixPath(base) / name, where=f"{self.path}: {where}")

    def _row(self, where: str, point: Point) -> int:
        distances = np.linalg.norm(self.grid - np.asarray(point), axis=1)
        row = int(np.argmin(distances))
        exact = np.max(np.abs(self.grid[row] - np.asarray(point))) <= POSITION_TOLERANCE
        if self.rules == "dcase2026" and not exact:
            what = f"{point} is none of the {len(self.grid)} positions of {self.place}"
            raise self._fault(f"{where}.event_position", what)
        return row

    def _fault(self, where: str, what: str) -> SynthError:
        return SynthError(what, where=f"{self.path}: {where}", remedy="correct the scene file")


def _official_onset(event: EventSpec) -> float:
    assert event.file_times is not None
    return event.file_times.event_time


def _file_times(event: Event | Background) -> FileTimes:
    return FileTimes(
        source_time=event.source_time, event_time=event.event_time, event_duration=event.event_duration
    )


def _point(row: NDArray[np.float64]) -> Point:
    return float(row[0]), float(row[1]), float(row[2])
