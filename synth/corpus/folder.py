"""What may lie in the folder of a corpus before a run: nothing, or the same corpus."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..errors import SynthError
from .card import CARD_NAME
from .corpus_index import read_corpus_index
from .identity import INDEX_NAME, CorpusIdentity, index_name
from .shard_check import identity_difference
from .shard_index import read_shard_index

ELSEWHERE = "choose another folder, or remove what is in this one"


def check_folder(directory: Path, identity: CorpusIdentity, shards: range | None = None) -> None:
    """Refuse a folder in which anything could be overwritten that is not of this corpus.

    Args:
        directory: The folder.
        identity: The corpus.
        shards: What is about to be made; None: everything, and everything that lies there is looked at.

    Raises:
        SynthError: It holds another corpus (the difference is named), or archives or an index of
            unknown origin.
    """
    if (directory / INDEX_NAME).exists():
        check_same(read_corpus_index(directory).corpus, identity, directory / INDEX_NAME)
    archives = set(identity.shard_names())
    indexes = {index_name(name) for name in archives}
    for path in _to_read(directory, identity, shards):
        try:
            found = read_shard_index(path).corpus
        except SynthError:
            if path.name not in indexes:
                raise
            continue  # damaged, but ours by its name: its shard is made again
        check_same(found, identity, path)
    for path in sorted(directory.glob("*.tar")):
        if path.name not in archives or not (directory / index_name(path.name)).exists():
            raise SynthError(
                "an archive of unknown origin is in the way: no index of this corpus names it",
                where=path,
                remedy=ELSEWHERE,
            )


def remove_leftovers(directory: Path, identity: CorpusIdentity, shards: range | None = None) -> None:
    """Remove what killed runs of this corpus, or of these shards of it, left half written."""
    patterns = [f".{identity.name}-*.partial", f".{INDEX_NAME}.*.partial", f".{CARD_NAME}.*.partial"]
    if shards is not None:  # the rest may be what others are writing now
        names = [identity.shard_name(shard) for shard in shards]
        patterns = [f".{name}.*.partial" for shard in names for name in (shard, index_name(shard))]
    for pattern in patterns:
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)


def check_same(found: CorpusIdentity, wanted: CorpusIdentity, where: str | Path) -> None:
    """Refuse another corpus than the wanted one, naming the difference."""
    if difference := identity_difference(found, wanted):
        raise SynthError(f"the folder holds another corpus: {difference}", where=where, remedy=ELSEWHERE)


def _to_read(directory: Path, identity: CorpusIdentity, shards: range | None) -> Iterable[Path]:
    """Return the indexes to look at: all, or those of some shards and any other one."""
    found = sorted(directory.glob("*.idx.json"))
    if shards is None:
        return found
    ours = {index_name(identity.shard_name(shard)) for shard in shards}
    return [path for path in found if path.name in ours] + [p for p in found if p.name not in ours][:1]
