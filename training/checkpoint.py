"""Checkpoints that are whole or absent: staged, hashed, synced, renamed; the newest valid one is found.

A checkpoint is a folder `step-000001234` of safetensors and JSON files. `MANIFEST.json`, written last, holds
the size and SHA-256 of every other file; then the folder gets its name in one rename, and only then are
older ones removed. Whatever moment a run dies at, the folders that have a final name are whole.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from synth import SynthError, fsync_directory, load_json, read_bounded, sha256_file, write_text

MANIFEST = "MANIFEST.json"
_FORMAT = 1
_NAME = re.compile(r"step-(\d{9,})")
_HIDDEN = re.compile(r"\.(step-\d{9,})\.\S+\.partial")
_FILE = re.compile(r"[a-z0-9_]+\.(safetensors|json|md)")
_PARTIAL = ".partial"
_MAX_FILES = 100
_REMEDY = "remove this checkpoint to continue from an older one"


@dataclass(frozen=True, slots=True)
class Found:
    """The newest valid checkpoint of a run.

    Attributes:
        path: Its folder; None when the run has not been saved yet.
        step: Optimiser steps done in it; 0 without a folder.
        skipped: Newer folders that are not valid, and why, newest first.
    """

    path: Path | None
    step: int
    skipped: tuple[str, ...] = ()


def write_checkpoint(folder: Path, step: int, fill: Callable[[Path], None], *, keep: int) -> Path:
    """Save a checkpoint, then remove old ones.

    Args:
        folder: That of the run's checkpoints; made if needed.
        step: Optimiser steps done.
        fill: Writes the files into the folder that it is given.
        keep: How many stay, at least 1.

    Returns:
        Its folder.

    Raises:
        SynthError: The disk refuses. The checkpoints that there were are still there.
    """
    final = folder / f"step-{step:09d}"
    stage = _hidden(final)
    try:
        stage.mkdir(parents=True)
        fill(stage)
        _seal(stage, step)
        _put(stage, final)
        _prune(folder, step, keep)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(stage, ignore_errors=True)
        raise _refused(error, final) from error
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    return final


def newest_checkpoint(folder: Path) -> Found:
    """Return the newest checkpoint whose files are what its manifest says.

    Raises:
        SynthError: There are checkpoints, but none is valid: starting anew has to be asked for.
    """
    skipped: list[str] = []
    for _, path in reversed(_numbered(folder)):
        try:
            return Found(path, verify(path), tuple(skipped))
        except SynthError as error:
            skipped.append(f"{path.name}: {error.what}")
    if skipped:
        raise SynthError(
            f"none of {len(skipped)} checkpoint(s) is whole: {'; '.join(skipped)}",
            where=folder,
            remedy="restore one from a copy, or remove the folder to start from step 0",
        )
    return Found(None, 0)


def verify(path: Path) -> int:
    """Check a checkpoint's files against its manifest; return its step.

    Raises:
        SynthError: A file is missing, short, altered or unlisted, or there is no manifest.
    """
    manifest = path / MANIFEST
    content = load_json(read_bounded(manifest), where=manifest)
    files = content.get("files") if isinstance(content, dict) else None
    if not isinstance(files, dict) or content.get("format") != _FORMAT or len(files) > _MAX_FILES:
        raise SynthError("its manifest is damaged", where=manifest, remedy=_REMEDY)
    if not {"state.json", "model.safetensors"} <= files.keys():
        raise SynthError("its manifest lists no model or no state", where=manifest, remedy=_REMEDY)
    for name, facts in files.items():
        try:
            _check_file(path, name, facts)
        except OSError as error:
            raise SynthError(
                f"{name} cannot be read: {error.strerror or error}", where=path, remedy=_REMEDY
            ) from error
    step = _NAME.search(path.name)
    if step is None or content.get("step") != int(step[1]):
        raise SynthError(
            f"its manifest is that of step {content.get('step')!r}", where=manifest, remedy=_REMEDY
        )
    return int(step[1])


def clear_leftovers(folder: Path) -> None:
    """Remove what killed runs left half written or half removed; only the owner of the run's lock may.

    A run that died while it replaced a checkpoint by a newer one of the same step leaves both whole, but hidden:
    that gets its name back.
    """
    for path in sorted(folder.glob(f".step-*{_PARTIAL}")):
        name = _HIDDEN.fullmatch(path.name)
        try:
            if name is not None and not (folder / name[1]).exists():
                verify(path)
                os.rename(path, folder / name[1])
                continue
        except (SynthError, OSError):
            pass  # not whole, so nothing is lost with it
        shutil.rmtree(path, ignore_errors=True)


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors and sync the file.

    Raises:
        OSError: The file system refuses.
        SafetensorError: Likewise.
    """
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    sync_file(path)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file.

    Raises:
        SynthError: It is none.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise SynthError(f"not a readable safetensors file: {error}", where=path, remedy=_REMEDY) from error


