"""What a SOFA file states about its responses, channels and positions, for the import of rooms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import SynthError
from ...units import FOA_CHANNELS, Hertz, Samples
from ..ambisonics import Convention, a_to_b_matrix
from ..audio import MAX_CHANNELS
from ..hdf5 import MAX_DECLARED_BYTES, attribute_text, checked_dataset, open_hdf5
from ..sofa import MAX_POSITIONS, sampling_rate
from .sofa_geometry import capsule_directions, listener_axes, listener_positions, source_points

_AXES = {"FIR": "MRN", "FIRE": "MREN", "FIR-E": "MRNE"}
"""Axes of Data.IR by DataType."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What is said about the channels; None: nothing."""

    kind: str | None = None
    order: str | None = None
    normalisation: str | None = None
    scaling: str = "auto"


@dataclass(slots=True)
class Header:
    """A SOFA file without its taps.

    Attributes:
        path: The file.
        title: And convention.
        licence: "" when it states none.
        rate: Hz.
        shape: Measurements, receivers, emitters, taps.
        axes_of_ir: E.g. "MRN".
        sources: `(M, E, 3)` Cartesian metres, in the coordinates of the room.
        listeners: `(M, 3)`.
        axes: `(M, 3, 3)`: where each listener has its front, left and top.
        capsules: `(R, 3)` unit vectors to the receivers, or None when they sit in one point.
        harmonic: The receivers are spherical harmonics.
        said: What the file says about its channels.
        notes: What is peculiar.
    """

    path: Path
    title: str
    licence: str
    rate: Hertz
    shape: tuple[int, int, int, int]
    axes_of_ir: str
    sources: NDArray[np.float64]
    listeners: NDArray[np.float64]
    axes: NDArray[np.float64]
    capsules: NDArray[np.float64] | None
    harmonic: bool
    said: Stated
    notes: tuple[str, ...]
    _block: tuple[int, NDArray[np.float64]] | None = field(default=None, repr=False)

    @property
    def emitters(self) -> int:
        """Sources per measurement."""
        return self.shape[2]

    @property
    def taps(self) -> Samples:
        """Length of a response."""
        return self.shape[3]

    def positions(self, relative: bool) -> NDArray[np.float64]:
        """Sources as the listener has them, `(M, E, 3)`: x front, y left, z up, metres."""
        if relative:
            return self.sources
        away = self.sources - self.listeners[:, None]
        return np.asarray(np.einsum("mij,mej->mei", self.axes, away))

    def read(self, measurement: int, emitter: int) -> NDArray[np.float64]:
        """Return the first four channels of one response, `(4, taps)` float64."""
        with open_hdf5(self.path) as file:
            data = _responses(file, self.path)
            rows = min(data.chunks[0], data.shape[0]) if data.chunks else 1
            first = measurement - measurement % rows
            if self._block is None or self._block[0] != first:
                block = np.asarray(data[first : first + rows], np.float64)
                self._block = (first, _as_mren(block, self.axes_of_ir)[:, :FOA_CHANNELS])
        return self._block[1][measurement - first, :, emitter]


def read_header(path: Path) -> Header:
    """Read everything but the taps.

    Raises:
        SynthError: It is no SOFA file of impulse responses, or one of its variables is wrong.
    """
    with open_hdf5(path) as file:
        axes_of_ir, shape = _shape(file, path)
        count, receivers, emitters, _ = shape
        sources = source_points(file, path, count, emitters)
        capsules, harmonic = capsule_directions(file, path, receivers)
        data = _responses(file, path)
        texts = [
            (attribute_text(file, path, k) or "").strip() for k in ("SOFAConventions", "Title", "License")
        ]
        return Header(
            path=path,
            title=" ".join(filter(None, (texts[1], f"({texts[0]})"))),
            licence=texts[2][:200],
            rate=sampling_rate(file, path),
            shape=shape,
            axes_of_ir=axes_of_ir,
            sources=sources,
            listeners=listener_positions(file, path, count),
            axes=listener_axes(file, path, count),
            capsules=capsules,
            harmonic=harmonic,
            said=_said(file, data, path),
            notes=tuple(_delays(file, path)),
        )


