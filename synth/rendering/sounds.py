"""Where the renderer gets its sound: straight from files, or from the caches of a catalog."""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol, TypeAlias, overload, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from ..assets.audio import decode_whole, probe, read_frames, resample, to_mono
from ..assets.catalog import Catalog, pool_rows
from ..assets.paths import inside
from ..assets.pool import EventPool, pool_key_of
from ..assets.pool_index import PathSet
from ..assets.rirs import PlaceRirs, Rir, RirBank, make_rir, taps_at
from ..assets.sofa import SofaRoom, read_sofa
from ..errors import SynthError
from ..scenes.rules import RULES
from ..scenes.spec import EventSpec, FileTimes, NoiseSpec, Rules
from ..units import Audio, Hertz, Samples

_KEPT_RIRS = 64


@runtime_checkable
class Sounds(Protocol):
    """A source of sound. The same spec gives bit-identical arrays from every source."""

    def event(self, event: EventSpec, rules: Rules, scene_rate: Hertz) -> Audio:
        """Return what is convolved: `(samples,)` float32 at the scene rate, not scaled."""
        ...

    def noise(self, noise: NoiseSpec, rules: Rules, scene_rate: Hertz) -> Audio:
        """Return the background, `(channels, samples)` float32, neither repeated nor scaled."""
        ...

    def rir(self, place: str, position: int, rules: Rules, scene_rate: Hertz) -> Rir:
        """Return the response of row `position` of the SOFA file `place`."""
        ...


SoundSource: TypeAlias = Catalog | Sounds
"""What `render` takes: a catalog, or where else the sound lies."""


@overload
def open_sounds(source: Catalog) -> CatalogSounds: ...
@overload
def open_sounds(source: SoundSource) -> Sounds: ...
def open_sounds(source: SoundSource) -> Sounds:
    """Return a source of sound; a catalog's is opened once per process and kept."""
    if not isinstance(source, Catalog):
        return source
    if source not in _OPEN:
        _OPEN[source] = CatalogSounds(source)
    return _OPEN[source]


