"""The development sets of DCASE 2025 and 2026 Task 4, and what their `config/*.json` add to them.

The configs name the files of FSD50K and EARS that the task uses: objects with `file_name` (in that
collection), `t4_label` (the class) and `convert_path` (where the converted file goes in the tree).
A config is a list of them, or an object whose values are such lists.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from ...errors import Problem, SynthError
from ..audio import SUFFIXES, probe
from ..classes import target_classes
from ..paths import inside, path_fault, target_path
from ..sofa import read_sofa
from ..tables import SPLITS
from ..workers import Progress
from .curation import Curation
from .dry_jobs import DryTask, make_dry
from .ledger import Ledger, read_ledger
from .prepared import Item, Job, Outcome, PreparationReport, Survey, prepare_tree
from .semantic_hearing import survey_interference
from .tree import EVENTS, FOLDERS, PLACES, Found, scan_tree

Collection = Literal["ears", "fsd50k"]
CONFIGS = {"ears": "EARS_config.json", "fsd50k": "FSD50K_config.json"}
LICENCES = {"ears": "CC-BY-NC (not verified: read the licence of EARS)", "fsd50k": "unknown"}
"""Where no table says otherwise. Clips of FSD50K have licences of their own, see `clip_licences`."""

_MAX_JSON = 256 << 20
_CLIPS = "*_clips_info_FSD50K.json"


def prepare_dcase(
    year: Literal[2025, 2026],
    root: str | Path,
    out: str | Path,
    *,
    ears: str | Path | None = None,
    fsd50k: str | Path | None = None,
    semantic_hearing: str | Path | None = None,
    licences: str | Path | None = None,
    rules: Curation | None = None,
    workers: int = 1,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> PreparationReport:
    """Check a development set and add what its configs name: one tree for `s5kit catalog build`.

    Files of the set are linked where the disk allows for it, else copied.

    Args:
        year: 2025 or 2026.
        root: The unpacked development set: a folder that holds `dev_set`, or it.
        out: Folder of the prepared tree.
        ears: Folder of the EARS data set; its files come in by `config/EARS_config.json`.
        fsd50k: Folder of FSD50K; by `config/FSD50K_config.json`.
        semantic_hearing: Folder with `bg_scaper_fmt`; its sounds become interference.
        licences: Table with the columns file, licence[, source] for files of the set itself.
        rules: Of the curation; None: those of the task.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        progress: Called with (files done, files in all).

    Raises:
        SynthError: A folder or a config is unusable.
    """
    rules, survey, root = rules or Curation(), Survey(), Path(root)
    ledger = Ledger() if licences is None else read_ledger(Path(licences))
    tree = scan_tree(root, partial=True)
    survey.problems += tree.problems
    for found in tree.files:
        survey.files.append(root / found.path)
        terms = ledger.find((root / found.path).absolute())
        licence = "unknown" if terms is None else terms.licence
        survey.jobs.append(Job(_take, _Taken(root, found, f"dcase{year}", licence)))
    given: dict[Collection, str | Path | None] = {"ears": ears, "fsd50k": fsd50k}
    for name, folder in given.items():
        if folder is not None:
            _survey_config(name, Path(folder), _config_of(root, name), rules, None, "train", "dev", survey)
    if semantic_hearing is not None:
        survey_interference(Path(semantic_hearing), rules, ("train", "valid"), "unknown", "dev", survey)
    options = {
        "rules": rules.as_json(),
        "added": sorted(name for name, folder in given.items() if folder is not None),
        "semantic_hearing": semantic_hearing is not None,
        "licences": licences is not None,
    }
    return prepare_tree(
        out, f"dcase{year}", options, survey, workers=workers, skip_bad=skip_bad, progress=progress
    )


def prepare_by_config(
    collection: Collection,
    root: str | Path,
    config: str | Path,
    out: str | Path,
    *,
    rules: Curation | None = None,
    split: str = "train",
    licence: str | None = None,
    set_name: str = "dev",
    workers: int = 1,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> PreparationReport:
    """Curate the files of EARS or FSD50K that a config of the task names, as a tree of their own.

    Args:
        collection: "ears" or "fsd50k".
        root: Its folder.
        config: The task's JSON for it.
        out: Folder of the prepared tree.
        rules: Of the curation; None: those of the task.
        split: Where the config's paths name none.
        licence: Of files for which the collection states none; None: see `LICENCES`.
        set_name: Named set.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        progress: Called with (files done, files in all).

    Raises:
        SynthError: The folder or the config is unusable.
    """
    rules, survey = rules or Curation(), Survey()
    _survey_config(collection, Path(root), Path(config), rules, licence, split, set_name, survey)
    options = {"rules": rules.as_json(), "licence": licence, "split": split, "set": set_name}
    return prepare_tree(
        out, collection, options, survey, workers=workers, skip_bad=skip_bad, progress=progress
    )


def clip_licences(root: Path) -> dict[str, str]:
    """Licences of FSD50K's clips by Freesound id, from its `*_clips_info_FSD50K.json`, if it is there."""
    licences: dict[str, str] = {}
    for path in sorted(root.rglob(_CLIPS)):
        clips = _read_json(path)
        if not isinstance(clips, dict):
            raise SynthError("it is no object of clips", where=path, remedy="fetch FSD50K.metadata again")
        for number, about in clips.items():
            if isinstance(about, dict) and isinstance(about.get("license"), str):
                licences[number] = about["license"]
    return licences


