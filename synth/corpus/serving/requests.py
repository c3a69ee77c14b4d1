"""What may be asked of a shard server, and how it says no."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field

MAX_SEED = 2**63 - 1

_SEED = re.compile(r"0|[1-9][0-9]{0,18}")
_FILE = re.compile(r"([0-9]{6})\.(tar|idx\.json)")
_RANGE = re.compile(r"bytes *= *([0-9]{0,19}) *- *([0-9]{0,19})")


class RefusalError(Exception):
    """A request that gets no shard: a status and three sentences."""

    def __init__(
        self, status: int, what: str, *, where: str, remedy: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(what)
        self.status = status
        self.content = {"what": what, "where": where, "remedy": remedy}
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of a live corpus: its archive number `shard`, or the index beside that."""

    recipe: str
    seed: int
    shard: int
    index: bool


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes of a file to be sent: all of them, or a part."""

    first: int
    length: int
    partial: bool = field(default=False)


def parse_path(recipe: str, seed: str, name: str, recipes: Collection[str], num_shards: int) -> Wanted:
    """Return what RECIPE/SEED/000123.tar asks for.

    Raises:
        RefusalError: There is no such recipe or shard (404), or seed or name are no such things (400).
    """
    if recipe not in recipes:
        raise RefusalError(
            404,
            f"no recipe {recipe[:80]!r} is served",
            where="RECIPE",
            remedy=f"ask for one of: {', '.join(sorted(recipes))}",
        )
    if not _SEED.fullmatch(seed) or int(seed) > MAX_SEED:
        raise RefusalError(
            400,
            f"{seed[:80]!r} is no seed",
            where="SEED",
            remedy=f"write a number from 0 to {MAX_SEED}, without leading zeros",
        )
    found = _FILE.fullmatch(name)
    if found is None:
        raise RefusalError(
            400,
            f"{name[:80]!r} is no shard",
            where="SHARD",
            remedy="write six digits and .tar, or .idx.json for its index: 000123.tar",
        )
    shard = int(found[1])
    if shard >= num_shards:
        raise RefusalError(
            404,
            f"there is no shard {shard:06d}",
            where="SHARD",
            remedy=f"ask for one from 000000 to {num_shards - 1:06d}",
        )
    return Wanted(recipe, int(seed), shard, index=found[2] != "tar")


def parse_range(header: str | None, size: int) -> Span:
    """Return which bytes a Range header asks for (RFC 9110, section 14.2); other units mean all.

    Raises:
        RefusalError: It is no range of bytes or names several (400), or none of them exists (416).
    """
    if header is None or not header.strip().lower().startswith("bytes"):
        return Span(0, size)
    found = _RANGE.fullmatch(header.strip().lower())
    if found is None or not any(found.groups()):
        raise _bad_range(400, header, size)
    first, last = found[1], found[2]
    if not first:  # so many bytes at the end
        begin, end = max(size - int(last), 0), size
    else:
        begin, end = int(first), min(int(last or size), size - 1) + 1
        if last and int(last) < begin:
            raise _bad_range(400, header, size)
    if begin >= end:
        raise _bad_range(416, header, size)
    return Span(begin, end - begin, partial=True)


def _bad_range(status: int, header: str, size: int) -> RefusalError:
    what = "has no byte of the shard" if status == 416 else "is no single range of bytes"
    return RefusalError(
        status,
        f"{header[:80]!r} {what}",
        where="Range",
        remedy=f"the shard has {size} bytes: ask for bytes=FIRST-LAST, bytes=FIRST- or bytes=-COUNT",
        headers={"Content-Range": f"bytes */{size}"} if status == 416 else None,
    )
