"""SceneSpec to the scene JSON that the official readers accept."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from ..errors import SynthError
from ..units import Hertz, Samples, Seconds
from .dcase_schema import Form
from .spec import EventSpec, FileTimes, NoiseSpec, SceneSpec, TrimSpec

Json = dict[str, Any]

_ROOM_MODULE = "src.modules.spatial_audio_synthesizer.room"


@dataclass(frozen=True, slots=True)
class RoomFacts:
    """What the 2026 form states about the SOFA file besides its path."""

    rate: Hertz
    channels: int
    positions: int
    taps: Samples


def to_dcase_scene(
    spec: SceneSpec, *, form: Form | None = None, room: RoomFacts | None = None, prefix: str = ""
) -> Json:
    """Return a spec as the scene object of the official 2025 or 2026 generator.

    Seconds are chosen so that truncation at the scene rate gives the samples of the spec back. A
    file at another rate, a noise that the official rules stretch, or RIRs at another rate will
    still sound as the official rules have it, not as ours.

    Args:
        spec: The scene; its paths become relative to the folder that the official program runs in.
        form: Which year's form; by default the year of `spec.rules`.
        room: Needed for the 2026 form.
        prefix: Folder between the official program's working folder and the data root, such as
            `data` when the spec's paths start at `dev_set`.

    Raises:
        SynthError: The official form cannot say what the spec says.
    """
    form = form or ("dcase2025" if spec.rules.endswith("2025") else "dcase2026")
    _check_expressible(spec, form)
    folders = _Folders(spec, prefix)
    noise = [] if spec.noise is None else [_noise(spec.noise, spec, folders.noise, form)]
    return {
        "config": _config(spec, form, folders),
        "fg_events": [_event(e, spec.sample_rate, folders.targets, form, "foreground") for e in spec.targets],
        "bg_events": noise,
        "int_events": [
            _event(e, spec.sample_rate, folders.interferers, form, "interference") for e in spec.interferers
        ],
        "room": folders.sofa.name if form == "dcase2025" else _room(spec, folders, room),
    }


def seconds_for(samples: Samples, rate: Hertz) -> Seconds:
    """Return the smallest float near `samples / rate` for which `int(seconds * rate)` is `samples`.

    Plain division loses a sample for about one length in a hundred: `int((1001 / 32000) * 32000)`
    is 1000.
    """
    seconds = samples / rate
    while int(seconds * rate) < samples:
        seconds = math.nextafter(seconds, math.inf)
    return seconds


class _Folders:
    """The `*_dir` of the config, as seen from the data root."""

    def __init__(self, spec: SceneSpec, prefix: str) -> None:
        self.prefix = PurePosixPath(prefix)
        self.sofa = PurePosixPath(spec.place)
        noise = [] if spec.noise is None else [PurePosixPath(spec.noise.path).parent]
        every = [PurePosixPath(e.path).parent for e in (*spec.targets, *spec.interferers)]
        # A scene without such events still names a folder that exists.
        other = _common([*every, *noise, self.sofa.parent])
        self.targets = _common([_above_class(e) for e in spec.targets], other)
        self.interferers = _common([_above_class(e) for e in spec.interferers], other)
        self.noise = _common(noise, other)

    def named(self, path: PurePosixPath) -> str:
        """Return a path as seen from the folder that the official program runs in."""
        return str(self.prefix / path)


def _above_class(event: EventSpec) -> PurePosixPath:
    folder = PurePosixPath(event.path).parent
    if event.label not in folder.parts:
        return folder
    return PurePosixPath(*folder.parts[: folder.parts.index(event.label)])


def _common(folders: Sequence[PurePosixPath], other: PurePosixPath | None = None) -> PurePosixPath:
    if not folders:
        return other or PurePosixPath()
    return PurePosixPath(os.path.commonpath([f"/{folder}" for folder in folders])[1:])


def _config(spec: SceneSpec, form: Form, folders: _Folders) -> Json:
    overlap = max(3, len(spec.targets), len(spec.interferers))
    window = [_plain(spec.dry.before_ms), _plain(spec.dry.after_ms)]
    times: Json = {
        "duration": seconds_for(spec.duration, spec.sample_rate),
        "sr": spec.sample_rate,
        "max_event_overlap": overlap,
    }
    if form == "dcase2026":
        arguments = {"path": folders.named(folders.sofa.parent), "direct_range_ms": window}
        return {
            **times,
            "max_event_dur": times["duration"],
            "ref_db": _plain(spec.ref_db),
            "foreground_dir": folders.named(folders.targets),
            "background_dir": folders.named(folders.noise),
            "interference_dir": folders.named(folders.interferers),
            "room_config": {"module": _ROOM_MODULE, "main": "SofaRoom", "args": arguments},
            "verbose": False,
        }
    return {
        "foreground_dir": folders.named(folders.targets),
        "background_dir": folders.named(folders.noise),
        "rir_dir": folders.named(folders.sofa.parent),
        "interference_dir": folders.named(folders.interferers),
        **times,
        "ref_db": _plain(spec.ref_db),
        "return_dry": True,
        "return_wet": False,
        "return_ir": False,
        "return_background": False,
        "ref_channel": spec.dry.channel,
        "spatialize_direct_path_time_ms": window,
        "return_interference": False,
    }


def _event(event: EventSpec, rate: Hertz, folder: PurePosixPath, form: Form, role: str) -> Json:
    times = event.file_times or FileTimes(
        source_time=seconds_for(event.start, rate),
        event_time=seconds_for(event.onset, rate),
        event_duration=seconds_for(event.duration, rate),
    )
    return _entry(
        form,
        event.label,
        _below(event.path, folder),
        times,
        event.snr_db,
        # The 2025 generator calls its interferers foreground, too.
        "foreground" if form == "dcase2025" else role,
        [list(event.xyz)],
    )


def _noise(noise: NoiseSpec, spec: SceneSpec, folder: PurePosixPath, form: Form) -> Json:
    whole = noise.duration < spec.duration
    times = noise.file_times or FileTimes(
        source_time=None if whole else seconds_for(noise.start, spec.sample_rate),
        event_time=0.0,
        event_duration=seconds_for(spec.duration, spec.sample_rate),
    )
    return _entry(form, None, _below(noise.path, folder), times, noise.snr_db, "background", None)


def _entry(
    form: Form,
    label: str | None,
    file: str,
    times: FileTimes,
    snr: float,
    role: str,
    position: list[list[float]] | None,
) -> Json:
    head: Json = {
        "label": label,
        "source_file": file,
        "source_time": times.source_time,
        "event_time": times.event_time,
        "event_duration": times.event_duration,
    }
    if form == "dcase2026":
        return {**head, "event_position": position, "snr": snr, "role": role}
    unused: Json = {"pitch_shift": None, "time_stretch": None}
    return {**head, "snr": snr, "role": role, **unused, "event_position": position}


def _below(path: str, folder: PurePosixPath) -> str:
    return str(PurePosixPath(path).relative_to(folder))


def _room(spec: SceneSpec, folders: _Folders, room: RoomFacts | None) -> Json:
    if room is None:
        raise SynthError(
            "the 2026 form states rate, channels, positions and taps of the SOFA file",
            where="room",
            remedy="pass RoomFacts, or write the 2025 form",
        )
    facts = {
        "sofa_path": folders.named(folders.sofa),
        "sr": room.rate,
        "nchan": room.channels,
        "nrir": room.positions,
        "rir_len": room.taps,
        "direct_range_ms": [_plain(spec.dry.before_ms), _plain(spec.dry.after_ms)],
    }
    return {"module": _ROOM_MODULE, "main": "SofaRoom.from_metadata", "args": {"metadata": facts}}


def _plain(value: float) -> int | float:
    """Return whole numbers as integers, as the official files write them."""
    return int(value) if value == int(value) else value


def _check_expressible(spec: SceneSpec, form: Form) -> None:
    labels = [event.label for event in spec.targets]
    noise = spec.noise
    if form == "dcase2025" and len(set(labels)) < len(labels):
        raise _inexpressible(
            "targets", f"two events of one class ({', '.join(labels)})", "write the 2026 form"
        )
    if form == "dcase2026" and spec.dry.channel != 0:
        raise _inexpressible("dry.channel", f"channel {spec.dry.channel}", "write the 2025 form")
    if spec.trim != TrimSpec():
        raise _inexpressible("trim", "shortened RIRs", "plan the scene without rirs.trim")
    if spec.effects is not None:
        raise _inexpressible("effects", "a scene with effects", "plan the scene without effects")
    for event in (*spec.targets, *spec.interferers):
        if event.effects or event.cut_before:
            what = "an event with effects" if event.effects else "an event that starts before the scene"
            raise _inexpressible(f"the event {event.path}", what, "plan the scene without effects")
    if noise is not None and noise.file_times is None and noise.start > 0 and noise.duration < spec.duration:
        raise _inexpressible("noise", "a part of a noise shorter than the scene", "use the whole noise")


def _inexpressible(where: str, what: str, remedy: str) -> SynthError:
    return SynthError(f"the official scene file cannot say: {what}", where=where, remedy=remedy)
