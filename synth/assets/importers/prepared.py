"""Prepared sources: a dev_set-like tree with its origin and its licences, whole or absent.

OUT/dev_set/{sound_event,interference,noise,room_ir}/<split>/...
OUT/licences.tsv     file, licence, source, set: for `s5kit catalog build --layout prepared`
OUT/prepared.json    what was asked, from which files, and the size and hash of every file here
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ...errors import Problem, ProblemsError, SynthError
from ...files import sha256_file, write_text
from ..cache import building
from ..paths import path_fault
from ..workers import Progress, Workers
from .dcase import PREPARED_LICENCES

MARKER = "prepared.json"
FORMAT = 1
_MEND = "mend these files, or leave them out by --skip-bad"


@dataclass(frozen=True, slots=True)
class Item:
    """One file that was made.

    Attributes:
        path: From `dev_set`, POSIX.
        licence: Under which it may be used.
        source: The data set.
        set: The named set that recipes choose by.
        origin: Files of the source it was made of, as they are named there.
        note: What was done, and what else is known.
    """

    path: str
    licence: str
    source: str
    set: str
    origin: tuple[str, ...] = ()
    note: str = ""


@dataclass(slots=True)
class Outcome:
    """What came of one job: files, faults of the source, remarks, and what the rules left out."""

    items: list[Item] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work: `make(task, dev_set)`, `make` being a function of a module."""

    make: Callable[[Any, Path], Outcome]
    task: Any


@dataclass(slots=True)
class Survey:
    """What a source holds, seen from outside.

    Attributes:
        jobs: What is to be done, in a fixed order.
        files: Every file that takes part, for the fingerprint.
        problems: What is amiss already.
        notes: What is worth knowing.
    """

    jobs: list[Job] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PreparationReport:
    """The outcome of a preparation.

    Attributes:
        out: The folder.
        result: Its dev_set, or None when problems forbade it.
        fresh: False when it was there already, whole.
        counts: Files by folder of the dev_set.
        problems: Every fault found.
        notes: What is worth knowing.
    """

    out: Path
    result: Path | None
    fresh: bool
    counts: dict[str, int]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]

    @property
    def dev_set(self) -> Path:
        """The tree that was written.

        Raises:
            ProblemsError: None was, because of the problems.
        """
        if self.result is None:
            raise ProblemsError(self.problems, remedy=_MEND)
        return self.result


