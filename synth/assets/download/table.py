"""The table of public addresses: which files a collection has, where they are, what they must be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ...errors import Problem, ProblemsError, SynthError

_MAX_BYTES = 1 << 20
_SERIES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _plain_name(name: str) -> str:
    # Names come from strangers' listings and become files of the output folder.
    if not name.isprintable() or name.startswith(".") or set(name) & set('/\\:*?"<>|') or len(name) > 200:
        raise ValueError("must be a plain file name")
    return name


def _web_address(address: str) -> str:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("must start with https://")
    if not parts.hostname or parts.username or parts.password:
        raise ValueError("must name a host and no user")
    return address


FileName = Annotated[str, Field(min_length=1), AfterValidator(_plain_name)]
Address = Annotated[str, AfterValidator(_web_address)]
Md5 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RemoteFile(_Row):
    """One file to fetch; what is None is not known beforehand."""

    name: FileName
    address: Address
    bytes: Annotated[int, Field(ge=0)] | None = None
    md5: Md5 | None = None
    sha256: Sha256 | None = None


class Source(_Row):
    """One collection; see `manifests/sources.yaml` for the keys."""

    title: str
    page: Address | None
    record: Annotated[int, Field(gt=0)] | None
    record_address: Address | None = None
    files: tuple[RemoteFile, ...]
    parts: Annotated[int, Field(gt=0)] | None
    licence: str
    terms: str | None
    by_hand: str

    @property
    def listing(self) -> str | None:
        """Address of the record's own list of files; None when it has no record."""
        if self.record is None:
            return None
        return self.record_address or f"https://zenodo.org/api/records/{self.record}"

    @property
    def has_addresses(self) -> bool:
        """Whether anything can be fetched."""
        return self.listing is not None or bool(self.files)


class _Table(_Row):
    version: Literal[1]
    sources: dict[str, Source]


def load_sources(path: Path | None = None) -> Mapping[str, Source]:
    """Read a table of sources.

    Args:
        path: A table of your own (mirrors, say); None: the one that s5kit ships.

    Raises:
        SynthError: It cannot be read, is too long or no plain YAML.
        ProblemsError: Some entries are wrong; all of them are named.
    """
    where = "manifests/sources.yaml" if path is None else str(path)
    try:
        if path is None:
            text = resources.files("manifests").joinpath("sources.yaml").read_text("utf-8")
        else:
            text = _read(path)
        data = _expanded(_plain_yaml(text))
        return _Table.model_validate(data).sources
    except ValidationError as error:
        problems = [
            Problem(f"{where}: {'.'.join(map(str, fault['loc']))}", fault["msg"], "correct the entry")
            for fault in error.errors()
        ]
        raise ProblemsError(problems, remedy="correct the table of sources") from error
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise SynthError(
            f"it cannot be read: {' '.join(str(error).split())}",
            where=where,
            remedy="give a table like manifests/sources.yaml",
        ) from error


def find_source(name: str, table: Mapping[str, Source]) -> Source:
    """Return a source by its name.

    Raises:
        SynthError: There is none of that name.
    """
    if name not in table:
        near = difflib.get_close_matches(name, table, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise SynthError("no such source", where=name, remedy=f"{hint}choose from {', '.join(table)}")
    return table[name]


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"longer than {_MAX_BYTES} bytes")
    return data.decode("utf-8-sig")


def _plain_yaml(text: str) -> Any:
    # A few bytes of aliases can stand for gigabytes.
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
        raise ValueError("aliases (*name) are not allowed")
    return yaml.safe_load(text)


def _expanded(data: Any) -> Any:
    """Write out series: `p{001..107}.zip` stands for 107 files."""
    if isinstance(data, dict) and isinstance(data.get("sources"), dict):
        for source in data["sources"].values():
            if isinstance(source, dict) and isinstance(source.get("files"), list):
                source["files"] = [one for row in source["files"] for one in _series(row)]
    return data


def _series(row: Any) -> list[Any]:
    found = _SERIES.search(str(row.get("name", ""))) if isinstance(row, dict) else None
    if found is None:
        return [row]
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < 10_000:
        raise ValueError(f"{row['name']}: a series has 1 to 10,000 files")
    numbers = (str(n).zfill(len(found[1])) for n in range(first, last + 1))
    return [
        {**row, **{k: _SERIES.sub(n, str(row[k])) for k in ("name", "address") if k in row}} for n in numbers
    ]
