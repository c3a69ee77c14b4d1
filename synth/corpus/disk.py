"""What to say when a disk refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import SynthError


def disk_error(error: OSError, path: Path, needed: int) -> SynthError:
    """Return a fault of the file system as an error that says what was wanted and what to do.

    Args:
        error: What the system said.
        path: The file that was to be written.
        needed: About how many bytes it takes.
    """
    reason = error.strerror or str(error)
    return SynthError(
        f"it cannot be written: {reason} (it takes about {needed:,} bytes{_free(path.parent)})",
        where=path,
        remedy="make room or choose another folder, then run the same command again: "
        "finished shards are kept",
    )


def _free(folder: Path) -> str:
    try:
        return f", {shutil.disk_usage(folder).free:,} are free"
    except OSError:
        return ""
