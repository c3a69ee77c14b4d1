"""Small corpora of made-up scenes, in milliseconds: nothing is planned or rendered."""

from __future__ import annotations

import hashlib
import os
import signal
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth.corpus.corpus import CorpusReport, write_scenes
from synth.corpus.engines import LocalEngine
from synth.corpus.identity import CorpusIdentity
from synth.corpus.shards import MakeScene
from synth.errors import SynthError
from synth.rendering.scene import Scene
from synth.scenes.labels import strong_labels
from synth.scenes.spec import EventSpec, NoiseSpec, SceneSpec
from synth.units import Audio

DURATION = 640
LABELS = ("Speech", "Cough", "Dishes")


@dataclass(frozen=True)
class MadeUpScenes:
    """Makes scene `index` from nothing but the index; scene n has n % 4 targets.

    Attributes:
        fail_at: This scene cannot be made.
        kill_at: At this scene the process dies as if memory had run out.
        quiet: So many first scenes have neither target nor interferer nor noise.
    """

    fail_at: int | None = None
    kill_at: int | None = None
    quiet: int = 0

    def __call__(self, index: int) -> Scene:
        if index == self.fail_at:
            raise SynthError("is silent", where="Speech/a.wav", remedy="remove the file")
        if index == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return made_up_scene(made_up_spec(index, bare=index < self.quiet))


def made_up_spec(index: int, *, bare: bool = False) -> SceneSpec:
    """A spec with index % 4 targets, (index + 1) % 3 interferers and sometimes noise."""
    count = 0 if bare else index % 4
    return SceneSpec(
        rules="s5kit2025",
        duration=DURATION,
        ref_db=-50,
        place="room.sofa",
        targets=tuple(_event(LABELS[(index + n) % 3 if n < 2 else index % 3], 60 * n) for n in range(count)),
        interferers=() if bare else tuple(_event("Rain", 10 * n) for n in range((index + 1) % 3)),
        noise=None if bare or index % 3 == 1 else NoiseSpec(path="noise.wav", start=index, duration=DURATION),
    )


def made_up_scene(spec: SceneSpec) -> Scene:
    """A scene whose sounds follow from its spec alone."""
    seed = int.from_bytes(hashlib.sha256(spec.to_json().encode()).digest()[:8])
    rng = np.random.default_rng(seed)
    count = len(spec.targets)

    def sound(*shape: int) -> Audio:
        noise: Audio = (0.1 * rng.standard_normal(shape)).astype(np.float32)
        return noise

    return Scene(
        spec=spec,
        mixture=sound(4, DURATION),
        dry=sound(count, DURATION),
        wet=sound(count, 4, DURATION),
        interference=sound(4, DURATION),
        noise=sound(4, DURATION),
        labels=strong_labels(spec),
    )


def present(sound: Audio | None) -> Audio:
    """A stem that is there."""
    assert sound is not None
    return sound


def member_bytes(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    """The content of a member of an archive."""
    file = archive.extractfile(member)
    assert file is not None
    return file.read()


def identity(**changes: Any) -> CorpusIdentity:
    """A corpus of seven scenes in three shards, with some fields changed."""
    fields: dict[str, Any] = {
        "generator": "0.1.0",
        "recipe": "madeup",
        "recipe_hash": "a" * 64,
        "catalog_hash": "b" * 64,
        "split": "train",
        "seed": 5,
        "num_scenes": 7,
        "shard_size": 3,
        "slots": 3,
        "sample_rate": 32_000,
        "duration": DURATION,
    }
    return CorpusIdentity(**{**fields, **changes})


def write(
    directory: Path,
    scenes: MakeScene | None = None,
    *,
    workers: int = 1,
    progress: Any = lambda _: None,
    **changes: Any,
) -> CorpusReport:
    """Write, or continue, a corpus of made-up scenes."""
    return write_scenes(
        identity(**changes),
        scenes or MadeUpScenes(),
        directory,
        recipe={"name": "madeup"},
        engine=LocalEngine(workers),
        progress=progress,
    )


def contents(directory: Path) -> dict[str, str]:
    """File name -> SHA-256 of every file in a folder, hidden ones too."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def _event(label: str, onset: int) -> EventSpec:
    return EventSpec(
        label=label,
        path=f"{label}/a.wav",
        start=0,
        duration=200,
        onset=onset,
        position=0,
        xyz=(1.0, 0.5, 0.0),
        snr_db=5.0 + onset / 10,
    )