@dataclass(frozen=True, slots=True)
class _Taken:
    root: Path
    found: Found
    dataset: str
    licence: str


def _take(task: _Taken, dev_set: Path) -> Outcome:
    """Look at one file of the set and link it into the tree."""
    source = inside(task.root, task.found.path)
    read_sofa(source) if task.found.table == PLACES else probe(source)
    parts = task.found.path.split("/")
    path = "/".join(parts[parts.index(FOLDERS[task.found.table]) :])
    target = target_path(dev_set, path)
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copyfile(source, target)
    return Outcome([Item(path, task.licence, task.dataset, "dev", (task.found.path,), "unchanged")])


def _config_of(root: Path, name: str) -> Path:
    for base in (root, root / "dev_set", root / "data" / "dev_set"):
        if (base / "config" / CONFIGS[name]).is_file():
            return base / "config" / CONFIGS[name]
    raise SynthError(
        f"there is no config/{CONFIGS[name]} in it",
        where=root,
        remedy="unpack the development set whole, or prepare that collection by itself with --config",
    )


def _survey_config(
    collection: Collection,
    root: Path,
    config: Path,
    rules: Curation,
    licence: str | None,
    split: str,
    set_name: str,
    survey: Survey,
) -> None:
    there = _Index(root)
    licences = clip_licences(root) if collection == "fsd50k" else {}
    default = licence or LICENCES[collection]
    survey.files.append(config)
    for number, entry in enumerate(_entries(config)):
        where = f"{config}: entry {number}"
        fault, target, name = _target(entry, split)
        file = there.find(name) if fault is None else None
        if isinstance(file, str):
            fault = file
        if fault is not None or not isinstance(file, Path):
            remedy = "unpack the collection whole, and take the config of the same edition"
            survey.problems.append(Problem(where, fault or "it names no file", remedy))
            continue
        survey.files.append(file)
        origin = file.relative_to(root).as_posix()
        terms = licences.get(file.stem, default)
        task = DryTask(file, target, rules, terms, collection, set_name, origin)
        survey.jobs.append(Job(make_dry, task))


class _Index:
    """Sound files of a collection, found by the end of their path."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for folder, _, names in os.walk(root):
            for name in sorted(names):
                if os.path.splitext(name)[1].lower() in SUFFIXES:
                    self._by_stem[os.path.splitext(name)[0]].append(Path(folder, name))
        if not self._by_stem:
            raise SynthError("there is no sound file in it", where=root, remedy="give its folder, unpacked")

    def find(self, name: str) -> Path | str:
        """Return the one file whose path ends in `name` (its ending may be left out), or the fault."""
        *folders, last = PurePosixPath(name).parts or ("",)
        stem, ending = os.path.splitext(last)
        found = []
        for path in self._by_stem.get(stem if ending.lower() in SUFFIXES else last, ()):
            above = path.relative_to(self.root).parts[:-1]
            if list(above[max(0, len(above) - len(folders)) :]) == folders:
                found.append(path)
        if len(found) == 1:
            try:
                return inside(self.root, found[0].relative_to(self.root).as_posix())
            except SynthError as error:
                return error.what
        return f"{name} is missing" if not found else f"{name} could be any of {len(found)} files"


def _entries(config: Path) -> Iterator[dict[str, Any]]:
    """Entries of a list, or of all lists of an object."""
    data = _read_json(config)
    groups: Iterable[Any] = (
        [data] if isinstance(data, list) else data.values() if isinstance(data, dict) else ()
    )
    count = 0
    for group in groups:
        for entry in group if isinstance(group, list) else ():
            if not isinstance(entry, dict):
                raise SynthError("an entry is no object", where=config, remedy="fetch the config again")
            count += 1
            yield entry
    if count == 0:
        raise SynthError("it lists no files", where=config, remedy="give the config of the development set")


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ValueError(f"it is larger than {_MAX_JSON:,} bytes")
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise SynthError(
            f"it cannot be read as JSON: {error}", where=path, remedy="fetch it again"
        ) from error


def _target(entry: dict[str, Any], split: str) -> tuple[str | None, str, str]:
    """Fault, path from dev_set, and name in the collection of one entry."""
    name, label, to = (str(entry.get(key) or "").strip() for key in ("file_name", "t4_label", "convert_path"))
    if not name or not label:
        return "file_name or t4_label is missing", "", ""
    if label not in target_classes():
        return f"t4_label {label!r} is none of the 18 classes", "", ""
    parts = PurePosixPath(to or name).parts
    events = FOLDERS[EVENTS]
    if events in parts:
        parts = parts[parts.index(events) + 1 :]
    where = parts[0] if parts and parts[0] in SPLITS else split
    rest = parts[1:] if parts and parts[0] in SPLITS else parts
    if label in rest:
        rest = rest[rest.index(label) + 1 :]
    if not rest or not PurePosixPath(rest[-1]).suffix:
        rest = (*rest, PurePosixPath(name).name)
    path = "/".join((events, where, label, *rest))
    fault = path_fault(path) or path_fault(name)
    return (f"{to or name!r}: {fault}" if fault else None), path, name
