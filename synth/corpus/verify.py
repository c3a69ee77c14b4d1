"""Is a corpus on disk what it was when it was made, and can it be made again?"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..assets.audio import decode_flac
from ..assets.catalog import Catalog
from ..errors import Problem, ProblemsError, SynthError
from ..rendering.scene import Renderer, Scene
from ..scenes.spec import SceneSpec
from .corpus_index import CorpusIndex, ShardEntry
from .encode import encode_scene
from .engines import LocalEngine, Watch
from .identity import INDEX_NAME, CorpusIdentity, index_name
from .reader import CorpusReader
from .records import parse_record
from .sealed import MAX_SEALED_BYTES
from .shard_check import check_shard
from .shard_index import parse_shard_index
from .statistics import Statistics
from .storage import FolderStorage, Storage
from .stream_remote import open_corpus

RERENDER = 5
"""Scenes that are rendered again unless told otherwise."""

_REMEDY = "run the synthesis again with the same arguments: it mends what is damaged"
_FETCH = 16 << 20
_STEP_16_BITS = 1.0 / 32_768


class RenderSpec(Protocol):
    """Renders a spec with the stems that the corpus stores."""

    def __call__(self, spec: SceneSpec) -> Scene:
        """Return the scene."""
        ...


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was found sound.

    Attributes:
        index: The corpus.
        rerendered: Indexes of the scenes that were rendered again.
        identical: How many of these gave the stored bytes; the others differ by at most one step
            of 16 bits, as other processors or library versions make them.
    """

    index: CorpusIndex
    rerendered: tuple[int, ...] = ()
    identical: int = 0


