"""Interference of Semantic Hearing: the folder `bg_scaper_fmt` of its BinauralCuratedDataset."""

from __future__ import annotations

import os
from pathlib import Path

from ...errors import Problem, SynthError
from ..audio import SUFFIXES
from ..paths import path_fault
from ..workers import Progress
from .curation import Curation
from .dry_jobs import DryTask, make_dry
from .prepared import Job, PreparationReport, Survey, prepare_tree

DATASET = "semantic-hearing"
FOLDER = "bg_scaper_fmt"
SPLITS = {"train": "train", "val": "valid", "valid": "valid", "test": "test"}
"""Folders there, and our splits."""


def prepare_semantic_hearing(
    root: str | Path,
    out: str | Path,
    *,
    rules: Curation | None = None,
    splits: tuple[str, ...] = ("train", "valid"),
    licence: str = "unknown",
    set_name: str = "dev",
    workers: int = 1,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> PreparationReport:
    """Curate the background sounds into `interference/<split>/<class>/`.

    Args:
        root: The folder `bg_scaper_fmt`, or one that holds it (also below BinauralCuratedDataset).
        out: Folder of the prepared tree.
        rules: Of the curation; None: those of the task.
        splits: Ours; those to take.
        licence: Of the sounds (the collection mixes several; it states none per file).
        set_name: Named set.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        progress: Called with (files done, files in all).

    Raises:
        SynthError: There is no such folder, or nothing in it.
    """
    rules, survey = rules or Curation(), Survey()
    survey_interference(Path(root), rules, splits, licence, set_name, survey)
    options = {
        "rules": rules.as_json(),
        "splits": list(splits),
        "licence": licence,
        "set": set_name,
    }
    return prepare_tree(out, DATASET, options, survey, workers=workers, skip_bad=skip_bad, progress=progress)


def survey_interference(
    root: Path, rules: Curation, splits: tuple[str, ...], licence: str, set_name: str, survey: Survey
) -> None:
    """Add the curation of every sound to a survey."""
    base = _folder(root)
    for split in sorted(p for p in base.iterdir() if p.is_dir() and p.name in SPLITS):
        if SPLITS[split.name] not in splits:
            continue
        for path in sorted(split.rglob("*")):
            parts = path.relative_to(split).parts
            if not path.is_file() or path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            target = "/".join(("interference", SPLITS[split.name], *parts))
            fault = path_fault(target)
            if len(parts) < 2:
                fault = "it lies beside the class folders"
            elif os.path.commonpath((os.path.realpath(path), os.path.realpath(root))) != os.path.realpath(
                root
            ):
                fault = "it is a link that leads out of the collection"
            if fault is not None:
                survey.problems.append(Problem(str(path), fault, "copy it into a folder named by its class"))
                continue
            survey.files.append(path)
            origin = "/".join((split.name, *parts))
            task = DryTask(path, target, rules, licence, DATASET, set_name, origin)
            survey.jobs.append(Job(make_dry, task))


def _folder(root: Path) -> Path:
    for base in (root, root / FOLDER, root / "BinauralCuratedDataset" / FOLDER):
        if any((base / name).is_dir() for name in SPLITS) and (base.name == FOLDER or base == root):
            return base
    raise SynthError(
        f"there is no folder {FOLDER} with train and val in it",
        where=root,
        remedy="unpack BinauralCuratedDataset.tar and give its folder",
    )
