"""SceneSpecs -> tensors: many scenes at a time, on a GPU or on the CPU. It draws no random number.

The maths are those of `scene`: block FFTs, sums in frequency, levels by wet energy. A batch is cut into
chunks whose intermediate tensors fit in `max_bytes`. Events and backgrounds are read from pools that
live on the device, or copied there through pinned memory; responses become spectra that stay
there (`batch_sounds`, `batch_bank`). The host only computes indices (`batch_layout`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch

from ..assets.mapped import let_pages_go
from ..errors import SynthError
from ..scenes.labels import strong_labels
from ..scenes.rules import RULES
from ..scenes.spec import SceneSpec
from ..units import FOA_CHANNELS
from . import convolve
from .batch_bank import FilterBank
from .batch_chunk import Chunk, ChunkJob, SilentCheck, scene_bytes
from .batch_device import FFT_QUANTUM, send
from .batch_sounds import Shelf
from .effects.batch import apply_chains
from .effects.scene import SceneChain, scene_chain
from .memory import keep_freed_memory
from .sample import SampleFormat, label_arrays, scene_sample
from .scene import STEMS, Renderer
from .sounds import SoundSource, open_sounds
from .spectra import SpectraSource

Batch = dict[str, torch.Tensor]

MAX_BYTES = {"cpu": 128 << 20, "cuda": 4 << 30}
RESIDENT_CPU = 256 << 20
_SLABS = 16
_SLABS_AT_ONCE = 6
_CPU_SLAB = 4 << 20
_CUDA_SLAB = 256 << 20
_LARGEST_BLOCK = 1 << 17
_POOL_SHARE = 0.75


class PendingBatch:
    """A batch whose tensors may still be on their way.

    Attributes:
        tensors: The batch.
    """

    def __init__(self, tensors: Batch, checks: list[SilentCheck], done: torch.cuda.Event | None) -> None:
        self.tensors = tensors
        self._checks = checks
        self._done = done

    def take(self) -> Batch:
        """Wait for the batch and hand it to the current stream.

        Raises:
            SynthError: An event or background is silent; its file is named.
        """
        if self._done is not None:
            self._done.synchronize()
            stream = torch.cuda.current_stream(next(iter(self.tensors.values())).device)
            stream.wait_event(self._done)
            for tensor in self.tensors.values():
                tensor.record_stream(stream)
        for check in self._checks:
            check.raise_if_silent()
        return self.tensors


class BatchRenderer:
    """Renders batches of scenes to tensors, equal to what `Renderer` makes to 1e-5 (relative L2).

    On CUDA all work is queued on a stream of its own; nothing in `submit` waits for the device, except
    for labels with the support `active`, which are measured on the dry targets. A scene comes out
    the same, to float32 rounding, whatever else is in its batch. For one thread at a time.

    Args:
        sounds: A catalog, or where else the sound lies.
        device: Where the tensors are made.
        max_bytes: Bound on intermediate tensors (scene-wide effects take some more, scene by scene); None: 128 MiB on the CPU, 4 GiB on CUDA.
        resident_bytes: Bound on pools and spectra that stay on the device; None: half of what is
            free there now; on the CPU, where pools are mapped files anyway, 256 MiB of spectra.

    Attributes:
        device: As given.
        max_bytes: In force.
        stream: On which it works on CUDA; None elsewhere.
    """

    def __init__(
        self,
        sounds: SoundSource,
        device: str | torch.device = "cpu",
        *,
        max_bytes: int | None = None,
        resident_bytes: int | None = None,
    ) -> None:
        self.device = torch.device(device)
        kind = self.device.type
        if kind == "cuda" and self.device.index is None:  # the current one, which is another in other threads
            self.device = torch.device(kind, torch.cuda.current_device())
        if kind == "cpu":
            keep_freed_memory()
        self.max_bytes = max_bytes or MAX_BYTES.get(kind, MAX_BYTES["cpu"])
        self._slab = min(self.max_bytes // _SLABS, _CUDA_SLAB if kind == "cuda" else _CPU_SLAB)
        pools, self._bank_bytes = self._budgets(resident_bytes)
        self._sounds = open_sounds(sounds)
        self._source = SpectraSource(self._sounds)
        self._shelf = Shelf(self._sounds, self.device, pools)
        self._banks: dict[int, FilterBank] = {}
        self._blocks: dict[tuple[object, ...], int] = {}
        self._cpu: Renderer | None = None
        self.stream = None if kind != "cuda" else torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]

    def render(
        self, specs: Sequence[SceneSpec], form: SampleFormat, positions: Sequence[int] | None = None
    ) -> Batch:
        """Render a batch and wait for it.

        Args:
            specs: B scenes of one length T.
            form: Classes, slots S, label frames and stems.
            positions: Of the scenes in their stream; None: their index in the plan.

        Returns:
            As `scene_sample`, batch first: position (B,), mixture, interference, noise (B, 4, T), dry
            (B, S, T), wet (B, S, 4, T), labels (B, S), strong (B, K, frames), weak (B, K).

        Raises:
            SynthError: As `synth.render` and `scene_sample`; scenes of different lengths; `max_bytes`
                is too small for one scene.
        """
        return self.submit(specs, form, positions).take()

    def submit(
        self, specs: Sequence[SceneSpec], form: SampleFormat, positions: Sequence[int] | None = None
    ) -> PendingBatch:
        """Queue the rendering of a batch without waiting for the device; see `render`."""
        _check_lengths(specs)
        with torch.no_grad(), self._streaming():
            out = self._empty(specs, form)
            checks = [Chunk(job, self._shelf, out, self._slab).render() for job in self._jobs(specs, form)]
            let_pages_go()
            if any(spec.effects for spec in specs):
                apply_chains([scene_chain(s) if in_batch(s) else SceneChain() for s in specs], out)
            for n, spec in enumerate(specs):
                if not in_batch(spec):
                    self._render_alone(spec, form, out, n)
            self._add_labels(specs, form, out, positions)
            for stem in {"dry"} - set(form.stems):
                out.pop(stem, None)
            done = None
            if self.stream is not None:
                done = torch.cuda.Event()  # type: ignore[no-untyped-call]
                done.record(self.stream)
        return PendingBatch(out, checks, done)

    def _budgets(self, resident: int | None) -> tuple[int, int]:
        """Return how many bytes pools and filters may take."""
        if resident is None:
            if self.device.type != "cuda":
                return 0, RESIDENT_CPU
            resident = torch.cuda.mem_get_info(self.device)[0] // 2
        pools = int(resident * _POOL_SHARE)
        return pools, resident - pools

    def _streaming(self) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def _empty(self, specs: Sequence[SceneSpec], form: SampleFormat) -> Batch:
        """Return the sound of a batch as zeros."""
        T, count = specs[0].duration, len(specs)
        shapes = {stem: (count, FOA_CHANNELS, T) for stem in STEMS}
        shapes |= {"dry": (count, form.slots, T), "wet": (count, form.slots, FOA_CHANNELS, T)}  # type: ignore[dict-item]
        stems = {*form.stems, *(["dry"] if any(map(_measures_dry, specs)) else [])}
        for spec in specs:
            if len(spec.targets) > form.slots:
                label_arrays(spec, [], form.classes, form.slots, form.frame)  # says so
        return {s: torch.zeros(shapes[s], device=self.device) for s in STEMS if s in stems}

    def _jobs(self, specs: Sequence[SceneSpec], form: SampleFormat) -> Iterator[ChunkJob]:
        """Cut a batch into chunks: scenes of one block size, as many as fit."""
        by_block: dict[int, list[int]] = {}
        for n, spec in enumerate(specs):
            if in_batch(spec):
                by_block.setdefault(self._block(spec), []).append(n)
        for block, numbers in by_block.items():
            bank = self._bank(block)
            row = 8 * (block + 1) * max(FOA_CHANNELS, FFT_QUANTUM.get(self.device.type, 1))
            room = self.max_bytes - _SLABS_AT_ONCE * max(self._slab, row)
            some: list[int] = []
            used = rows = 0
            for n in numbers:
                size, filters = scene_bytes(specs[n], bank, form.stems, self._shelf)
                if size > room:
                    raise SynthError(
                        f"{self.max_bytes:,} bytes are too few, a scene needs {self.max_bytes - room + size:,}",
                        where="max_bytes",
                        remedy="allow more, or render shorter scenes",
                    )
                if some and (used + size > room or rows + filters > bank.limit_rows - 1):
                    yield ChunkJob([specs[m] for m in some], some, bank)
                    some, used, rows = [], 0, 0
                some.append(n)
                used, rows = used + size, rows + filters
            yield ChunkJob([specs[m] for m in some], some, bank)

    def _block(self, spec: SceneSpec) -> int:
        """Return the block size for a scene's place."""
        events = (*spec.targets, *spec.interferers)
        if not events:
            return convolve.SHORT_BLOCK
        key = (spec.place, RULES[spec.rules].rir_resampled, spec.sample_rate, spec.trim)
        if key not in self._blocks:
            rir = self._source.taps(spec, events[0].position)
            self._blocks[key] = batch_block(self._source.longest(spec, rir), self.device.type)
        return self._blocks[key]

    def _bank(self, block: int) -> FilterBank:
        if block not in self._banks:
            limit = self._bank_bytes >> (len(self._banks) + 1)
            self._banks[block] = FilterBank(self._source, self.device, block, limit)
        return self._banks[block]

    def _render_alone(self, spec: SceneSpec, form: SampleFormat, out: Batch, n: int) -> None:
        """Render a scene of other rules with the CPU renderer."""
        if self._cpu is None:
            self._cpu = Renderer(self._sounds)
        scene = self._cpu.render(spec, stems=tuple(out))
        sample = scene_sample(scene, form.classes, form.slots, form.frame)
        for stem in out:
            out[stem][n] = send(sample[stem], self.device)

    def _add_labels(
        self, specs: Sequence[SceneSpec], form: SampleFormat, out: Batch, positions: Sequence[int] | None
    ) -> None:
        samples = []
        for n, spec in enumerate(specs):
            dry = out["dry"][n, : len(spec.targets)].cpu().numpy() if _measures_dry(spec) else None
            tails = None
            if spec.labels.support == "tail":
                tails = [self._source.taps(spec, event.position).taps.shape[1] for event in spec.targets]
            labels = strong_labels(spec, dry=dry, tails=tails)
            samples.append(label_arrays(spec, labels, form.classes, form.slots, form.frame))
        if positions is None:
            positions = [0 if spec.origin is None else spec.origin.index for spec in specs]
        arrays = {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}
        arrays["position"] = np.asarray(positions, dtype=np.int64)
        for name, array in arrays.items():
            out[name] = send(array, self.device)


def in_batch(spec: SceneSpec) -> bool:
    """Say whether a scene follows rules that a batch knows; others are rendered one by one on the CPU."""
    rules = RULES[spec.rules]
    # A turn mixes the channels of which the dry window takes one, except W.
    turned = spec.effects is not None and spec.effects.space is not None and spec.dry.channel != 0
    return rules.level == "power" and rules.tails and not rules.mono_noise and not turned


def batch_block(taps: int, device: str) -> int:
    """Return the block length (samples) for RIRs of `taps` on a kind of device.

    On a GPU the products cost most, and they are fewest when a RIR is one partition.
    """
    if device == "cpu":
        return convolve.block_size(taps)
    return min(max(1 << (taps - 1).bit_length(), convolve.SHORT_BLOCK), _LARGEST_BLOCK)


def _measures_dry(spec: SceneSpec) -> bool:
    return spec.labels.support == "active"


def _check_lengths(specs: Collection[SceneSpec]) -> None:
    lengths = sorted({spec.duration for spec in specs})
    if len(lengths) != 1:
        raise SynthError(
            f"scenes of one length are needed, got {lengths or 'none'} samples",
            where="batch",
            remedy="batch scenes of one recipe",
        )
