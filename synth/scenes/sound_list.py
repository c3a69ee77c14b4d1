"""The files of one class as planning sees them: a million of them weigh a few bytes each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from ..units import Hertz, Samples

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class Sound:
    """One file of a class.

    `samples` is its length at the scene rate; files of one `group` count as one source.
    """

    path: str
    label: str
    samples: Samples
    source: str
    group: str


class SoundList(Sequence[Sound]):
    """The files of one class in the order of their paths; each is made when it is asked for.

    Args:
        table: Events or interferers.
        rows: Which rows of it, all of one class.
        label: The class.
        rate: Of the scenes.
        depth: How many of the folders below the class name a source.
    """

    def __init__(self, table: DataFrame, rows: NDArray[np.intp], label: str, rate: Hertz, depth: int) -> None:
        self.label = label
        paths = table["path"].array.take(rows)
        if any(a > b for a, b in pairwise(paths)):
            rows = rows[np.array(sorted(range(len(rows)), key=list(paths).__getitem__), dtype=np.intp)]
        self._paths: Sequence[str] = _texts(table, "path", rows)
        self._sources: Sequence[str] = _texts(table, "source", rows)
        self._folders = np.asarray(table["depth"], dtype=np.int64)[rows].astype(np.int32)
        frames = np.asarray(table["frames"], dtype=np.int64)[rows]
        rates = np.asarray(table["rate"], dtype=np.int64)[rows]
        self.samples: NDArray[np.int64] = samples_at(frames, rates, rate)
        self._depth = depth
        self._hashes: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, n: int) -> Sound: ...
    @overload
    def __getitem__(self, n: slice) -> list[Sound]: ...
    def __getitem__(self, n: int | slice) -> Sound | list[Sound]:
        """Return one file, or some."""
        if isinstance(n, slice):
            return [self[m] for m in range(*n.indices(len(self)))]
        path, source = self._paths[n], self._sources[n]
        return Sound(path, self.label, int(self.samples[n]), source, self._group(n, path, source))

    def several_sources(self) -> bool:
        """Tell whether there are two files of different sources."""
        first = self[0].group
        return any(sound.group != first for sound in self)

    def outside(self, groups: Collection[str]) -> NDArray[np.intp]:
        """Return which files are of none of these sources, in order."""
        if self._hashes is None:
            self._hashes = np.fromiter((hash(sound.group) for sound in self), np.int64, len(self))
        # The hashes only find candidates: of different sources two may be equal.
        alike = np.flatnonzero(np.isin(self._hashes, [hash(group) for group in groups]))
        same = [n for n in alike.tolist() if self[n].group in groups]
        return np.delete(np.arange(len(self)), same)

    def _group(self, n: int, path: str, source: str) -> str:
        """Return what names the source of a file, as the 2026 generator has it.

        The first `depth` of the folders between class and file. A file with fewer folders is a
        source of its own; one without any is of the source that the catalog names (DCASE: the file).
        """
        folders = int(self._folders[n])
        if self._depth == 0:
            return path
        if folders == 0:
            return f"source {source}"
        if folders < self._depth:
            return path
        parts = path.split("/")
        return "/".join(parts[: len(parts) - 1 - folders + self._depth])


def sounds_by_class(
    table: DataFrame, rows: NDArray[np.intp], rate: Hertz, depth: int
) -> tuple[SoundList, ...]:
    """Return the files of each class among some rows; classes in sorted order."""
    import pandas as pd

    codes, labels = pd.factorize(table["label"].array.take(rows), sort=False)
    lists = [SoundList(table, rows[codes == n], str(label), rate, depth) for n, label in enumerate(labels)]
    return tuple(sorted(lists, key=lambda sounds: sounds.label))


def samples_at(frames: NDArray[np.int64], rates: NDArray[np.int64], scene_rate: Hertz) -> NDArray[np.int64]:
    """Return lengths in samples at the rate of the scenes."""
    return frames * scene_rate // rates


def _texts(table: DataFrame, column: str, rows: NDArray[np.intp]) -> Sequence[str]:
    """Return a column of text: as a list, unless it lies on disk."""
    taken: Iterable[str] = table[column].array.take(rows)
    kept: Sequence[str] = taken if getattr(taken, "mapped", False) else list(taken)  # type: ignore[assignment]
    return kept
