"""The table of published checkpoints, and fetching those whose terms allow it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from ..errors import ModelError
from .files import staged

_TABLE = Path(__file__).with_name("addresses.yaml")
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Published:
    """One published checkpoint.

    Attributes:
        name: What the command line calls it.
        kind: What ``weights import --as`` takes.
        file: Its file name.
        page: The project's page; None when not stated.
        address: Where the file is; None when not stated.
        bytes: Its size; None when not stated.
        licence: As stated by the project.
        share: Whether that licence lets the weights be passed on.
        terms: Whose terms must be accepted first; None for none.
    """

    name: str
    kind: str
    file: str
    page: str | None
    address: str | None
    bytes: int | None
    licence: str
    share: bool
    terms: str | None


def _read() -> tuple[dict[str, Published], dict[str, dict[str, Any]]]:
    table = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    projects = table["projects"]
    found = {}
    for row in table["checkpoints"]:
        project = projects[row["project"]]
        release = project["release"]
        found[row["name"]] = Published(
            name=row["name"],
            kind=row["kind"],
            file=row["file"],
            page=project["page"],
            address=f"{project['page']}/releases/download/{release}/{row['file']}" if release else None,
            bytes=row["bytes"],
            licence=project["licence"],
            share=project["share"],
            terms=project["terms"],
        )
    licences = {
        kind: {"licence": projects[name]["licence"], "share": projects[name]["share"]}
        for kind, name in table["kinds"].items()
    }
    return found, licences


PUBLISHED_WEIGHTS, LICENCES = _read()


def download_weights(
    name: str, folder: Path, *, accept_terms: bool = False, open_url: Callable[..., Any] = urlopen
) -> Path:
    """Fetch a published checkpoint.

    Args:
        name: One of `PUBLISHED_WEIGHTS`.
        folder: Where to put it; a file of that name is taken as it is.
        accept_terms: The user has read and accepts the terms named in the table.
        open_url: Opens an address.

    Returns:
        The file.

    Raises:
        ModelError: An unknown name, terms that were not accepted, no address, a failed or short transfer.
    """
    if name not in PUBLISHED_WEIGHTS:
        raise ModelError(
            f"unknown checkpoint {name!r}",
            where="--download",
            remedy=f"one of {', '.join(PUBLISHED_WEIGHTS)}",
        )
    entry = PUBLISHED_WEIGHTS[name]
    if entry.terms is not None and not accept_terms:
        raise ModelError(
            f"comes under {entry.terms}'s terms: {entry.licence}",
            where=name,
            remedy=f"read them at {entry.page or 'their source'}, then repeat with --accept-terms",
        )
    if entry.address is None:
        raise ModelError(
            f"no address of {entry.file} is on record",
            where=name,
            remedy=f"get it by hand from {entry.page or 'its project'} and give the file",
        )
    target = folder / entry.file
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _fetch(entry, target, open_url)
    return target


def _fetch(entry: Published, target: Path, open_url: Callable[..., Any]) -> None:
    assert entry.address is not None
    try:
        with open_url(entry.address, timeout=_SECONDS) as answer, staged(target) as temporary:
            with temporary.open("wb") as file:
                shutil.copyfileobj(answer, file)
            got, said = temporary.stat().st_size, answer.headers.get("Content-Length")
            for expected in (entry.bytes, None if said is None else int(said)):
                if expected not in (None, got):
                    raise ModelError(
                        f"{got} of {expected} bytes came", where=entry.address, remedy="try again"
                    )
    except (URLError, OSError) as error:
        raise ModelError(
            f"cannot be fetched: {error}", where=entry.address, remedy="check the network, or get it by hand"
        ) from error
