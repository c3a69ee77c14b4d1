"""What a corpus is: everything that decides its bytes, and the names that follow from it."""

from __future__ import annotations

from collections.abc import Collection
from importlib import metadata
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..errors import SynthError
from ..units import Hertz, Samples
from . import tar

FORMAT: Literal[1] = 1
"""Version of the layout of shards and indexes."""

MAX_SCENES = 10**9
MAX_SHARD_SIZE = 10_000
MAX_SLOTS = 100
MAX_SHARDS = 100_000
MAX_SHARD_MEMBERS = 200_000
"""So many members' entries still make an index that is read whole."""

EXTRA_STEMS = ("interference", "noise", "wet")
"""Stems that a corpus holds when asked; `mixture` and `dry` are always in it."""

INDEX_NAME = "index.json"


def generator_version() -> str:
    """Return the version of s5kit, which is part of every corpus's identity."""
    try:
        return metadata.version("s5kit")
    except metadata.PackageNotFoundError:
        return "0+source"


class CorpusIdentity(BaseModel):
    """Two corpora with equal identities have equal bytes on one platform.

    Attributes:
        generator: Version of s5kit.
        recipe: Name of the recipe; with split and seed it names the shards.
        synthetic: The recipe says that its sounds and rooms are made up.
        num_scenes: Scenes 0 to `num_scenes` - 1 of the recipe's plan.
        shard_size: Scenes in a shard; the last shard may hold fewer.
        slots: Targets that every sample has room for; missing ones are stored as silence.
        stems: Which of `EXTRA_STEMS` are stored, sorted.
        sample_rate: Of every sound, in Hz.
        duration: Of every scene, in samples.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = FORMAT
    generator: str
    recipe: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
    recipe_hash: str
    catalog_hash: str
    synthetic: bool = False
    split: Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
    seed: int
    num_scenes: Annotated[int, Field(ge=1, le=MAX_SCENES)]
    shard_size: Annotated[int, Field(ge=1, le=MAX_SHARD_SIZE)]
    slots: Annotated[int, Field(ge=0, le=MAX_SLOTS)]
    stems: tuple[Literal["interference", "noise", "wet"], ...] = ()
    sample_rate: Hertz
    duration: Annotated[Samples, Field(gt=0)]

    @model_validator(mode="after")
    def _fits(self) -> CorpusIdentity:
        if self.num_shards > MAX_SHARDS:
            raise ValueError(
                f"{self.num_shards:,} shards are too many, at most {MAX_SHARDS:,}: take a larger shard_size"
            )
        suffixes = self.member_suffixes()
        if self.shard_size * len(suffixes) > MAX_SHARD_MEMBERS:
            raise ValueError(
                f"a shard would have more than {MAX_SHARD_MEMBERS:,} members: take a smaller shard_size"
            )
        longest = len(self.key(0)) + 1 + max(map(len, suffixes))
        if longest > tar.MAX_NAME:
            raise ValueError(
                f"names in shards would have {longest} characters, tar allows {tar.MAX_NAME}: "
                "shorten the name of the recipe or the seed"
            )
        return self

    @property
    def name(self) -> str:
        """Return what all shards and keys of the corpus start with."""
        return f"{self.recipe}-{self.split}-{self.seed}"

    @property
    def num_shards(self) -> int:
        """Return how many shards the corpus has."""
        return -(-self.num_scenes // self.shard_size)

    def shard_name(self, shard: int) -> str:
        """Return the file name of a shard."""
        return f"{self.name}-{shard:06d}.tar"

    def shard_names(self) -> list[str]:
        """Return the file names of all shards, in order."""
        return [self.shard_name(shard) for shard in range(self.num_shards)]

    def scenes(self, shard: int) -> range:
        """Return the indexes of the scenes in a shard."""
        first = shard * self.shard_size
        return range(first, min(first + self.shard_size, self.num_scenes))

    def key(self, index: int) -> str:
        """Return the WebDataset key of a scene; keys sort as indexes do."""
        return f"{self.name}-{index:09d}"

    def member_suffixes(self) -> list[str]:
        """Return what follows the key in the members of every sample, in the order stored."""
        numbered = [f"{stem}{n}" for stem in ("dry", "wet") for n in range(self.slots)]
        wanted = {"mixture", "dry", *self.stems}
        single = [stem for stem in ("interference", "mixture", "noise") if stem in wanted]
        kept = [name for name in numbered if name.rstrip("0123456789") in wanted]
        return sorted([f"{name}.flac" for name in [*kept, *single]] + ["json"])

    def member_names(self, shard: int) -> list[str]:
        """Return the names of all members of a shard, in the order stored."""
        suffixes = self.member_suffixes()
        return [f"{self.key(index)}.{suffix}" for index in self.scenes(shard) for suffix in suffixes]


def index_name(shard_name: str) -> str:
    """Return the file name of the index beside a shard."""
    return shard_name.removesuffix(".tar") + ".idx.json"


def make_identity(**fields: Any) -> CorpusIdentity:
    """Return an identity from its fields.

    Raises:
        SynthError: Naming the first field that no corpus can have.
    """
    try:
        return CorpusIdentity(**fields)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"]))
        got = f", got {fields[field]!r}" if field in fields else ""
        raise SynthError(
            f"{fault['msg']}{got}", where=field or "corpus", remedy="choose another value"
        ) from error


def check_stems(stems: Collection[str]) -> tuple[str, ...]:
    """Return the extra stems among `stems`, sorted; "mixture" and "dry" are implied.

    Raises:
        SynthError: One of them does not exist.
    """
    allowed = {"mixture", "dry", *EXTRA_STEMS}
    if unknown := sorted(set(stems) - allowed):
        raise SynthError(
            f"unknown stem {unknown[0]!r}", where="stems", remedy=f"choose from {', '.join(sorted(allowed))}"
        )
    return tuple(sorted(set(stems) & set(EXTRA_STEMS)))
