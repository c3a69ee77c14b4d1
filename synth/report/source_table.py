"""The sources of one scene: a table with players, estimates under their targets, and the map of directions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from ..units import Degrees
from . import charts
from .markup import decibels, degrees, esc, seconds
from .palette import Looks
from .stems import Stems
from .view import Estimate, Extent, SceneView, Source

Direction = tuple[Degrees, Degrees]

_HEADINGS = ("Source", "Seconds", "SNR", "Labelled", "Heard from", "Listen")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_NEAR: Degrees = 180.0


def sign_of(source: Source, number: int) -> str:
    """Return the sign of the n-th target (1, 2 …) or interferer (a, b …), counted from 0."""
    return str(number + 1) if source.role == "target" else _LETTERS[number % len(_LETTERS)]


def css_of(source: Source, looks: Looks) -> str:
    """Return how a source is drawn: in the colour of its class, interferers grey."""
    return looks.of(source.label).css if source.role == "target" else "grey"


class SourceTable:
    """The sources of a scene.

    Args:
        view: The scene.
        looks: How classes are drawn.
        stems: Makes the buttons.
        found: Where each target is heard from.
        errors: By how much that differs from its label.
    """

    def __init__(
        self,
        view: SceneView,
        looks: Looks,
        stems: Stems,
        found: Sequence[Direction | None],
        errors: Sequence[Degrees | None],
    ) -> None:
        self._view, self._looks, self._stems = view, looks, stems
        self._found, self._errors = found, errors

    def table(self) -> str:
        """Return a row per source, and one per estimate."""
        view, estimates = self._view, self._view.estimates or ()
        rows = []
        for n, source in enumerate(view.targets):
            rows.append(self._target(source, n))
            rows += [self._estimate(estimate) for estimate in estimates if estimate.target == n]
        rows += [_row(s, sign_of(s, n), "grey", view.rate) for n, s in enumerate(view.interferers)]
        rows += [self._estimate(estimate) for estimate in estimates if estimate.target is None]
        if not rows:
            return '<p class="empty">No source: background only.</p>'
        head = "".join(f'<th scope="col">{name}</th>' for name in _HEADINGS)
        return f'<table class="sources"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'

    def map(self) -> str:
        """Return the map of directions; nothing when none is known."""
        view, marks, said = self._view, [], []
        for n, source in enumerate(view.interferers):
            marks.append(_square(source, sign_of(source, n)))
        for n, source in enumerate(view.targets):
            css = css_of(source, self._looks)
            marks += [_ring(source, self._found[n], css), _disc(source, sign_of(source, n), css)]
            if source.azimuth is not None and source.elevation is not None:
                said.append(f"{source.label} at {degrees(source.azimuth)}, {degrees(source.elevation)}")
        if not any(marks):
            return ""
        chart = charts.direction_map(
            "".join(marks), "Directions: " + ("; ".join(said) or "by intensity only")
        )
        words = "Disc: as labelled. " if said else ""
        words += "Ring: as heard, by the intensity vector."
        words += " Grey: interferers." if view.interferers else ""
        return f'<figure class="where">{chart}<figcaption>{words}</figcaption></figure>'

    def _target(self, source: Source, number: int) -> str:
        sign = sign_of(source, number)
        found = _angles(*(self._found[number] or (None, None)))
        if (error := self._errors[number]) is not None:
            found += f' <span class="aside">{error:.0f}° off</span>'
        buttons = "".join(
            self._stems.button(name, sound, f"the {name.lower()} {source.label} ({sign})")
            for name, sound in (("Dry", source.dry), ("Wet", source.wet))
            if sound is not None
        )
        missed = '<strong class="wrong">missed</strong>' if number in self._view.missed else ""
        css = css_of(source, self._looks)
        return _row(source, sign, css, self._view.rate, found, buttons, missed)

    def _estimate(self, estimate: Estimate) -> str:
        if estimate.target is None:
            verdict = '<strong class="wrong">false alarm</strong>'
        elif estimate.label != self._view.targets[estimate.target].label:
            verdict = '<strong class="wrong">wrong label</strong>'
        else:
            verdict = '<strong class="right">found</strong>'
        score = "" if estimate.score is None else f' <span class="aside">score {estimate.score:.2f}</span>'
        button = self._stems.button("Estimate", estimate.waveform, f"the estimate of {estimate.label}")
        cells = _cells(
            ("SDR", f'<span class="aside">SDR</span> {decibels(estimate.sdr)}'),
            ("SDRi", f'<span class="aside">SDRi</span> {decibels(estimate.sdri, sign=True)}'),
            ("Listen", f'<span class="listen">{button}</span>'),
        )
        return (
            '<tr class="estimate"><th scope="row"><div class="source"><span class="arrow" aria-hidden="true">↳</span>'
            f"<span>{esc(estimate.label)} {verdict}{score}</span></div></th>"
            f'<td class="hide"></td><td class="hide"></td>{cells}</tr>'
        )


def _row(
    source: Source, sign: str, css: str, rate: int, found: str = "–", buttons: str = "", missed: str = ""
) -> str:
    role = "" if source.role == "target" else '<span class="aside">interferer</span>'
    path = "" if source.path is None else source.path
    file = f'<span class="file" title="{esc(path)}">{esc(PurePosixPath(path).name)}</span>' if path else ""
    distance = "" if source.distance is None else f' <span class="aside">{source.distance:.1f} m</span>'
    when = "<br>".join(f"{seconds(b, rate)}–{seconds(e, rate)}" for b, e in _hull(source.extents))
    cells = _cells(
        ("Seconds", when or "–"),
        ("SNR", decibels(source.snr_db)),
        ("Labelled", _angles(source.azimuth, source.elevation) + distance),
        ("Heard from", found),
        ("Listen", f'<span class="listen">{buttons}</span>' if buttons else "–"),
    )
    return (
        f'<tr class="{source.role}"><th scope="row"><div class="source"><b class="sign {css}">{sign}</b>'
        f"<span>{esc(source.label)} {role}{missed}{file}</span></div></th>{cells}</tr>"
    )


def _cells(*cells: tuple[str, str]) -> str:
    return "".join(f'<td data-name="{name}">{content}</td>' for name, content in cells)


def _angles(azimuth: Degrees | None, elevation: Degrees | None) -> str:
    if azimuth is None or elevation is None:
        return "–"
    return f"{degrees(azimuth)} / {degrees(elevation)}"


def _hull(extents: Sequence[Extent]) -> Sequence[Extent]:
    """Return the stretches, or, when they are many, one around all of them."""
    return extents if len(extents) <= 2 else ((extents[0][0], extents[-1][1]),)


def _disc(source: Source, sign: str, css: str) -> str:
    if source.azimuth is None or source.elevation is None:
        return ""
    x, y = charts.map_x(source.azimuth), charts.map_y(source.elevation)
    return (
        f'<g class="mark {css}"><circle cx="{x:.1f}" cy="{y:.1f}" r="8.5"/>'
        f'<text x="{x:.1f}" y="{y + 3.8:.1f}">{sign}</text></g>'
    )


def _square(source: Source, sign: str) -> str:
    if source.azimuth is None or source.elevation is None:
        return ""
    x, y = charts.map_x(source.azimuth), charts.map_y(source.elevation)
    return (
        f'<g class="mark grey"><rect x="{x - 7:.1f}" y="{y - 7:.1f}" width="14" height="14" rx="2"/>'
        f'<text x="{x:.1f}" y="{y + 3.5:.1f}">{sign}</text></g>'
    )


def _ring(source: Source, found: Direction | None, css: str) -> str:
    """Return where a target is heard from, with a line to where it is said to be unless that is behind."""
    if found is None:
        return ""
    x, y = charts.map_x(found[0]), charts.map_y(found[1])
    line = ""
    if source.azimuth is not None and source.elevation is not None:
        from_x, from_y = charts.map_x(source.azimuth), charts.map_y(source.elevation)
        if abs(from_x - x) <= _NEAR:
            line = f'<line x1="{from_x:.1f}" y1="{from_y:.1f}" x2="{x:.1f}" y2="{y:.1f}"/>'
    ring = f'cx="{x:.1f}" cy="{y:.1f}" r="11.5"'
    return f'<g class="heard {css}">{line}<circle class="halo" {ring}/><circle {ring}/></g>'