def stated_convention(header: Header, caller: Stated) -> tuple[Convention, list[str]]:
    """Decide what the channels are, from the file and the caller, who is believed more.

    Raises:
        SynthError: Neither says it, or the number of channels contradicts it.
    """
    notes = []
    said = header.said
    for name in ("order", "normalisation"):
        mine, theirs = getattr(caller, name), getattr(said, name)
        if mine is not None and theirs is not None and mine != theirs:
            notes.append(f"the file says {name} {theirs}; read as {mine}, as you say")
    kind = caller.kind or _kind(header)
    receivers = header.shape[1]
    if kind == "tetra":
        if receivers != FOA_CHANNELS:
            raise _unclear(header, f"A-format has four capsules, it has {receivers} receivers")
        capsules = None if header.capsules is None else tuple(map(tuple, header.capsules.tolist()))
        if capsules is None:
            notes.append("capsules taken as front-left-up, front-right-down, back-left-down, back-right-up")
        convention = Convention("tetra", capsules=capsules, scaling=caller.scaling)  # type: ignore[arg-type]
        convention.matrix()
        return convention, notes
    if receivers < FOA_CHANNELS or int(np.sqrt(receivers)) ** 2 != receivers:
        raise _unclear(
            header, f"Ambisonics of the first order or higher has 4, 9, 16 ... channels, not {receivers}"
        )
    if receivers > FOA_CHANNELS:
        notes.append(f"the first four of {receivers} channels were taken")
    order = caller.order or said.order
    normalisation = caller.normalisation or said.normalisation
    if order is None or normalisation is None:
        raise _unclear(header, "it states no channel order or no normalisation")
    return Convention("foa", order, normalisation), notes  # type: ignore[arg-type]


def _kind(header: Header) -> str:
    """FOA, unless the receivers are four capsules around a point."""
    if header.harmonic or header.said.order is not None or header.capsules is None:
        return "foa"
    if len(header.capsules) == FOA_CHANNELS:
        try:
            a_to_b_matrix(header.capsules)
        except SynthError:
            return "foa"
        return "tetra"
    return "foa"


def _unclear(header: Header, what: str) -> SynthError:
    return SynthError(
        what,
        where=header.path,
        remedy="say what the channels are: --kind foa|tetra, --order acn|fuma|sid, "
        "--normalisation sn3d|n3d|fuma|maxn",
    )


def _responses(file: h5py.File, path: Path) -> h5py.Dataset:
    data = checked_dataset(file, path, "Data.IR", MAX_DECLARED_BYTES)
    if data is None:
        raise SynthError("it has no Data.IR", where=path, remedy="give a SOFA file of impulse responses")
    return data


def _shape(file: h5py.File, path: Path) -> tuple[str, tuple[int, int, int, int]]:
    kind = (attribute_text(file, path, "DataType") or "").strip().upper()
    data = _responses(file, path)
    axes = _AXES.get(kind)
    if axes is None or data.ndim != len(axes) or 0 in data.shape:
        raise SynthError(
            f"DataType is {kind or None!r} and Data.IR has the shape {data.shape}; read are "
            + ", ".join(f"{k} with ({' '.join(a)})" for k, a in _AXES.items()),
            where=path,
            remedy="convert the file to the convention SingleRoomSRIR",
        )
    sizes = dict(zip(axes, data.shape, strict=True))
    shape = (sizes["M"], sizes["R"], sizes.get("E", 1), sizes["N"])
    if shape[0] * shape[2] > MAX_POSITIONS or shape[1] > MAX_CHANNELS:
        raise SynthError(
            f"it has {shape[0] * shape[2]} positions and {shape[1]} receivers, at most {MAX_POSITIONS} and "
            f"{MAX_CHANNELS} are read",
            where=path,
            remedy="split the file",
        )
    return axes, shape


def _as_mren(block: NDArray[np.float64], axes: str) -> NDArray[np.float64]:
    if axes == "MRN":
        return block[:, :, None]
    return block if axes == "MREN" else np.moveaxis(block, 3, 2)


def _said(file: h5py.File, data: h5py.Dataset, path: Path) -> Stated:
    order = _word(attribute_text(data, path, "ChannelOrdering"), ("acn", "fuma", "sid"))
    normalisation = _word(attribute_text(data, path, "Normalization"), ("sn3d", "n3d", "fuma", "maxn"))
    words = (attribute_text(file, path, "ReceiverDescription") or "").lower().replace(" ", "")
    if order is None and normalisation is None and words in ("acn/sn3d", "acn/n3d", "fuma/fuma", "fuma/maxn"):
        order, normalisation = words.split("/")
    return Stated(None, order, normalisation)


def _word(text: str | None, known: tuple[str, ...]) -> str | None:
    word = (text or "").strip().lower()
    return word if word in known else None


def _delays(file: h5py.File, path: Path) -> Iterator[str]:
    """Delays common to all channels move a response; others would turn it, and are refused."""
    data = checked_dataset(file, path, "Data.Delay")
    if data is None:
        return
    delays = np.asarray(data[...], np.float64)
    if delays.ndim >= 2 and np.ptp(delays, axis=1).max(initial=0.0) > 0:
        raise SynthError(
            "Data.Delay differs between the channels of a response",
            where=path,
            remedy="write the file with the delays in Data.IR",
        )
    if np.any(delays):
        yield "Data.Delay is not zero and is ignored: it moves all channels of a response alike"
