"""Fetching all files of a source, once per node, and saying what is missing."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import Problem, ProblemsError, SynthError
from .fetch import PATIENT, DiskError, Patience, Progress, fetch
from .kept import Kept
from .record import read_listing
from .table import RemoteFile, Source, find_source, load_sources
from .zips import archives, missing_parts

_LOCK = ".s5kit-download.lock"


@dataclass(frozen=True, slots=True)
class FileState:
    """One file of a source.

    Attributes:
        name: Its name.
        state: "fetched" now, "there" already, "partial" or "missing".
        bytes: How many are here.
        checked: What it was compared with: "sha256", "md5", or "recorded" (nothing was known; what
            came is recorded and holds from now on); "" when it is not whole.
        address: Where it is to be had; None when that is not known.
    """

    name: str
    state: str
    bytes: int
    checked: str = ""
    address: str | None = None


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """What is in a folder now.

    Attributes:
        source: Its name in the table.
        folder: Where the files are.
        files: Every file that is known of.
        notes: What is worth knowing.
        by_hand: How to get the rest without the command; "" when nothing is missing.
    """

    source: str
    folder: Path
    files: tuple[FileState, ...]
    notes: tuple[str, ...] = ()
    by_hand: str = ""

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, as far as that is known."""
        return not self.by_hand


def download_source(
    name: str,
    folder: str | Path,
    *,
    table: Path | None = None,
    accept_terms: bool = False,
    verify: bool = False,
    patience: Patience = PATIENT,
    progress: Progress | None = None,
    waiting: Callable[[], None] | None = None,
) -> DownloadReport:
    """Fetch all files of a source that are not in the folder yet.

    Local processes that ask for the same folder at the same time (the ranks of `accelerate launch`)
    take turns: the first fetches, the others find everything there.

    Args:
        name: Of a source of the table.
        folder: Where the files go; made if needed.
        table: A table of your own; None: the one that s5kit ships.
        accept_terms: The terms that the table names have been read and are accepted.
        verify: Read files again that were found whole before.
        patience: How often and how long to try.
        progress: Told of every piece that comes.
        waiting: Called when another process is at work in the folder.

    Raises:
        ProblemsError: Some files could not be fetched or are not what the table says; all are named,
            the others are there.
        SynthError: There is no such source, no address, terms are not accepted, or the disk is full.
    """
    source = find_source(name, load_sources(table))
    folder = Path(folder)
    _require_terms(name, source, accept_terms)
    if not source.has_addresses:
        raise SynthError("no public address of it is on record", where=name, remedy=_by_hand(source, folder))
    with _disk_errors(folder), _gate(folder, waiting):
        kept = Kept(folder, name)
        states, problems = [], []
        for file in _files(source, kept, folder, patience):
            try:
                states.append(_one(file, folder, kept, verify, patience, progress))
            except DiskError:
                raise
            except SynthError as error:
                problems.append(Problem(error.where or file.name, error.what, error.remedy))
    if problems:
        raise ProblemsError(problems, remedy=f"run the command again, or {_by_hand(source, folder)}")
    return DownloadReport(name, folder, tuple(states), tuple(_notes(source, folder, states)))


def download_state(name: str, folder: str | Path, *, table: Path | None = None) -> DownloadReport:
    """Say what of a source is in a folder, what is missing and how to get it by hand; fetch nothing.

    Raises:
        SynthError: There is no such source, or the folder is another source's.
    """
    source = find_source(name, load_sources(table))
    folder = Path(folder)
    kept = Kept(folder, name)
    states, notes = [], []
    for file in kept.listing or source.files:
        found, fault = kept.find(kept.expected(file))
        part = folder / f".{file.name}.part"
        if found is not None:
            states.append(FileState(file.name, "there", found.bytes, found.checked, file.address))
            continue
        if fault is not None:
            notes.append(f"{fault}: remove it to fetch it again")
        here = part.stat().st_size if part.is_file() else 0
        states.append(FileState(file.name, "partial" if here else "missing", here, "", file.address))
    if not states:
        notes.append("which files it has is not known here" + (": its record says" if source.record else ""))
    notes += _notes(source, folder, states)
    lacking = not states or any(state.state != "there" for state in states)
    return DownloadReport(
        name, folder, tuple(states), tuple(notes), _by_hand(source, folder) if lacking else ""
    )


def _files(source: Source, kept: Kept, folder: Path, patience: Patience) -> Sequence[RemoteFile]:
    """Return what the table lists, or what the record listed when it was asked first."""
    if source.files:
        return source.files
    if not kept.listing:
        assert source.listing is not None
        try:
            kept.note_listing(read_listing(source.listing, patience=patience))
        except DiskError:
            raise
        except SynthError as error:
            remedy = f"try again later, or {_by_hand(source, folder)}"
            raise SynthError(error.what, where=error.where, remedy=remedy) from error
    return kept.listing


def _one(
    file: RemoteFile, folder: Path, kept: Kept, verify: bool, patience: Patience, progress: Progress | None
) -> FileState:
    expected = kept.expected(file)
    found, fault = kept.find(expected, read=verify)
    if fault is not None:
        # It may be somebody's only copy: it is not overwritten.
        raise SynthError(
            fault, where=folder / file.name, remedy="remove it to fetch it again, if it is not needed"
        )
    if found is not None:
        return FileState(file.name, "there", found.bytes, found.checked, file.address)
    new = kept.note(file, fetch(expected, folder, patience=patience, progress=progress))
    return FileState(file.name, "fetched", new.bytes, new.checked, file.address)


def _notes(source: Source, folder: Path, states: Sequence[FileState]) -> Iterator[str]:
    recorded = [state.name for state in states if state.checked == "recorded"]
    if recorded:
        yield (
            f"no checksum is published for {', '.join(recorded[:5])}{', ...' if len(recorded) > 5 else ''}: "
            "that of this transfer is recorded"
        )
    for archive in archives(folder) if folder.is_dir() else ():
        missing = missing_parts(archive)
        if missing:
            yield f"{archive.name} lacks its part(s) {', '.join(missing)}"
    if source.parts is not None and states:
        parts = sum(_is_part(state.name) for state in states)
        if parts != source.parts:
            yield f"{parts} archive parts are listed, {source.parts} were when the table was written"


def _is_part(name: str) -> bool:
    ending = name.rsplit(".", 1)[-1].lower()
    return ending == "zip" or (ending.startswith("z") and ending[1:].isdigit())


def _require_terms(name: str, source: Source, accepted: bool) -> None:
    if source.terms is not None and not accepted:
        raise SynthError(
            f"it comes under {source.terms}'s terms: {source.licence}",
            where=name,
            remedy=f"read them at {source.page or 'its page'}, then repeat with --accept-terms",
        )


def _by_hand(source: Source, folder: Path) -> str:
    page = "" if source.page is None else f" ({source.page})"
    return f"{source.by_hand}{page}, put the files into {folder} and run the command again"


@contextmanager
def _gate(folder: Path, waiting: Callable[[], None] | None) -> Iterator[None]:
    """Let one process of this node at a time work in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(
            error.strerror or str(error),
            where=error.filename or folder,
            remedy="check that the folder may be written and has room, then run the command again",
        ) from error
