"""Filters of room responses on a device: spectra for the wet signal, its energy, and the dry target.

All rows of a bank have F = block + 1 bins. A response of Q partitions takes 4 Q rows (partition by
partition, channel by channel) and Q + 1 rows of lag spectra; an early window takes as many rows
as it touches partitions. Row 0 is zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from ..assets.rirs import Rir
from ..errors import SynthError
from ..scenes.rules import RULES
from ..scenes.spec import SceneSpec
from ..units import FOA_CHANNELS
from .batch_device import fft_count, send
from .early import early_window
from .spectra import SpectraSource

_GROWTH = 2
_FIRST_ROWS = 256


@dataclass(slots=True, eq=False)
class Filter:
    """A response, or its early window, that a bank holds from `row` on; -1: not now.

    Attributes:
        position: Which response of its place.
        taps: Length of the response.
        first: First partition that is not zero.
        parts: Number of partitions from there.
        window: Taps of the early window, (first, end); None: the whole response.
        row: Where it lies.
    """

    position: int
    taps: int
    first: int
    parts: int
    window: tuple[int, int] | None = None
    row: int = -1

    @property
    def rows(self) -> int:
        """Return how many rows of a bank it takes."""
        return self.parts if self.window else (FOA_CHANNELS + 1) * self.parts + 1

    @property
    def lag_row(self) -> int:
        """Return the row of the first lag spectrum."""
        return self.row + FOA_CHANNELS * self.parts


class FilterBank:
    """Filters of one block size, made on the device when a scene first needs them.

    Args:
        source: Gives the responses.
        device: Where the spectra live.
        block: Block length B in samples.
        limit: Bytes it may take, and half as much again for a moment while it grows; when they are
            full, all filters make room for those needed now.
    """

    def __init__(self, source: SpectraSource, device: torch.device, block: int, limit: int) -> None:
        self._source = source
        self._device = device
        self.block = block
        self.limit_rows = max(limit // (8 * (block + 1)), 2)
        self.data = torch.zeros(1, block + 1, dtype=torch.complex64, device=device)
        self._cursor = 1
        self._known: dict[tuple[object, ...], Filter] = {}

    def whole(self, spec: SceneSpec, position: int) -> Filter:
        """Return the filter of a response.

        Raises:
            SynthError: There is no such response, or it has not four channels.
        """
        key = (spec.place, position, RULES[spec.rules].rir_resampled, spec.sample_rate, spec.trim)
        found = self._known.get(key)
        if found is None:
            rir = self._source.taps(spec, position)
            if len(rir.taps) != FOA_CHANNELS:
                raise SynthError(
                    f"RIRs have {len(rir.taps)} channels, expected {FOA_CHANNELS} (W, Y, Z, X)",
                    where=spec.place,
                    remedy="use first-order Ambisonics RIRs",
                )
            length = rir.taps.shape[1]
            found = self._known[key] = Filter(position, length, 0, -(-length // self.block))
        return found

    def early(self, spec: SceneSpec, position: int) -> Filter:
        """Return the filter of the early window that makes a dry target.

        Raises:
            SynthError: As `whole`; the dry channel does not exist.
        """
        rules = RULES[spec.rules]
        year = (rules.rir_resampled, rules.absolute_peak, rules.early_end_inclusive)
        key = (spec.place, position, year, spec.sample_rate, spec.trim, spec.dry)
        found = self._known.get(key)
        if found is None:
            rir, channel = self._source.taps(spec, position), spec.dry.channel
            if channel >= len(rir.taps):
                raise SynthError(
                    f"is {channel}, the RIRs have {len(rir.taps)} channels",
                    where="dry.channel",
                    remedy="count channels from 0",
                )
            length, peak = rir.taps.shape[1], rir.peak(channel, absolute=rules.absolute_peak)
            window = early_window(peak, length, spec.sample_rate, spec.dry, rules)
            first = window[0] // self.block
            parts = (window[1] - 1) // self.block - first + 1
            found = self._known[key] = Filter(position, length, first, parts, window)
        return found

    def load(self, wanted: Iterable[tuple[Filter, SceneSpec]], slab: int) -> None:
        """Bring filters into the bank; those of one call are all there afterwards.

        Args:
            wanted: Filters, each with a scene that uses it.
            slab: Bytes of working memory at a time.
        """
        scenes = dict(wanted)
        missing = [f for f in scenes if f.row < 0]
        if self._cursor + sum(f.rows for f in missing) > self.limit_rows:
            for known in self._known.values():
                known.row = -1
            self._cursor, missing = 1, list(scenes)
        missing.sort(key=_shape)
        self._reserve(self._cursor + sum(f.rows for f in missing))
        for (window, taps, parts), group in groupby(missing, key=_shape):
            filters = list(group)
            step = max(slab // self.working_bytes(parts), 1)
            for first in range(0, len(filters), step):
                some = filters[first : first + step]
                rirs = [self._source.taps(scenes[f], f.position) for f in some]
                channels = [scenes[f].dry.channel for f in some]
                self._put(
                    some, self._early(some, rirs, channels) if window else self._whole(rirs, taps, parts)
                )

    def working_bytes(self, parts: int) -> int:
        """Return the memory that is used while the filter of one response is made."""
        return 28 * self.block * ((FOA_CHANNELS + 1) * parts + 2)

    def _put(self, filters: Sequence[Filter], rows: torch.Tensor) -> None:
        self.data[self._cursor : self._cursor + len(rows)] = rows
        for each in filters:
            each.row = self._cursor
            self._cursor += each.rows

    def _reserve(self, rows: int) -> None:
        if rows <= len(self.data):
            return
        rows = max(rows, min(_GROWTH * len(self.data), self.limit_rows), min(_FIRST_ROWS, self.limit_rows))
        larger = torch.empty(rows, self.block + 1, dtype=torch.complex64, device=self._device)
        larger[: self._cursor] = self.data[: self._cursor]
        self.data = larger

    def _whole(self, rirs: Sequence[Rir], taps: int, parts: int) -> torch.Tensor:
        """Return (filters * (4 Q + Q + 1), F): partitions and lag spectra."""
        B, count = self.block, fft_count(len(rirs), self._device)
        h = np.zeros((count, FOA_CHANNELS, parts * B), dtype=np.float32)
        line = np.zeros((count, (parts + 2) * B), dtype=np.float32)
        for n, rir in enumerate(rirs):
            h[n, :, :taps] = rir.taps
            line[n, B : B + taps] = rir.autocorrelation
        line[:, 1:B] = line[:, B + 1 : 2 * B][:, ::-1]
        partitions = send(h, self._device).view(count, FOA_CHANNELS, parts, B).transpose(1, 2)
        spectra = torch.fft.rfft(partitions, n=2 * B).flatten(1, 2)
        lags = torch.fft.rfft(_windows(send(line, self._device), parts, B))
        lags *= 1.0 / B
        lags[..., 0] *= 0.5
        lags[..., -1] *= 0.5
        lags[:, 1:] *= 2.0
        return torch.cat((spectra, lags), dim=1)[: len(rirs)].flatten(0, 1)

    def _early(self, filters: Sequence[Filter], rirs: Sequence[Rir], channels: Sequence[int]) -> torch.Tensor:
        """Return (filters * parts, F): the partitions that the windows touch, all else zero."""
        B, parts = self.block, filters[0].parts
        h = np.zeros((fft_count(len(rirs), self._device), parts * B), dtype=np.float32)
        for line, each, rir, channel in zip(h, filters, rirs, channels, strict=False):  # zeros at the end
            assert each.window is not None
            first, end = each.window
            line[first - each.first * B : end - each.first * B] = rir.taps[channel, first:end]
        spectra: torch.Tensor = torch.fft.rfft(send(h, self._device).view(-1, B), n=2 * B)
        return spectra[: len(rirs) * parts]


def _shape(item: Filter) -> tuple[bool, int, int]:
    return item.window is not None, item.taps if item.window is None else 0, item.parts


def _windows(line: torch.Tensor, parts: int, block: int) -> torch.Tensor:
    """Return the lags around multiples of the block, as `convolve.lag_spectra` lays them out.

    Args:
        line: (filters, (Q + 2) * B), lag 0 at B.
        parts: Q.
        block: B.
    """
    count = len(line)
    windows = line.new_zeros(count, parts + 1, 2 * block)
    windows[..., :block] = line[:, block:].view(count, parts + 1, block)
    before = line[:, : (parts + 1) * block].view(count, parts + 1, block)
    windows[..., block + 1 :] = before[..., 1:]
    return windows
