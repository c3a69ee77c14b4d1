"""Build the embedded default: a small synthetic development set in the layout of DCASE Task 4."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import SynthError
from ...files import fsync_directory, sha256_file, write_text
from ..cache import require_space, staging
from ..workers import Progress, Workers
from .about import ledger_text, licence_text, readme_text
from .draws import DEMO_VERSION
from .request import Request, make, tasks

MARKER = "demo.json"
"""Written last: version, request, hash of every file. A tree without it is not a demo."""

FULL_BYTES = 250 << 20
"""Room on the disk that the whole demo needs at most."""


def build_demo(
    out: str | Path,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    request: Request | None = None,
) -> Path:
    """Build the demo sounds and rooms, unless they are there and whole.

    The files depend on the version of the demo only: not on the number of workers, nor on what
    else is built. The tree appears under its name when it is complete.

    Args:
        out: Folder of the demo: `dev_set`, README.md, LICENCE.md, licences.tsv, demo.json.
        workers: Processes. With more than one, a script must guard its own code by
            `if __name__ == "__main__"`.
        progress: Called with (files done, files in all).
        request: Only a part of it; None for everything.

    Returns:
        The `dev_set` folder, for `build_catalog`.

    Raises:
        SynthError: `out` holds something else, the disk is full, or pyroomacoustics is missing.
    """
    out, request = Path(os.path.abspath(out)), request or Request()
    with staging_lock(out):
        if not _complete(out, request):
            _refuse_foreign(out)
            if request == Request():
                require_space(out.parent, FULL_BYTES)
            with staging(out.parent, out.name) as folder:
                _fill(folder, request, workers, progress)
                _swap(folder, out)
    return out / "dev_set"


def demo_hash(out: str | Path) -> str:
    """Return the content hash of a built demo: equal hashes mean equal bytes.

    Raises:
        SynthError: There is no complete demo.
    """
    marker = _read_marker(Path(out))
    if marker is None:
        raise SynthError("there is no demo here", where=out, remedy="run `s5kit demo build`")
    return str(marker["content_hash"])


@contextmanager
def staging_lock(out: Path) -> Iterator[None]:
    """Let one process build at a time; clear what a killed one left."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle = (out.parent / f".{out.name}.lock").open("ab")
    except OSError as error:
        raise SynthError(str(error), where=out.parent, remedy="give a folder that may be written") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        for stale in out.parent.glob(f".{out.name}.*.partial"):
            shutil.rmtree(stale, ignore_errors=True)
        yield


def _fill(folder: Path, request: Request, workers: int, progress: Progress | None) -> None:
    todo = tasks(request)
    with Workers(workers) as pool:
        for _ in pool.in_order(functools.partial(make, folder), todo, progress, few=4):
            pass
    write_text(folder / "README.md", readme_text(request))
    write_text(folder / "LICENCE.md", licence_text())
    write_text(folder / "licences.tsv", ledger_text([task.path for task in todo]))
    files = {
        path.relative_to(folder).as_posix(): [path.stat().st_size, sha256_file(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    content = "".join(f"{path}\0{digest}\n" for path, (_, digest) in files.items())
    marker = {
        "format": "s5kit demo (synthetic)",
        "version": DEMO_VERSION,
        "request": request.as_json(),
        "content_hash": hashlib.sha256(content.encode()).hexdigest(),
        "files": files,
    }
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            fsync_directory(path)
    write_text(folder / MARKER, json.dumps(marker, indent=1) + "\n")


def _swap(folder: Path, out: Path) -> None:
    """Give the staged tree its name; an older or damaged demo makes room for it."""
    old = folder.with_name(folder.name.replace(".partial", ".old.partial"))
    if out.is_dir():
        out.rename(old)
    folder.rename(out)
    fsync_directory(out.parent)
    shutil.rmtree(old, ignore_errors=True)


def _complete(out: Path, request: Request) -> bool:
    """Whether the tree is this version of this request, every file being there with its content."""
    marker = _read_marker(out)
    if marker is None or marker.get("version") != DEMO_VERSION or marker.get("request") != request.as_json():
        return False
    for name, (size, digest) in marker["files"].items():
        path = out / name
        if not path.is_file() or path.stat().st_size != size or sha256_file(path) != digest:
            return False
    return True


def _read_marker(out: Path) -> dict[str, Any] | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        marker: dict[str, Any] = json.loads((out / MARKER).read_text("utf-8"))
        if str(marker["format"]).startswith("s5kit demo"):
            marker["files"] = {str(k): (int(v[0]), str(v[1])) for k, v in marker["files"].items()}
            return marker
    return None


def _refuse_foreign(out: Path) -> None:
    """Never replace what this module did not make."""
    if out.exists() and not (out.is_dir() and (_read_marker(out) is not None or not any(out.iterdir()))):
        raise SynthError(
            f"it holds something else (there is no {MARKER} of a demo)",
            where=out,
            remedy="give a new or an empty folder",
        )
