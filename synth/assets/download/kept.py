"""`downloads.json`: what was fetched into a folder, from where, and with which checksums."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ...errors import SynthError
from ...files import write_text
from .fetch import Digests, digests, mismatch
from .table import FileName, Md5, RemoteFile, Sha256

NAME = "downloads.json"
_MAX_BYTES = 16 << 20


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeptFile(_Row):
    """A whole file of the folder. `checked` says what it was compared with; `modified_ns` lets
    a later run see at a glance that nobody touched it."""

    bytes: int
    md5: Md5
    sha256: Sha256
    checked: str
    modified_ns: int


class _Content(_Row):
    version: int = 1
    source: str
    listing: tuple[RemoteFile, ...] = ()
    files: dict[FileName, KeptFile] = {}


class Kept:
    """The record of a folder; changes are written at once.

    Args:
        folder: Where the files are.
        source: Whose files they are.

    Raises:
        SynthError: The record is damaged, or is another source's.
    """

    def __init__(self, folder: Path, source: str) -> None:
        self._folder = folder
        self._path = folder / NAME
        self._content = _Content(source=source)
        try:
            if self._path.exists():
                with self._path.open("rb") as file:
                    self._content = _Content.model_validate_json(file.read(_MAX_BYTES))
        except (OSError, ValidationError) as error:
            raise SynthError(
                "it cannot be read",
                where=self._path,
                remedy="remove it: the files beside it are checked again",
            ) from error
        if self._content.source != source:
            raise SynthError(
                f"the folder holds the source {self._content.source!r}",
                where=self._path,
                remedy=f"give another folder for {source!r}",
            )

    @property
    def listing(self) -> tuple[RemoteFile, ...]:
        """What the record of the source listed when it was read."""
        return self._content.listing

    def note_listing(self, files: Sequence[RemoteFile]) -> None:
        """Keep what a record lists, so that a later run expects the same."""
        self._write(self._content.model_copy(update={"listing": tuple(files)}))

    def note(self, file: RemoteFile, found: Digests) -> KeptFile:
        """Keep that a file is here and whole."""
        checked = next((kind for kind in ("sha256", "md5") if getattr(file, kind)), "recorded")
        modified = (self._folder / file.name).stat().st_mtime_ns
        kept = KeptFile(
            bytes=found.bytes, md5=found.md5, sha256=found.sha256, checked=checked, modified_ns=modified
        )
        self._write(self._content.model_copy(update={"files": {**self._content.files, file.name: kept}}))
        return kept

    def expected(self, file: RemoteFile) -> RemoteFile:
        """Return a file with the checksum that its first fetch had, when nothing better is known."""
        kept = self._content.files.get(file.name)
        if kept is None or file.md5 is not None or file.sha256 is not None:
            return file
        return file.model_copy(update={"sha256": kept.sha256})

    def find(self, file: RemoteFile, *, read: bool = False) -> tuple[KeptFile | None, str | None]:
        """Look whether a file is here and whole.

        Args:
            file: What is expected, as `expected` returned it.
            read: Read it even if nobody touched it since it was found whole.

        Returns:
            The file, or None; and what is wrong with the one that is here, or None.
        """
        path, kept = self._folder / file.name, self._content.files.get(file.name)
        if not path.is_file():
            return None, None
        status = path.stat()
        if (
            kept is not None
            and not read
            and (status.st_size, status.st_mtime_ns) == (kept.bytes, kept.modified_ns)
        ):
            fault = mismatch(file, Digests(kept.bytes, kept.md5, kept.sha256))
            return (kept, None) if fault is None else (None, fault)
        found = digests(path)
        fault = mismatch(file, found)
        return (self.note(file, found), None) if fault is None else (None, fault)

    def _write(self, content: _Content) -> None:
        self._content = content
        write_text(self._path, content.model_dump_json(indent=1) + "\n")
