"""What lies in a dev_set tree: sounds and rooms by kind, split and class, and what is amiss there."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import Problem, SynthError
from ..audio import SUFFIXES
from ..classes import target_classes
from ..tables import SPLITS

EVENTS, INTERFERERS, NOISES, PLACES = "events", "interferers", "noises", "places"
FOLDERS = {EVENTS: "sound_event", INTERFERERS: "interference", NOISES: "noise", PLACES: "room_ir"}
"""Tables of a catalog and the folders of a dev_set that fill them."""

_LABELLED = (EVENTS, INTERFERERS)


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a tree: its table, its split, its class ("" where there are none), its path from the
    root, and the folders between the class and the file."""

    table: str
    split: str
    label: str
    path: str
    folders: tuple[str, ...]


@dataclass(slots=True)
class Tree:
    """What was found under a root, in a fixed order."""

    root: Path
    files: list[Found] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def scan_tree(root: Path, *, partial: bool = False) -> Tree:
    """Find the files of a dev_set.

    Args:
        root: The dev_set, or a folder that holds it as `dev_set` or `data/dev_set`.
        partial: Allow for only some of its folders, e.g. rooms alone.

    Raises:
        SynthError: There is no dev_set.
    """
    tree = Tree(root)
    base = _dev_set(root, partial)
    visited = {os.path.realpath(base)}
    for table, name in FOLDERS.items():
        for split in SPLITS:
            folder = base / name / split
            if folder.is_dir():
                _scan_split(tree, table, split, folder, visited)
    order = {split: n for n, split in enumerate(SPLITS)}
    tree.files.sort(key=lambda f: (f.table, order[f.split], f.label, f.path))
    return tree


def _dev_set(root: Path, partial: bool) -> Path:
    for base in (root, root / "dev_set", root / "data" / "dev_set"):
        if partial and any((base / name / split).is_dir() for name in FOLDERS.values() for split in SPLITS):
            return base
        if (base / FOLDERS[EVENTS]).is_dir():
            for table in (EVENTS, NOISES, PLACES):
                if not any((base / FOLDERS[table] / split).is_dir() for split in SPLITS):
                    raise _no_dev_set(base, f"{FOLDERS[table]}/train and {FOLDERS[table]}/valid are missing")
            return base
    raise _no_dev_set(root, f"there is no folder {FOLDERS[EVENTS]}")


def _no_dev_set(where: Path, fault: str) -> SynthError:
    return SynthError(
        f"it is no dev_set: {fault}",
        where=where,
        remedy=f"give the folder that holds {', '.join(FOLDERS.values())}, each with train and valid",
    )


def _scan_split(tree: Tree, table: str, split: str, folder: Path, visited: set[str]) -> None:
    if table not in _LABELLED:
        _scan_files(tree, table, split, "", folder, visited)
        return
    for entry in _entries(tree, folder):
        if not entry.is_dir():
            if not _ignored(tree, entry.name):
                _complain(tree, entry.path, "it lies beside the class folders", "move it into one of them")
        elif table == EVENTS and entry.name not in target_classes():
            near = difflib.get_close_matches(entry.name, target_classes(), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            _complain(
                tree, entry.path, f"{entry.name!r} is none of the 18 classes{hint}", "rename or remove it"
            )
        else:
            _scan_files(tree, table, split, entry.name, Path(entry.path), visited)


def _scan_files(tree: Tree, table: str, split: str, label: str, folder: Path, visited: set[str]) -> None:
    before = len(tree.files), len(tree.problems)
    for path, folders in _walk(tree, folder, (), visited):
        suffix = os.path.splitext(path)[1].lower()
        if suffix == ".sofa" if table == PLACES else suffix in SUFFIXES:
            relative = Path(path).relative_to(tree.root).as_posix()
            tree.files.append(Found(table, split, label, relative, folders))
        else:
            tree.ignored[suffix or "(no ending)"] += 1
    if (len(tree.files), len(tree.problems)) == before:
        what = "room" if table == PLACES else "sound"
        _complain(tree, folder, f"there is no {what} in it", "put files into it or remove the folder")


def _walk(
    tree: Tree, folder: Path, below: tuple[str, ...], visited: set[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    real = os.path.realpath(folder)
    if real in visited:
        _complain(tree, folder, "its files are reached twice, through a link", "remove the link")
        return
    visited.add(real)
    for entry in _entries(tree, folder):
        if entry.is_dir():
            yield from _walk(tree, Path(entry.path), (*below, entry.name), visited)
        elif not _hidden(entry.name):
            yield entry.path, below


def _entries(tree: Tree, folder: Path) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder by name, without hidden ones and those that lead out of the root."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        _complain(tree, folder, f"it cannot be read: {error.strerror}", "change its permissions")
        return
    root = os.path.realpath(tree.root)
    for entry in entries:
        if _hidden(entry.name):
            continue
        if entry.is_symlink() and os.path.commonpath((os.path.realpath(entry.path), root)) != root:
            remedy = "copy what it leads to under the root, or give another root"
            _complain(tree, entry.path, "a symbolic link that leads out of the root", remedy)
        elif not _is_text(entry.name):
            _complain(tree, repr(entry.path), "its name is not UTF-8", "rename it")
        else:
            yield entry


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _ignored(tree: Tree, name: str) -> bool:
    """Count a stray file that is no sound; a stray sound is a fault."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix in SUFFIXES:
        return False
    tree.ignored[suffix or "(no ending)"] += 1
    return True


def _complain(tree: Tree, where: str | Path, what: str, remedy: str) -> None:
    tree.problems.append(Problem(str(where), what, remedy))
