"""What a Zenodo record says about its own files: names, sizes, MD5 sums, addresses."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import ValidationError

from ...errors import SynthError
from . import http
from .fetch import PATIENT, Patience
from .table import RemoteFile

_MAX_BYTES = 16 << 20
_MOST_FILES = 10_000


def read_listing(address: str, *, patience: Patience = PATIENT) -> list[RemoteFile]:
    """Return the files of a record, by name.

    Args:
        address: The record, as its REST interface names it.
        patience: How long to try.

    Raises:
        SynthError: It cannot be read, lists nothing, or lists what no file may be called.
    """
    try:
        found = json.loads(_body(address, patience))
        files = [_file(row, address) for row in _rows(found)]
    except (ValidationError, KeyError, TypeError, ValueError, RecursionError) as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise _bad(address, f"its list of files cannot be understood: {why}") from error
    if not files:
        raise _bad(address, "it lists no files; they may be under an embargo")
    if len({file.name for file in files}) < len(files):
        raise _bad(address, "it lists a file twice")
    return sorted(files, key=lambda file: file.name)


def _rows(found: Any) -> list[dict[str, Any]]:
    """Accept both forms: a list of files, and files.entries by name."""
    files = found["files"]
    rows = list(files["entries"].values()) if isinstance(files, dict) else list(files)
    if len(rows) > _MOST_FILES:
        raise ValueError(f"{len(rows):,} files, at most {_MOST_FILES:,} are taken")
    return rows


def _file(row: dict[str, Any], listing: str) -> RemoteFile:
    name, links = str(row["key"]), row.get("links") or {}
    kind, _, digest = str(row.get("checksum") or "").partition(":")
    address = str(links.get("content") or "")
    if not address:
        address = str(links.get("self") or "")
        if not address.endswith("/content"):
            address = f"{listing}/files/{quote(name)}/content"
    # A listing may not send the reader elsewhere.
    if urlsplit(address)[:2] != urlsplit(listing)[:2]:
        raise ValueError(f"{name} is said to be at {urlsplit(address).netloc}, not at the host of its record")
    return RemoteFile(name=name, address=address, bytes=row["size"], md5=digest if kind == "md5" else None)


def _body(address: str, patience: Patience) -> bytes:
    why = ""
    for attempt in range(patience.attempts):
        if attempt:
            time.sleep(min(60.0, patience.pause * 2 ** (attempt - 1)))
        try:
            with http.get(address, seconds=patience.seconds) as answer:
                data = bytearray()
                while chunk := http.read_some(answer.body, 1 << 16):
                    data += chunk
                    if len(data) > _MAX_BYTES:
                        raise _bad(address, f"its list of files is longer than {_MAX_BYTES:,} bytes")
                if answer.count in (None, len(data)):
                    return bytes(data)
                why = "the connection ended early"
        except http.BrokenError as error:
            why = str(error)
        except http.RefusedError as error:
            raise _bad(address, str(error)) from error
    raise _bad(address, f"it cannot be fetched: {why}")


def _bad(address: str, what: str) -> SynthError:
    return SynthError(
        what, where=address, remedy="try again later, or get the files by hand and put them into --out"
    )
