"""What is kept of each scored scene, line by line, so that a run that was cut off goes on."""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from synth import SynthError, load_json, write_bytes

from .metrics import Kind, SceneScore
from .scenes_to_score import SceneToScore
from .sed_metrics import Event, SedScores, sed_scores

_FORMAT = 1
_LINES = "scenes.jsonl"
_STRONG = "strong"
_FIGURES = ("ca_sdri", "capi_sdri", "casa_sdr", "casa_sdr_errors", "casa_sdri", "casa_sdri_errors")
_COUNTS = ("same_set", "same_multiset", "hits", "spurious", "missed")


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One source of a scored scene.

    Attributes:
        label: The class.
        kind: "hit", "spurious" or "missed".
        sdr: SNR of the estimate [dB]; nan unless a hit.
        sdri: Its improvement [dB]; 0 unless a hit.
        snr_db: Planned level of the target over the noise [dB]; None where not known, or spurious.
        input_sdr: SNR of the mixture's channel 0 against the target [dB]; None when spurious.
    """

    label: str
    kind: Kind
    sdr: float
    sdri: float
    snr_db: float | None
    input_sdr: float | None


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """One scored scene.

    Attributes:
        name: The scene.
        score: Its figures; the matches are left out.
        sources: Its sources.
        overlap: Share of the sounding time in which two targets or more sound.
    """

    name: str
    score: SceneScore
    sources: tuple[SourceRecord, ...]
    overlap: float

    @property
    def targets(self) -> list[str]:
        """Labels of the targets."""
        return [source.label for source in self.sources if source.kind != "spurious"]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; nan is null."""
        score = {name: _plain(getattr(self.score, name)) for name in (*_FIGURES, *_COUNTS)}
        sources = [{key: _plain(value) for key, value in asdict(source).items()} for source in self.sources]
        return {"name": self.name, "overlap": self.overlap, "score": score, "sources": sources}

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> SceneRecord:
        """Return what `to_json` wrote."""
        figures: dict[str, Any] = {name: _number(data["score"][name]) for name in _FIGURES}
        counts = {name: data["score"][name] for name in _COUNTS}
        sources = tuple(
            SourceRecord(
                source["label"],
                source["kind"],
                _number(source["sdr"]),
                float(source["sdri"]),
                source["snr_db"],
                source["input_sdr"],
            )
            for source in data["sources"]
        )
        return cls(data["name"], SceneScore(**figures, **counts, matches=()), sources, float(data["overlap"]))


class Journal:
    """The records of a run, in memory and, with a folder, on disk.

    Args:
        folder: Where `scenes.jsonl` and `strong/` lie; None keeps nothing.
        identity: Hash of the set that is scored.
        what: What gives the estimates.
        classes: Names of the rows of strong outputs.

    Raises:
        SynthError: The folder holds results of another set or system, or cannot be written.
    """

    def __init__(self, folder: Path | None, identity: str, what: str, classes: Sequence[str] | None) -> None:
        self.folder = folder
        self.header = {"format": _FORMAT, "set": identity, "what": what}
        self.classes = classes
        self.records: dict[str, SceneRecord] = {}
        self._strong: dict[str, NDArray[np.float32]] = {}
        self._events: dict[str, tuple[Event, ...]] = {}
        self._seconds: dict[str, float] = {}
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Journal:
        if self.classes is not None and find_spec("sed_scores_eval") is None:  # now, not after hours
            raise ModuleNotFoundError("sed_scores_eval is not installed", name="sed_scores_eval")
        if self.folder is not None:
            try:
                (self.folder / _STRONG).mkdir(parents=True, exist_ok=True)
                self._open(self.folder / _LINES)
            except OSError as error:
                raise SynthError(
                    f"cannot be written: {error.strerror}", where=self.folder, remedy="choose another folder"
                ) from error
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, record: SceneRecord, strong: NDArray[np.float32] | None, scene: SceneToScore) -> None:
        """Keep one scene: its strong output first, then its line, in one write each."""
        timed = strong is not None and scene.events is not None
        data = record.to_json()
        if timed:
            data |= {"events": scene.events, "seconds": scene.seconds}
            self._keep(record.name, strong, scene.events, scene.seconds)
            if self.folder is not None:
                buffer = io.BytesIO()
                np.save(buffer, np.asarray(strong, dtype=np.float32), allow_pickle=False)
                write_bytes(self._path(record.name), buffer.getvalue())
        self.records[record.name] = record
        if self._file is not None:
            self._write(data)

    def sed_scores(self, threshold: float) -> SedScores | None:
        """Score the strong outputs; None when not all scenes have some, and true events."""
        if self.classes is None or not self.records or self._strong.keys() != self.records.keys():
            return None
        return sed_scores(self._strong, self._events, self._seconds, self.classes, threshold=threshold)

    def _keep(self, name: str, strong: Any, events: Any, seconds: float) -> None:
        self._strong[name] = np.asarray(strong, dtype=np.float32)
        self._events[name] = tuple((float(on), float(off), str(label)) for on, off, label in events)
        self._seconds[name] = seconds

    def _open(self, path: Path) -> None:
        lines, whole = _read_lines(path)
        if lines and lines[0] != self.header:
            raise SynthError(
                "it holds results of another set or system",
                where=path,
                remedy="give another folder by --out, or remove this one",
            )
        for data in lines[1:]:
            if "events" in data:
                try:
                    strong = np.load(self._path(data["name"]), allow_pickle=False)
                except (OSError, ValueError):
                    continue  # scored again
                self._keep(data["name"], strong, data["events"], data["seconds"])
            self.records[data["name"]] = SceneRecord.of_json(data)
        self._file = path.open("ab")
        self._file.truncate(whole)  # a line that was cut off is written again
        if not lines:
            self._write(self.header)

    def _path(self, name: str) -> Path:
        assert self.folder is not None
        return self.folder / _STRONG / f"{name}.npy"

    def _write(self, data: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(json.dumps(data, allow_nan=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def _read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the whole lines of a journal, and their length in bytes."""
    if not path.exists():
        return [], 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    lines = content[:whole].splitlines()
    return [load_json(line, where=f"{path}: line {n}") for n, line in enumerate(lines, start=1)], whole


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
