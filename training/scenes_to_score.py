"""What is scored: mixtures with their dry targets, from official test folders, corpora or scene files."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from synth import (
    CorpusReader,
    FolderSounds,
    SceneSpec,
    StrongLabel,
    SynthError,
    load_scenes,
    probe,
    read_frames,
)
from synth import render as render_scene

from .activity import overlap_of_events, overlap_of_signals
from .official_names import SOUND, SourceName, Year, assign, year_of
from .sed_metrics import Event

RATE = 32_000
_MIXTURES, _TARGETS = "soundscape", "oracle_target"
_PLACES = (
    "",
    "test",
    "synthesized/test",
    "dev_set/test",
    "dev_set/synthesized/test",
    "synthesized/eval",
)

Split = Literal["train", "valid", "test", "unknown"]


@dataclass(frozen=True, slots=True)
class Target:
    """One dry target of a scene.

    Attributes:
        label: Its class.
        waveform: ``(samples,)`` float32.
        snr_db: Its level over the noise as planned [dB]; None where it is not known.
    """

    label: str
    waveform: NDArray[np.float32]
    snr_db: float | None = None


@dataclass(frozen=True, slots=True)
class SceneToScore:
    """One mixture and what should come out of it.

    Attributes:
        name: Unique in its set.
        mixture: ``(channels, samples)`` float32, W Y Z X.
        targets: What sounds; silence is left out.
        events: When it sounds [s]; None where it is not known.
        overlap: Share of the sounding time in which two targets or more sound, 0 to 1.
    """

    name: str
    mixture: NDArray[np.float32]
    targets: tuple[Target, ...]
    events: tuple[Event, ...] | None
    overlap: float

    @property
    def seconds(self) -> float:
        """Length of the mixture [s]."""
        return self.mixture.shape[1] / RATE

    def references(self) -> list[tuple[str, NDArray[np.float32]]]:
        """Return the targets as pairs of label and waveform."""
        return [(target.label, target.waveform) for target in self.targets]


class ScoringSet(Protocol):
    """A set of scenes to score, read one by one."""

    @property
    def names(self) -> Sequence[str]:
        """Names of the scenes, in order."""

    @property
    def year(self) -> Year:
        """Whose rules count."""

    @property
    def split(self) -> Split:
        """Which part of the data it is, as far as it says so."""

    @property
    def identity(self) -> str:
        """Hash that changes with the set."""

    def read(self, index: int) -> SceneToScore:
        """Return one scene; targets in no case silent slots."""


def open_scenes(
    path: Path, *, year: Year | None = None, data_root: Path | None = None, need_targets: bool = True
) -> ScoringSet:
    """Open what shall be scored.

    Args:
        path: An official test folder (with `soundscape` and `oracle_target`, or above them), one of our corpora, or
            a scene file or list (`valid.json`), which is rendered.
        year: Whose rules count; None: what names or recipe say.
        data_root: For a scene file: the folder that its paths start from.
        need_targets: Refuse a folder without `oracle_target` (an evaluation set).

    Raises:
        SynthError: It is none of these, or its files do not fit together.
    """
    if path.is_file():
        if data_root is None:
            raise SynthError(
                "its sounds are elsewhere", where=path, remedy="give their folder by --data-root"
            )
        return SceneFiles(path, data_root, year)
    if (path / "index.json").is_file():
        return CorpusScenes(path, year)
    for place in _PLACES:
        if (path / place / _MIXTURES).is_dir():
            return TestFolder(path / place, year, need_targets=need_targets)
    raise SynthError(
        "it is neither a test folder, nor a corpus, nor a scene file",
        where=path,
        remedy=f"give a folder that holds {_MIXTURES}/ and {_TARGETS}/, or one made by `s5kit synth`",
    )


class TestFolder:
    """An official test set: `soundscape/<name>.wav`, `oracle_target/<name>[_<n>]_<Label>.wav`."""

    __test__ = False  # for pytest: no test, in spite of its name

    def __init__(self, root: Path, year: Year | None = None, *, need_targets: bool = True) -> None:
        self.root = root
        self.names = sound_stems(root / _MIXTURES)
        folder = root / _TARGETS
        if not folder.is_dir() and need_targets:
            raise SynthError(
                f"it has no {_TARGETS} folder", where=root, remedy="score a set whose targets are known"
            )
        stems = sound_stems(folder, empty=True) if folder.is_dir() else []
        files = [f"{stem}{SOUND}" for stem in stems]
        self.targets = assign(files, self.names, year=year, where=str(folder))
        form = year_of(source for sources in self.targets.values() for source in sources)
        self.year: Year = year or form or 2025
        empty = [name for name, sources in self.targets.items() if not sources]
        if need_targets and empty and self.year == 2025:
            raise SynthError(
                f"{len(empty)} of {len(self.names)} mixtures have no target, the first is {empty[0]!r}",
                where=folder,
                remedy="fetch the folder again; mixtures without targets exist by the rules of 2026 only (--year 2026)",
            )
        self.split: Split = _split_of(root)
        listed = [(root / _MIXTURES / f"{name}{SOUND}").stat().st_size for name in self.names]
        self.identity = _hash(["folder", *map(str, listed), *self.names, *sorted(files)])

    def read(self, index: int) -> SceneToScore:
        """Return one scene.

        Raises:
            SynthError: A damaged file, another rate or length, several channels in a target.
        """
        name = self.names[index]
        mixture = read_sound(self.root / _MIXTURES / f"{name}{SOUND}")
        targets = tuple(self._target(source, mixture.shape[1]) for source in self.targets[name])
        overlap = overlap_of_signals([target.waveform for target in targets], RATE)
        return SceneToScore(name, mixture, targets, None, overlap)

    def _target(self, source: SourceName, samples: int) -> Target:
        return Target(source.label, read_sound(self.root / _TARGETS / source.file, samples=samples)[0])


class CorpusScenes:
    """The scenes of a corpus made by `s5kit synth`."""

    def __init__(self, directory: Path, year: Year | None = None) -> None:
        self.reader = CorpusReader(directory)
        corpus = self.reader.index.corpus
        if corpus.sample_rate != RATE:
            raise _other_rate(directory, corpus.sample_rate)
        self.names = [corpus.key(index) for index in range(len(self.reader))]
        if year is None:
            year = _year_of_rules(self.reader.read_scene(0, ()).spec)
        self.year: Year = year
        self.split: Split = corpus.split if corpus.split in ("train", "valid", "test") else "unknown"  # type: ignore[assignment]
        self.identity = _hash(["corpus", corpus.model_dump_json()])

    def read(self, index: int) -> SceneToScore:
        """Return one scene."""
        slots = range(self.reader.index.corpus.slots)
        scene = self.reader.read_scene(index, ["mixture", *(f"dry{n}" for n in slots)])
        dry = [scene.sounds[f"dry{n}"][0] for n in range(len(scene.spec.targets))]
        return _from_spec(scene.key, scene.spec, scene.sounds["mixture"], dry, scene.labels)


class SceneFiles:
    """The scenes of an official list (`valid.json`) or scene file, rendered when they are read."""

    def __init__(self, path: Path, data_root: Path, year: Year | None = None) -> None:
        listed = list(load_scenes(path, data_root))
        self.names = [name for name, _ in listed]
        self.specs = [spec for _, spec in listed]
        if len(set(self.names)) < len(self.names):
            raise SynthError(
                "two scenes have one name", where=path, remedy="name the scene files differently"
            )
        if not listed:
            raise SynthError("it lists no scene", where=path, remedy="give a list with scenes in it")
        wrong = next((spec.sample_rate for spec in self.specs if spec.sample_rate != RATE), None)
        if wrong is not None:
            raise _other_rate(path, wrong)
        self.sounds = FolderSounds(data_root)
        self.year: Year = year or _year_of_rules(self.specs[0])
        self.split: Split = _split_of(path.with_suffix(""))
        self.identity = _hash(["files", *self.names, *(spec.to_json() for spec in self.specs)])

    def read(self, index: int) -> SceneToScore:
        """Return one scene."""
        scene = render_scene(self.specs[index], self.sounds)
        assert scene.mixture is not None
        assert scene.dry is not None
        return _from_spec(self.names[index], scene.spec, scene.mixture, list(scene.dry), scene.labels)


def sound_stems(folder: Path, *, empty: bool = False) -> list[str]:
    """Return the names, without ending, of the WAV files of a folder, sorted.

    Raises:
        SynthError: There is no such folder, or it holds no WAV file and must not be `empty`.
    """
    try:
        stems = sorted(path.stem for path in folder.iterdir() if path.suffix.lower() == SOUND)
    except OSError as error:
        raise SynthError(
            f"it cannot be read: {error.strerror}", where=folder, remedy="check the path and its rights"
        ) from error
    if not stems and not empty:
        raise SynthError(f"it holds no {SOUND} file", where=folder, remedy="check the path")
    return stems


def read_sound(path: Path, *, samples: int | None = None) -> NDArray[np.float32]:
    """Return a mixture ``(4, samples)``, or with `samples` given a source ``(1, samples)``, at 32 kHz.

    Raises:
        SynthError: A missing or damaged file, another rate, length or number of channels, or values that are no
            numbers.
    """
    info = probe(path)
    channels = 4 if samples is None else 1
    if info.rate != RATE:
        raise _other_rate(path, info.rate)
    if info.channels != channels:
        what = f"it has {info.channels} channel(s), {channels} expected"
        raise SynthError(what, where=path, remedy="give the file as the challenge has it")
    if samples is not None and info.frames != samples:
        what = f"it has {info.frames} samples, its mixture has {samples}"
        raise SynthError(what, where=path, remedy="sources are as long as their mixture")
    sound = read_frames(path, 0, info.frames)
    if not np.isfinite(sound).all():
        raise SynthError("it holds values that are no numbers", where=path, remedy="write the file again")
    return sound


def _from_spec(
    name: str,
    spec: SceneSpec,
    mixture: NDArray[np.float32],
    dry: Sequence[NDArray[np.float32]],
    labels: Sequence[StrongLabel],
) -> SceneToScore:
    targets = tuple(
        Target(event.label, np.asarray(waveform), event.snr_db)
        for event, waveform in zip(spec.targets, dry, strict=True)
    )
    events = tuple((label.onset / RATE, label.offset / RATE, label.label) for label in labels)
    spans = [(label.onset / RATE, label.offset / RATE, label.event) for label in labels]
    return SceneToScore(name, mixture, targets, events, overlap_of_events(spans))


def _year_of_rules(spec: SceneSpec) -> Year:
    return 2026 if spec.rules.endswith("2026") else 2025


def _split_of(path: Path) -> Split:
    """Return the part of the data that the last telling folder name names."""
    for part in reversed(path.absolute().parts):
        for split, words in _WORDS.items():
            if part.lower() in words:
                return split
    return "unknown"


_WORDS: dict[Split, tuple[str, ...]] = {
    "test": ("test", "eval", "eval_set", "evaluation"),
    "valid": ("valid", "validation", "val"),
    "train": ("train", "training"),
}


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _other_rate(where: Path, rate: float) -> SynthError:
    return SynthError(
        f"its sampling rate is {math.floor(rate)} Hz, {RATE} Hz expected",
        where=where,
        remedy="give the sounds as the challenge has them",
    )
