"""Is a catalog fit to train on and to test with? Leaks between splits, copies, classes, licences."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..errors import Problem, SynthError
from .catalog import Catalog
from .fingerprint import Fingerprint, find_matches, fingerprint_file
from .licences import LedgerRow, ledger_of
from .paths import inside
from .workers import Workers

if TYPE_CHECKING:
    from pandas import DataFrame

Kind: TypeAlias = Literal[
    "content", "source", "place", "noise", "near-duplicate", "few-sources", "unreadable"
]
AuditProgress: TypeAlias = Callable[[int, int], None]
"""Called with (sounds listened to, sounds in all)."""

MIN_SOURCES = 3
_SOUNDS = ("events", "interferers", "noises")
_TABLES = (*_SOUNDS, "places")
_GENERIC = re.compile(r"[a-z]{0,12}[-_ ]?\d{1,3}", re.IGNORECASE)
_PART = re.compile(r"[-_](split|seg|segment|part|chunk|take|ch)[-_]?\d+$", re.IGNORECASE)
_ENVIRONMENT = re.compile(r"pid[-_]?(\d+)", re.IGNORECASE)
_KEEP_ONE = "keep it in one split only"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the check found; `leak` says that it spoils results."""

    kind: Kind
    leak: bool
    problem: Problem


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What the check found.

    Attributes:
        findings: Leaks first, in a fixed order.
        ledger: Files under each licence.
        listened: Sounds whose fingerprints were compared.
    """

    findings: tuple[Finding, ...]
    ledger: tuple[LedgerRow, ...]
    listened: int

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Return what spoils results."""
        return tuple(finding for finding in self.findings if finding.leak)


def audit_catalog(
    catalog: Catalog,
    *,
    listen: bool = True,
    min_sources: int = MIN_SOURCES,
    workers: int = 1,
    progress: AuditProgress | None = None,
) -> AuditReport:
    """Look for what spoils training and testing.

    Leaks are what two splits share: a file's content; a source (a speaker, an object, a Freesound
    sound: the first of the folders below the class, else the stem without its part number); a
    place; a noise recording; and, found by fingerprint, one recording inside another. A source
    whose name is only a word and up to three digits ("object1") counts within its class, any
    other within its data set. FOA-MEIR's environments ("pid0031") count across data sets.

    Args:
        catalog: Its files must be where it says if `listen`.
        listen: Compare fingerprints, which decodes every sound.
        min_sources: Classes of the training split with fewer sources are mentioned.
        workers: Processes that decode.
        progress: Called with (sounds done, sounds in all).
    """
    findings = [
        *_same_content(catalog, _SOUNDS),
        *_same_content(catalog, ("places",)),
        *_same_sources(catalog),
        *_same_places(catalog),
        *_same_noises(catalog),
        *_few_sources(catalog, min_sources),
    ]
    listened = 0
    if listen:
        heard, listened = _near_duplicates(catalog, workers, progress)
        findings += heard
    findings.sort(key=lambda finding: not finding.leak)
    return AuditReport(tuple(findings), catalog_ledger(catalog), listened)


def catalog_ledger(catalog: Catalog) -> tuple[LedgerRow, ...]:
    """Return how many files of a catalog are under which licence."""
    tables = [getattr(catalog, table) for table in _TABLES]
    pairs = (pair for t in tables for pair in zip(t["dataset"].tolist(), t["licence"].tolist(), strict=True))
    return ledger_of(pairs)


def _same_content(catalog: Catalog, tables: Sequence[str]) -> list[Finding]:
    frames = [getattr(catalog, table) for table in tables]
    rows = (row for frame in frames for row in zip(frame["sha256"].tolist(), *_where(frame), strict=True))
    findings = []
    for members in _groups(rows).values():
        if len({split for split, _ in members}) > 1:
            findings.append(_leak("content", catalog, members, "the same content is in"))
        elif len(members) > 1:
            what = f"the same content is in {members[0][1]}"
            findings.append(_note("content", catalog, members[1][1], what, "keep one of the copies"))
    return findings


def _same_sources(catalog: Catalog) -> list[Finding]:
    rows: list[tuple[tuple[str, ...], str, str]] = []
    for frame in (catalog.events, catalog.interferers):
        columns = (frame[name].tolist() for name in ("dataset", "label", "source", "depth"))
        keys = (_source_key(*cells) for cells in zip(*columns, strict=True))
        rows += zip(keys, *_where(frame), strict=True)
    return [
        _leak("source", catalog, members, f"the same source ({key[-1]}) is heard in")
        for key, members in _groups(rows).items()
        if len({split for split, _ in members}) > 1
    ]


def _source_key(dataset: str, label: str, source: str, depth: int) -> tuple[str, ...]:
    name = source.split("/")[0] if depth else _recording(source)
    return (dataset, label, name) if _GENERIC.fullmatch(name) and not name.isdigit() else (dataset, name)