def prepare_tree(
    out: str | Path,
    source: str,
    options: dict[str, Any],
    survey: Survey,
    *,
    workers: int = 1,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> PreparationReport:
    """Do the jobs of a survey and publish the tree, unless it is there and whole.

    Args:
        out: Its folder; it appears when complete.
        source: Name of the preparation.
        options: What was asked, as JSON.
        survey: What is to be done.
        workers: Processes.
        skip_bad: Leave bad files out instead of refusing the whole.
        progress: Called with (jobs done, jobs in all).

    Raises:
        SynthError: `out` holds something else or is damaged; nothing is to be done; the disk is full.
    """
    out = Path(os.path.abspath(out))
    if not survey.jobs and not survey.problems:
        raise SynthError("there is nothing to prepare", where=source, remedy="look at the folder given")
    request = {
        "source": source,
        "options": options,
        "skip_bad": skip_bad,
        "inputs": fingerprint(survey.files),
    }
    if out.exists():
        return _standing(out, request, survey)
    done = Outcome(problems=list(survey.problems), notes=list(survey.notes))
    report: PreparationReport | None = None
    try:
        with building(out) as folder:
            if folder is None:
                return _standing(out, request, survey)
            _work(folder, survey, done, workers, progress)
            if done.problems and not (skip_bad and done.items):
                raise _RefusedError
            _write_about(folder, request, done)
            report = _report(out, done, fresh=True)
    except _RefusedError:
        report = PreparationReport(out, None, False, {}, tuple(done.problems), tuple(done.notes))
    return report


def fingerprint(files: Iterable[Path]) -> str:
    """A hash over names and sizes: enough to see that the source is another one."""
    digest = hashlib.sha256()
    for path in sorted(files):
        size = path.stat().st_size if path.is_file() else -1
        digest.update(f"{path.parent.name}/{path.name}\0{size}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


class _RefusedError(Exception):
    """There are problems: the staged folder goes."""


def _work(folder: Path, survey: Survey, done: Outcome, workers: int, progress: Progress | None) -> None:
    dev_set = folder / "dev_set"
    dev_set.mkdir()
    with Workers(workers) as pool:
        for outcome in pool.in_order(partial(_do, dev_set), survey.jobs, progress, few=2):
            done.items += outcome.items
            done.problems += outcome.problems
            done.notes += outcome.notes
            done.left_out += outcome.left_out
    done.notes += [f"{n} file(s) left out: {why}" for why, n in sorted(done.left_out.items())]
    twice = [path for path, n in Counter(item.path for item in done.items).items() if n > 1]
    done.problems += [Problem(path, "two files of the source would get this name", _MEND) for path in twice]


def _do(dev_set: Path, job: Job) -> Outcome:
    """Do one job; runs in a worker. Only faults of the source become problems."""
    try:
        return job.make(job.task, dev_set)
    except ProblemsError as error:
        return Outcome(problems=list(error.problems))
    except SynthError as error:
        return Outcome(problems=[Problem(error.where or "", error.what, error.remedy)])


def _write_about(folder: Path, request: dict[str, Any], done: Outcome) -> None:
    items = sorted({item.path: item for item in done.items}.values(), key=lambda item: item.path)
    lines = ["file\tlicence\tsource\tset"]
    for item in items:
        lines.append("\t".join(map(_cell, (f"dev_set/{item.path}", item.licence, item.source, item.set))))
    write_text(folder / PREPARED_LICENCES, "\n".join(lines) + "\n")
    files = {}
    for item in items:
        path = folder / "dev_set" / item.path
        about = {"size": path.stat().st_size, "sha256": sha256_file(path)}
        files[f"dev_set/{item.path}"] = about | {"origin": list(item.origin), "note": item.note}
    ledger = folder / PREPARED_LICENCES
    files[PREPARED_LICENCES] = {"size": ledger.stat().st_size, "sha256": sha256_file(ledger)}
    head = {
        "format": FORMAT,
        "request": request,
        "notes": done.notes,
        "left_out": [[p.where, p.what] for p in done.problems],
        "files": files,
    }
    write_text(folder / MARKER, json.dumps(head, indent=1, sort_keys=True) + "\n")


def _standing(out: Path, request: dict[str, Any], survey: Survey) -> PreparationReport:
    """Report on what lies under the name already, or refuse it."""
    head = _read_marker(out)
    if head["request"] != request:
        keys = [key for key in request if head["request"].get(key) != request[key]]
        raise SynthError(
            f"it holds another preparation ({', '.join(keys)} differ)",
            where=out,
            remedy="give a new folder, or delete this one first",
        )
    bad = [
        Problem(str(out / name), "it is missing or was changed since it was prepared", "prepare it again")
        for name, about in sorted(head["files"].items())
        if not _is_whole(out / name, about)
    ]
    if bad:
        raise ProblemsError(bad, remedy="delete the folder and prepare it again")
    counts = Counter(name.split("/")[1] for name in head["files"] if name.startswith("dev_set/"))
    problems = tuple(Problem(where, what, "left out before") for where, what in head["left_out"])
    notes = tuple(map(str, head["notes"]))
    return PreparationReport(out, out / "dev_set", False, dict(counts), problems, notes)


def _read_marker(out: Path) -> dict[str, Any]:
    try:
        head: dict[str, Any] = json.loads((out / MARKER).read_text("utf-8"))
        for name, about in head["files"].items():
            if path_fault(name) is not None or not isinstance(about["size"], int):
                raise ValueError(name)
        if head["format"] == FORMAT and isinstance(head["request"], dict):
            return head
        raise ValueError("format")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SynthError(
            f"it is in the way: there is no usable {MARKER} in it",
            where=out,
            remedy="give a new folder, or delete this one first",
        ) from error


def _is_whole(path: Path, about: dict[str, Any]) -> bool:
    if not path.is_file() or path.stat().st_size != about["size"]:
        return False
    return bool(sha256_file(path) == about["sha256"])


def _report(out: Path, done: Outcome, *, fresh: bool) -> PreparationReport:
    counts = Counter(item.path.split("/")[0] for item in done.items)
    return PreparationReport(
        out, out / "dev_set", fresh, dict(counts), tuple(done.problems), tuple(done.notes)
    )


def _cell(text: str) -> str:
    return " ".join(text.split()) or "unknown"
