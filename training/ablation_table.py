"""From scored cells to one table and one figure: means over seeds, differences on the same scenes."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from synth import SynthError, atomic_write

from .metrics import SceneScore

if TYPE_CHECKING:
    from .ablation_plan import AblationPlan

CONFIDENCE = 0.95
_UNITS = {
    "label_accuracy": "%",
    "accuracy_mixture": "%",
    "ca_sdri": "dB",
    "capi_sdri": "dB",
    "casa_sdr": "dB",
}
_TITLES = {
    "label_accuracy": "label accuracy",
    "accuracy_mixture": "accuracy (mixture)",
    "ca_sdri": "CA-SDRi",
    "capi_sdri": "CAPI-SDRi",
    "casa_sdr": "CASA-SDR",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cell came to.

    Attributes:
        levels: One level per axis.
        seed: Its seed.
        scenes: Scene -> metric -> figure; figures that are not defined are left out.
    """

    levels: tuple[str, ...]
    seed: int
    scenes: dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Row:
    """One combination and one metric.

    Attributes:
        levels: One level per axis.
        metric: Which figure.
        values: Its mean over scenes for each seed.
        mean, low, high: Mean over seeds and its 95 % interval (Student's t); nan for one seed.
        difference, difference_low, difference_high: Mean over scenes of the difference from the baseline on the
            same scene and seed, averaged over seeds, and its 95 % interval over scenes (Student's t); nan for the
            baseline itself.
        scenes: Scenes that count in the difference.
    """

    levels: tuple[str, ...]
    metric: str
    values: tuple[float, ...]
    mean: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float
    scenes: int


@dataclass(frozen=True, slots=True)
class Table:
    """The comparison.

    Attributes:
        title: Of the plan.
        axes: Names of the axes.
        seeds: The seeds.
        rows: Metric by metric, combinations in the order of the plan.
    """

    title: str
    axes: tuple[str, ...]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]

    def to_csv(self) -> str:
        """Return the table as CSV; what is not defined is empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        numbers = [field.name for field in fields(Row)][3:-1]
        writer.writerow(
            [*self.axes, "metric", "unit", *numbers, "scenes", *(f"seed{seed}" for seed in self.seeds)]
        )
        for row in self.rows:
            figures = [getattr(row, name) for name in numbers]
            cells = [_cell(x) for x in (*figures, row.scenes, *row.values)]
            writer.writerow([*row.levels, row.metric, _UNITS[row.metric], *cells])
        return text.getvalue()


def figure_of(score: SceneScore) -> dict[str, float]:
    """Return what an ablation keeps of a scene's score."""
    found = {
        "label_accuracy": 100.0 * score.same_set,
        "accuracy_mixture": 100.0 * score.same_multiset,
        "ca_sdri": score.ca_sdri,
        "capi_sdri": score.capi_sdri,
        "casa_sdr": score.casa_sdr,
    }
    return {name: float(value) for name, value in found.items() if math.isfinite(value)}


def compare(plan: AblationPlan, outcomes: Sequence[Outcome]) -> Table:
    """Return the table of a finished ablation.

    Raises:
        SynthError: A cell is missing or has no figure of a metric.
    """
    by_cell = {(outcome.levels, outcome.seed): outcome.scenes for outcome in outcomes}
    combinations = plan.combinations()
    rows = []
    for metric in plan.score.metrics:
        for levels in combinations:
            own = [_column(by_cell, levels, seed, metric) for seed in plan.seeds]
            base = [_column(by_cell, combinations[0], seed, metric) for seed in plan.seeds]
            rows.append(_row(levels, metric, own, None if levels == combinations[0] else base))
    return Table(plan.title or plan.name, tuple(plan.axes), plan.seeds, tuple(rows))


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean, low and high end of the 95 % interval of a mean, by Student's t; nan ends for one value."""
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    if len(array) < 2:
        return mean, math.nan, math.nan
    half = float(
        stats.t.ppf(0.5 + CONFIDENCE / 2, len(array) - 1) * array.std(ddof=1) / math.sqrt(len(array))
    )
    return mean, mean - half, mean + half


