"""Room responses ready for convolution, and the bank that keeps them in memory-mapped files."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..errors import SynthError
from ..files import sha256_file
from ..units import Audio, Hertz, Samples
from .audio import SILENT_PEAK, resample
from .cache import building, require_space
from .mapped import map_array
from .sofa import SofaRoom, read_sofa, short_list

BANK_FORMAT = 1
_REBUILD = "delete the folder: it is built anew from its sources"


@dataclass(frozen=True, slots=True)
class Rir:
    """One room response.

    Attributes:
        taps: `(channels, taps)` float32, contiguous; read-only when it comes from a bank.
        peak_signed: Index of the largest tap of channel 0.
        peak_absolute: Index of the largest magnitude of channel 0.
        autocorrelation: `(taps,)` float32, see `autocorrelation`.
    """

    taps: Audio
    peak_signed: Samples
    peak_absolute: Samples
    autocorrelation: Audio

    def peak(self, channel: int, absolute: bool) -> Samples:
        """Index of the direct peak of a channel, by magnitude or by signed value."""
        if channel == 0:
            return self.peak_absolute if absolute else self.peak_signed
        h = self.taps[channel]
        return int(np.argmax(np.abs(h) if absolute else h))


def make_rir(taps: Audio) -> Rir:
    """Compute what `Rir` holds beside the taps, `(channels, taps)` float32."""
    first = taps[0]
    return Rir(taps, int(np.argmax(first)), int(np.argmax(np.abs(first))), autocorrelation(taps))


def autocorrelation(taps: Audio) -> Audio:
    """Sum over channels of the one-sided autocorrelation: r[k] = sum_c sum_n h_c[n] h_c[n + k].

    With it the energy of x * h over all channels is R_x[0] r[0] + 2 sum_{k > 0} R_x[k] r[k].

    Args:
        taps: `(channels, taps)`.

    Returns:
        `(taps,)` float32, from float64 transforms.
    """
    length = taps.shape[-1]
    size = scipy.fft.next_fast_len(2 * length - 1, real=True)
    power: NDArray[np.float64] = np.zeros(size // 2 + 1)
    for h in taps:
        spectrum = scipy.fft.rfft(h.astype(np.float64), size)
        power += spectrum.real**2 + spectrum.imag**2
    r: NDArray[np.float64] = scipy.fft.irfft(power, size)
    return np.ascontiguousarray(r[:length], dtype=np.float32)


def taps_at(taps: Audio, rate: Hertz, target: Hertz | None) -> Audio:
    """Bring responses `(channels, taps)` to another rate; None leaves them as they are."""
    if target is None or rate == target:
        return taps
    return resample(taps, rate, target, length_at(taps.shape[-1], rate, target))


def length_at(taps: Samples, rate: Hertz, target: Hertz | None) -> Samples:
    """Length of responses at another rate: ceil(taps target / rate), as librosa has it."""
    return taps if target is None or rate == target else math.ceil(taps * (target / rate))


@dataclass(frozen=True, slots=True)
class PlaceRirs:
    """All responses of one place, mapped from one file.

    Attributes:
        key: Names the content: the SOFA file's checksum, the rate, and the format of the bank.
        taps: `(positions, channels, taps)` float32, read-only.
        autocorrelation: `(positions, taps)` float32, read-only.
        peaks: Per position: signed and absolute peak of channel 0.
    """

    key: str
    taps: Audio
    autocorrelation: Audio
    peaks: tuple[tuple[Samples, Samples], ...]

    def rir(self, position: int) -> Rir:
        """Return one response; its arrays are views.

        Raises:
            SynthError: There is no such position.
        """
        if not 0 <= position < len(self.peaks):
            raise SynthError(
                f"position {position} was asked for, the place has {len(self.peaks)}",
                where=self.key,
                remedy="the scene belongs to another catalog: plan it again",
            )
        signed, absolute = self.peaks[position]
        return Rir(self.taps[position], signed, absolute, self.autocorrelation[position])


class RirBank:
    """The responses of many places, each built at first use and mapped once per process.

    Goes to other processes without its maps, which are opened anew there.

    Args:
        cache: Folder that holds one folder per place.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._open: dict[str, PlaceRirs] = {}

    def place(self, sofa: Path, sha256: str, rate: Hertz | None) -> PlaceRirs:
        """Return the responses of a SOFA file.

        Args:
            sofa: The file; not touched when its bank is there.
            sha256: Its checksum.
            rate: Rate wanted; None: as stored, whatever the file says of it.

        Raises:
            SynthError: The file is bad, was changed, or the disk is full.
        """
        digest = hashlib.sha256(f"rirs {BANK_FORMAT} {sha256} {rate}".encode())
        key = f"rirs-{digest.hexdigest()[:32]}"
        if key not in self._open:
            folder = self.cache / key
            if not folder.is_dir():
                with building(folder) as staged:
                    if staged is not None:
                        _build(sofa, sha256, staged, rate)
            self._open[key] = _map_place(folder)
        return self._open[key]

    def __getstate__(self) -> dict[str, Any]:
        return {"cache": self.cache, "_open": {}}


def _map_place(folder: Path) -> PlaceRirs:
    try:
        meta = json.loads((folder / "meta.json").read_text("utf-8"))
        positions, channels, length = map(int, meta["shape"])
        peaks = tuple((int(signed), int(absolute)) for signed, absolute in meta["peaks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SynthError(
            f"it cannot be read: {error}", where=folder / "meta.json", remedy=_REBUILD
        ) from error
    if len(peaks) != positions:
        raise SynthError("it lacks peaks", where=folder / "meta.json", remedy=_REBUILD)
    flat = map_array(folder / "bank.f32", np.dtype("<f4"), positions * (channels + 1) * length)
    split = positions * channels * length
    taps = flat[:split].reshape(positions, channels, length)
    return PlaceRirs(folder.name, taps, flat[split:].reshape(positions, length), peaks)


def _build(sofa: Path, sha256: str, staged: Path, rate: Hertz | None) -> None:
    room = read_sofa(sofa)
    if sha256_file(sofa) != sha256:
        raise SynthError(
            "the file is not the one that the catalog lists (its checksum differs)",
            where=sofa,
            remedy="build the catalog again",
        )
    length = length_at(room.taps, room.rate, rate)
    shape = (len(room.positions), room.channels, length)
    require_space(staged.parent, 4 * shape[0] * (shape[1] + 1) * length)
    peaks: list[tuple[Samples, Samples]] = []
    correlations = np.empty((shape[0], length), dtype="<f4")
    with (staged / "bank.f32").open("wb") as file:
        for first, block in room.blocks():
            for n, taps in enumerate(block, start=first):
                rir = make_rir(taps_at(taps, room.rate, rate))
                peaks.append((rir.peak_signed, rir.peak_absolute))
                correlations[n] = rir.autocorrelation
                file.write(np.ascontiguousarray(rir.taps, dtype="<f4").data)
        file.write(correlations.data)
    _check_sound(room, correlations[:, 0])
    meta = {"format": BANK_FORMAT, "shape": shape, "peaks": peaks, "sofa_sha256": sha256, "rate": rate}
    (staged / "meta.json").write_text(json.dumps(meta), "utf-8")


def _check_sound(room: SofaRoom, energies: NDArray[np.float32]) -> None:
    silent = np.flatnonzero(energies < SILENT_PEAK**2).tolist()
    if silent:
        raise SynthError(
            f"the responses of position(s) {short_list(silent)} are silent",
            where=room.path,
            remedy="write the file again without them, or remove it",
        )
