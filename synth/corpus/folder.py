"""What may lie in the folder of a corpus before a run: nothing, or the same corpus."""

from __future__ import annotations

from pathlib import Path

from ..errors import SynthError
from .card import CARD_NAME
from .corpus_index import read_corpus_index
from .identity import INDEX_NAME, CorpusIdentity, index_name
from .shard_check import identity_difference
from .shard_index import read_shard_index

_ELSEWHERE = "choose another folder, or remove what is in this one"


def check_folder(directory: Path, identity: CorpusIdentity) -> None:
    """Refuse a folder in which anything could be overwritten that is not of this corpus.

    Raises:
        SynthError: It holds another corpus (the difference is named), or archives or an index of
            unknown origin.
    """
    if (directory / INDEX_NAME).exists():
        _check_same(read_corpus_index(directory).corpus, identity, directory / INDEX_NAME)
    archives = set(identity.shard_names())
    indexes = {index_name(name) for name in archives}
    for path in sorted(directory.glob("*.idx.json")):
        try:
            found = read_shard_index(path).corpus
        except SynthError:
            if path.name not in indexes:
                raise
            continue  # damaged, but ours by its name: its shard is made again
        _check_same(found, identity, path)
    for path in sorted(directory.glob("*.tar")):
        if path.name not in archives or not (directory / index_name(path.name)).exists():
            raise SynthError(
                "an archive of unknown origin is in the way: no index of this corpus names it",
                where=path,
                remedy=_ELSEWHERE,
            )


def remove_leftovers(directory: Path, identity: CorpusIdentity) -> None:
    """Remove what killed runs of this corpus left half written."""
    for pattern in (f".{identity.name}-*.partial", f".{INDEX_NAME}.*.partial", f".{CARD_NAME}.*.partial"):
        for path in directory.glob(pattern):
            path.unlink(missing_ok=True)


def _check_same(found: CorpusIdentity, wanted: CorpusIdentity, where: Path) -> None:
    if difference := identity_difference(found, wanted):
        raise SynthError(f"the folder holds another corpus: {difference}", where=where, remedy=_ELSEWHERE)
