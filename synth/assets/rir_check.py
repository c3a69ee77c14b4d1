"""Quality of the responses of places: figures per place, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import Problem, SynthError
from ..units import FOA_CHANNELS, Decibels, Degrees, Hertz, Samples, Seconds
from .catalog import Catalog
from .paths import inside
from .room_acoustics import RirFigures, angle_between, angles_of, is_clipped, rir_figures
from .sofa import read_sofa
from .workers import Progress, Workers

MAX_DIRECTION_ERROR: Degrees = 20.0
"""Median error of the direct path beyond which a place is wrong."""
MAX_DIPOLE_ERROR: Decibels = 1.5
"""Median deviation of Y, Z, X from SN3D beyond which its normalisation is wrong."""
_POINTS = 400


@dataclass(frozen=True, slots=True)
class PlaceFigures:
    """What `s5kit rirs check` says about one place.

    Attributes:
        path: The SOFA file.
        place: Its stem.
        count: Responses.
        rate: Hz.
        taps: Their length.
        rt60: Seconds, per response; nan where it cannot be told.
        drr: Direct-to-reverberant ratio in dB, per response.
        direction_error: Angle between stated and found direction in degrees, per response.
        stated: Azimuth and elevation in degrees, `(count, 2)`, from the positions of the file.
        found: The same from the intensity of the direct path.
        dipole_level: Y, Z, X against W in the direct path, dB, per response; 0 is SN3D.
        noise_floor: Level of the last tenth against the peak, dB, per response.
        clipped: Rows whose extreme value lasts for three samples or more.
        silent: Rows without sound.
        decay: Schroeder curve of the first response in dB, at most 400 points over its length.
    """

    path: Path
    place: str
    count: int
    rate: Hertz
    taps: Samples
    rt60: NDArray[np.float64]
    drr: NDArray[np.float64]
    direction_error: NDArray[np.float64]
    stated: NDArray[np.float64]
    found: NDArray[np.float64]
    dipole_level: NDArray[np.float64]
    noise_floor: NDArray[np.float64]
    clipped: tuple[int, ...]
    silent: tuple[int, ...]
    decay: NDArray[np.float64]

    @property
    def seconds(self) -> Seconds:
        """Length of a response."""
        return self.taps / self.rate

    def median(self, name: str) -> float:
        """Median over the responses of an attribute, e.g. "rt60"; nan where none has a value."""
        return _middle(getattr(self, name))

    @property
    def worst_direction_error(self) -> Degrees:
        """Largest angle between stated and found direction; nan where none is found."""
        finite = self.direction_error[np.isfinite(self.direction_error)]
        return float(finite.max()) if len(finite) else float("nan")


@dataclass(frozen=True, slots=True)
class RirReport:
    """Figures of every place that can be read, and all faults."""

    places: tuple[PlaceFigures, ...]
    problems: tuple[Problem, ...]


def check_rirs(where: str | Path, *, workers: int = 1, progress: Progress | None = None) -> RirReport:
    """Measure every response of a catalog, of a folder of SOFA files, or of one SOFA file.

    Channels are taken as W Y Z X in SN3D, as everywhere in s5kit.

    Args:
        where: A catalog's folder, a folder, or a file.
        workers: Processes.
        progress: Called with (places done, places in all).

    Raises:
        SynthError: There is no place at all.
    """
    files = _files(Path(where))
    places: list[PlaceFigures] = []
    problems: list[Problem] = []
    with Workers(workers) as pool:
        for result in pool.in_order(_measure, files, progress, few=2):
            if isinstance(result, Problem):
                problems.append(result)
            else:
                places.append(result)
                problems += _faults(result)
    return RirReport(tuple(places), tuple(problems))


def _files(where: Path) -> Sequence[Path]:
    if where.is_file():
        return [where]
    if (where / "catalog.json").is_file():
        catalog = Catalog.load(where)
        return [inside(catalog.root, path) for path in catalog.places["path"].tolist()]
    files = sorted(p for p in where.rglob("*.sofa") if p.is_file() and not p.name.startswith("."))
    if not files:
        raise SynthError(
            "there are no rooms in it",
            where=where,
            remedy="give a catalog, a folder of SOFA files, or a SOFA file",
        )
    return files


def _measure(path: Path) -> PlaceFigures | Problem:
    try:
        return place_figures(path)
    except SynthError as error:
        return Problem(error.where or str(path), error.what, error.remedy)


def place_figures(path: Path) -> PlaceFigures:
    """Measure every response of one SOFA file.

    Raises:
        SynthError: It cannot be read, or has not four channels.
    """
    room = read_sofa(path)
    if room.channels != FOA_CHANNELS:
        raise SynthError(
            f"it has {room.channels} channels, expected are W, Y, Z, X",
            where=path,
            remedy="convert it by `s5kit prepare sofa`",
        )
    figures: list[RirFigures] = []
    decay: NDArray[np.float64] = np.zeros(0)
    for _, block in room.blocks():
        if not figures:
            decay = schroeder(block[0, 0].astype(np.float64))
        figures += [rir_figures(taps, room.rate) for taps in block]
    found = np.array([f.direction for f in figures])
    with np.errstate(invalid="ignore"):
        errors = angle_between(found, room.positions)
    return PlaceFigures(
        path=path,
        place=path.stem,
        count=len(figures),
        rate=room.rate,
        taps=room.taps,
        rt60=np.array([f.rt60 for f in figures]),
        drr=np.array([f.drr for f in figures]),
        direction_error=errors,
        stated=np.array([angles_of(p) for p in room.positions]),
        found=np.array([angles_of(d) for d in found]),
        dipole_level=np.array([f.dipole_level for f in figures]),
        noise_floor=np.array([f.noise_floor for f in figures]),
        clipped=tuple(n for n, f in enumerate(figures) if is_clipped(f)),
        silent=tuple(n for n, f in enumerate(figures) if f.silent),
        decay=decay,
    )


def schroeder(w: NDArray[np.float64]) -> NDArray[np.float64]:
    """Backward-integrated energy in dB, `(<= 400,)`, evenly spaced over the response."""
    energy = np.cumsum((w**2)[::-1])[::-1]
    at = np.unique(np.linspace(0, len(w) - 1, min(_POINTS, len(w))).astype(np.int64))
    return np.asarray(10 * np.log10(np.maximum(energy[at] / max(energy[0], 1e-300), 1e-12)))


def _middle(values: NDArray[np.float64]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _faults(place: PlaceFigures) -> list[Problem]:
    faults = []
    if place.silent:
        faults.append((f"{len(place.silent)} response(s) are silent: {_some(place.silent)}", "remove them"))
    if place.clipped:
        what = f"{len(place.clipped)} response(s) are clipped: {_some(place.clipped)}"
        faults.append((what, "measure them again, or leave the place out"))
    error = place.median("direction_error")
    if error > MAX_DIRECTION_ERROR:
        what = f"the direct path is {error:.1f} degrees (median) from where the positions say"
        faults.append((what, "check the order of the channels and the sense of the angles"))
    level = place.median("dipole_level")
    if abs(level) > MAX_DIPOLE_ERROR:
        what = f"Y, Z, X are {level:+.1f} dB against SN3D in the direct path (median)"
        faults.append((what, "check the normalisation: N3D gives +4.8, FuMa +3.0, sums of capsules -4.8"))
    return [Problem(str(place.path), what, remedy) for what, remedy in faults]


def _some(rows: Sequence[int]) -> str:
    return ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
