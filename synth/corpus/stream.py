"""Streams: endless or fixed sets of scenes for training, in an order that nothing but the seed decides.

    stream = SceneStream(recipe, catalog, seed=0, batch_size=16)
    for batch in stream.loader(workers=4):
        ...

The sample at position p is a function of the stream's identity and p alone. So the order is the same
for any number of ranks and workers at one global batch, the state is one number, and going on from
anywhere takes no time. Under Accelerate give `rank=accelerator.process_index` and
`world_size=accelerator.num_processes`, and do not `prepare` the loader.

A stream is also an IterableDataset of single samples, for a plain `DataLoader` or torchdata's
`StatefulDataLoader` with the `batch_size` of the stream. The state of the stream then counts only
what is loaded in this process (`num_workers=0`): with workers use the state of the
StatefulDataLoader, or count batches and use `at(batches * stream.order.global_batch)`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from torch.utils.data import IterableDataset

from ..assets.catalog import Catalog
from ..errors import SynthError
from ..rendering.sample import SampleFormat as SampleFormat
from ..rendering.sample import default_classes as default_classes
from ..rendering.sample import scene_sample as scene_sample
from ..rendering.scene import DEFAULT_STEMS
from ..rendering.sounds import SoundSource
from ..scenes.plan import check_plannable
from ..scenes.recipe import Recipe
from ..scenes.spec import SceneSpec
from ..units import Seconds
from .stream_loader import TIMEOUT, StreamLoader
from .stream_loader import collate as collate
from .stream_order import BatchOrder
from .stream_remote import CACHE_BYTES, open_corpus
from .stream_samples import Samples
from .stream_source import CorpusSource, LiveSource, Made, Source, SpecSource, form_of_corpus, form_of_specs
from .stream_worker import ignore_signals as ignore_signals


class Stream(IterableDataset[Made]):
    """What all streams share: order, state, loading.

    Args:
        source: Makes the sample at a position.
        form: What samples look like.
        order: Who gets which positions.
        start: The first position.

    Attributes:
        source, form, order: As given.

    Raises:
        SynthError: `start` is negative, or beyond the end.
    """

    def __init__(self, source: Source, form: SampleFormat, order: BatchOrder, start: int) -> None:
        super().__init__()
        self.source, self.form, self.order = source, form, order
        self._start = self._position = order.checked(start)
        self._resuming = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes that labels index."""
        return self.form.classes

    @property
    def series(self) -> str:
        """Return what errors call the samples."""
        seed = self.source.identity.get("seed")
        return "given scenes" if seed is None else f"seed {seed}"

    @property
    def position(self) -> int:
        """Return how many samples all ranks together have consumed, counted from position 0."""
        return self._position

    def __len__(self) -> int:
        """Return how many samples of a fixed set this rank gets.

        Raises:
            TypeError: The stream is endless.
        """
        if self.order.length is None:
            raise TypeError("an endless stream has no length")
        whole, rest = divmod(self.order.length - self._start, self.order.global_batch)
        last = self.order.share(self.order.length - rest)
        return whole * self.order.batch_size + len(last)

    def loader(
        self,
        workers: int = 0,
        prefetch: int = 2,
        pin_memory: bool = False,
        timeout: Seconds = TIMEOUT,
    ) -> StreamLoader:
        """Return what yields this rank's batches; see `StreamLoader`."""
        return StreamLoader(self, workers=workers, prefetch=prefetch, pin_memory=pin_memory, timeout=timeout)

    def at(self, position: int) -> Self:
        """Return a new stream like this one that starts at a position.

        Raises:
            SynthError: The position is negative, or beyond the end.
        """
        other = copy.copy(self)
        other._start = other._position = self.order.checked(position)
        other._resuming = False
        return other

    def state_dict(self) -> dict[str, Any]:
        """Return where the stream stands: samples consumed by all ranks, and what they are of."""
        return {"position": self._position, **self.source.identity}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a stream of the same identity stood; batch size, ranks and workers may differ.

        Raises:
            SynthError: The state is of another stream.
        """
        expected = self.source.identity
        if state.keys() != {"position", *expected}:
            raise SynthError(
                f"has the fields {', '.join(sorted(state))}, expected are position, {', '.join(expected)}",
                where="state",
                remedy="give what state_dict() of a stream of this kind returned",
            )
        for name, value in expected.items():
            if state[name] != value:
                raise SynthError(
                    f"is {state[name]!r}, this stream has {value!r}: the samples would be others",
                    where=f"state: {name}",
                    remedy="make the stream as it was, or start a new one",
                )
        self._position = self.order.checked(state["position"])
        self._resuming = True

    def __iter__(self) -> Iterator[Made]:
        """Yield this rank's samples one by one; in a DataLoader's worker, that worker's."""
        return Samples(self)

    def begin(self) -> int:
        """Return where an iteration that starts now begins: a fixed set begins anew."""
        if self.order.length is not None and not self._resuming:
            self._position = self._start
        self._resuming = False
        return self._position

    def consumed(self, position: int) -> None:
        """Note that all samples before a position were handed out."""
        self._position = position

    def finished(self) -> None:
        """Note that a fixed set was handed out to its end."""
        if self.order.length is not None:
            self._position = self.order.length


