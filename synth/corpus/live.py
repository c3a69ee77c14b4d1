"""Corpora without an end: shard k of one has the bytes of shard k of any written corpus.

What is in a shard depends on how many scenes the corpus has in the last shard only, which may be
short there. So a live corpus is the largest one there can be, and all its shards are full.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterable

from ..assets.catalog import Catalog
from ..errors import SynthError
from ..scenes.plan import check_plannable
from ..scenes.recipe import Recipe
from ..scenes.stock import scene_samples
from .identity import (
    MAX_SHARD_SIZE,
    MAX_SHARDS,
    CorpusIdentity,
    check_stems,
    generator_version,
    make_identity,
)
from .maker import SceneMaker

_BRACES = re.compile(r"\{([0-9]{1,6})\.\.([0-9]{1,6})\}")
_RANGE = re.compile(r"([0-9]{1,6}):([0-9]{1,6})")
_NUMBER = re.compile(r"[0-9]{1,6}")
_FORMS = "write one number (7), a range without its end (120:240) or braces with it ({000120..000239})"


def corpus_of(
    recipe: Recipe,
    catalog: Catalog,
    *,
    seed: int,
    shard_size: int,
    num_scenes: int | None = None,
    stems: Collection[str] = (),
) -> tuple[CorpusIdentity, SceneMaker]:
    """Return what a corpus of a recipe is, and who makes its scenes.

    Args:
        recipe: How scenes are drawn, and from which split.
        catalog: From what.
        seed: Which series of scenes.
        shard_size: Scenes per shard.
        num_scenes: Scenes in all; None: a live corpus, as many as its shards can hold.
        stems: Sounds stored beside mixture and dry targets.

    Raises:
        SynthError: The recipe cannot be planned from the catalog, or there is no such corpus.
    """
    extra = check_stems(stems)
    check_plannable(recipe, catalog)
    size = min(max(shard_size, 1), MAX_SHARD_SIZE)
    identity = make_identity(
        generator=generator_version(),
        recipe=recipe.name,
        recipe_hash=recipe.recipe_hash,
        catalog_hash=catalog.content_hash,
        synthetic=recipe.synthetic,
        split=recipe.split,
        seed=seed,
        num_scenes=MAX_SHARDS * size if num_scenes is None else num_scenes,
        shard_size=shard_size,
        slots=recipe.targets.count[1],
        stems=extra,
        sample_rate=recipe.scene.sample_rate,
        duration=scene_samples(recipe),
    )
    return identity, SceneMaker(recipe, catalog, seed, ("mixture", "dry", *extra))


def content_digest(identity: CorpusIdentity) -> str:
    """Return a hash of all that decides the bytes of a live corpus's shards, 64 hex digits."""
    fields = identity.model_dump(mode="json", exclude={"num_scenes"})
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def parse_shards(texts: Iterable[str], num_shards: int, *, where: str) -> tuple[int, ...]:
    """Return the shards that texts such as "7", "120:240" and "{000000..000999}" name, in order.

    Args:
        texts: At least one.
        num_shards: How many shards there are.
        where: What errors name.

    Raises:
        SynthError: A text is none of these, names a shard that there is not, or one twice.
    """
    shards: list[int] = []
    for text in texts:
        first, end = _bounds(text.strip(), where)
        if not first < end <= num_shards:
            raise SynthError(
                f"{text!r} names shards {first:,} to {end - 1:,}, there are 0 to {num_shards - 1:,}"
                if first < end
                else f"{text!r} names no shard",
                where=where,
                remedy=_FORMS,
            )
        shards.extend(range(first, end))
    if not shards or len(set(shards)) < len(shards):
        what = "a shard is named twice" if shards else "no shard is named"
        raise SynthError(what, where=where, remedy=_FORMS)
    return tuple(shards)


def _bounds(text: str, where: str) -> tuple[int, int]:
    """Return the first shard of a text and the one after the last."""
    if found := _BRACES.fullmatch(text):
        return int(found[1]), int(found[2]) + 1
    if found := _RANGE.fullmatch(text):
        return int(found[1]), int(found[2])
    if _NUMBER.fullmatch(text):
        return int(text), int(text) + 1
    raise SynthError(f"{text!r} names no shards", where=where, remedy=_FORMS)
