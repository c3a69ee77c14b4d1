"""What there is on this machine: cores, memory, disk, GPU, versions, extras."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ..assets.workers import available_cores
from .identity import generator_version

EXTRAS = {
    "models": ("torch", "safetensors", "huggingface_hub"),
    "train": ("accelerate", "tensorboard", "sed_scores_eval"),
    "augment": ("torch-audiomentations", "torchaudio"),
    "remote": ("fsspec", "aiohttp", "s3fs"),
    "serve": ("fastapi", "uvicorn"),
    "ray": ("ray",),
    "plots": ("matplotlib",),
    "demo": ("pyroomacoustics",),
}
"""Distributions that an extra needs beside the plain installation."""

_VERSIONS = ("numpy", "scipy", "soundfile", "torch")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device that torch sees; `memory` in bytes."""

    name: str
    memory: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is.

    Attributes:
        system: Operating system and processor.
        cores: That this process may use.
        memory, free_memory: In bytes; None: the system does not tell.
        free_disk: Bytes free where `folder` lies.
        gpus: Devices that torch sees.
        versions: Of Python, s5kit and what decides bytes and speed; None: not installed.
        extras: Whether all of an extra is installed.
    """

    system: str
    cores: int
    memory: int | None
    free_memory: int | None
    free_disk: int
    gpus: tuple[Gpu, ...]
    versions: dict[str, str | None]
    extras: dict[str, bool]


def look_at_machine(folder: Path) -> Machine:
    """Return what there is; `folder` is where corpora would go, or any folder on that disk."""
    memory, free = _memory()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cores=available_cores(),
        memory=memory,
        free_memory=free,
        free_disk=shutil.disk_usage(folder).free,
        gpus=_gpus(),
        versions={
            "python": platform.python_version(),
            "s5kit": generator_version(),
            **{name: _version(name) for name in _VERSIONS},
        },
        extras={name: all(_version(n) for n in needed) for name, needed in EXTRAS.items()},
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _memory() -> tuple[int | None, int | None]:
    """Return all and available memory; a container's limit is respected."""
    fields: dict[str, int] = {}
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            fields[name] = int(value.split()[0]) * 1024
    memory, free = fields.get("MemTotal"), fields.get("MemAvailable")
    if memory is None:
        with suppress(OSError, ValueError, AttributeError):
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        memory = limit if memory is None else min(memory, limit)
        free = limit - used if free is None else min(free, limit - used)
    return memory, free


def _gpus() -> tuple[Gpu, ...]:
    with suppress(ModuleNotFoundError, RuntimeError):
        cuda = importlib.import_module("torch").cuda
        if cuda.is_available():
            found = [cuda.get_device_properties(n) for n in range(cuda.device_count())]
            return tuple(Gpu(str(device.name), int(device.total_memory)) for device in found)
    return ()
