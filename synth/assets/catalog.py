"""Catalog: the sound on disk as typed tables, with what each sound is and where it may be used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import Problem, ProblemsError, SynthError
from ..files import write_text
from .pool import PoolRow
from .tables import TABLES, frame_of, link_problems, read_table, to_csv

if TYPE_CHECKING:
    from pandas import DataFrame

CATALOG_VERSION = 1
_MAX_JSON_BYTES = 1 << 20
_KEPT_PROBLEMS = 200


class Catalog:
    """Events, interferers, noises and places of a collection. Immutable; made by `Catalog.load`.

    Attributes:
        directory: Where the tables lie.
        root: Where their paths start.
        layout: What kind of collection it was imported from.
        events: Dry target sounds, one row per file.
        interferers: Dry sounds of other kinds.
        noises: Backgrounds.
        places: Rooms with a microphone in them, one SOFA file each.
        positions: Source positions of every place.
        content_hash: SHA-256 over all cells of all tables, without the root.
    """

    def __init__(
        self, directory: Path, root: Path, layout: str, tables: Mapping[str, DataFrame], content_hash: str
    ) -> None:
        self.directory = directory
        self.root = root
        self.layout = layout
        self.content_hash = content_hash
        self.events: DataFrame = tables["events"]
        self.interferers: DataFrame = tables["interferers"]
        self.noises: DataFrame = tables["noises"]
        self.places: DataFrame = tables["places"]
        self.positions: DataFrame = tables["positions"]

    @classmethod
    def load(cls, directory: str | Path, *, root: str | Path | None = None) -> Catalog:
        """Read a catalog and check all of it but the sounds themselves.

        Args:
            directory: What `s5kit catalog build --out` wrote.
            root: Where the paths start, when the collection was moved; None: where it was.

        Raises:
            ProblemsError: Some lines are wrong; all of them are named.
            SynthError: There is no catalog.
        """
        directory = Path(directory)
        head = _read_head(directory / "catalog.json")
        root = Path(head["root"]) if root is None else Path(root)
        tables: dict[str, DataFrame] = {}
        problems: list[Problem] = []
        hashes: list[str] = []
        for name in TABLES:
            tables[name], content, found = read_table(directory / f"{name}.csv", name, directory / "cache")
            problems += found
            hashes.append(content)
        if not problems:
            problems = _cross_problems(directory, root, tables)
        if problems:
            raise ProblemsError(problems, remedy="correct the tables or build the catalog again")
        content_hash = hashlib.sha256(" ".join(("catalog", str(CATALOG_VERSION), *hashes)).encode())
        return cls(directory, root, head["layout"], tables, content_hash.hexdigest())

    @property
    def cache_directory(self) -> Path:
        """Where decoded sounds and RIR banks are kept."""
        return self.directory / "cache"

    def pool_rows(self, table: str) -> list[PoolRow]:
        """Return the sounds of a table ("events", "interferers" or "noises") as a pool wants them."""
        return pool_rows(getattr(self, table))

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(getattr(self, name))} {name}" for name in TABLES)
        return f"Catalog({str(self.directory)!r}: {counts})"


def pool_rows(frame: DataFrame) -> list[PoolRow]:
    """Return the sounds of a table as a pool wants them."""
    columns = ("path", "sha256", "rate", "channels", "frames")
    return [PoolRow(*row) for row in zip(*(frame[column].tolist() for column in columns), strict=True)]


def write_catalog(
    directory: Path,
    *,
    layout: str,
    root: Path,
    tables: Mapping[str, Sequence[dict[str, Any]]],
    skipped: Sequence[Problem] = (),
) -> Catalog:
    """Write the tables and, last, `catalog.json`; then read them back.

    Args:
        directory: Made if needed; tables in it are replaced.
        layout: What kind of collection it is.
        root: Where the paths start.
        tables: Rows of every table of `TABLES`.
        skipped: Problems whose files were left out.

    Raises:
        SynthError: The folder cannot be written, or a row is wrong.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Without its head a half-written catalog does not load.
        (directory / "catalog.json").unlink(missing_ok=True)
        for name in TABLES:
            write_text(directory / f"{name}.csv", to_csv(name, frame_of(name, tables[name])))
        head = {
            "version": CATALOG_VERSION,
            "layout": layout,
            "root": str(root.absolute()),
            "created_by": f"s5kit {_own_version()}",
            "skipped_count": len(skipped),
            "skipped": [[p.where, p.what, p.remedy] for p in skipped[:_KEPT_PROBLEMS]],
        }
        write_text(directory / "catalog.json", json.dumps(head, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise SynthError(
            f"the catalog cannot be written: {error.strerror or error}",
            where=directory,
            remedy="free some space or give another --out, then run the command again",
        ) from error
    return Catalog.load(directory)


def _own_version() -> str:
    try:
        return metadata.version("s5kit")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _read_head(path: Path) -> dict[str, str]:
    try:
        data = path.read_bytes()
        head = json.loads(data) if len(data) <= _MAX_JSON_BYTES else {}
        if head["version"] != CATALOG_VERSION:
            fault = f"it is of version {head['version']}, this s5kit reads version {CATALOG_VERSION}"
        else:
            return {"root": str(head["root"]), "layout": str(head["layout"])}
    except FileNotFoundError:
        fault = "there is no catalog here (or its making was interrupted)"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        fault = f"it is no catalog head: {error!r}"
    raise SynthError(fault, where=path, remedy="run `s5kit catalog build` with this folder as --out")


def _cross_problems(directory: Path, root: Path, tables: Mapping[str, DataFrame]) -> list[Problem]:
    problems: list[Problem] = []
    for name in ("events", "interferers", "noises", "places"):
        problems += link_problems(root, tables[name]["path"], directory / f"{name}.csv")
    places, positions = tables["places"], tables["positions"]
    counts = positions["path"].value_counts()
    last = positions.groupby("path")["position"].max()
    remedy = "build the catalog again"
    for path, declared in zip(places["path"].tolist(), places["positions"].tolist(), strict=True):
        if counts.get(path, 0) != declared or last.get(path) != declared - 1:
            what = f"{path!r} should have the positions 0 to {declared - 1}, {counts.get(path, 0)} are listed"
            problems.append(Problem(str(directory / "positions.csv"), what, remedy))
    for path in np.setdiff1d(counts.index.to_numpy(), places["path"].to_numpy()).tolist():
        problems.append(
            Problem(str(directory / "positions.csv"), f"{path!r} is no place of places.csv", remedy)
        )
    return problems
