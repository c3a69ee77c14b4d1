"""A submission to the challenge: estimates under the official names, the zip, and a check of either.

Sources are mono WAV files of 32 kHz and 16 bits; silence is not written. The zip holds `eval_out/<file>`.
"""

from __future__ import annotations

import io
import re
import tempfile
import wave
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from synth import (
    Problem,
    ProblemsError,
    SynthError,
    atomic_write,
    probe,
    target_classes,
    to_int16,
    write_bytes,
)

from .official_names import SOUND, SourceName, Year, assign
from .scenes_to_score import RATE, TestFolder, read_sound

if TYPE_CHECKING:
    from .estimates import Estimator, SceneEstimate

MAX_SOURCES = 3
_SOURCES = "eval_out"
_DONE = "done.txt"
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_MAX_FILE = 64 << 20
_MAX_ENTRIES = 100_000
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class SubmissionReport:
    """What was written.

    Attributes:
        archive: The zip.
        folder: The files in it.
        mixtures: Number of mixtures.
        sources: Number of files.
        silent: Mixtures without a source.
        clipped: Samples beyond full scale.
    """

    archive: Path
    folder: Path
    mixtures: int
    sources: int
    silent: tuple[str, ...]
    clipped: int


def submission_name(author: str, affiliation: str, index: int) -> str:
    """Return `<Author>_<Affil>_task4_<n>`.

    Raises:
        SynthError: A name with other than letters, digits and -, or an index below 1.
    """
    for field_name, word in (("--author", author), ("--affiliation", affiliation)):
        if not _WORD.fullmatch(word):
            raise SynthError(
                f"{word!r}", where=field_name, remedy="use letters, digits and -, beginning with a letter"
            )
    if index < 1:
        raise SynthError(f"{index}", where="--index", remedy="count submissions from 1")
    return f"{author}_{affiliation}_task4_{index}"


