"""Small charts: bars, columns, the matrix of classes, the map of directions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ..units import Degrees
from .markup import degrees, esc
from .palette import Looks

_MAP_WIDTH, _MAP_HEIGHT = 360, 180
_GRID = 5
_CELL, _MARGIN = 26, 128


def figure(title: str, body: str, note: str = "", css: str = "") -> str:
    """Return a chart with its title and what it says in words."""
    caption = f"<p>{esc(note)}</p>" if note else ""
    return (
        f'<figure class="chart {css}"><figcaption><h3>{esc(title)}</h3>{caption}</figcaption>{body}</figure>'
    )


def bars(counts: Mapping[str, float], looks: Looks | None = None, form: Callable[[float], str] = str) -> str:
    """Return one horizontal bar per name, in the order given, to the left of 0 for less; classes have their colours."""
    low, high = min([0, *counts.values()]), max([0, *counts.values()])
    whole = (high - low) or 1
    zero = -100 * low / whole
    rail = f' style="--zero:{zero:.1f}%"' if low < 0 else ""
    rows = []
    for name, count in counts.items():
        css = "plain" if looks is None else looks.of(name).css
        left = f"margin-left:{zero - max(-100 * count / whole, 0):.1f}%;" if low < 0 else ""
        rows.append(
            f'<li><span class="name">{esc(name)}</span><span class="rail{" signed" if low < 0 else ""}"{rail}>'
            f'<i class="fill {css}" style="{left}width:{100 * abs(count) / whole:.1f}%"></i></span>'
            f'<span class="value">{esc(form(count))}</span></li>'
        )
    return f'<ol class="bars">{"".join(rows)}</ol>'


def columns(bins: Sequence[tuple[str, float]], unit: str, form: Callable[[float], str] = str) -> str:
    """Return one column per bin, (what stands below, how high)."""
    most = max((count for _, count in bins), default=0) or 1
    said = ", ".join(f"{name}: {form(count)}" for name, count in bins if count)
    parts = []
    for name, count in bins:
        value = esc(form(count)) if count else ""
        parts.append(
            f'<div><b>{value}</b><i style="--h:{count / most:.3f}"></i><span>{esc(name)}</span></div>'
        )
    label = esc(f"{unit}: {said}")
    css = "columns many" if len(bins) > 10 else "columns"
    return f'<div class="{css}" role="img" aria-label="{label}">{"".join(parts)}</div><p class="unit">{esc(unit)}</p>'


def binned(values: Sequence[float], most: int = 12) -> list[tuple[str, float]]:
    """Return counts in at most `most` bins of a round width, named by their lower edges."""
    if not values:
        return []
    low, high = min(values), max(values)
    width = _round_step((high - low) / most or 1.0)
    first = np.floor(low / width)
    number = int(np.floor(high / width) - first) + 1
    if number > most:
        width = _round_step(width * 1.01)
        first = np.floor(low / width)
        number = int(np.floor(high / width) - first) + 1
    counts = np.bincount((np.floor(np.asarray(values) / width) - first).astype(int), minlength=number)
    return [(_number((first + n) * width), int(count)) for n, count in enumerate(counts)]


def spread(values: Sequence[float], unit: str) -> str:
    """Return the range and the middle of values in words."""
    if not values:
        return ""
    low, middle, high = (_number(round(v, 1)) for v in (min(values), median(values), max(values)))
    return f"{low} to {high} {unit}, median {middle}"


def matrix(names: Sequence[str], counts: NDArray[np.int64]) -> str:
    """Return the co-occurrence matrix of classes as SVG: the darker, the more scenes."""
    size = _MARGIN + _CELL * len(names)
    most = int(counts.max()) or 1
    parts = []
    for i, name in enumerate(names):
        at = _MARGIN + _CELL * i + _CELL / 2
        parts.append(f'<text x="{_MARGIN - 8}" y="{at + 4:g}" text-anchor="end">{esc(name)}</text>')
        parts.append(f'<text transform="translate({at + 4:g} {_MARGIN - 8}) rotate(-60)">{esc(name)}</text>')
        for j, other in enumerate(names):
            count = int(counts[i, j])
            x, y = _MARGIN + _CELL * j, _MARGIN + _CELL * i
            parts.append(
                f'<rect x="{x + 1}" y="{y + 1}" width="{_CELL - 2}" height="{_CELL - 2}" rx="3" '
                f'style="--a:{count / most:.2f}"><title>{esc(name)} + {esc(other)}: {count}</title></rect>'
            )
            if count:
                css = ' class="on"' if count / most > 0.55 else ""
                parts.append(f'<text{css} x="{x + _CELL / 2:g}" y="{y + _CELL / 2 + 4:g}">{count}</text>')
    said = esc(f"In how many scenes two classes are together, {len(names)} classes")
    width = size + 40
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{said}"><svg class="matrix" role="img" '
        f'viewBox="0 0 {width} {size}" width="{width}" height="{size}" aria-label="{said}">{"".join(parts)}</svg></div>'
    )


def direction_cloud(directions: Sequence[tuple[Degrees, Degrees]]) -> str:
    """Return where all targets come from: a dot per 5 degrees, the larger the more."""
    counts = Counter((_GRID * round(a / _GRID), _GRID * round(e / _GRID)) for a, e in directions)
    most = max(counts.values(), default=1)
    dots = "".join(
        f'<circle class="dot" cx="{map_x(a)}" cy="{map_y(e)}" r="{1.5 + 5 * (n / most) ** 0.5:.1f}"/>'
        for (a, e), n in sorted(counts.items())
    )
    return direction_map(dots, f"Directions of {len(directions):,} targets")


def direction_map(content: str, said: str) -> str:
    """Return the map of all directions, the listener looking at its middle, with marks in it."""
    lines = "".join(
        f'<line x1="{map_x(a)}" x2="{map_x(a)}" y1="0" y2="{_MAP_HEIGHT}"/>'
        for a in (135, 90, 45, 0, -45, -90, -135)
    ) + "".join(
        f'<line y1="{map_y(e)}" y2="{map_y(e)}" x1="0" x2="{_MAP_WIDTH}"/>' for e in (60, 30, 0, -30, -60)
    )
    words = "".join(
        f'<text x="{x}" y="{_MAP_HEIGHT + 14}" text-anchor="{anchor}">{name}</text>'
        for x, anchor, name in (
            (0, "start", "back"),
            (90, "middle", "left +90°"),
            (180, "middle", "front"),
            (270, "middle", "right −90°"),
            (360, "end", "back"),
        )
    ) + "".join(
        f'<text class="ele" x="{_MAP_WIDTH + 5}" y="{map_y(e) + 3}">{degrees(e)}</text>'
        for e in (60, 30, 0, -30, -60)
    )
    return (
        f'<svg class="map" role="img" aria-label="{esc(said)}" viewBox="-2 -2 {_MAP_WIDTH + 28} {_MAP_HEIGHT + 20}">'
        f'<rect class="ground" width="{_MAP_WIDTH}" height="{_MAP_HEIGHT}" rx="4"/><g class="grid">{lines}</g>'
        f'<g class="words">{words}</g>{content}</svg>'
    )


def map_x(azimuth: Degrees) -> float:
    """Return where an azimuth is on the map: left of the listener is left."""
    return (180 - azimuth) % 360 or (360.0 if azimuth < 0 else 0.0)


def map_y(elevation: Degrees) -> float:
    """Return where an elevation is on the map."""
    return 90 - elevation


def _round_step(width: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not less."""
    power = 10.0 ** np.floor(np.log10(width))
    return float(next(power * step for step in (1, 2, 5, 10) if power * step >= width * (1 - 1e-9)))


def _number(value: float) -> str:
    text = f"{value:g}" if abs(value) >= 0.005 or value == 0 else f"{value:.3f}"
    return text.replace("-", "−")
