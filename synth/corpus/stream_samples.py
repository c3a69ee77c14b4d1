"""A stream sample by sample, for the DataLoaders of others."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch.utils.data

from ..errors import SynthError
from .stream_loader import make_here
from .stream_source import Made

if TYPE_CHECKING:
    from .stream import Stream


class Samples:
    """The samples of one rank, or of one worker of a DataLoader, with a state of its own.

    Worker w of W makes the rank's batches w, w + W, w + 2 W … from where the stream stood, as a
    DataLoader asks its workers in turn. The state of a worker is where its own next batch begins.
    """

    def __init__(self, stream: Stream) -> None:
        info = torch.utils.data.get_worker_info()
        self._stream = stream
        self._alone = info is None
        self._workers = 1 if info is None else info.num_workers
        self._batch = stream.order.after(stream.begin(), 0 if info is None else info.id)
        self._done = 0
        self._checked = False

    def __iter__(self) -> Iterator[Made]:
        return self

    def __next__(self) -> Made:
        if not self._checked:
            _check_caller(sys._getframe(1), self._stream.order.batch_size)
            self._checked = True
        stream, share = self._stream, self._stream.order.share(self._batch)
        if not share:
            if self._alone:
                stream.finished()
            raise StopIteration
        sample = make_here(stream, share[self._done])
        self._done += 1
        if self._done == len(share):
            if self._alone:  # A worker is ahead of what its loader hands out.
                stream.consumed(stream.order.after(self._batch))
            self._batch = stream.order.after(self._batch, self._workers)
            self._done = 0
        return sample

    def state_dict(self) -> dict[str, Any]:
        """Return where this worker's next batch begins, and how many of its samples are out."""
        return {"batch": self._batch, "done": self._done, "workers": self._workers}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a worker of equally many stood.

        Raises:
            SynthError: There were more, or fewer, workers.
        """
        if state["workers"] != self._workers:
            raise SynthError(
                f"was saved with {state['workers']} workers, now there are {self._workers}",
                where="state",
                remedy="use as many workers; stream.loader() goes on with any number",
            )
        self._batch, self._done = self._stream.order.checked(state["batch"]), int(state["done"])


def _check_caller(caller: FrameType | None, batch_size: int) -> None:
    """Refuse a DataLoader whose batches are not the stream's, and one that Accelerate has cut up.

    Neither can be seen from outside: torch tells an IterableDataset nothing of its loader.
    """
    depth = 0
    while caller is not None and depth < 12:
        module = caller.f_globals.get("__name__", "")
        if module.startswith("accelerate.data_loader"):
            raise SynthError(
                "accelerator.prepare() shares its batches out among the ranks once more",
                where="DataLoader",
                remedy="do not prepare the loader; give the stream rank=accelerator.process_index and "
                "world_size=accelerator.num_processes",
            )
        if module == "torch.utils.data._utils.fetch" and "possibly_batched_index" in caller.f_locals:
            wanted = caller.f_locals["possibly_batched_index"]
            found = len(wanted) if isinstance(wanted, list) else 1
            if found != batch_size:
                raise SynthError(
                    f"it makes batches of {found}, the stream's order is made for batches of {batch_size}",
                    where="DataLoader",
                    remedy=f"give the stream batch_size={found}, or use stream.loader()",
                )
        caller = caller.f_back
        depth += 1
