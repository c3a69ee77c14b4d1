"""RIR spectra as the convolution wants them: kept on disk per place, or made when asked for.

Making the spectra of a RIR costs as much as convolving with it. `build_spectra` makes them once
per catalog (2.3 times the size of the RIR bank); a renderer maps them into memory, and
processes share the pages. Without them the renderer makes spectra as it goes and remembers the
latest ones.
"""

from __future__ import annotations

import shutil
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..assets.mapped import map_array, will_need
from ..assets.rirs import PlaceRirs, Rir, autocorrelation
from ..errors import SynthError
from ..files import atomic_write
from ..scenes.rules import RULES
from ..scenes.spec import SceneSpec, TrimSpec
from ..units import SCENE_RATE
from . import convolve
from .sounds import CatalogSounds, Sounds
from .trim import trim_rir

FORMAT_VERSION = 1
SPECTRA_LIMIT = 32 << 30
"""Spectra of a catalog that would take more than this many bytes are not kept on disk."""

_REMEMBERED_BYTES = 64 << 20
_UNTRIMMED = TrimSpec()


@dataclass(frozen=True, slots=True)
class RirSpectra:
    """One RIR ready for block convolution.

    Attributes:
        spectra: (C, Q, F) complex64, partitions of `block` taps.
        lags: (Q + 1, F) complex64, see `convolve.lag_spectra`.
        taps: Length of the RIR in samples.
    """

    spectra: convolve.Spectra
    lags: convolve.Spectra
    taps: int

    @property
    def block(self) -> int:
        """Block length in samples."""
        return int(self.spectra.shape[-1]) - 1

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return int(self.spectra.shape[0])

    @property
    def nbytes(self) -> int:
        """Memory that the spectra take."""
        return int(self.spectra.nbytes + self.lags.nbytes)


def rir_spectra(rir: Rir, block: int) -> RirSpectra:
    """Transform one RIR for blocks of `block` samples."""
    correlation = autocorrelation(rir.taps) if rir.autocorrelation is None else rir.autocorrelation
    return RirSpectra(
        convolve.block_spectra(rir.taps, block),
        convolve.lag_spectra(correlation, block),
        rir.taps.shape[1],
    )


class SpectraSource:
    """Gives a scene the spectra and the taps of its RIRs.

    Args:
        sounds: Where the RIRs come from.
    """

    def __init__(self, sounds: Sounds) -> None:
        self._sounds = sounds
        self._kept: dict[tuple[str, bool], KeptSpectra | None] = {}
        self._recent: OrderedDict[tuple[object, ...], RirSpectra] = OrderedDict()
        self._recent_bytes = 0

    def get(self, spec: SceneSpec, position: int) -> RirSpectra:
        """Return the spectra of one position of the scene's place."""
        if spec.trim == _UNTRIMMED and (kept := self._kept_spectra(spec)) is not None:
            return kept.get(position)
        key = (spec.place, position, RULES[spec.rules].rir_resampled, spec.sample_rate, spec.trim)
        found = self._recent.get(key)
        if found is None:
            rir = self.taps(spec, position)
            found = rir_spectra(rir, convolve.block_size(self.longest(spec, rir)))
            self._remember(key, found)
        else:
            self._recent.move_to_end(key)
        return found

    def prefetch(self, spec: SceneSpec, positions: Iterable[int]) -> None:
        """Start reading the kept spectra of some positions of the scene's place."""
        if spec.trim == _UNTRIMMED and (kept := self._kept_spectra(spec)) is not None:
            for position in positions:
                kept.prefetch(position)

    def taps(self, spec: SceneSpec, position: int) -> Rir:
        """Return one position's RIR in the time domain, trimmed as the scene says."""
        rir = self._sounds.rir(spec.place, position, spec.rules, spec.sample_rate)
        return trim_rir(rir, spec.sample_rate, spec.trim) if spec.trim != _UNTRIMMED else rir

    def longest(self, spec: SceneSpec, rir: Rir) -> int:
        """Return the tap count that decides the block size: one for all positions of a place.

        Args:
            spec: The scene.
            rir: Any response of its place, from `taps`.
        """
        if not spec.trim.at_noise_floor:
            return len(rir.taps[0])
        return len(self._sounds.rir(spec.place, 0, spec.rules, spec.sample_rate).taps[0])

    def _kept_spectra(self, spec: SceneSpec) -> KeptSpectra | None:
        key = (spec.place, RULES[spec.rules].rir_resampled)
        if key not in self._kept:
            self._kept[key] = self._open_kept(spec)
        return self._kept[key]

    def _open_kept(self, spec: SceneSpec) -> KeptSpectra | None:
        if not isinstance(self._sounds, CatalogSounds) or spec.sample_rate != SCENE_RATE:
            return None
        place = self._sounds.place(spec.place, spec.rules, spec.sample_rate)
        block = convolve.block_size(place.taps.shape[2])
        file = _file(self._sounds.cache_directory, place, block)
        return KeptSpectra(file, place, block) if file.is_file() else None

    def _remember(self, key: tuple[object, ...], found: RirSpectra) -> None:
        self._recent[key] = found
        self._recent_bytes += found.nbytes
        while self._recent_bytes > _REMEMBERED_BYTES and len(self._recent) > 1:
            _, oldest = self._recent.popitem(last=False)
            self._recent_bytes -= oldest.nbytes


