"""One scene as a folder of WAV files, for ears and for tools that read files."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator
from pathlib import Path

from ..assets.audio import write_wav_float
from ..assets.paths import inside
from ..assets.sofa import read_sofa
from ..errors import SynthError
from ..files import write_bytes, write_text
from ..scenes.dcase_json import RoomFacts, read_list, read_scene, to_dcase_scene
from ..scenes.label_files import to_tsv
from ..scenes.spec import SceneSpec
from ..units import Audio
from .scene import Scene
from .sounds import FolderSounds


def load_scenes(path: Path, data_root: Path) -> Iterator[tuple[str, SceneSpec]]:
    """Read the scene or scenes that a JSON file names.

    Args:
        path: An official scene file (2025 or 2026), an official list of them (`valid.json`),
            our own SceneSpec, or the JSON of a scene in one of our shards.
        data_root: The folder that the paths in the file start from.

    Yields:
        (name, spec): the name is the scene file's stem.

    Raises:
        SynthError: The file is none of these, or names files outside `data_root`.
    """
    positions = FolderSounds(data_root).positions
    if entries := read_list(path):
        for entry in entries:
            yield entry.path.stem, read_scene(entry.path, data_root, positions)
    else:
        yield path.stem, read_scene(path, data_root, positions)


def write_scene(scene: Scene, out: Path, *, name: str = "mixture") -> list[Path]:
    """Write the stems that a scene holds, its labels and its spec.

    `mixture.wav` (4 channels), `dry_<n>_<Label>.wav`, `wet_<n>_<Label>.wav`, `interference.wav`,
    `noise.wav` as 32-bit float WAV; `labels.tsv` (filename, onset, offset, event_label) and
    `scene.json` (the SceneSpec).

    Args:
        scene: What to write; stems that are None are left out.
        out: A folder, made if needed.
        name: The file name in `labels.tsv`.

    Returns:
        The files written.

    Raises:
        SynthError: The folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        written = [_write_wav(out / f, audio, scene.spec.sample_rate) for f, audio in _files(scene)]
        write_text(out / "labels.tsv", to_tsv({f"{name}.wav": scene.labels}, scene.spec.sample_rate))
        write_text(out / "scene.json", scene.spec.to_json(indent=1) + "\n")
    except OSError as error:
        raise SynthError(
            f"cannot be written: {error.strerror or error}",
            where=out,
            remedy="choose a folder with room and rights",
        ) from error
    return [*written, out / "labels.tsv", out / "scene.json"]


def write_dcase_scene(spec: SceneSpec, file: Path, data_root: Path, *, prefix: str = "") -> None:
    """Write a spec as a scene file that the official generator of its year reads.

    Args:
        spec: The scene.
        file: The file to write.
        data_root: The folder that the paths of the spec start from.
        prefix: Where that folder lies from where the official program runs, such as `data/dev_set`.

    Raises:
        SynthError: The official form cannot say what the spec says, or the room cannot be read.
    """
    room = read_sofa(inside(data_root, spec.place))
    facts = RoomFacts(room.rate, room.channels, len(room.positions), room.taps)
    scene = to_dcase_scene(spec, room=facts, prefix=prefix)
    write_text(file, json.dumps(scene, indent=1, allow_nan=False) + "\n")


def _files(scene: Scene) -> Iterator[tuple[str, Audio]]:
    for stem in ("mixture", "interference", "noise"):
        if (audio := getattr(scene, stem)) is not None:
            yield f"{stem}.wav", audio
    for stem in ("dry", "wet"):
        if (audio := getattr(scene, stem)) is not None:
            for n, event in enumerate(scene.spec.targets):
                yield f"{stem}_{n}_{event.label}.wav", audio[n]


def _write_wav(path: Path, audio: Audio, rate: int) -> Path:
    buffer = io.BytesIO()
    write_wav_float(buffer, audio if audio.ndim == 2 else audio[None], rate)
    write_bytes(path, buffer.getvalue())
    return path


def stem_names(text: str, known: Collection[str]) -> tuple[str, ...]:
    """Read a list of stems as a user writes it: `all`, or names with commas between them."""
    return tuple(known) if text == "all" else tuple(part.strip() for part in text.split(",") if part.strip())
