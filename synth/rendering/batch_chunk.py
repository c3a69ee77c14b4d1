"""One chunk of a batch: from specs to sound on the device, step by step."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import SynthError
from ..scenes.rules import RULES
from ..scenes.spec import SceneSpec
from ..units import FOA_CHANNELS
from . import batch_convolve as maths
from .batch_bank import Filter, FilterBank
from .batch_layout import Cue, Freight, Index, Layout, Terms
from .batch_sounds import Piece, Shelf

Stems = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class ChunkJob:
    """Scenes of one block size that are rendered together; `numbers` is where they are in the batch."""

    specs: list[SceneSpec]
    numbers: list[int]
    bank: FilterBank


class SilentCheck:
    """Tells later, when the device is done, whether something that must not be silent was.

    Args:
        powers: Of what was scaled, on the device.
        strict: Which of them must be more than zero.
        paths: The file of each.
    """

    def __init__(self, powers: torch.Tensor, strict: Sequence[bool], paths: Sequence[str]) -> None:
        self._strict = np.array(strict, dtype=bool)
        self._paths = paths
        self._host = torch.empty(powers.shape, dtype=powers.dtype, pin_memory=powers.is_cuda)
        self._host.copy_(powers, non_blocking=True)

    def raise_if_silent(self) -> None:
        """Raise the error of the CPU renderer for the first silent sound; the device must be done.

        Raises:
            SynthError: There is one.
        """
        silent = np.flatnonzero(self._strict & ~(self._host.numpy() > 0))
        if len(silent):
            raise SynthError(
                "is silent: it has no level to scale",
                where=self._paths[silent[0]],
                remedy="remove the file from the catalog, or rebuild it with --skip-bad",
            )


def scene_bytes(spec: SceneSpec, bank: FilterBank, stems: Collection[str], shelf: Shelf) -> tuple[int, int]:
    """Return the memory that a scene takes in a chunk, and the rows of its filters.

    Args:
        spec: The scene.
        bank: Holds its filters.
        stems: Which are made.
        shelf: Where its sounds are found.

    Returns:
        (bytes, rows), upper bounds.
    """
    B = bank.block
    blocks = sum((e.cut_before + e.duration) // B + 2 for e in (*spec.targets, *spec.interferers))
    line = 4 * B * (-(-spec.duration // B) + 2)
    lines = max(FOA_CHANNELS * (len(spec.targets) if "wet" in stems else 1), len(spec.targets))
    ground = 0 if spec.noise is None else FOA_CHANNELS * spec.duration * (20 if _short(spec) else 12)
    filters = [bank.whole(spec, e.position) for e in (*spec.targets, *spec.interferers)]
    made = max((bank.working_bytes(f.parts) for f in filters), default=0)
    sound = 8 * (B + 1) * blocks + max(lines * line, ground)
    # An early window has no more partitions than its response.
    return max(sound, made) + shelf.staged_bytes(spec), sum(f.rows + f.parts for f in filters)


def _short(spec: SceneSpec) -> bool:
    return spec.noise is not None and spec.noise.duration < spec.duration


@dataclass(frozen=True, slots=True)
class _Sum:
    """One stem: events that sound in lines; `rows` is where the lines are in the batch's tensor."""

    stem: str
    terms: Terms
    rows: Index
    blocks: int
    filters: int
    places: int
    where: int


@dataclass(frozen=True, slots=True)
class _Ground:
    """Backgrounds read the same way: scenes of the chunk, their rows in the batch, and freight numbers."""

    scenes: list[int]
    rows: Index
    tensor: int
    starts: int
    samples: int | None
    amplitudes: int
    where: int