class KeptSpectra:
    """The spectra of one place in a file beside the RIR banks, mapped into memory.

    The file holds (positions, C * Q + Q + 1, F) complex64 in C order, no header: its name carries
    the format, the key of the bank and the block size, and its size is checked.
    """

    def __init__(self, file: Path, place: PlaceRirs, block: int) -> None:
        positions, self._channels, self._taps = place.taps.shape
        self._parts = -(-self._taps // block)
        rows = self._channels * self._parts + self._parts + 1
        flat = map_array(file, np.dtype("<c8"), positions * rows * (block + 1))
        self._data: convolve.Spectra = flat.reshape(positions, rows, block + 1)

    def prefetch(self, position: int) -> None:
        """Start reading one position's spectra from disk, if it exists."""
        if 0 <= position < len(self._data):
            will_need(self._data[position])

    def get(self, position: int) -> RirSpectra:
        """Return views of one position's spectra."""
        if not 0 <= position < len(self._data):
            raise SynthError(
                f"position {position} was asked for, the place has {len(self._data)}",
                where="position",
                remedy="the scene belongs to another catalog: plan it again",
            )
        item = self._data[position]
        split = self._channels * self._parts
        spectra = item[:split].reshape(self._channels, self._parts, item.shape[-1])
        return RirSpectra(spectra, item[split:], self._taps)


def build_spectra(
    sounds: CatalogSounds, *, limit: int = SPECTRA_LIMIT, progress: Callable[[int, int], None] | None = None
) -> int:
    """Make and keep the spectra of every place of a catalog that lacks them.

    Args:
        sounds: The catalog's sounds.
        limit: Keep none if all together would take more bytes than this, or if the missing ones
            would take more than half of the free disk.
        progress: Called with (places done, places in all).

    Returns:
        Bytes on disk; 0 when the limit forbids keeping them.

    Raises:
        SynthError: A SOFA file is bad, or the disk is full or read-only; no partial file stays.
    """
    places = [sounds.place(path, "s5kit2026", SCENE_RATE) for path in sounds.place_paths()]
    tasks = [(place, convolve.block_size(place.taps.shape[2])) for place in places]
    folder = sounds.cache_directory
    missing = [(place, block) for place, block in tasks if not _file(folder, place, block).exists()]
    total = _bytes(tasks)
    if total > limit or (missing and _bytes(missing) > shutil.disk_usage(folder).free // 2):
        return 0
    for done, (place, block) in enumerate(missing):
        file = _file(folder, place, block)
        try:
            _write(file, place, block)
        except OSError as error:
            raise SynthError(
                f"the spectra of the rooms cannot be kept: {error.strerror or error}; {_bytes(missing):,} bytes are needed",
                where=file,
                remedy="make room on the disk and run the command again; the catalog itself is whole",
            ) from error
        if progress is not None:
            progress(done + 1, len(missing))
    return total


def _write(file: Path, place: PlaceRirs, block: int) -> None:
    with atomic_write(file) as out:
        for position in range(len(place.taps)):
            item = rir_spectra(place.rir(position), block)
            out.write(np.ascontiguousarray(item.spectra).data)
            out.write(np.ascontiguousarray(item.lags).data)


def _file(folder: Path, place: PlaceRirs, block: int) -> Path:
    return folder / f"spectra-v{FORMAT_VERSION}-{place.key}-{block}.c64"


def _bytes(tasks: Sequence[tuple[PlaceRirs, int]]) -> int:
    total = 0
    for place, block in tasks:
        positions, channels, taps = place.taps.shape
        parts = -(-taps // block)
        total += positions * (channels * parts + parts + 1) * (block + 1) * 8
    return total