def _same_places(catalog: Catalog) -> list[Finding]:
    frame = catalog.places
    keys = map(_place_key, frame["dataset"].tolist(), frame["place"].tolist())
    return [
        _leak("place", catalog, members, f"the same place ({key[-1]}) is in")
        for key, members in _groups(zip(keys, *_where(frame), strict=True)).items()
        if len({split for split, _ in members}) > 1
    ]


def _same_noises(catalog: Catalog) -> list[Finding]:
    frame = catalog.noises
    keys = map(_place_key, frame["dataset"].tolist(), map(_recording, frame["source"].tolist()))
    return [
        _leak("noise", catalog, members, f"the same noise recording ({key[-1]}) is in")
        for key, members in _groups(zip(keys, *_where(frame), strict=True)).items()
        if len({split for split, _ in members}) > 1
    ]


def _place_key(dataset: str, name: str) -> tuple[str, ...]:
    found = _ENVIRONMENT.search(name)
    return ("FOA-MEIR", f"pid{int(found[1]):04d}") if found else (dataset, name)


def _recording(stem: str) -> str:
    """Return the name of a recording without the numbers of its parts and channels."""
    while (short := _PART.sub("", stem)) != stem and short:
        stem = short
    return stem


def _few_sources(catalog: Catalog, least: int) -> list[Finding]:
    frame = catalog.events[catalog.events["split"] == "train"]
    sources: dict[str, set[tuple[str, str]]] = defaultdict(set)
    columns = (frame[name].tolist() for name in ("label", "dataset", "source", "depth"))
    for label, dataset, source, depth in zip(*columns, strict=True):
        sources[label].add((dataset, source.split("/")[0] if depth else source))
    return [
        Finding(
            "few-sources",
            False,
            Problem(
                f"events: {label}",
                f"its training sounds are from {len(found)} source(s), fewer than {least}",
                "add recordings of other sources, or expect little of this class",
            ),
        )
        for label, found in sorted(sources.items())
        if len(found) < least
    ]


@dataclass(frozen=True, slots=True)
class _Listen:
    root: Path
    path: str


def _near_duplicates(
    catalog: Catalog, workers: int, progress: AuditProgress | None
) -> tuple[list[Finding], int]:
    rows: list[tuple[str, str, str]] = []
    for table in _SOUNDS:
        frame = getattr(catalog, table)
        rows += zip(frame["path"].tolist(), frame["split"].tolist(), frame["sha256"].tolist(), strict=True)
    findings: list[Finding] = []
    heard: list[tuple[str, str, str]] = []
    prints: list[Fingerprint] = []
    tasks = [_Listen(catalog.root, path) for path, _, _ in rows]
    with Workers(workers) as pool:
        for row, found in zip(rows, pool.in_order(_fingerprint, tasks, progress), strict=True):
            if isinstance(found, Problem):
                findings.append(Finding("unreadable", True, found))
            else:
                heard.append(row)
                prints.append(found)
    for match in find_matches(prints):
        (path, split, sha256), (other, other_split, other_sha256) = heard[match.first], heard[match.second]
        if sha256 == other_sha256:
            continue  # reported as the same content
        what = f"{match.share:.0%} of its fingerprint is in {other} ({other_split})"
        if split != other_split:
            problem = Problem(str(catalog.root / path), f"{split}: {what}", f"listen to both; {_KEEP_ONE}")
            findings.append(Finding("near-duplicate", True, problem))
        else:
            findings.append(_note("near-duplicate", catalog, path, what, "listen to both; keep one"))
    return findings, len(heard)


def _fingerprint(task: _Listen) -> Fingerprint | Problem:
    """Listen to one file; runs in a worker."""
    try:
        return fingerprint_file(inside(task.root, task.path))
    except SynthError as error:
        return Problem(error.where or task.path, error.what, error.remedy)
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        return Problem(str(task.root / task.path), what, "check that the file is there and may be read")


_Members: TypeAlias = list[tuple[str, str]]
"""(split, path) of rows that belong together."""


def _where(frame: DataFrame) -> tuple[list[str], list[str]]:
    return frame["split"].tolist(), frame["path"].tolist()


def _groups(rows: Iterable[tuple[object, str, str]]) -> dict[tuple[str, ...], _Members]:
    found: dict[tuple[str, ...], _Members] = defaultdict(list)
    for key, split, path in rows:
        found[key if isinstance(key, tuple) else (str(key),)].append((split, path))
    return found


def _leak(kind: Kind, catalog: Catalog, members: Sequence[tuple[str, str]], what: str) -> Finding:
    """Return a leak: one line per group, naming one file of each split."""
    examples = dict(reversed(members))
    named = ", ".join(f"{split}: {path}" for split, path in sorted(examples.items()))
    more = f" ({len(members)} files)" if len(members) > len(examples) else ""
    first = sorted(examples.items())[0][1]
    return Finding(kind, True, Problem(str(catalog.root / first), f"{what} {named}{more}", _KEEP_ONE))


def _note(kind: Kind, catalog: Catalog, path: str, what: str, remedy: str) -> Finding:
    return Finding(kind, False, Problem(str(catalog.root / path), what, remedy))
