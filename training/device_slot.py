"""One GPU for one job at a time: jobs on one machine share them out by locks that die with their owners."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.5
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def device_slot(
    folder: Path,
    devices: Sequence[str],
    *,
    threads: int | None = None,
    on_poll: Callable[[], None] = lambda: None,
) -> Iterator[dict[str, str] | None]:
    """Hold a device, waiting until one is free.

    Args:
        folder: Where the locks lie, one file per device; made if needed.
        devices: As CUDA_VISIBLE_DEVICES names them; empty: nothing is held.
        threads: For computing on a CPU; None: as the environment has it.
        on_poll: Called twice a second while waiting; what it raises ends it.

    Yields:
        The environment of a process that sees only that device; None where nothing changes.
    """
    own = {} if threads is None else dict.fromkeys(_THREADS, str(threads))
    if not devices:
        yield {**os.environ, **own} if own else None
        return
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        for device in devices:
            handle = os.open(folder / f"{device}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                continue
            try:
                yield {**os.environ, **own, "CUDA_VISIBLE_DEVICES": device}
            finally:
                os.close(handle)
            return
        on_poll()
        time.sleep(_POLL_SECONDS)
