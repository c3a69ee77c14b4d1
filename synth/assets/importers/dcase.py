"""Catalogs from the development sets of DCASE 2025 and 2026 Task 4, or trees laid out like them.

The layout "prepared" is a tree that may lack some of the folders: what `s5kit prepare` writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from ...errors import Problem, SynthError
from ...files import sha256_file
from ...units import FOA_CHANNELS, SCENE_RATE
from ..audio import MAX_BYTES, MAX_SECONDS, probe, samples_at
from ..catalog import Catalog, pool_rows, write_catalog
from ..paths import inside
from ..pool import Keep, build_pool
from ..rirs import RirBank
from ..sofa import read_sofa
from ..tables import TABLES, frame_of
from ..workers import Workers
from .checks import Rows, absent, drop, leaks, ledger_notes
from .ledger import Ledger, read_ledger
from .report import BuildReport, summarise
from .tree import EVENTS, INTERFERERS, NOISES, PLACES, Found, Tree, scan_tree

Layout = Literal["dcase2025", "dcase2026", "prepared"]
PREPARED_LICENCES = "licences.tsv"
"""Table of licences beside a prepared dev_set; read without being named."""
BuildProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""

_MEND = "mend or remove the file"


def build_catalog(
    layout: str,
    root: str | Path,
    out: str | Path,
    *,
    workers: int = 1,
    skip_bad: bool = False,
    licences: str | Path | None = None,
    cache: bool = True,
    dataset: str | None = None,
    licence: str = "unknown",
    set_name: str = "dev",
    progress: BuildProgress | None = None,
) -> BuildReport:
    """Make a catalog of a dev_set tree: look at every file, decode the sounds once, write the tables.

    Args:
        layout: "dcase2025", "dcase2026" or "prepared".
        root: The dev_set, or a folder that holds it as `dev_set` or `data/dev_set`; paths start here.
        out: Folder for the catalog and its cache.
        workers: Processes. With more than one, a script must guard its own code by
            `if __name__ == "__main__"`.
        skip_bad: Leave bad files out instead of refusing the whole.
        licences: Table with the columns file, licence[, source][, set]; `source` becomes the data set.
            None: the one in `root` if the layout is "prepared".
        cache: Decode all sounds and room responses now. Otherwise at first use, which is also when
            damaged, silent and non-finite ones are found.
        dataset: Name of the data set; None: the layout.
        licence: Licence of files that `licences` does not list.
        set_name: Named set of files for which `licences` states none.
        progress: Called with (stage, done, total).

    Returns:
        The report; without `skip_bad` it holds no catalog if there is any problem.

    Raises:
        SynthError: The tree, the licences or the output folder are unusable.
    """
    if layout not in get_args(Layout):
        raise SynthError(
            f"there is no layout {layout!r}",
            where="layout",
            remedy=f"choose one of {', '.join(get_args(Layout))}",
        )
    root, out = Path(root), Path(out)
    if licences is None and layout == "prepared" and (root / PREPARED_LICENCES).is_file():
        licences = root / PREPARED_LICENCES
    tree = scan_tree(root, partial=layout == "prepared")
    return catalog_of(
        tree,
        out,
        layout=layout,
        workers=workers,
        skip_bad=skip_bad,
        ledger=None if licences is None else read_ledger(Path(licences)),
        cache=cache,
        origin=Origin(dataset or layout, licence, set_name),
        complete=layout != "prepared",
        progress=progress,
    )


@dataclass(frozen=True, slots=True)
class Origin:
    """What holds for files of which a ledger says nothing."""

    dataset: str
    licence: str = "unknown"
    set_name: str = "dev"


def catalog_of(
    tree: Tree,
    out: Path,
    *,
    layout: str,
    origin: Origin,
    workers: int = 1,
    skip_bad: bool = False,
    ledger: Ledger | None = None,
    cache: bool = True,
    complete: bool = False,
    progress: BuildProgress | None = None,
) -> BuildReport:
    """Make a catalog of files that were found already; see `build_catalog`.

    Args:
        tree: The files.
        out: Folder for the catalog and its cache.
        layout: What kind of collection it is.
        origin: What holds for files that the ledger does not list.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        ledger: Licences of single files.
        cache: Decode all sounds and room responses now.
        complete: Say which target classes are absent.
        progress: Called with (stage, done, total).
    """
    root = tree.root
    terms = Ledger() if ledger is None else ledger
    with Workers(workers) as pool:
        rows, problems, notes = _probe_all(tree, pool, terms, origin, progress)
        problems = [*tree.problems, *problems, *leaks(root, rows, notes)]
        if cache:
            problems += _fill_caches(rows, root, out, problems, skip_bad, pool, progress)
    notes += ledger_notes(terms, origin.licence, rows) if ledger is not None else []
    notes += absent(rows) if complete else []
    notes += [f"{count} file(s) ending in {end} left alone" for end, count in sorted(tree.ignored.items())]
    catalog: Catalog | None = None
    if skip_bad or not problems:
        catalog = write_catalog(out, layout=layout, root=root, tables=rows, skipped=problems)
    return BuildReport(catalog, tuple(problems), tuple(notes), summarise(rows))


@dataclass(frozen=True, slots=True)
class _Look:
    """What a worker is told about a file."""

    root: Path
    found: Found


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a worker found: a row, rows of positions, and what is peculiar."""

    row: dict[str, Any]
    positions: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


