"""Sounds as flat tensors on a device: pools that live there, and what is copied there per chunk.

A `Shelf` holds tensors of int16 or float32 samples, numbered from 0. Numbers 0 and 1 are refilled for
every chunk of scenes (int16, float32) through pinned memory; the others are whole pools. Sounds
are named by `Piece`: a tensor's number and an offset in it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..assets.pool import EventPool
from ..errors import SynthError
from ..scenes.rules import RULES
from ..scenes.spec import EventSpec, NoiseSpec, SceneSpec
from ..units import FOA_CHANNELS
from .effects.events import read_event
from .sounds import CatalogSounds, Sounds

MARGIN = 1 << 17
"""Samples before and after everything in a tensor, so that blocks may reach over the ends."""

_DTYPES = (torch.int16, torch.float32)
_COPIED = 64 << 20


class Piece(NamedTuple):
    """Part of a sound: `samples` per channel from `offset` on; the next channel is `stride` further."""

    tensor: int
    offset: int
    samples: int
    stride: int = 0


class Shelf:
    """The sounds that scenes need, where the device can read them.

    Args:
        sounds: Where they come from.
        device: Where they go.
        limit: Bytes that whole pools may take there; a pool that does not fit is copied piece by piece.
    """

    def __init__(self, sounds: Sounds, device: torch.device, limit: int) -> None:
        self._sounds = sounds
        self._device = device
        self._left = limit
        self._resident: list[torch.Tensor] = []
        self._homes: dict[EventPool, tuple[int, int] | None] = {}
        self._staged: tuple[list[NDArray[Any]], list[NDArray[Any]]] = ([], [])
        self._cursors = [MARGIN, MARGIN]

    def event(self, spec: SceneSpec, event: EventSpec) -> Piece:
        """Find or stage what is convolved for an event: its sound with the event's effects.

        Raises:
            SynthError: As `Sounds.event` and `read_event`.
        """
        stored = event.file_times is None and not event.effects
        if stored and isinstance(self._sounds, CatalogSounds):
            samples = event.cut_before + event.duration
            pool = self._sounds.event_pool(event.path, spec.sample_rate)
            kind, offset, _, _ = pool.locate(event.path, event.start, samples)
            home = self._homes[pool] if pool in self._homes else self._settle(pool)
            first = offset + event.start
            if home is not None:
                return Piece(home[kind], MARGIN + first, samples)
            return self._stage(kind, pool.data(kind)[first : first + samples])
        return self._stage(1, read_event(self._sounds, event, spec.rules, spec.sample_rate))

    def noise(self, spec: SceneSpec, noise: NoiseSpec) -> Piece:
        """Find or stage a background: all channels, neither repeated nor scaled.

        Raises:
            SynthError: As `Sounds.noise`; it has not four channels.
        """
        rules = RULES[spec.rules]
        if isinstance(self._sounds, CatalogSounds) and noise.file_times is None:
            pool = self._sounds.noise_pool(spec.sample_rate)
            kind, offset, stride, channels = pool.locate(noise.path, noise.start, noise.duration)
            _check_channels(channels, noise)
            home = self._homes[pool] if pool in self._homes else self._settle(pool)
            tiled = rules.short_noise == "tile" or noise.duration >= spec.duration
            if home is not None and tiled:
                return Piece(home[kind], MARGIN + offset + noise.start, noise.duration, stride)
            planes = pool.data(kind)[offset : offset + channels * stride].reshape(channels, stride)
            found = planes[:, noise.start : noise.start + noise.duration]
        else:
            kind, found = 1, self._sounds.noise(noise, spec.rules, spec.sample_rate)
            _check_channels(len(found), noise)
        found = found[:, : spec.duration]
        if found.shape[1] < spec.duration and rules.short_noise == "repeat":
            times = -(-spec.duration // found.shape[1])
            found = np.repeat(found, times, axis=1)[:, : spec.duration]
        piece = self._stage(kind, np.ascontiguousarray(found).reshape(-1))
        return piece._replace(samples=found.shape[1], stride=found.shape[1])

    def tensors(self) -> list[torch.Tensor]:
        """Send what was staged to the device and return all tensors by number; staging begins anew."""
        fresh = [self._send(parts, _DTYPES[n]) for n, parts in enumerate(self._staged)]
        self._staged = ([], [])
        self._cursors = [MARGIN, MARGIN]
        return [*fresh, *self._resident]

    def staged_bytes(self, spec: SceneSpec) -> int:
        """Return an upper bound of what staging one scene takes."""
        events = sum(e.cut_before + e.duration for e in (*spec.targets, *spec.interferers))
        noise = 0 if spec.noise is None else FOA_CHANNELS * spec.duration
        return 4 * (events + noise)

    def _stage(self, kind: int, signal: NDArray[Any]) -> Piece:
        piece = Piece(kind, self._cursors[kind], len(signal))
        self._staged[kind].append(signal)
        self._cursors[kind] += len(signal)
        return piece

    def _send(self, parts: list[NDArray[Any]], dtype: torch.dtype) -> torch.Tensor:
        if not parts:
            return torch.zeros(0, dtype=dtype, device=self._device)
        total = 2 * MARGIN + sum(map(len, parts))
        host = torch.zeros(total, dtype=dtype, pin_memory=self._device.type == "cuda")
        np.concatenate(parts, out=host.numpy()[MARGIN : total - MARGIN])
        return host.to(self._device, non_blocking=True)

    def _settle(self, pool: EventPool) -> tuple[int, int] | None:
        """Bring a whole pool to the device if it fits; return the numbers of its two tensors."""
        data = [pool.data(kind) for kind in (0, 1)]
        size = sum(x.nbytes + 2 * MARGIN * x.itemsize for x in data)
        home = None
        if size <= self._left:
            self._left -= size
            first = len(_DTYPES) + len(self._resident)
            self._resident += [self._bring(x, dtype) for x, dtype in zip(data, _DTYPES, strict=True)]
            home = (first, first + 1)
        self._homes[pool] = home
        return home

    def _bring(self, data: NDArray[Any], dtype: torch.dtype) -> torch.Tensor:
        whole = torch.zeros(len(data) + 2 * MARGIN, dtype=dtype, device=self._device)
        step = _COPIED // data.itemsize
        for first in range(0, len(data), step):
            part = data[first : first + step]
            host = torch.empty(len(part), dtype=dtype, pin_memory=self._device.type == "cuda")
            host.numpy()[:] = part
            whole[MARGIN + first : MARGIN + first + len(part)].copy_(host, non_blocking=True)
        return whole


def _check_channels(channels: int, noise: NoiseSpec) -> None:
    if channels != FOA_CHANNELS:
        raise SynthError(
            f"has {channels} channels, expected {FOA_CHANNELS}",
            where=noise.path,
            remedy="use first-order Ambisonics noise (W, Y, Z, X)",
        )
