"""Sounds decoded once: a pool of samples in memory-mapped files, read by path and range."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import Problem, ProblemsError, SynthError
from ..files import sha256_file
from ..units import Audio, Hertz, Samples
from .audio import check_samples, decode_whole, probe, samples_at
from .cache import building, publish, require_space
from .mapped import map_array
from .paths import inside
from .pool_index import FILE as INDEX_FILE
from .pool_index import Entry, PoolIndex
from .workers import Progress, Workers

POOL_FORMAT = 1
Keep: TypeAlias = Literal["whole", "good", "nothing"]

_SCALE = np.float32(1 / 32_768)
_FILES = {"int16": "<i2", "float32": "<f4"}


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A sound that a pool keeps, as its table has it: `frames` per channel at `rate` Hz."""

    path: str
    sha256: str
    rate: Hertz
    channels: int
    frames: Samples


class EventPool:
    """The sounds of one table at one rate: 16-bit where that loses nothing, else float32.

    Each sound lies planar (one channel after the other) in `int16.bin` or `float32.bin` of the
    pool's folder. Goes to other processes without its maps, which are opened anew there.

    Args:
        folder: The folder of a built pool; `EventPool.open` finds and builds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mono, self._index, self._totals = _read_index(folder)
        self._maps: tuple[NDArray[Any], NDArray[Any]] | None = None

    @classmethod
    def open(cls, rows: Sequence[PoolRow], root: Path, cache: Path, *, rate: Hertz, mono: bool) -> EventPool:
        """Open the pool of some rows, decoding them at first use.

        Args:
            rows: The sounds; their paths and checksums name the pool.
            root: Where the paths start.
            cache: Folder of all pools.
            rate: Sampling rate of the pool in Hz.
            mono: Average channels.

        Raises:
            ProblemsError: Some files are bad; all of them are named.
            SynthError: The disk is full.
        """
        if problems := build_pool(rows, root, cache, rate=rate, mono=mono):
            raise ProblemsError(problems, remedy="mend or remove the files and build the catalog again")
        return cls(cache / pool_key(rows, rate=rate, mono=mono))

    def __len__(self) -> int:
        return len(self._index)

    def read(self, path: str, start: Samples, count: Samples) -> Audio:
        """Return part of a sound.

        Args:
            path: The sound, as in its table.
            start: First sample.
            count: Number of samples.

        Returns:
            A fresh array, `(count,)` float32 from a mono pool, else `(channels, count)`.

        Raises:
            SynthError: The pool has no such sound, or it is shorter.
        """
        kind, offset, samples, channels = self.locate(path, start, count)
        data = self.data(kind)
        if self.mono:
            first = offset + start
            return _as_float(data[first : first + count])
        planes = data[offset : offset + channels * samples].reshape(channels, samples)
        return _as_float(planes[:, start : start + count])

    def locate(self, path: str, start: Samples, count: Samples) -> Entry:
        """Say where in `data(kind)` a sound lies, if it has the samples `start` to `start + count`.

        Raises:
            SynthError: As `read`.
        """
        entry = self._index.get(path)
        if entry is None or start < 0 or count <= 0 or start + count > entry.samples:
            raise _outside(path, start, count, entry)
        return entry

    def data(self, kind: int) -> NDArray[Any]:
        """Return all samples of a kind: 0, int16 to be divided by 32,768; 1, float32. Read-only."""
        return (self._maps or self._map())[kind]

    def _map(self) -> tuple[NDArray[Any], NDArray[Any]]:
        items = zip(_FILES.items(), self._totals, strict=True)
        first, second = (map_array(self.folder / f"{n}.bin", np.dtype(t), total) for (n, t), total in items)
        self._maps = (first, second)
        return self._maps

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"])  # type: ignore[misc]


def pool_key(rows: Sequence[PoolRow], *, rate: Hertz, mono: bool) -> str:
    """Name of the folder of a pool: a hash of what is in it."""
    return pool_key_of(((row.sha256, row.path) for row in rows), rate=rate, mono=mono)


def pool_key_of(sounds: Iterable[tuple[str, str]], *, rate: Hertz, mono: bool) -> str:
    """Return `pool_key` for sounds given as (checksum, path)."""
    digest = hashlib.sha256(f"pool {POOL_FORMAT} {rate} {mono}\n".encode())
    for sha256, path in sounds:
        digest.update(f"{sha256} {path!r}\n".encode())
    return f"pool-{digest.hexdigest()[:32]}"


def build_pool(
    rows: Sequence[PoolRow],
    root: Path,
    cache: Path,
    *,
    rate: Hertz,
    mono: bool,
    workers: Workers | None = None,
    keep: Keep = "whole",
    progress: Progress | None = None,
) -> list[Problem]:
    """Decode sounds into a pool, unless it is there already.

    Args:
        rows: The sounds.
        root: Where their paths start.
        cache: Folder of all pools.
        rate: Sampling rate of the pool in Hz.
        mono: Average channels.
        workers: Processes that decode; None: this one.
        keep: "whole" keeps a pool when all sounds are good; "good" keeps that of the good ones;
            "nothing" only looks for bad ones.
        progress: Called with (sounds done, sounds in all).

    Returns:
        Every bad file.

    Raises:
        SynthError: The disk is full or read-only.
    """
    final = cache / pool_key(rows, rate=rate, mono=mono)
    if final.is_dir():
        return []
    try:
        with building(final) as staged:
            if staged is None:
                return []
            kept, problems = _fill(staged, rows, root, rate, mono, workers or Workers(), progress)
            if problems or keep == "nothing":
                if keep == "good" and kept:
                    publish(staged, cache / pool_key(kept, rate=rate, mono=mono))
                raise _Abandoned(problems)
    except _Abandoned as end:
        return end.problems
    return []


class _Abandoned(Exception):  # noqa: N818 - no error, the way out of a folder that is not kept
    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems


@dataclass(frozen=True, slots=True)
class _Task:
    root: Path
    row: PoolRow
    rate: Hertz
    mono: bool


def _fill(
    staged: Path,
    rows: Sequence[PoolRow],
    root: Path,
    rate: Hertz,
    mono: bool,
    workers: Workers,
    progress: Progress | None,
) -> tuple[list[PoolRow], list[Problem]]:
    sizes = (samples_at(r.frames, r.rate, rate) * (1 if mono else r.channels) for r in rows)
    require_space(staged.parent, 2 * sum(sizes))
    kept: list[PoolRow] = []
    problems: list[Problem] = []
    entries: list[tuple[int, int, int, int]] = []
    totals = [0, 0]
    tasks = [_Task(root, row, rate, mono) for row in rows]
    decoded: Iterator[NDArray[Any] | Problem] = workers.in_order(_decode, tasks, progress)
    with (staged / "int16.bin").open("wb") as small, (staged / "float32.bin").open("wb") as large:
        for row, x in zip(rows, decoded, strict=True):
            if isinstance(x, Problem):
                problems.append(x)
                continue
            kind = 0 if x.dtype == np.int16 else 1
            (small, large)[kind].write(x.data)
            entries.append((kind, totals[kind], x.shape[1], x.shape[0]))
            totals[kind] += x.size
            kept.append(row)
    head = {"format": POOL_FORMAT, "rate": rate, "mono": mono, "totals": totals, "count": len(kept)}
    (staged / "index.json").write_text(json.dumps(head), "utf-8")
    with (staged / INDEX_FILE).open("wb") as file:
        PoolIndex.of([row.path for row in kept], entries).write(file)
    return kept, problems


def _decode(task: _Task) -> NDArray[Any] | Problem:
    """Decode one sound to `(channels, samples)`, int16 if that loses nothing; runs in a worker."""
    row = task.row
    try:
        path = inside(task.root, row.path)
        info = probe(path)
        if (info.rate, info.channels, info.frames) != (row.rate, row.channels, row.frames):
            raise SynthError(
                f"it has {info.frames} frames of {info.channels} channel(s) at {info.rate} Hz, "
                f"the table says {row.frames} of {row.channels} at {row.rate} Hz",
                where=path,
                remedy="build the catalog again",
            )
        if sha256_file(path) != row.sha256:
            raise SynthError(
                "the file is not the one that the catalog lists (its checksum differs)",
                where=path,
                remedy="build the catalog again",
            )
        x = decode_whole(path, task.rate, mono=task.mono)
        check_samples(x, path)
    except SynthError as error:
        return Problem(error.where or row.path, error.what, error.remedy)
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        return Problem(str(task.root / row.path), what, "check that the file is there and may be read")
    return _smallest(x)


def _smallest(x: Audio) -> NDArray[Any]:
    scaled = x * np.float32(32_768)
    if scaled.min() >= -32_768 and scaled.max() <= 32_767:
        rounded = scaled.astype(np.int16)
        if np.array_equal(rounded, scaled):
            return rounded
    return np.ascontiguousarray(x, dtype="<f4")


def _as_float(x: NDArray[Any]) -> Audio:
    return np.multiply(x, _SCALE) if x.dtype == np.int16 else x.copy()


def _read_index(folder: Path) -> tuple[bool, PoolIndex, tuple[int, int]]:
    try:
        head = json.loads((folder / "index.json").read_text("utf-8"))
        first, second = map(int, head["totals"])
        mono = bool(head["mono"])
        if "sounds" in head:  # as pools were before their index was a file of its own
            index = PoolIndex.of([sound[0] for sound in head["sounds"]], [s[1:] for s in head["sounds"]])
        else:
            index = PoolIndex.map(folder, int(head["count"]))
        return mono, index, (first, second)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SynthError(
            f"it cannot be read: {error}",
            where=folder / "index.json",
            remedy="delete the folder: it is built anew from its sources",
        ) from error


def _outside(path: str, start: Samples, count: Samples, entry: Entry | None) -> SynthError:
    if entry is None:
        fault = "the catalog has no such sound"
    else:
        fault = f"samples {start} to {start + count} were asked for, it has {entry.samples}"
    return SynthError(
        fault,
        where=path,
        remedy="give the catalog that the scene was planned with, or plan it again",
    )