def draw(table: Table, path: Path) -> None:
    """Draw means with their intervals, and the differences from the baseline, one row of panels per metric."""
    from matplotlib.figure import Figure

    metrics = list(dict.fromkeys(row.metric for row in table.rows))
    names = [" · ".join(row.levels) for row in table.rows if row.metric == metrics[0]]
    height = 0.7 + len(metrics) * (0.9 + 0.42 * len(names))
    figure = Figure(figsize=(9.5, height), layout="constrained")
    panels = figure.subplots(len(metrics), 2, squeeze=False, sharey="row")
    for (left, right), metric in zip(panels, metrics, strict=True):
        rows = [row for row in table.rows if row.metric == metric]
        form = ".1f" if _UNITS[metric] == "%" else ".2f"
        for place, row in enumerate(rows):
            _bar(left, place, row.mean, row.low, row.high, form)
            if len(row.values) > 1:
                left.plot(
                    row.values, [place + 0.24] * len(row.values), "o", mfc="none", color="0.5", markersize=4
                )
            _bar(right, place, row.difference, row.difference_low, row.difference_high, f"+{form}")
        right.text(0, 0, " baseline", color="0.5", fontsize="small", va="center")
        right.axvline(0, color="0.6", linewidth=0.8, zorder=1)
        left.set_yticks(range(len(rows)), names)
        left.set_ylim(len(rows) - 0.4, -0.6)
        left.set_xlabel(_said(table, metric), fontsize="small")
        right.set_xlabel(
            f"difference from {names[0]} [{_UNITS[metric]}] on the same scenes, 95 % over scenes",
            fontsize="small",
        )
        for axes in (left, right):
            axes.grid(axis="x", color="0.92", linewidth=0.6)
            axes.set_axisbelow(True)
            axes.margins(x=0.08)
            axes.tick_params(axis="y", length=0)
            axes.tick_params(axis="x", labelsize="small")
            axes.spines[["top", "right", "left"]].set_visible(False)
    figure.suptitle(table.title, fontsize="medium", fontweight="bold", x=0.01, ha="left")
    with atomic_write(path) as file:
        figure.savefig(file, dpi=150, format=path.suffix.removeprefix("."))


def _said(table: Table, metric: str) -> str:
    seeds = "mean, 95 % over seeds; rings: each seed" if len(table.seeds) > 1 else f"seed {table.seeds[0]}"
    return f"{_TITLES[metric]} [{_UNITS[metric]}]: {seeds}"


def _row(
    levels: tuple[str, ...],
    metric: str,
    own: Sequence[Mapping[str, float]],
    base: Sequence[Mapping[str, float]] | None,
) -> Row:
    values = tuple(float(np.mean(list(column.values()))) for column in own)
    difference, count = (math.nan, math.nan, math.nan), 0
    if base is not None:
        shared = [sorted(a.keys() & b.keys()) for a, b in zip(own, base, strict=True)]
        scenes = sorted(set(shared[0]).intersection(*shared[1:]))
        gains = [np.mean([a[s] - b[s] for a, b in zip(own, base, strict=True)]) for s in scenes]
        if gains:  # a figure may be defined in other scenes of every cell
            difference, count = interval([float(gain) for gain in gains]), len(scenes)
    return Row(levels, metric, values, *interval(values), *difference, count)


def _column(
    by_cell: Mapping[tuple[tuple[str, ...], int], Mapping[str, Mapping[str, float]]],
    levels: tuple[str, ...],
    seed: int,
    metric: str,
) -> dict[str, float]:
    scenes = by_cell.get((levels, seed), {})
    column = {name: figures[metric] for name, figures in scenes.items() if metric in figures}
    if not column:
        raise SynthError(
            f"no scene has {metric}",
            where=f"cell {' '.join(levels)}, seed {seed}",
            remedy="score scenes that have targets",
        )
    return column


def _bar(axes: Any, place: float, mean: float, low: float, high: float, form: str) -> None:
    """Draw a mean with its number above it and its interval; a mean that is not known is left out."""
    if math.isnan(mean):
        return
    reach = None if math.isnan(low) else [[mean - low], [high - mean]]
    axes.errorbar([mean], [place], xerr=reach, fmt="o", color="#1b6ca8", capsize=3, markersize=6, zorder=2)
    number = f"{mean:{form}}".replace("-", "\N{MINUS SIGN}")
    axes.annotate(
        number,
        (mean, place),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize="small",
        zorder=3,
    )


def _cell(value: float) -> str:
    return "" if isinstance(value, float) and math.isnan(value) else f"{value:.6g}"
