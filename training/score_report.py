"""Figures and breakdowns of scored scenes, as JSON and as a table per scene."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synth import write_text

from .official_names import Year
from .score_records import SceneRecord, SourceRecord
from .scoreboard import Mean, Scoreboard
from .sed_metrics import SedScores

HEADLINE: dict[Year, tuple[str, ...]] = {
    2025: ("ca_sdri", "label_accuracy"),
    2026: ("capi_sdri", "accuracy_mixture", "accuracy_source"),
}
"""What the challenge of a year ranks by, first, and what it reports beside it."""

_SNR_STEP = 5.0
_OVERLAPS = ((0.0, "none"), (0.25, "to 25 %"), (0.5, "to 50 %"), (1.0, "over 50 %"))


@dataclass(frozen=True, slots=True)
class SourceFigures:
    """Figures of a group of sources.

    Attributes:
        targets: References in it.
        recall: Share of them that were found, in percent.
        precision: Share of the estimates that were right, in percent; nan where estimates cannot be told apart.
        sdri: Mean improvement of those found [dB].
    """

    targets: int
    recall: float
    precision: float
    sdri: float


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """How good a system is on a set.

    Attributes:
        what: The system.
        year: Whose rules count.
        scenes: Number of scenes.
        figures: All figures over the set.
        by_scene: Breakdown -> group -> figures over the group's scenes (with `scenes`, their number).
        by_source: Breakdown -> group -> figures of the group's sources.
        sed: Scores of the frame-wise output; None where the system or the set has none.
        records: The scenes.
    """

    what: str
    year: Year
    scenes: int
    figures: dict[str, float]
    by_scene: dict[str, dict[str, dict[str, float]]]
    by_source: dict[str, dict[str, SourceFigures]]
    sed: SedScores | None
    records: tuple[SceneRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; what is not defined is null."""
        sources = {
            name: {
                group: _clean({k: getattr(f, k) for k in f.__dataclass_fields__})
                for group, f in groups.items()
            }
            for name, groups in self.by_source.items()
        }
        return {
            "what": self.what,
            "year": self.year,
            "scenes": self.scenes,
            "figures": _clean(self.figures),
            "by_scene": {
                name: {group: _clean(figures) for group, figures in groups.items()}
                for name, groups in self.by_scene.items()
            },
            "by_source": sources,
            "sed": None if self.sed is None else self.sed.to_json(),
        }

    def scenes_csv(self) -> str:
        """Return a table of one line per scene."""
        text = io.StringIO()
        names = (
            "ca_sdri",
            "capi_sdri",
            "casa_sdr",
            "same_set",
            "same_multiset",
            "hits",
            "spurious",
            "missed",
        )
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("name", "targets", "estimates", "overlap", *names))
        for record in self.records:
            guessed = [source.label for source in record.sources if source.kind != "missed"]
            figures = [getattr(record.score, name) for name in names]
            cells = [f"{x:.6f}" if isinstance(x, float) else int(x) for x in figures]
            row = (record.name, "+".join(record.targets), "+".join(guessed), f"{record.overlap:.4f}", *cells)
            writer.writerow(row)
        return text.getvalue()

    def write(self, folder: Path) -> None:
        """Write `report.json` and `scenes.csv`."""
        write_text(folder / "report.json", json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n")
        write_text(folder / "scenes.csv", self.scenes_csv())


def make_report(
    records: Sequence[SceneRecord], *, year: Year, what: str = "", sed: SedScores | None = None
) -> EvaluationReport:
    """Return the figures over scenes and their breakdowns; groups without a scene are left out."""
    known = [source.snr_db for record in records for source in record.sources if source.kind != "spurious"]
    by_source: dict[str, dict[str, SourceFigures]] = {
        "class": _by_source(records, lambda s: s.label, paired=True)
    }
    if known and None not in known:
        by_source["snr"] = _by_source(records, lambda s: _bin(s.snr_db))
    by_source["input_sdr"] = _by_source(records, lambda s: _bin(s.input_sdr))
    return EvaluationReport(
        what=what,
        year=year,
        scenes=len(records),
        figures=_figures(records),
        by_scene={name: _by_scene(records, key) for name, key in _SCENE_KEYS.items()},
        by_source=by_source,
        sed=sed,
        records=tuple(records),
    )


def _figures(records: Sequence[SceneRecord]) -> dict[str, float]:
    board = Scoreboard()
    for record in records:
        board.add(record.score)
    return board.figures()


def _by_scene(
    records: Sequence[SceneRecord], key: Callable[[SceneRecord], str]
) -> dict[str, dict[str, float]]:
    groups: dict[str, list[SceneRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return {
        name: {"scenes": len(groups[name]), **_figures(groups[name])} for name in sorted(groups, key=_order)
    }


def _by_source(
    records: Sequence[SceneRecord], key: Callable[[SourceRecord], str], *, paired: bool = False
) -> dict[str, SourceFigures]:
    """Group sources; spurious ones have a group only where their label tells it (`paired`)."""
    groups: dict[str, list[SourceRecord]] = {}
    for record in records:
        for source in record.sources:
            if paired or source.kind != "spurious":
                groups.setdefault(key(source), []).append(source)
    return {name: _source_figures(groups[name], paired) for name in sorted(groups, key=_order)}


def _source_figures(sources: Sequence[SourceRecord], paired: bool) -> SourceFigures:
    gain, recall, precision = Mean(), Mean(), Mean()
    for source in sources:
        hit = source.kind == "hit"
        gain.add(source.sdri if hit else math.nan)
        recall.add(math.nan if source.kind == "spurious" else 100.0 * hit)
        precision.add(math.nan if source.kind == "missed" or not paired else 100.0 * hit)
    return SourceFigures(recall.count, recall.value, precision.value, gain.value)


def _overlap(record: SceneRecord) -> str:
    if len(record.targets) < 2:
        return "one target or none"
    return next(name for limit, name in _OVERLAPS if record.overlap <= limit)


def _same_class(record: SceneRecord) -> str:
    return "yes" if len(set(record.targets)) < len(record.targets) else "no"


_SCENE_KEYS: dict[str, Callable[[SceneRecord], str]] = {
    "targets": lambda record: str(len(record.targets)),
    "overlap": _overlap,
    "same_class": _same_class,
}


def _bin(level: float | None) -> str:
    assert level is not None
    low = math.floor(level / _SNR_STEP) * _SNR_STEP
    return f"{low:+.0f} to {low + _SNR_STEP:+.0f} dB"


def _order(group: str) -> tuple[float, str]:
    head = group.split(" ", 1)[0]
    try:
        return float(head), group
    except ValueError:
        names = [name for _, name in _OVERLAPS]
        return (float(names.index(group)) if group in names else -1.0), group


def _clean(figures: dict[str, Any]) -> dict[str, Any]:
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in figures.items()}