class Chunk:
    """Renders the scenes of a job into the tensors of a batch.

    Args:
        job: What to render.
        shelf: Where sounds are found.
        out: The stems of the batch that are wanted, zeros so far; (B, 4, T), (B, S, T), (B, S, 4, T).
        slab: Bytes of working memory at a time.
    """

    def __init__(self, job: ChunkJob, shelf: Shelf, out: Stems, slab: int) -> None:
        self.specs, self.bank, self.shelf = job.specs, job.bank, shelf
        self.numbers = np.array(job.numbers, dtype=np.int64)
        self.out, self.slab = out, slab
        self.samples = self.specs[0].duration
        # What started before its scene rings into it out of the block before.
        self.lead = int(any(e.cut_before for s in self.specs for e in (*s.targets, *s.interferers)))
        self.limit = -(-self.samples // self.bank.block) + self.lead
        self.device = self.bank.data.device
        self.freight = Freight(self.device)

    def render(self) -> SilentCheck:
        """Queue everything; return what says later whether a sound was silent."""
        cues = self._cues()
        noises = self._noises()
        self.bank.load(_filters(cues, self.specs), self.slab)
        layout = Layout(cues, self.bank.block, self.lead)
        rows = layout.rows()
        places = {name: self.freight.add(array) for name, array in rows.items()}
        lag_rows = self.freight.add(layout.lag_rows())
        amplitudes = self.freight.add(layout.amplitudes(self.specs))
        sums = list(self._plan_sums(layout))
        grounds = list(self._plan_grounds(noises))
        there = self.freight.send()
        tensors = self.shelf.tensors()
        powers = [torch.zeros(0, dtype=torch.float64, device=self.device)]
        if cues:
            blocks = {name: there[n] for name, n in places.items()}
            x = self._spectra(tensors, blocks, np.unique(rows["tensor"]).tolist())
            powers.append(maths.wet_energies(x, self.bank.data, layout.groups(), there[lag_rows], self.slab))
            gains = _gains(there[amplitudes], powers[-1])
            maths.scale_blocks(x, gains.index_select(0, blocks["event"]))
            for each in sums:
                self._sound(each, x, there)
            del x
        if self._from_stems:
            self._add_stems()
        powers += [self._ground(ground, tensors, there) for ground in grounds]
        order = [n for ground in grounds for n in ground.scenes]
        strict = [RULES[self.specs[n].rules].silent_event == "error" for n in order]
        files = [spec.noise.path if (spec := self.specs[n]).noise else "" for n in order]
        return SilentCheck(
            torch.cat(powers),
            [*layout.strict(self.specs).tolist(), *strict],
            [*(cue.event.path for cue in layout.cues), *files],
        )

    @property
    def _from_stems(self) -> bool:
        """Whether the mixture is the sum of its stems, as these are made anyway."""
        return self.out.keys() >= {"mixture", "wet", "interference"}

    def _cues(self) -> list[Cue]:
        """Find what every event is made of; interferers only if something is made of them."""
        dry, heard = "dry" in self.out, bool(self.out.keys() & {"mixture", "interference"})
        if not (dry or heard or "wet" in self.out):
            return []
        cues = []
        for n, spec in enumerate(self.specs):
            for slot, event in enumerate(spec.targets):
                whole = self.bank.whole(spec, event.position)
                early = self.bank.early(spec, event.position) if dry else None
                cues.append(Cue(n, slot, event, self.shelf.event(spec, event), whole, early))
            for event in spec.interferers if heard else ():
                whole = self.bank.whole(spec, event.position)
                cues.append(Cue(n, -1, event, self.shelf.event(spec, event), whole, None))
        return cues

    def _noises(self) -> list[tuple[int, Piece]]:
        if not self.out.keys() & {"mixture", "noise"}:
            return []
        return [
            (n, self.shelf.noise(spec, spec.noise))
            for n, spec in enumerate(self.specs)
            if spec.noise is not None
        ]

    def _spectra(
        self, tensors: Sequence[torch.Tensor], rows: dict[str, torch.Tensor], used: Sequence[int]
    ) -> torch.Tensor:
        """Return the block spectra of all events, (N, F)."""
        B, count = self.bank.block, len(rows["offset"])
        x = torch.empty(count, B + 1, dtype=torch.complex64, device=self.device)
        step = max(self.slab // (8 * (B + 1)), 1)
        for first in range(0, count, step):
            some = {name: row[first : first + step] for name, row in rows.items()}
            blocks = maths.read_blocks(tensors, some, used, B)
            x[first : first + step] = torch.fft.rfft(blocks)[: len(some["event"])]
        return x

    def _plan_sums(self, layout: Layout) -> Iterator[_Sum]:
        scene, slot = self.numbers[layout.scene], layout.slot
        targets, others = np.flatnonzero(slot >= 0), np.flatnonzero(slot < 0)
        all_events, lines = np.arange(len(slot)), np.arange(len(targets))
        if "mixture" in self.out and not self._from_stems:
            yield self._sum("mixture", layout.wet_terms(all_events, layout.scene, self.limit), self.numbers)
        if "interference" in self.out:
            terms = layout.wet_terms(others, layout.scene[others], self.limit)
            yield self._sum("interference", terms, self.numbers)
        for stem in sorted(self.out.keys() & {"wet", "dry"}):
            terms = (layout.wet_terms if stem == "wet" else layout.dry_terms)(targets, lines, self.limit)
            yield self._sum(stem, terms, scene[targets] * self.out[stem].shape[1] + slot[targets])

    def _sum(self, stem: str, terms: Terms, rows: Index) -> _Sum:
        add = self.freight.add
        places = maths.row_places(terms, self.limit)
        return _Sum(stem, terms, rows, add(terms.blocks), add(terms.filters), add(places), add(rows))

    def _sound(self, each: _Sum, x: torch.Tensor, there: Sequence[torch.Tensor]) -> None:
        """Render one stem into the batch."""
        if not len(each.terms.keys):
            return
        lines = maths.sum_lines(
            x,
            self.bank.data,
            each.terms,
            there[each.blocks],
            there[each.filters],
            there[each.places],
            (len(each.rows), self.limit),
            self.slab,
        )
        start = self.lead * self.bank.block
        self._write(each.stem, lines[..., start : start + self.samples], each.rows, there[each.where])

    def _add_stems(self) -> None:
        mixture, wet, interference = (self.out[s] for s in ("mixture", "wet", "interference"))
        for n in self.numbers.tolist():
            torch.sum(wet[n], dim=0, out=mixture[n])
            mixture[n] += interference[n]

    def _plan_grounds(self, noises: Sequence[tuple[int, Piece]]) -> Iterator[_Ground]:
        """Group backgrounds by the tensor that holds them, and by whether they are repeated."""
        groups: dict[tuple[int, bool], list[tuple[int, Piece]]] = {}
        for n, piece in noises:
            groups.setdefault((piece.tensor, piece.samples < self.samples), []).append((n, piece))
        add = self.freight.add
        for (tensor, short), members in groups.items():
            scenes = [n for n, _ in members]
            first = np.array([[p.offset] for _, p in members], dtype=np.int64)
            stride = np.array([[p.stride] for _, p in members], dtype=np.int64)
            lengths = np.array([p.samples for _, p in members], dtype=np.int64)
            rows = self.numbers[scenes]
            yield _Ground(
                scenes,
                rows,
                tensor,
                add(first + stride * np.arange(FOA_CHANNELS)),
                add(lengths) if short else None,
                add(self._ground_amplitudes(scenes)),
                add(rows),
            )

    def _ground_amplitudes(self, scenes: Sequence[int]) -> NDArray[np.float64]:
        specs = [self.specs[n] for n in scenes]
        level = np.array([s.ref_db + (s.noise.snr_db if s.noise else 0.0) for s in specs])
        return np.asarray(10 ** (level / 20) * np.sqrt(FOA_CHANNELS * self.samples), dtype=np.float64)

    def _ground(
        self, ground: _Ground, tensors: Sequence[torch.Tensor], there: Sequence[torch.Tensor]
    ) -> torch.Tensor:
        """Add backgrounds to their scenes; return their energies, (n,) float64."""
        samples = None if ground.samples is None else there[ground.samples]
        noise = maths.read_noises(tensors[ground.tensor], there[ground.starts], samples, self.samples)
        energies = noise.square().sum(dim=2).double().sum(dim=1)
        noise *= _gains(there[ground.amplitudes], energies)[:, None, None]
        for stem in sorted(self.out.keys() & {"mixture", "noise"}):
            self._write(stem, noise, ground.rows, there[ground.where], add=stem == "mixture")
        return energies

    def _write(
        self, stem: str, values: torch.Tensor, rows: Index, where: torch.Tensor, *, add: bool = False
    ) -> None:
        """Put (n, C, T) or (n, 1, T) into rows of a stem's tensor."""
        out = self.out[stem].view(-1, *values.shape[1:])
        first = int(rows[0])
        if np.array_equal(rows, np.arange(first, first + len(rows))):
            part = out[first : first + len(rows)]
            part.add_(values) if add else part.copy_(values)
        elif add:
            out.index_add_(0, where, values)
        else:
            out.index_copy_(0, where, values)


def _gains(amplitudes: torch.Tensor, energies: torch.Tensor) -> torch.Tensor:
    """Return float32 factors; 1 for what is silent."""
    return torch.where(energies > 0, amplitudes / energies.sqrt(), 1.0).to(torch.float32)


def _filters(cues: Sequence[Cue], specs: Sequence[SceneSpec]) -> Iterator[tuple[Filter, SceneSpec]]:
    for cue in cues:
        yield cue.whole, specs[cue.scene]
        if cue.early is not None:
            yield cue.early, specs[cue.scene]
