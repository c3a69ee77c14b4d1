"""Catalogs from the folders that SpatialScaper works on: its SOFA rooms, sounds and ambiences.

The files stay where they are. What a `Scaper` object draws from these folders becomes scenes by
`synth.scenes.spatialscaper`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import SynthError
from ..audio import SUFFIXES
from ..tables import SPLITS
from .dcase import BuildProgress, Origin, catalog_of
from .ledger import read_ledger
from .report import BuildReport
from .tree import EVENTS, NOISES, PLACES, Found, Tree

LAYOUT = "spatialscaper"
SPATIALSCAPER_INSTALL = "pip install 'spatialscaper @ git+https://github.com/iranroman/SpatialScaper'"

_ROOMS = "spatialscaper_RIRs"
_AMBIENCES = Path("source_data") / "tau" / "TAU-SNoise_DB"
_FORMATS = {"foa": "foa", "mic": "tetra"}
"""Formats by their names, and the word in the paths of their ambiences."""


def build_scaper_catalog(
    rir_dir: str | Path,
    out: str | Path,
    *,
    foreground_dir: str | Path | None = None,
    root: str | Path | None = None,
    fmt: str = "foa",
    rooms: Sequence[str] | None = None,
    split: str = "train",
    workers: int = 1,
    skip_bad: bool = False,
    licences: str | Path | None = None,
    licence: str = "unknown",
    cache: bool = True,
    progress: BuildProgress | None = None,
) -> BuildReport:
    """Make a catalog of SpatialScaper's folders.

    Rooms are `spatialscaper_RIRs/<room>_<fmt>.sofa` (or `<room>_<fmt>.sofa` in `rir_dir` itself),
    ambiences the files of `source_data/tau/TAU-SNoise_DB` of that format, sounds
    `<class>/**` of `foreground_dir`, under its class names. A sound below a folder `train`, `valid`
    or `test` of its class is of that split.

    Args:
        rir_dir: What `Scaper` calls `rir_dir`.
        out: Folder for the catalog and its cache.
        foreground_dir: What `Scaper` calls `foreground_dir`; None: rooms and ambiences only.
        root: Where the paths start; None: the deepest folder that holds both.
        fmt: "foa" (W, Y, Z, X in SN3D, as its files are) or "mic" (four capsules).
        rooms: Names of rooms; None: all that are there.
        split: Of rooms, ambiences and sounds outside of split folders.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        licences: Table with the columns file, licence[, source].
        licence: Licence of files that `licences` does not list.
        cache: Decode all sounds and room responses now.
        progress: Called with (stage, done, total).

    Raises:
        SynthError: There is no such folder, no room in it, or nothing above both folders but `/`.
    """
    if fmt not in _FORMATS or split not in SPLITS:
        what, allowed = (fmt, _FORMATS) if fmt not in _FORMATS else (split, SPLITS)
        raise SynthError(f"{what!r} is not known", where=LAYOUT, remedy=f"choose one of {', '.join(allowed)}")
    rirs = _folder(rir_dir)
    sounds = None if foreground_dir is None else _folder(foreground_dir)
    base = _root([rirs] if sounds is None else [rirs, sounds], root)
    tree = Tree(base)
    tree.files += _rooms(rirs, base, fmt, rooms, split)
    tree.files += [
        Found(NOISES, split, "", _relative(path, base), ())
        for path in _files(rirs / _AMBIENCES, lambda p: _FORMATS[fmt] in _tail(p, rirs))
    ]
    if sounds is not None:
        tree.files += _sounds(sounds, base, split)
    order = {name: n for n, name in enumerate(SPLITS)}
    tree.files.sort(key=lambda f: (f.table, order[f.split], f.label, f.path))
    return catalog_of(
        tree,
        Path(out),
        layout=LAYOUT,
        origin=Origin(LAYOUT, licence),
        workers=workers,
        skip_bad=skip_bad,
        ledger=None if licences is None else read_ledger(Path(licences)),
        cache=cache,
        progress=progress,
    )


def new_scaper(**settings: Any) -> Any:
    """Return a `Scaper` of the package SpatialScaper.

    Args:
        settings: Its own: duration, foreground_dir, rir_dir, fmt, room, sr, ...

    Raises:
        SynthError: The package is not installed, or does not take these settings.
    """
    try:
        package = importlib.import_module("spatialscaper")
    except ImportError as error:
        raise SynthError(
            f"the package SpatialScaper cannot be imported: {error}",
            where="spatialscaper",
            remedy=f"install it: {SPATIALSCAPER_INSTALL}",
        ) from error
    try:
        return package.Scaper(**settings)
    except (TypeError, OSError, KeyError) as error:
        raise SynthError(
            f"Scaper refuses: {type(error).__name__}: {error}",
            where="spatialscaper",
            remedy="check the settings; its DCASE_format takes the classes of DCASE Task 3 only",
        ) from error


def _folder(path: str | Path) -> Path:
    folder = Path(path).absolute()
    if not folder.is_dir():
        raise SynthError("there is no such folder", where=path, remedy="give the folder that Scaper gets")
    return folder


def _root(folders: Sequence[Path], root: str | Path | None) -> Path:
    base = Path(os.path.commonpath(folders) if root is None else root).absolute()
    if base == base.parent:
        raise SynthError(
            "the folders have nothing above them but the root of the file system",
            where=folders[0],
            remedy="keep them under one folder, or say where paths start (root)",
        )
    for folder in folders:
        if not folder.is_relative_to(base):
            raise SynthError("it is not under the root", where=folder, remedy=f"give a root above {folder}")
    return base


def _rooms(rirs: Path, base: Path, fmt: str, rooms: Sequence[str] | None, split: str) -> list[Found]:
    folder = rirs / _ROOMS if (rirs / _ROOMS).is_dir() else rirs
    ending = f"_{fmt}.sofa"
    there = {path.name.removesuffix(ending): path for path in sorted(folder.glob(f"*{ending}"))}
    absent = sorted(set(rooms or ()) - set(there))
    if absent or not there:
        raise SynthError(
            f"there is no room {absent[0]!r}" if absent else f"there is no room: no file *{ending}",
            where=folder,
            remedy=f"rooms here: {', '.join(there)}"
            if there
            else "make them with its prepare_rirs.py, or give another format",
        )
    return [
        Found(PLACES, split, "", _relative(path, base), ())
        for room, path in there.items()
        if rooms is None or room in rooms
    ]


def _sounds(sounds: Path, base: Path, split: str) -> list[Found]:
    found = []
    for folder in sorted(path for path in sounds.iterdir() if path.is_dir() and path.name[0] != "."):
        for path in _files(folder, lambda _: True):
            parts = path.relative_to(folder).parent.parts
            own = parts[0] if parts and parts[0] in SPLITS else split
            found.append(Found(EVENTS, own, folder.name, _relative(path, base), parts))
    return found


def _files(folder: Path, wanted: Callable[[Path], bool]) -> list[Path]:
    if not folder.is_dir():
        return []
    files = (
        p for p in folder.rglob("*") if p.is_file() and p.suffix.lower() in SUFFIXES and p.name[0] != "."
    )
    return sorted(path for path in files if wanted(path))


def _relative(path: Path, base: Path) -> str:
    return path.relative_to(base).as_posix()


def _tail(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()