def submit(
    scenes: TestFolder,
    estimator: Estimator,
    out: Path,
    name: str,
    *,
    what: str = "",
    year: Year | None = None,
    batch_size: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> SubmissionReport:
    """Run a system over an evaluation set, write its sources and the zip, and check both.

    Args:
        scenes: The evaluation set, opened with `need_targets=False`.
        estimator: The system.
        out: Folder for `<name>/eval_out/` and `<name>_out.zip`; a run that stopped goes on from there.
        name: From `submission_name`.
        what: Names the system and its settings; a folder holds the sources of one only.
        year: Form of the names; None: that of the set.
        batch_size: Scenes put through the system at once.
        progress: Called with mixtures done and their number.

    Raises:
        SynthError: A folder with the sources of another system, or one that cannot be written.
        ProblemsError: The check found faults.
    """
    year = year or scenes.year
    folder = out / name / _SOURCES
    ledger = _Ledger(out / name, f"{what} {scenes.identity}")
    clipped = 0
    todo = [n for n, mixture in enumerate(scenes.names) if mixture not in ledger.done]
    for start in range(0, len(todo), batch_size):
        batch = [scenes.read(n) for n in todo[start : start + batch_size]]
        for scene, estimate in zip(batch, estimator(batch), strict=True):
            clipped += write_sources(folder, scene.name, estimate, year)
            ledger.add(scene.name)
        if progress is not None:
            progress(len(scenes.names) - len(todo) + start + len(batch), len(scenes.names))
    archive = out / f"{name}_out.zip"
    files = sorted(path for path in folder.iterdir() if path.suffix == SOUND)
    write_zip(archive, files)
    silent = validate(archive, scenes, year=year)
    return SubmissionReport(archive, folder, len(scenes.names), len(files), silent, clipped)


def write_sources(folder: Path, mixture: str, estimate: SceneEstimate, year: Year) -> int:
    """Write a mixture's sources; return how many samples were beyond full scale.

    In 2025 a label can be written once: of several sources with it the likeliest is kept.
    """
    clipped = 0
    sources = list(estimate.sources)
    if year == 2025:
        likeliest = sorted(sources, key=lambda source: -(source.score or 0.0))
        once = {source.label: source for source in reversed(likeliest)}
        sources = [source for source in sources if once[source.label] is source]
    folder.mkdir(parents=True, exist_ok=True)
    for n, source in enumerate(sources):
        name = SourceName(mixture, n if year == 2026 else None, source.label).file
        pcm, over = to_int16(source.waveform)
        write_bytes(folder / name, _wav(pcm))
        clipped += over
    return clipped


def write_zip(archive: Path, files: Iterable[Path]) -> None:
    """Write sources into a zip; the same files give the same bytes."""
    try:
        with atomic_write(archive) as handle, zipfile.ZipFile(handle, "w") as target:
            for path in files:
                entry = zipfile.ZipInfo(f"{_SOURCES}/{path.name}", date_time=_EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                target.writestr(entry, path.read_bytes())
    except OSError as error:
        raise SynthError(
            f"cannot be written: {error.strerror}",
            where=archive,
            remedy="choose a folder with room and rights",
        ) from error


def validate(
    submission: Path, scenes: TestFolder, *, year: Year | None = None, classes: Sequence[str] | None = None
) -> tuple[str, ...]:
    """Check a folder of sources, or a zip, against the mixtures.

    Args:
        submission: The folder with the WAV files (or with `eval_out` in it), or the zip.
        scenes: The evaluation set.
        year: Form of the names; None: what the files have.
        classes: Labels allowed; None: the 18 of the task.

    Returns:
        Mixtures without a source; by the rules of 2025 that is a fault.

    Raises:
        ProblemsError: All faults at once: names, labels, numbers of sources, rate, channels, length.
        SynthError: It is no folder or zip, or not a safe one.
    """
    classes = target_classes() if classes is None else classes
    with _opened(submission) as (names, read):
        sources = assign(names, scenes.names, year=year, where=str(submission))
        numbered = any(s.number is not None for group in sources.values() for s in group)
        rules: Year = year or (2026 if numbered else 2025)
        found: list[Problem] = []
        for n, (mixture, group) in enumerate(sources.items()):
            found += _problems(mixture, group, rules, classes)
            if group:
                samples = _samples(scenes, n)
                found += [
                    p for source in group for p in _sound_problems(read(source.file), source.file, samples)
                ]
    if found:
        raise ProblemsError(found, remedy="correct the submission")
    return tuple(mixture for mixture, group in sources.items() if not group)


def _problems(
    mixture: str, group: Sequence[SourceName], year: Year, classes: Sequence[str]
) -> Iterator[Problem]:
    labels = [source.label for source in group]
    for label in dict.fromkeys(labels):
        if label not in classes:
            yield Problem(
                mixture, f"{label!r} is no class", "use the names of the task; silence is not written"
            )
        if year == 2025 and labels.count(label) > 1:
            yield Problem(mixture, f"{label!r} is there twice", "in 2025 a mixture has a class once")
    if len(group) > MAX_SOURCES:
        yield Problem(mixture, f"{len(group)} sources", f"give at most {MAX_SOURCES}")
    if not group and year == 2025:
        yield Problem(mixture, "it has no source", "in 2025 every mixture has one to three")


def _sound_problems(path: Path, name: str, samples: int) -> Iterator[Problem]:
    try:
        read_sound(path, samples=samples)
    except SynthError as error:
        yield Problem(name, error.what, error.remedy)


def _samples(scenes: TestFolder, n: int) -> int:
    return probe(scenes.root / "soundscape" / f"{scenes.names[n]}{SOUND}").frames


@contextmanager
def _opened(submission: Path) -> Iterator[tuple[list[str], Callable[[str], Path]]]:
    """Give the names of the sources in a folder or zip, and a function that gives a file to read for a name."""
    if submission.is_dir():
        inner = submission / _SOURCES
        folder = inner if inner.is_dir() else submission
        names = [path.name for path in folder.iterdir() if path.suffix.lower() == SOUND]
        yield sorted(names), lambda name: folder / name
        return
    try:
        archive = zipfile.ZipFile(submission)
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        raise SynthError(
            f"it is neither a folder nor a readable zip: {error}",
            where=submission,
            remedy="give what `s5kit submit` wrote",
        ) from error
    with archive, tempfile.TemporaryDirectory() as scratch:
        entries = _safe_entries(archive, submission)
        place = Path(scratch) / f"source{SOUND}"

        def read(name: str) -> Path:
            # One at a time, to a name of ours: nothing in the zip decides where anything is written.
            try:
                with archive.open(entries[name]) as file:
                    place.write_bytes(file.read(_MAX_FILE))
            except (OSError, zipfile.BadZipFile, EOFError, ValueError, RuntimeError, zlib.error) as error:
                what = f"{name} cannot be read: {error}"
                raise SynthError(what, where=submission, remedy="write the zip again") from error
            return place

        yield sorted(entries), read


def _safe_entries(archive: zipfile.ZipFile, where: Path) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    infos = archive.infolist()
    if len(infos) > _MAX_ENTRIES:
        raise SynthError(f"it has {len(infos)} entries", where=where, remedy=f"give at most {_MAX_ENTRIES}")
    for info in infos:
        path = PurePosixPath(info.filename)
        fault = None
        if path.is_absolute() or ".." in path.parts or "\\" in info.filename or "\0" in info.filename:
            fault = "a path that leads out of the zip"
        elif info.file_size > _MAX_FILE:
            fault = f"{info.file_size:,} bytes, at most {_MAX_FILE:,}"
        elif info.flag_bits & 1:
            fault = "encryption"
        elif path.name in entries:
            fault = "the name of another entry"
        if fault is not None:
            raise SynthError(f"{info.filename!r} has {fault}", where=where, remedy="write the zip again")
        if not info.is_dir() and path.suffix.lower() == SOUND:
            entries[path.name] = info
    return entries


class _Ledger:
    """Which mixtures are written, line by line behind the name of the system."""

    def __init__(self, folder: Path, what: str) -> None:
        self.path = folder / _DONE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _SOURCES).mkdir(exist_ok=True)
            text = self.path.read_text() if self.path.exists() else ""
            whole = text[: text.rfind("\n") + 1]
            lines = whole.splitlines() or [what]
            if lines[0] != what:
                raise SynthError(
                    "it holds the sources of another system or set",
                    where=folder,
                    remedy="give another --index or --out, or remove this folder",
                )
            write_bytes(self.path, "".join(f"{line}\n" for line in lines).encode())
        except OSError as error:
            raise SynthError(
                f"cannot be written: {error.strerror}", where=folder, remedy="choose another folder"
            ) from error
        self.done = set(lines[1:])

    def add(self, mixture: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{mixture}\n")
        self.done.add(mixture)


def _wav(pcm: NDArray[np.int16]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.ascontiguousarray(pcm, dtype="<i2").tobytes())
    return buffer.getvalue()
