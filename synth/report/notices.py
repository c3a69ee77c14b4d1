"""What a reader must know first: faults, doubts and facts about a collection and its scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from ..assets.classes import target_classes
from ..assets.licences import strictest
from ..units import FOA_CHANNELS, Decibels, Degrees
from .summary import Summary
from .view import SceneView

Level = Literal["problem", "caution", "note"]
LEVELS: tuple[Level, ...] = ("problem", "caution", "note")

THIN_CLASS = 10
"""Fewer target events of a class are too few to learn or to judge it by."""
IMBALANCE = 3.0
"""Ratio of the most to the least frequent class from which it is named."""
SILENT: Decibels = -90.0
"""Peak below which a dry target counts as silent."""
CLIPPED = 1 - 2**-15
FAR_OFF: Degrees = 45.0
"""Median angle between labels and intensity from which the channels are in doubt."""

_NAMED = 6
_MIN_DIRECTIONS = 5


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to know, and the scenes it concerns."""

    level: Level
    text: str
    scenes: tuple[str, ...] = ()


def sort_notices(notices: Sequence[Notice]) -> list[Notice]:
    """Return notices, the worst first."""
    return sorted(notices, key=lambda notice: LEVELS.index(notice.level))


def summary_notices(summary: Summary) -> list[Notice]:
    """Return what the counts of a collection say."""
    found = [*_made_up(summary), *_clipped(summary), *_classes(summary), *_licences(summary)]
    if summary.noiseless:
        found.append(Notice("note", f"{summary.noiseless:,} scene(s) have no background."))
    if summary.counted < summary.scenes:
        found.append(
            Notice(
                "note",
                f"The histograms count {summary.counted:,} of {summary.scenes:,} scenes, evenly spaced.",
            )
        )
    return found


def view_notices(view: SceneView) -> list[Notice]:
    """Return what is wrong with the sound of one scene."""
    found = []
    if not np.isfinite(view.mixture).all():
        found.append(Notice("problem", "The mixture has values that are no numbers.", (view.name,)))
    elif float(np.abs(view.mixture).max(initial=0.0)) >= CLIPPED:
        found.append(
            Notice("problem", "The mixture reaches full scale: integer formats clip it.", (view.name,))
        )
    elif not view.mixture.any():
        found.append(Notice("problem", "The mixture is silent.", (view.name,)))
    if len(view.mixture) != FOA_CHANNELS:
        what = f"The mixture has {len(view.mixture)} channel(s), not the four of first-order Ambisonics."
        found.append(Notice("caution", what, (view.name,)))
    silent = [t.label for t in view.targets if t.dry is not None and peak_db(t.dry) < SILENT]
    if silent:
        found.append(Notice("problem", f"Silent target(s): {', '.join(silent)}.", (view.name,)))
    return found


def direction_notices(errors: Sequence[Degrees]) -> list[Notice]:
    """Return a doubt about the channels when intensity and labels point elsewhere."""
    if len(errors) < _MIN_DIRECTIONS or median(errors) < FAR_OFF:
        return []
    what = (
        f"Sounds come from elsewhere than their labels say (median {median(errors):.0f}° by intensity): "
        "are the channels W, Y, Z, X?"
    )
    return [Notice("caution", what)]


def gathered(notices: Sequence[Notice]) -> list[Notice]:
    """Return one notice for all scenes of which the same is said."""
    scenes: dict[tuple[Level, str], list[str]] = {}
    for notice in notices:
        scenes.setdefault((notice.level, notice.text), []).extend(notice.scenes)
    return sort_notices([Notice(level, text, tuple(names)) for (level, text), names in scenes.items()])


def peak_db(x: np.typing.NDArray[np.float32]) -> Decibels:
    """Return the largest magnitude in dB re full scale; -inf for silence."""
    peak = float(np.abs(x).max()) if x.size else 0.0
    return 20 * float(np.log10(peak)) if peak > 0 else float("-inf")


def _made_up(summary: Summary) -> list[Notice]:
    if not summary.synthetic:
        return []
    return [Notice("note", "Synthetic: these are no recordings, and the rooms are simulated.")]


def _clipped(summary: Summary) -> list[Notice]:
    if summary.clipped is None or summary.clipped[0] == 0:
        return []
    samples, scenes = summary.clipped
    return [
        Notice("problem", f"{samples:,} sample(s) in {scenes:,} scene(s) were clipped when they were stored.")
    ]


def _classes(summary: Summary) -> list[Notice]:
    counts = summary.targets
    if not counts:
        return [Notice("caution", "No scene has a target.")] if summary.counted else []
    found = []
    thin = sorted((n, label) for label, n in counts.items() if n < THIN_CLASS)
    if thin and summary.counted >= THIN_CLASS:
        names = ", ".join(f"{label} ({n})" for n, label in thin[:_NAMED])
        more = f" and {len(thin) - _NAMED} more" if len(thin) > _NAMED else ""
        found.append(
            Notice("caution", f"Thin classes, with fewer than {THIN_CLASS} target events: {names}{more}.")
        )
    most, least = max(counts.values()), min(counts.values())
    if most > IMBALANCE * least and most >= THIN_CLASS:
        top = min(label for label, n in counts.items() if n == most)
        low = min(label for label, n in counts.items() if n == least)
        ratio = f"{top} has {most / least:.1f} times the events of {low}"
        found.append(Notice("caution", f"Classes are out of balance: {ratio}."))
    return found + _absent(summary)


def _absent(summary: Summary) -> list[Notice]:
    """Name the classes of the task that never appear, when the collection is of the task."""
    absent = [label for label in target_classes() if label not in summary.targets]
    if not absent or summary.counted < THIN_CLASS or not set(summary.targets) <= set(target_classes()):
        return []
    return [Notice("note", f"No target of {len(absent)} of the task's classes: {', '.join(absent)}.")]


def _licences(summary: Summary) -> list[Notice]:
    if summary.ledger is None:
        return []
    if not summary.ledger:
        return [Notice("caution", "No licence is recorded for any of the sounds.")]
    unknown = sum(row.count for row in summary.ledger if row.redistribution == "unknown")
    uses = sum(row.count for row in summary.ledger)
    verdict = strictest(summary.ledger)
    if verdict == "forbidden":
        what = "Some licences forbid passing these sounds on, also in mixtures: keep this report to yourself."
        return [Notice("problem", what)]
    if unknown:
        what = f"The licence of {unknown:,} of {uses:,} uses of sounds is not known: do not pass them on yet."
        return [Notice("caution", what)]
    if verdict == "allowed-non-commercial":
        return [Notice("note", "Some licences allow non-commercial use only; name the sources.")]
    return []