class SceneStream(Stream):
    """Live scenes: position p is `render(plan(recipe, catalog, seed, p))`, see `scene_sample`.

    Args:
        recipe: How scenes are drawn.
        catalog: From what.
        seed: Which series of scenes.
        batch_size: Samples of a batch on one rank.
        start: The first position.
        length: Where a fixed set ends; None: never.
        rank: Which of the processes that train together this is.
        world_size: How many they are.
        classes: Names of the classes; None: `default_classes(catalog)`.
        slots: Targets that every sample has room for; None: the most that the recipe draws.
        stems: Which of `STEMS` samples hold.
        render: False: samples are SceneSpecs, for a renderer elsewhere.

    Raises:
        SynthError: The catalog has not what the recipe asks for, or a number is out of its range.
    """

    def __init__(
        self,
        recipe: Recipe,
        catalog: Catalog,
        seed: int = 0,
        *,
        batch_size: int = 1,
        start: int = 0,
        length: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        classes: Sequence[str] | None = None,
        slots: int | None = None,
        stems: Sequence[str] = DEFAULT_STEMS,
        render: bool = True,
    ) -> None:
        check_plannable(recipe, catalog)
        form = SampleFormat.of(recipe, catalog, classes=classes, slots=slots, stems=stems)
        source = LiveSource(recipe, catalog, seed, form, render=render)
        super().__init__(source, form, BatchOrder(batch_size, rank, world_size, length), start)

    @staticmethod
    def of_specs(specs: Sequence[SceneSpec], sounds: SoundSource, **settings: Any) -> SpecStream:
        """Return a fixed set of given scenes; see `SpecStream`."""
        return SpecStream(specs, sounds, **settings)


class SpecStream(Stream):
    """A fixed set of scenes that are given one by one, such as the official validation scenes.

        specs = [spec for _, spec in load_scenes(Path("valid.json"), root)]
        stream = SpecStream(specs, FolderSounds(root), batch_size=8)

    Args:
        specs: The scenes, all of one length and rate; the position is the index.
        sounds: A catalog, or where else their sound lies.
        batch_size, start, rank, world_size, stems, render: As for `SceneStream`.
        classes: Names of the classes; None: the 18 of the task, or the scenes' own if those are others.
        slots: Targets that every sample has room for; None: the most that a scene has.
        frame: Length of a label frame in seconds.

    Raises:
        SynthError: Scenes differ in length or rate, or do not fit `classes` and `slots`.
    """

    def __init__(
        self,
        specs: Sequence[SceneSpec],
        sounds: SoundSource,
        *,
        batch_size: int = 1,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
        classes: Sequence[str] | None = None,
        slots: int | None = None,
        frame: Seconds = 0.04,
        stems: Sequence[str] = DEFAULT_STEMS,
        render: bool = True,
    ) -> None:
        form = form_of_specs(specs, classes=classes, slots=slots, frame=frame, stems=stems)
        source = SpecSource(specs, sounds, form, render=render)
        super().__init__(source, form, BatchOrder(batch_size, rank, world_size, len(specs)), start)


class CorpusStream(Stream):
    """Scenes of a finished corpus, every epoch in another order.

    Position p is scene `permute(p % n, n, seed, epoch=p // n)` of the n scenes; batches do not end
    with epochs. Only the members that are asked for are read, and each is compared with its crc32.

    Args:
        corpus: A folder, an `http(s)://` address, or any other that fsspec opens, such as
            `s3://bucket/corpus` (needs the extra `remote`).
        batch_size, start, rank, world_size: As for `SceneStream`.
        seed: Which series of orders.
        shuffle: False: in the order stored, every epoch.
        epochs: After so many the stream ends; None: never.
        classes: Names of the classes; None: the 18 of the task, or the corpus's own if those are others.
        slots: Targets that every sample has room for; None: as many as the corpus.
        stems: Which of the stored stems samples hold.
        cache: A folder of this machine in which what came over the network is kept; processes and
            runs may share it. None: nothing is kept.
        cache_bytes: The most that the folder may hold.
        options: What fsspec needs to open the address, such as {"endpoint_url": ...}.

    Raises:
        SynthError: There is no finished corpus, it does not hold what is asked for, or it cannot be
            reached.
    """

    def __init__(
        self,
        corpus: str | Path,
        *,
        batch_size: int = 1,
        seed: int = 0,
        shuffle: bool = True,
        epochs: int | None = None,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
        classes: Sequence[str] | None = None,
        slots: int | None = None,
        stems: Sequence[str] = DEFAULT_STEMS,
        cache: str | Path | None = None,
        cache_bytes: int = CACHE_BYTES,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        reader = open_corpus(corpus, cache=cache, cache_bytes=cache_bytes, options=options)
        form = form_of_corpus(reader, classes=classes, slots=slots, stems=stems)
        source = CorpusSource(reader, seed, shuffle, form)
        length = None if epochs is None else epochs * len(reader)
        super().__init__(source, form, BatchOrder(batch_size, rank, world_size, length), start)
        self.reader = reader
