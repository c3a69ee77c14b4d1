"""What a batch has to do, as arrays of indices: built on the host, sent to the device in one copy.

Every event becomes blocks of B samples on its scene's grid. A product of an event's block and a
filter's partition falls on a row: a block of a line, such as one scene's mixture or one target's dry
sound. Products of one row are added in rounds, the n-th of every row in round n, so that no two
additions of a round meet: the order is fixed on every device.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..scenes.rules import RULES
from ..scenes.spec import EventSpec, SceneSpec
from ..units import FOA_CHANNELS
from .batch_bank import Filter
from .batch_sounds import Piece

Index = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cue:
    """An event of a chunk: `scene` counts in the chunk, `slot` is -1 for interferers."""

    scene: int
    slot: int
    event: EventSpec
    piece: Piece
    whole: Filter
    early: Filter | None


class Layout:
    """The events of a chunk, sorted by their number of blocks.

    Attributes:
        cues: E events.
        blocks: (E,) P, the number of blocks of each.
        starts: (E + 1,) number of its first block among the N of all.
        grid: (E,) block of its first block in a line; scenes begin after `lead` blocks of a line.
        onset: (E,), below 0 for an event that started before its scene.
        scene, slot: (E,), see `Cue`.
    """

    def __init__(self, cues: Sequence[Cue], block: int, lead: int = 0) -> None:
        onset = _column(cue.event.onset - cue.event.cut_before for cue in cues)
        samples = _column(cue.piece.samples for cue in cues)
        blocks = -(-(onset % block + samples) // block)
        order = np.argsort(blocks, kind="stable")
        self.block = block
        self.cues = [cues[n] for n in order]
        self.onset, self.samples, self.blocks = onset[order], samples[order], blocks[order]
        self.starts = np.concatenate(([0], np.cumsum(self.blocks)))
        self.grid = self.onset // block + lead
        self.scene = _column(cue.scene for cue in self.cues)
        self.slot = _column(cue.slot for cue in self.cues)

    def amplitudes(self, specs: Sequence[SceneSpec]) -> NDArray[np.float64]:
        """Return what a gain is made of: its quotient with the root of the wet energy, (E,) float64."""
        level = np.array([specs[c.scene].ref_db + c.event.snr_db for c in self.cues], dtype=np.float64)
        taps = _column(cue.whole.taps for cue in self.cues)
        return np.asarray(10 ** (level / 20) * np.sqrt(FOA_CHANNELS * (self.samples + taps - 1)))

    def strict(self, specs: Sequence[SceneSpec]) -> NDArray[np.bool_]:
        """Return which events must not be silent, (E,)."""
        return np.array([RULES[specs[c.scene].rules].silent_event == "error" for c in self.cues], dtype=bool)

    def rows(self) -> dict[str, Index]:
        """Return per block (N,): the tensor and offset to read, its event, and the samples that count."""
        event = np.repeat(np.arange(len(self.cues)), self.blocks)
        number = np.arange(len(event)) - self.starts[event]
        before = number * self.block - (self.onset % self.block)[event]
        offset = _column(cue.piece.offset for cue in self.cues)[event]
        return {
            "tensor": _column(cue.piece.tensor for cue in self.cues)[event],
            "offset": offset + before,
            "event": event,
            "low": np.maximum(-before, 0),
            "high": np.minimum(self.samples[event] - before, self.block),
        }

    def groups(self) -> list[tuple[int, int, int]]:
        """Return the runs of events with equally many blocks: (first event, end, P)."""
        if not len(self.cues):
            return []
        edges = np.flatnonzero(np.diff(self.blocks)) + 1
        bounds = [0, *edges.tolist(), len(self.cues)]
        return [(a, b, int(self.blocks[a])) for a, b in itertools.pairwise(bounds)]

    def lag_rows(self) -> Index:
        """Return the row of each event's j-th lag spectrum, (E, Q + 1); 0, silence, where it has none."""
        first = _column(cue.whole.lag_row for cue in self.cues)
        parts = _column(cue.whole.parts for cue in self.cues)
        lag = np.arange(max(parts, default=0) + 1)
        return np.where(lag <= parts[:, None], first[:, None] + lag, 0)

    def wet_terms(self, which: Index, lines: Index, limit: int) -> Terms:
        """Return the products of some events with their whole responses.

        Args:
            which: (e,) numbers of events.
            lines: (e,) the line that each sounds in.
            limit: K, blocks of a line.
        """
        filters = [self.cues[n].whole for n in which]
        return self._terms(which, lines, filters, FOA_CHANNELS, limit)

    def dry_terms(self, which: Index, lines: Index, limit: int) -> Terms:
        """Return the products of some targets with their early windows; see `wet_terms`."""
        filters = [early for n in which if (early := self.cues[n].early) is not None]
        return self._terms(which, lines, filters, 1, limit)

    def _terms(
        self, which: Index, lines: Index, filters: Sequence[Filter], channels: int, limit: int
    ) -> Terms:
        parts = _column(f.parts for f in filters)
        first = self.grid[which] + _column(f.first for f in filters)
        sizes = self.blocks[which] * parts
        event = np.repeat(np.arange(len(which)), sizes)
        number = np.arange(len(event)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        p, q = np.divmod(number, parts[event])
        k = first[event] + p + q
        kept = (k >= 0) & (k < limit)
        event, p, q, k = event[kept], p[kept], q[kept], k[kept]
        filter_row = _column(f.row for f in filters)[event] + q * channels
        return make_terms(lines[event] * limit + k, self.starts[which][event] + p, filter_row, channels)


@dataclass(frozen=True, slots=True)
class Terms:
    """Products that add up to rows.

    Attributes:
        keys: (R,) line * K + block of every row.
        widths: Rows that take part in each round, not increasing: always the first ones.
        blocks: (M,) event blocks, round after round.
        filters: (M * C,) filter rows, C per product.
        channels: C.
    """

    keys: Index
    widths: list[int]
    blocks: Index
    filters: Index
    channels: int


def make_terms(keys: Index, blocks: Index, filters: Index, channels: int) -> Terms:
    """Sort products (M,) into rounds."""
    order = np.argsort(keys, kind="stable")
    found, first, counts = np.unique(keys[order], return_index=True, return_counts=True)
    rank = np.arange(len(keys)) - np.repeat(first, counts)
    by_count = np.argsort(-counts, kind="stable")
    place = np.empty_like(by_count)
    place[by_count] = np.arange(len(by_count))
    rounds = np.lexsort((np.repeat(place, counts), rank))
    chosen = order[rounds]
    rows = filters[chosen, None] + np.arange(channels)
    widths = np.bincount(rank).tolist() if len(rank) else []
    return Terms(found[by_count], widths, blocks[chosen], rows.reshape(-1), channels)


class Freight:
    """Host arrays that travel to a device in one copy.

    Args:
        device: Where to.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._arrays: list[NDArray[Any]] = []

    def add(self, array: NDArray[Any]) -> int:
        """Take an array of int64 or float64; return its number."""
        self._arrays.append(array)
        return len(self._arrays) - 1

    def send(self) -> list[torch.Tensor]:
        """Return the arrays as tensors on the device, by number."""
        total = sum(a.size for a in self._arrays)
        host = torch.empty(total, dtype=torch.int64, pin_memory=self._device.type == "cuda")
        flat, first = host.numpy(), 0
        for array in self._arrays:
            flat[first : first + array.size] = array.reshape(-1).view(np.int64)
            first += array.size
        whole = host.to(self._device, non_blocking=True)
        pieces = torch.split(whole, [a.size for a in self._arrays])
        return [
            (piece.view(torch.float64) if array.dtype == np.float64 else piece).view(array.shape)
            for piece, array in zip(pieces, self._arrays, strict=True)
        ]


def _column(values: Any) -> Index:
    return np.fromiter(values, dtype=np.int64)