def _probe_all(
    tree: Tree, workers: Workers, ledger: Ledger, origin: Origin, progress: BuildProgress | None
) -> tuple[Rows, list[Problem], list[str]]:
    rows: Rows = {name: [] for name in TABLES}
    problems: list[Problem] = []
    notes: list[str] = []
    looks = [_Look(tree.root, found) for found in tree.files]
    for look, seen in zip(looks, workers.in_order(_look, looks, _stage(progress, "headers")), strict=True):
        if isinstance(seen, Problem):
            problems.append(seen)
            continue
        terms = ledger.find((tree.root / look.found.path).absolute())
        seen.row["dataset"] = origin.dataset if terms is None else terms.source or origin.dataset
        seen.row["licence"] = origin.licence if terms is None else terms.licence
        seen.row["set"] = origin.set_name if terms is None else terms.set or origin.set_name
        rows[look.found.table].append(seen.row)
        rows["positions"] += seen.positions
        notes += seen.notes
    return rows, problems, notes


def _look(look: _Look) -> _Seen | Problem:
    """Read the header and the checksum of one file; runs in a worker."""
    found = look.found
    try:
        path = inside(look.root, found.path)
        return _place(path, found) if found.table == PLACES else _sound(path, found)
    except SynthError as error:
        return Problem(error.where or found.path, error.what, error.remedy)
    except OSError as error:
        return Problem(str(look.root / found.path), f"it cannot be read: {error.strerror}", _MEND)


def _sound(path: Path, found: Found) -> _Seen | Problem:
    info = probe(path)
    if found.table == NOISES and info.channels != FOA_CHANNELS:
        what = f"a noise with {info.channels} channel(s), expected are {FOA_CHANNELS} (W, Y, Z, X)"
        return Problem(str(path), what, "give first-order Ambisonics noise, or remove the file")
    if info.frames > MAX_SECONDS * info.rate or info.frames * info.channels * 4 > MAX_BYTES:
        what = f"{info.frames / info.rate:.0f} s of {info.channels} channel(s) are too much for one sound"
        return Problem(
            str(path), what, f"cut it into files of at most {MAX_SECONDS} s and {MAX_BYTES:,} bytes"
        )
    row: dict[str, Any] = {"path": found.path, "split": found.split}
    if found.table in (EVENTS, INTERFERERS):
        row |= {"label": found.label, "depth": len(found.folders)}
    return _Seen(
        row
        | {
            "source": "/".join(found.folders) or PurePosixPath(found.path).stem,
            "rate": info.rate,
            "channels": info.channels,
            "frames": info.frames,
            "samples": samples_at(info.frames, info.rate, SCENE_RATE),
            "sha256": sha256_file(path),
        }
    )


def _place(path: Path, found: Found) -> _Seen | Problem:
    room = read_sofa(path)
    if room.channels != FOA_CHANNELS:
        what = f"a room with {room.channels} receiver(s), expected are {FOA_CHANNELS} (W, Y, Z, X)"
        return Problem(str(path), what, "give first-order Ambisonics responses, or remove the file")
    row = {
        "path": found.path,
        "place": PurePosixPath(found.path).stem,
        "split": found.split,
        "rate": room.rate,
        "channels": room.channels,
        "taps": room.taps,
        "positions": len(room.positions),
        "sha256": sha256_file(path),
    }
    positions = tuple(_position(found.path, n, xyz) for n, xyz in enumerate(room.positions.tolist()))
    return _Seen(row, positions, tuple(f"{found.path}: {note}" for note in room.notes))


def _position(path: str, n: int, xyz: Sequence[float]) -> dict[str, Any]:
    x, y, z = xyz
    distance = float(np.sqrt(x * x + y * y + z * z))
    azimuth = float(np.rad2deg(np.arctan2(y, x)))
    elevation = float(np.rad2deg(np.arctan2(z, np.hypot(x, y))))
    angles = {"azimuth": azimuth, "elevation": elevation, "distance": distance}
    return {"path": path, "position": n, "x": x, "y": y, "z": z} | angles


def _fill_caches(
    rows: Rows,
    root: Path,
    out: Path,
    known: Sequence[Problem],
    skip_bad: bool,
    workers: Workers,
    progress: BuildProgress | None,
) -> list[Problem]:
    """Decode everything, drop from the rows what cannot be, and say why."""
    keep: Keep = "good" if skip_bad else "nothing" if known else "whole"
    cache = out / "cache"
    problems: list[Problem] = []
    for table in (EVENTS, INTERFERERS, NOISES):
        found = build_pool(
            pool_rows(frame_of(table, rows[table])),
            root,
            cache,
            rate=SCENE_RATE,
            mono=table != NOISES,
            workers=workers,
            keep=keep,
            progress=_stage(progress, table),
        )
        problems += found
    tasks = [_Bank(root / row["path"], row["sha256"], cache) for row in rows[PLACES]]
    banks = workers.in_order(_build_bank, tasks, _stage(progress, "rooms"), few=2)
    problems += [found for found in banks if found is not None]
    bad = {problem.where for problem in problems}
    drop(rows, {row["path"] for table in rows for row in rows[table] if str(root / row["path"]) in bad})
    return problems


@dataclass(frozen=True, slots=True)
class _Bank:
    sofa: Path
    sha256: str
    cache: Path


def _build_bank(task: _Bank) -> Problem | None:
    try:
        RirBank(task.cache).place(task.sofa, task.sha256, SCENE_RATE)
    except SynthError as error:
        if error.where != str(task.sofa):
            raise
        return Problem(error.where, error.what, error.remedy)
    return None


def _stage(progress: BuildProgress | None, stage: str) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, total: progress(stage, done, total)