def sync_file(path: Path) -> None:
    """Make a file's bytes last through a power cut."""
    fsync_directory(path)  # a file is opened and synced just as a folder is


def _put(stage: Path, final: Path) -> None:
    """Give a whole checkpoint its name; one that has the name already is moved away, then removed."""
    doomed = _hidden(final)
    replaces = final.exists()
    if replaces:
        os.rename(final, doomed)
    os.rename(stage, final)
    fsync_directory(final.parent)
    if replaces:
        shutil.rmtree(doomed, ignore_errors=True)


def _seal(stage: Path, step: int) -> None:
    files = sorted(path for path in stage.iterdir())
    facts: dict[str, Any] = {
        path.name: {"size": path.stat().st_size, "sha256": sha256_file(path)} for path in files
    }
    content = {"format": _FORMAT, "step": step, "files": facts}
    write_text(stage / MANIFEST, json.dumps(content, indent=2) + "\n")


def _check_file(folder: Path, name: str, facts: Any) -> None:
    path = folder / name
    if not _FILE.fullmatch(name) or path.is_symlink() or not path.is_file():
        raise SynthError(f"{name!r} is missing", where=folder, remedy=_REMEDY)
    size, digest = (facts.get("size"), facts.get("sha256")) if isinstance(facts, dict) else (None, None)
    if path.stat().st_size != size:
        raise SynthError(
            f"{name} has {path.stat().st_size} bytes, its manifest says {size!r}",
            where=folder,
            remedy=_REMEDY,
        )
    if sha256_file(path) != digest:
        raise SynthError(f"{name} is damaged (its SHA-256 differs)", where=folder, remedy=_REMEDY)


def _prune(folder: Path, step: int, keep: int) -> None:
    """Keep the one just written and the `keep` - 1 before it; a later one is damaged and counts for nothing."""
    earlier = [path for number, path in _numbered(folder) if number <= step]
    for path in earlier[: -max(keep, 1)]:
        _remove(path)


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """Return (step, folder) of all that have a checkpoint's name, in order."""
    paths = list(folder.iterdir()) if folder.is_dir() else []
    return sorted((int(match[1]), path) for path in paths if (match := _NAME.fullmatch(path.name)))


def _remove(path: Path) -> None:
    """Take the name away first: a checkpoint half removed would be one that is not whole."""
    doomed = _hidden(path)
    os.rename(path, doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _hidden(final: Path) -> Path:
    return final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(4)}{_PARTIAL}")


def _refused(error: Exception, path: Path) -> SynthError:
    try:
        free = f", {shutil.disk_usage(path.parent).free:,} bytes are free"
    except OSError:
        free = ""
    return SynthError(
        f"the checkpoint cannot be written: {getattr(error, 'strerror', None) or error}{free}",
        where=path,
        remedy="make room, then run the same command again: it continues from the newest checkpoint",
    )
