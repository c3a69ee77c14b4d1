"""Passing a corpus on: only whole, and only with the right to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from ..errors import SynthError
from .card import CARD_NAME
from .corpus_index import CorpusIndex
from .identity import INDEX_NAME, index_name
from .verify import verify_corpus

_FLAG = "--i-have-the-rights"


@dataclass(frozen=True, slots=True)
class Publication:
    """A corpus that may be passed on.

    Attributes:
        directory: Where it lies.
        index: What it holds.
        files: Names of all files that belong to it, the index last.
        size: Their bytes together.
    """

    directory: Path
    index: CorpusIndex
    files: tuple[str, ...]
    size: int


class Hub(Protocol):
    """The part of `huggingface_hub.HfApi` that uploads."""

    def create_repo(self, repo_id: str, **options: Any) -> Any:
        """Make a repository."""

    def upload_folder(self, **options: Any) -> Any:
        """Upload files as one commit."""


def prepare_publication(
    directory: str | Path,
    *,
    i_have_the_rights: bool = False,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Publication:
    """Check a corpus and the right to pass it on.

    Args:
        directory: The corpus; every byte of it is checked.
        i_have_the_rights: Whoever calls says so, whatever the licences say.
        workers: Processes that read shards.
        progress: Called with (shards checked, shards in all).

    Raises:
        ProblemsError: The corpus is damaged.
        SynthError: It is not finished or has no card, or a licence in it forbids redistribution or is
            unknown and `i_have_the_rights` is False; the licences are named.
    """
    directory = Path(directory)
    index = verify_corpus(directory, workers=workers, progress=progress).index
    if not i_have_the_rights:
        _check_rights(index, directory)
    shards = index.corpus.shard_names()
    files = (*(name for shard in shards for name in (shard, index_name(shard))), CARD_NAME, INDEX_NAME)
    for name in files:
        if not (directory / name).is_file():
            raise SynthError(
                f"{name} is missing",
                where=directory,
                remedy="run the synthesis again with the same arguments: it makes what is missing",
            )
    return Publication(directory, index, files, sum((directory / name).stat().st_size for name in files))


def upload(publication: Publication, repo: str, *, private: bool = True, hub: Hub | None = None) -> str:
    """Upload a corpus to the Hugging Face Hub, as one commit.

    Args:
        publication: From `prepare_publication`.
        repo: "owner/name" of the dataset there; made if needed.
        private: Whether a new repository is.
        hub: Where to; None: the Hub, with the token that `hf auth login` stored.

    Returns:
        Where it can be found.

    Raises:
        SynthError: huggingface_hub is not installed, or the Hub refuses.
    """
    hub = hub or _hub()
    try:
        hub.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        done = hub.upload_folder(
            repo_id=repo,
            repo_type="dataset",
            folder_path=str(publication.directory),
            allow_patterns=list(publication.files),
            commit_message=f"{publication.index.corpus.name} by s5kit {publication.index.corpus.generator}",
        )
    except Exception as error:  # which errors a broken line makes depends on the hub's HTTP library
        raise SynthError(
            f"the upload failed: {error}",
            where=repo,
            remedy="log in by `hf auth login`, check the name, then run the command again",
        ) from error
    return str(done)


def _check_rights(index: CorpusIndex, directory: Path) -> None:
    bad = [row for row in index.ledger if row.redistribution in ("forbidden", "unknown")]
    if not bad and index.ledger:
        return
    named = "; ".join(f"{row.dataset}: {row.licence} ({row.redistribution})" for row in bad)
    raise SynthError(
        f"it may not be passed on: {named or 'it does not say under which licences its sounds are'}",
        where=directory,
        remedy=f"leave these sounds out of the recipe by its `sets`, or give {_FLAG} if you do",
    )


def _hub() -> Hub:
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise SynthError(
            "huggingface_hub is not installed",
            where="publish",
            remedy="pip install huggingface_hub, or upload the folder by other means",
        ) from error
    return cast(Hub, HfApi())
