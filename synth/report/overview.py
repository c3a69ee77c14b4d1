"""The collection as HTML: what to know first, figures, histograms, the sheet of scenes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import mean

from ..units import Decibels
from . import charts
from .markup import decibels, esc
from .notices import Notice
from .palette import Looks
from .scene_page import ScenePage, times
from .summary import Summary

_SIGNS = {"problem": "Problem", "caution": "Caution", "note": "Note"}
_NAMED = 8
_BARS = 14


def notices_section(notices: Sequence[Notice], numbers: dict[str, int]) -> str:
    """Return the warnings, the worst first, each with links to the scenes it concerns.

    Args:
        notices: In the order to show.
        numbers: Number of every scene that is shown, by name.
    """
    if not notices:
        return '<section class="notices" aria-label="Know first"><p class="fine">Nothing to warn of.</p></section>'
    rows = []
    for notice in notices:
        links = [
            f'<a href="#s{numbers[name]}">{numbers[name]}</a>' for name in notice.scenes if name in numbers
        ]
        more = f" and {len(links) - _NAMED} more" if len(links) > _NAMED else ""
        where = f' <span class="where">Scene {", ".join(links[:_NAMED])}{more}</span>' if links else ""
        rows.append(
            f'<li class="{notice.level}"><b>{_SIGNS[notice.level]}</b><span>{esc(notice.text)}{where}</span></li>'
        )
    return f'<section class="notices" aria-label="Know first"><ul>{"".join(rows)}</ul></section>'


def tiles(summary: Summary, pages: Sequence[ScenePage]) -> str:
    """Return the figures that a collection is known by."""
    active = sum(t for n, t in summary.overlap.items() if n >= 1)
    several = sum(t for n, t in summary.overlap.items() if n >= 2)
    found = [
        (f"{summary.scenes:,}", "scene" if summary.scenes == 1 else "scenes"),
        (_duration(summary.seconds * summary.scenes / max(summary.counted, 1)), "of sound"),
        (
            f"{(events := sum(summary.targets.values())):,}",
            "target event" if events == 1 else "target events",
        ),
        (f"{len(summary.targets)}", "class" if len(summary.targets) == 1 else "classes"),
    ]
    if active:
        found.append((f"{100 * several / active:.0f} %", "of target time overlaps"))
    worths = [page.worth for page in pages if page.worth is not None]
    if worths:
        found.append((decibels(mean(worths), sign=True), "SDRi, mean of scenes shown"))
        found.append((f"{sum(page.mistakes for page in pages)}", "label errors"))
    cells = "".join(f"<div><dd>{esc(value)}</dd><dt>{esc(name)}</dt></div>" for value, name in found)
    return f'<dl class="tiles">{cells}</dl>'


def overview_charts(summary: Summary, looks: Looks, pages: Sequence[ScenePage]) -> str:
    """Return the histograms; what is not known is left out."""
    parts = []
    if summary.targets:
        ordered = dict(sorted(summary.targets.items(), key=lambda item: (-item[1], item[0])))
        parts.append(charts.figure("Targets by class", charts.bars(ordered, looks, _count)))
    if len(summary.targets) > 1:
        note = "Scenes in which both classes are; on the diagonal, scenes with a class twice."
        parts.append(
            charts.figure("Classes together", charts.matrix(summary.classes, summary.matrix()), note)
        )
    classes = f'<div class="classes">{"".join(parts)}</div>'
    parts = _answers(pages, looks)
    if summary.counts:
        many = [(str(n), summary.counts[n]) for n in range(max(summary.counts) + 1)]
        parts.append(charts.figure("Targets in a scene", charts.columns(many, "targets", _count)))
    for title, values, unit in (
        ("SNR of targets", summary.snr_db, "dB"),
        ("SNR of interferers", summary.interferer_snr_db, "dB"),
        ("Length of targets", summary.durations, "s"),
    ):
        if values:
            columns = charts.columns(charts.binned(values), unit, _count)
            parts.append(charts.figure(title, columns, charts.spread(values, unit)))
    if active := sum(summary.overlap.values()):
        shares = [(str(n), 100 * t / active) for n, t in sorted(summary.overlap.items())]
        columns = charts.columns(shares, "targets at once, % of the time", lambda v: f"{v:.0f}")
        parts.append(charts.figure("Overlap", columns))
    if summary.directions:
        parts.append(charts.figure("Where targets are", charts.direction_cloud(summary.directions)))
    parts += [*_rooms(summary), *_interferers(summary), *_levels(pages)]
    return f'{classes}<div class="charts">{"".join(parts)}</div>'


def facts_table(summary: Summary) -> str:
    """Return what identifies a collection, and its licences."""
    rows = "".join(f"<div><dt>{esc(name)}</dt><dd>{esc(value)}</dd></div>" for name, value in summary.facts)
    out = f'<dl class="facts">{rows}</dl>' if rows else ""
    if summary.ledger:
        lines = "".join(
            f"<tr><td>{esc(r.dataset)}</td><td>{esc(r.licence)}</td><td>{esc(r.redistribution)}</td>"
            f'<td class="n">{r.count:,}</td></tr>'
            for r in summary.ledger
        )
        out += (
            '<details class="licences"><summary>Licences of the sounds used</summary><div class="scroll" tabindex="0" '
            'role="region" aria-label="Licences"><table><thead><tr><th>Data set</th><th>Licence</th>'
            f"<th>Passing on</th><th>Uses</th></tr></thead><tbody>{lines}</tbody></table></div></details>"
        )
    return out


def sheet(pages: Sequence[ScenePage], looks: Looks) -> str:
    """Return the contact sheet: every scene as a small picture that leads to it."""
    cells, common = [], common_start([page.name for page in pages])
    for n, page in enumerate(pages, start=1):
        chips = "".join(
            f'<span><i class="chip {looks.of(label).css}"></i>{esc(times(label, count))}</span>'
            for label, count in Counter(page.labels).items()
        )
        worth = "" if page.worth is None else f'<b class="worth">{decibels(page.worth, sign=True)}</b>'
        wrong = '<b class="wrong">label error</b>' if page.mistakes else ""
        cells.append(
            f'<li><a href="#s{n}"><img data-blob="{page.thumbnail}" alt=""><span class="line"><b>{n}</b>{worth}{wrong}</span>'
            f'<span class="id">{esc(page.name[common:])}</span>'
            f'<span class="chips">{chips or "No target"}</span></a></li>'
        )
    return f'<ol class="sheet">{"".join(cells)}</ol>'


def common_start(names: Sequence[str]) -> int:
    """Return how many letters all names begin with, up to a separator: what a small space can do without."""
    if len(names) < 2:
        return 0
    low, high = min(names), max(names)
    same = next((n for n, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return max(low.rfind("-", 0, same), low.rfind("_", 0, same)) + 1


def _answers(pages: Sequence[ScenePage], looks: Looks) -> list[str]:
    """Return how well a system does per class, the worst first; nothing when none was asked."""
    found: dict[str, list[Decibels]] = {}
    wrong: Counter[str] = Counter()
    for label, sdri in (answer for page in pages for answer in page.answers):
        found.setdefault(label, [])
        if sdri is None:
            wrong[label] += 1
        else:
            found[label].append(sdri)
    if not found:
        return []
    means = {label: mean(values) for label, values in found.items() if values}
    ordered = dict(sorted(means.items(), key=lambda item: (item[1], item[0])))
    errors = {label: wrong[label] for label in sorted(wrong, key=lambda name: (-wrong[name], name))}
    parts = []
    if ordered:
        improved = charts.bars(ordered, looks, lambda v: decibels(v, sign=True, unit=""))
        note = "dB, mean of the targets found; the worst first."
        parts.append(charts.figure("SDR improvement by class", improved, note))
    if errors:
        note = "Missed targets and false alarms."
        parts.append(charts.figure("Label errors by class", charts.bars(errors, looks, _count), note))
    return parts


def _rooms(summary: Summary) -> list[str]:
    if not summary.rt60:
        return []
    note = "RT60 of the places used, median of six responses each (T30 or T20 of channel W)."
    if len(summary.rt60) <= _BARS:
        ordered = {
            place.rsplit("/", 1)[-1].removesuffix(".sofa"): t for place, t in sorted(summary.rt60.items())
        }
        return [charts.figure("Reverberation", charts.bars(ordered, None, lambda t: f"{t:.2f} s"), note)]
    columns = charts.columns(charts.binned(list(summary.rt60.values())), "s", _count)
    return [charts.figure("Reverberation", columns, note)]


def _interferers(summary: Summary) -> list[str]:
    if not summary.interferers:
        return []
    common = dict(Counter(dict(sorted(summary.interferers.items()))).most_common(_BARS))
    left = len(summary.interferers) - len(common)
    note = f"The {_BARS} most frequent of {len(summary.interferers)} kinds." if left else ""
    return [charts.figure("Interferers", charts.bars(common, None, _count), note)]


def _levels(pages: Sequence[ScenePage]) -> list[str]:
    finite = [page.level for page in pages if page.level > float("-inf")]
    if len(finite) < 2:
        return []
    columns = charts.columns(charts.binned(finite), "dBFS, mean power of the four channels", _count)
    return [charts.figure("Level of the scenes shown", columns, charts.spread(finite, "dBFS"))]


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _duration(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:,.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:g} s"
