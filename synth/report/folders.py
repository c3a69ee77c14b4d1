"""Folders of sound files: official test sets, what `s5kit render` wrote, and a system's estimates."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..assets.audio import SUFFIXES, probe, read_frames
from ..errors import SynthError
from ..scenes.bounded import read_bounded
from ..scenes.labels import BRIDGED_GAP, LEVEL_FRAME, strong_labels
from ..scenes.spec import SceneSpec
from ..units import Audio, Decibels, Hertz
from .summary import SceneFacts, spec_facts, target_sources
from .view import Extent, SceneView, Source

ACTIVE: Decibels = 30.0
"""So far below the level of a target its sound still counts, where no label says when it sounds."""

_MIXTURES, _TARGETS = "soundscape", "oracle_target"
_PLACES = (".", "test", "synthesized/test", "dev_set/test", "dev_set/synthesized/test")
_RENDERED = "mixture.wav"
_NUMBERED = re.compile(r"(?P<number>\d+)_(?P<label>.+)")
_STEM = re.compile(r"(?P<kind>dry|wet)_(?P<number>\d+)_(?P<label>.+)")


@dataclass(frozen=True, slots=True)
class FolderScene:
    """Where the files of one scene are.

    Attributes:
        name: What it is called.
        mixture: The soundscape.
        targets: (label, file) of the dry targets in the order of their slots.
        folder: What `s5kit render` wrote; None for an official set.
    """

    name: str
    mixture: Path
    targets: tuple[tuple[str, Path], ...] = ()
    folder: Path | None = None


def folder_scenes(path: Path) -> list[FolderScene]:
    """Return the scenes of a folder.

    Args:
        path: One with `soundscape/` and perhaps `oracle_target/` (`<scene>_<Label>.wav`, or
            `<scene>_<n>_<Label>.wav`), or a folder above it; or one or many that `s5kit render` wrote.

    Raises:
        SynthError: It is neither.
    """
    official = next((path / place for place in _PLACES if (path / place / _MIXTURES).is_dir()), None)
    if official is not None:
        mixtures = _sounds(official / _MIXTURES)
        named = labelled_files(official / _TARGETS, [file.stem for file in mixtures])
        return [FolderScene(file.stem, file, tuple(named.get(file.stem, ()))) for file in mixtures]
    folders = [path] if (path / _RENDERED).exists() else sorted(p.parent for p in path.glob(f"*/{_RENDERED}"))
    if not folders:
        raise SynthError(
            f"it is no corpus (no index.json), has no {_MIXTURES}/ and no {_RENDERED}",
            where=path,
            remedy="give a corpus, a test set of the task, or a folder that `s5kit render` wrote",
        )
    return [_rendered(folder) for folder in folders]


def labelled_files(folder: Path, scenes: Iterable[str]) -> dict[str, list[tuple[str, Path]]]:
    """Return (label, file) of every sound in a folder by the scene whose name it starts with.

    Names are `<scene>_<Label>` or `<scene>_<n>_<Label>`, as targets and estimates of the task are
    named; a scene's files come in the order of n, then of the label. A folder that is not there is empty.
    """
    known = set(scenes)
    found: dict[str, list[tuple[int, str, Path]]] = {}
    for file in _sounds(folder):
        parts = file.stem.split("_")
        # The longest scene name that fits: names of scenes and labels may have underscores themselves.
        for cut in range(len(parts) - 1, 0, -1):
            scene = "_".join(parts[:cut])
            if scene in known:
                rest = "_".join(parts[cut:])
                numbered = _NUMBERED.fullmatch(rest)
                number = int(numbered["number"]) if numbered else 0
                label = numbered["label"] if numbered else rest
                found.setdefault(scene, []).append((number, label, file))
                break
    return {scene: [(label, file) for _, label, file in sorted(files)] for scene, files in found.items()}


def folder_view(scene: FolderScene) -> SceneView:
    """Read a scene.

    Raises:
        SynthError: A file is damaged.
    """
    mixture, rate = read_sound(scene.mixture)
    dry = [read_sound(file)[0][0] for _, file in scene.targets]
    spec = None if scene.folder is None else _spec(scene.folder)
    if spec is None or scene.folder is None:
        targets = tuple(
            Source(label, "target", active_extents(x, rate), path=file.name, dry=x)
            for (label, file), x in zip(scene.targets, dry, strict=True)
        )
        return SceneView(scene.name, mixture, rate, targets)
    own = spec.labels.support != "tail" and len(dry) == len(spec.targets)
    labels = strong_labels(
        spec, dry=np.stack(dry) if dry and own else None, support=None if own and dry else "event"
    )
    sources = target_sources(spec, labels)
    if len(dry) == len(sources):
        sources = tuple(replace(s, dry=x) for s, x in zip(sources, dry, strict=True))
    wet = [file for kind, _, _, file in _stems(scene.folder) if kind == "wet"]
    if len(wet) == len(sources):
        sources = tuple(replace(s, wet=read_sound(f)[0]) for s, f in zip(sources, wet, strict=True))
    return SceneView(
        scene.name,
        mixture,
        rate,
        targets=sources,
        interferers=spec_facts(spec).interferers,
        interference=_optional(scene.folder / "interference.wav"),
        noise=_optional(scene.folder / "noise.wav"),
        place=spec.place,
        spec=spec,
    )


def folder_facts(scene: FolderScene) -> SceneFacts:
    """Return what is known of a scene without listening to it: nothing but labels for an official set."""
    spec = None if scene.folder is None else _spec(scene.folder)
    if spec is not None:
        return spec_facts(spec)
    info = probe(scene.mixture)
    return SceneFacts(
        tuple(Source(label, "target", ()) for label, _ in scene.targets), (), info.frames, info.rate
    )


def active_extents(x: Audio, rate: Hertz) -> tuple[Extent, ...]:
    """Return where a dry sound (T,) is within 30 dB of its loudest 10 ms; pauses under 50 ms are bridged."""
    length = max(round(LEVEL_FRAME * rate), 1)
    starts = np.arange(0, len(x), length)
    power = np.add.reduceat(np.square(x, dtype=np.float64), starts)
    loud = np.flatnonzero(power >= max(float(power.max()) * 10 ** (-ACTIVE / 10), 1e-30))
    gap = round(BRIDGED_GAP * rate / length)
    out: list[Extent] = []
    for n in loud.tolist():
        first, last = n * length, min((n + 1) * length, len(x))
        if out and n - out[-1][1] // length < gap:
            first = out.pop()[0]
        out.append((first, last))
    return tuple(out)


def read_sound(path: Path) -> tuple[Audio, Hertz]:
    """Return a sound (channels, T) and its rate.

    Raises:
        SynthError: It cannot be read.
    """
    return read_frames(path), probe(path).rate


def _rendered(folder: Path) -> FolderScene:
    dry = [(label, file) for kind, _, label, file in _stems(folder) if kind == "dry"]
    return FolderScene(folder.name, folder / _RENDERED, tuple(dry), folder)


def _stems(folder: Path) -> list[tuple[str, int, str, Path]]:
    """Return (kind, slot, label, file) of the dry and wet stems, in the order of the slots."""
    found = [(m, file) for file in _sounds(folder) if (m := _STEM.fullmatch(file.stem))]
    return sorted((m["kind"], int(m["number"]), m["label"], file) for m, file in found)


def _spec(folder: Path) -> SceneSpec | None:
    file = folder / "scene.json"
    return SceneSpec.from_json(read_bounded(file), where=file) if file.exists() else None


def _optional(path: Path) -> Audio | None:
    return read_sound(path)[0] if path.exists() else None


def _sounds(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