def verify_corpus(
    directory: str | Path,
    catalog: Catalog | None = None,
    *,
    rerender: int = RERENDER,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> VerifyReport:
    """Check every byte of a corpus against its indexes, and some scenes against their specs.

    Args:
        directory: The corpus: a folder, or an address that `open_corpus` opens; from there every
            shard is fetched into a temporary folder, and files that are too many are not looked for.
        catalog: What it was made from; None: no scene is rendered again.
        rerender: How many scenes are rendered again; which ones follows from the corpus.
        workers: Processes that read shards.
        progress: Called with (shards checked, shards in all).

    Raises:
        ProblemsError: Something is missing, extra, changed or not reproducible; all of it is named.
        SynthError: There is no finished corpus, or it was made from another catalog.
    """
    place = directory if "://" in str(directory) else Path(directory)
    render_spec = None if catalog is None else _renderer(place, catalog)
    return verify_scenes(place, render_spec, rerender=rerender, workers=workers, progress=progress)


def verify_scenes(
    directory: str | Path,
    render_spec: RenderSpec | None,
    *,
    rerender: int = RERENDER,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> VerifyReport:
    """Check a corpus whose scenes anything rendered; see `verify_corpus`."""
    reader = open_corpus(directory)
    index = reader.index
    problems = _strangers(directory, index.corpus) if isinstance(directory, Path) else []
    problems += _check_shards(reader.storage, index, workers, progress)
    if problems:
        raise ProblemsError(problems, remedy=_REMEDY)
    if render_spec is None:
        return VerifyReport(index)
    chosen = sample_of(index.corpus, rerender)
    faults = {number: _rerender_fault(reader, number, render_spec) for number in chosen}
    problems = [
        Problem(f"{directory}: {index.corpus.key(number)}", fault, "make the corpus again with this version")
        for number, (fault, _) in faults.items()
        if fault is not None
    ]
    if problems:
        raise ProblemsError(problems, remedy="the catalog or the program is not the one that made the corpus")
    return VerifyReport(index, tuple(chosen), sum(same for _, same in faults.values()))


def sample_of(corpus: CorpusIdentity, count: int) -> list[int]:
    """Return `count` different scenes of a corpus, the same ones on every call, in order."""
    wanted = min(count, corpus.num_scenes)
    chosen: set[int] = set()
    draw = 0
    while len(chosen) < wanted:
        key = f"{corpus.recipe_hash}/{corpus.seed}/{draw}".encode()
        chosen.add(int.from_bytes(hashlib.sha256(key).digest()[:8]) % corpus.num_scenes)
        draw += 1
    return sorted(chosen)


def _renderer(directory: str | Path, catalog: Catalog) -> RenderSpec:
    corpus = open_corpus(directory).index.corpus
    if catalog.content_hash != corpus.catalog_hash:
        raise SynthError(
            "the corpus was made from another catalog",
            where=catalog.directory,
            remedy="give the catalog that it was made from, or verify without one",
        )
    renderer = Renderer(catalog)
    stems = ("mixture", "dry", *corpus.stems)
    return lambda spec: renderer.render(spec, stems)


@dataclass(frozen=True, slots=True)
class _CheckWork:
    """What a worker does with the number of a shard: return its fault, or what it holds."""

    storage: Storage
    identity: CorpusIdentity

    def __call__(self, task: int, on_step: Callable[[], None]) -> Problem | tuple[ShardEntry, Statistics]:
        name = self.identity.shard_name(task)
        try:
            with _here(self.storage, name) as folder:
                index = check_shard(folder, self.identity, task, members=True)
        except SynthError as error:
            local = isinstance(self.storage, FolderStorage) and error.where
            return Problem(local or self.storage.named(name), error.what, error.remedy)
        on_step()
        return ShardEntry.of(index), index.statistics


@contextmanager
def _here(storage: Storage, name: str) -> Iterator[Path]:
    """Return a folder of this machine with a shard and its index in it."""
    if isinstance(storage, FolderStorage):
        yield storage.directory
        return
    with tempfile.TemporaryDirectory(prefix="s5kit-verify-") as folder:
        data = storage.read_whole(index_name(name), MAX_SEALED_BYTES)
        (Path(folder) / index_name(name)).write_bytes(data)
        end = (
            parse_shard_index(data, Path(storage.named(index_name(name)))).size + 1
        )  # one too many is a fault
        with (Path(folder) / name).open("wb") as file:
            for first in range(0, end, _FETCH):
                file.write(storage.read_parts(name, [(first, min(_FETCH, end - first))])[0])
        yield Path(folder)


def _check_shards(
    storage: Storage, index: CorpusIndex, workers: int, progress: Callable[[int, int], None]
) -> list[Problem]:
    """Return what is wrong with the shards, each on its own and against the index of the corpus."""
    corpus = index.corpus
    paths = [storage.named(name) for name in corpus.shard_names()]
    problems: dict[int, Problem] = {}
    counted: list[Statistics] = []
    engine = LocalEngine(workers)
    watch = Watch(name=paths.__getitem__)
    with closing(engine.run(_CheckWork(storage, corpus), range(len(paths)), watch)) as results:
        for done, (shard, found) in enumerate(results, start=1):
            progress(done, len(paths))
            if isinstance(found, Problem):
                problems[shard] = found
                continue
            entry, statistics = found
            counted.append(statistics)
            if entry != index.shards[shard]:
                what = "it is sound, but not the shard that the index of the corpus lists"
                problems[shard] = Problem(paths[shard], what, _REMEDY)
    if not problems and Statistics.total(counted) != index.statistics:
        what = "its statistics are not those of its shards"
        return [Problem(storage.named(INDEX_NAME), what, _REMEDY)]
    return [problems[shard] for shard in sorted(problems)]


def _strangers(directory: Path, corpus: CorpusIdentity) -> list[Problem]:
    """Return the archives and indexes that the corpus does not have."""
    names = set(corpus.shard_names())
    names |= {index_name(name) for name in names}
    extra = [p for pattern in ("*.tar", "*.idx.json") for p in sorted(directory.glob(pattern))]
    return [
        Problem(str(path), "it is no part of this corpus: extra, a copy, or renamed", "move it elsewhere")
        for path in extra
        if path.name not in names
    ]


def _rerender_fault(reader: CorpusReader, number: int, render_spec: RenderSpec) -> tuple[str | None, bool]:
    """Return how a scene rendered again differs from the stored one, and whether its bytes agree."""
    corpus = reader.index.corpus
    key = corpus.key(number)
    stored = {f"{key}.{suffix}": content for suffix, content in reader.read_members(number).items()}
    record = parse_record(stored[f"{key}.json"], key)
    again = dict(encode_scene(corpus, number, render_spec(record.spec)).members)
    if again == stored:
        return None, True
    for name, content in stored.items():
        if fault := _member_fault(name, content, again[name]):
            return fault, False
    return None, False


def _member_fault(name: str, stored: bytes, again: bytes) -> str | None:
    if stored == again:
        return None
    if name.endswith(".json"):
        old, new = parse_record(stored, name), parse_record(again, name)
        same = (old.spec, old.labels) == (new.spec, new.labels)
        return None if same else f"{name}: the labels are not those that its spec gives"
    difference = np.abs(decode_flac(stored, name)[0] - decode_flac(again, name)[0]).max()
    steps = round(float(difference) / _STEP_16_BITS)
    return None if steps <= 1 else f"{name}: rendered again it differs by up to {steps} steps of 16 bits"