class FolderSounds:
    """Sound straight from the files under a folder: for official scene files, or without a catalog.

    Scenes with `file_times` are cut as the official generators cut (frames by truncated float
    seconds, channels averaged, then resampled); others as catalogs do (resampled as a whole, then
    cut in samples).

    Args:
        root: The folder that the paths of a scene start from; nothing outside it is opened.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self._room: SofaRoom | None = None
        self._rirs: OrderedDict[tuple[str, int, Hertz | None], Rir] = OrderedDict()

    def event(self, event: EventSpec, rules: Rules, scene_rate: Hertz) -> Audio:
        """See `Sounds.event`.

        Raises:
            SynthError: The file is bad, missing or outside the root, or shorter than the scene says.
        """
        path = inside(self.root, event.path)
        times = event.file_times
        if times is None:
            whole = decode_whole(path, scene_rate, mono=True)[0]
            return _cut(whole, path, event.start, event.duration)
        x: Audio = _official_segment(path, times, scene_rate, mono=True)[0]
        if RULES[rules].cut_after_resampling:
            x = x[: int(times.event_duration * scene_rate)]
        return x

    def noise(self, noise: NoiseSpec, rules: Rules, scene_rate: Hertz) -> Audio:
        """See `Sounds.noise`; a `source_time` of None in a scene file means the whole file.

        Raises:
            SynthError: As `event`.
        """
        path = inside(self.root, noise.path)
        if noise.file_times is not None:
            return _official_segment(path, noise.file_times, scene_rate, mono=False)
        whole = decode_whole(path, scene_rate, mono=False)
        return _cut(whole, path, noise.start, noise.duration)

    def rir(self, place: str, position: int, rules: Rules, scene_rate: Hertz) -> Rir:
        """See `Sounds.rir`.

        Raises:
            SynthError: The file is bad, missing or outside the root, or has no such position.
        """
        target = _rir_rate(rules, scene_rate)
        key = (place, position, target)
        if key not in self._rirs:
            room = self._open_room(inside(self.root, place))
            self._rirs[key] = make_rir(taps_at(room.read(position), room.rate, target))
        self._rirs.move_to_end(key)
        if len(self._rirs) > _KEPT_RIRS:
            self._rirs.popitem(last=False)
        return self._rirs[key]

    def positions(self, place: str | Path) -> NDArray[np.float64]:
        """Return the positions of a place, `(positions, 3)` in Cartesian metres.

        Args:
            place: Path of the SOFA file, relative to the root or starting with it.

        Raises:
            SynthError: As `rir`.
        """
        path = Path(place)
        relative = path.relative_to(self.root) if path.is_relative_to(self.root) else path
        return self._open_room(inside(self.root, relative.as_posix())).positions

    def _open_room(self, path: Path) -> SofaRoom:
        if self._room is None or self._room.path != path:
            self._room = read_sofa(path)
        return self._room

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root, "_room": None, "_rirs": OrderedDict()}


class CatalogSounds:
    """Sound from a catalog's pools and RIR bank, built at first use and mapped once per process.

    Official scenes (`file_times`) are read from the files under the catalog's root.

    Args:
        catalog: The catalog; specs must have been planned with it.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._root = catalog.root
        # Tables, not rows: those of a large catalog are mapped files. And not the catalog, which
        # would never be let go.
        self._tables = {
            "events": catalog.events,
            "interferers": catalog.interferers,
            "noises": catalog.noises,
        }
        self._places: dict[str, str] = dict(
            zip(catalog.places["path"].tolist(), catalog.places["sha256"].tolist(), strict=True)
        )
        self._pools: dict[tuple[str, Hertz], EventPool] = {}
        self._interferers = PathSet(catalog.interferers["path"])
        self._folder = FolderSounds(catalog.root)
        self.cache_directory: Path = catalog.cache_directory
        self._bank = RirBank(catalog.cache_directory)

    def event(self, event: EventSpec, rules: Rules, scene_rate: Hertz) -> Audio:
        """See `Sounds.event`.

        Raises:
            SynthError: The catalog has no such sound, or it is shorter than the scene says.
        """
        if event.file_times is not None:
            return self._folder.event(event, rules, scene_rate)
        return self.event_pool(event.path, scene_rate).read(event.path, event.start, event.duration)

    def noise(self, noise: NoiseSpec, rules: Rules, scene_rate: Hertz) -> Audio:
        """See `Sounds.noise`.

        Raises:
            SynthError: As `event`.
        """
        if noise.file_times is not None:
            return self._folder.noise(noise, rules, scene_rate)
        return self.noise_pool(scene_rate).read(noise.path, noise.start, noise.duration)

    def event_pool(self, path: str, rate: Hertz) -> EventPool:
        """Return the pool that keeps an event or interferer at a rate, building it at first use."""
        return self._pool("interferers" if path in self._interferers else "events", rate)

    def noise_pool(self, rate: Hertz) -> EventPool:
        """Return the pool that keeps the noises at a rate, building it at first use."""
        return self._pool("noises", rate)

    def rir(self, place: str, position: int, rules: Rules, scene_rate: Hertz) -> Rir:
        """See `Sounds.rir`.

        Raises:
            SynthError: The catalog has no such place, or the place no such position.
        """
        return self.place(place, rules, scene_rate).rir(position)

    def place(self, path: str, rules: Rules, scene_rate: Hertz) -> PlaceRirs:
        """Return all responses of one place.

        Raises:
            SynthError: The catalog has no such place, or its bank cannot be built.
        """
        sha256 = self._places.get(path)
        if sha256 is None:
            raise SynthError(
                "the catalog has no such place",
                where=path,
                remedy="give the catalog that the scene was planned with, or plan it again",
            )
        return self._bank.place(self._root / path, sha256, _rir_rate(rules, scene_rate))

    def place_paths(self) -> list[str]:
        """Return the paths of all places of the catalog."""
        return list(self._places)

    def _pool(self, table: str, rate: Hertz) -> EventPool:
        pool = self._pools.get((table, rate))
        if pool is None:
            frame, mono = self._tables[table], table != "noises"
            sounds = zip(frame["sha256"], frame["path"], strict=True)
            folder = self.cache_directory / pool_key_of(sounds, rate=rate, mono=mono)
            if folder.is_dir():
                pool = EventPool(folder)
            else:
                rows = pool_rows(frame)
                pool = EventPool.open(rows, self._root, self.cache_directory, rate=rate, mono=mono)
            self._pools[table, rate] = pool
        return pool


_OPEN: WeakKeyDictionary[Catalog, CatalogSounds] = WeakKeyDictionary()


def _rir_rate(rules: Rules, scene_rate: Hertz) -> Hertz | None:
    return scene_rate if RULES[rules].rir_resampled else None


def _cut(x: Audio, path: Path, start: Samples, duration: Samples) -> Audio:
    if start + duration > x.shape[-1]:
        raise SynthError(
            f"samples {start} to {start + duration} were asked for, it has {x.shape[-1]}",
            where=path,
            remedy="the scene belongs to another version of this file: plan it again",
        )
    return x[..., start : start + duration]


def _official_segment(path: Path, times: FileTimes, rate: Hertz, *, mono: bool) -> Audio:
    """Read as the official generators do: by truncated float seconds, up to the end of the file."""
    info = probe(path)
    if times.source_time is None:
        x = read_frames(path)
    else:
        start = int(times.source_time * info.rate)
        count = min(int(times.event_duration * info.rate), info.frames - start)
        x = read_frames(path, start, count)
    if mono:
        x = to_mono(x)[None]
    return resample(x, info.rate, rate, math.ceil(x.shape[1] * (rate / info.rate)))
