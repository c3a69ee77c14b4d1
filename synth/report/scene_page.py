"""One scene as HTML: spectrogram and timeline, players, sources, directions, the scene on paper."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from ..units import Decibels, Degrees
from .directions import direction_error, source_direction
from .markup import Blobs, decibels, esc, percent, seconds
from .notices import peak_db
from .palette import Looks
from .source_table import SourceTable, css_of, sign_of
from .spectrogram import LOWEST, RANGE, hertz_to_mel
from .stems import Stems
from .view import Extent, SceneView, Source

_TICKS = (250, 500, 1_000, 2_000, 4_000, 8_000, 16_000)
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300)
_NUMBER = "\0"
_SPOKEN = 4
_PLAY = (
    '<svg viewBox="0 0 16 16" aria-hidden="true"><path class="on" d="M4 2.5v11l9-5.5z"/>'
    '<path class="off" d="M4 3h3v10H4zM9 3h3v10H9z"/></svg>'
)


@dataclass(frozen=True, slots=True)
class ScenePage:
    """One scene, ready to be written when its number is known.

    Attributes:
        body: HTML with a NUL character wherever the number goes.
        title: What sounds in it.
        name: What it is called.
        thumbnail: Id of the picture of its mixture.
        labels: Of the targets.
        level: Mean power of the mixture over its channels, dB re full scale.
        errors: Angles between labels and intensity, of the targets, in degrees.
        worth: dB; None without a system.
        mistakes: Missed targets and false alarms.
        answers: (class, SDR improvement) of what a system found; None for a missed target or a false alarm.
    """

    body: str
    title: str
    name: str
    thumbnail: str
    labels: tuple[str, ...]
    level: Decibels
    errors: tuple[Degrees, ...]
    worth: Decibels | None
    mistakes: int
    answers: tuple[tuple[str, Decibels | None], ...]


def numbered(page: ScenePage, number: int) -> str:
    """Return the HTML of a scene that is the n-th of the report, counted from 1."""
    return page.body.replace(_NUMBER, str(number))


def times(label: str, count: int) -> str:
    """Return a class, and how often when it is there more than once."""
    return label if count == 1 else f"{label} ×{count}"


def scene_page(view: SceneView, looks: Looks, blobs: Blobs) -> ScenePage:
    """Turn one view into HTML; sounds and pictures go to the blobs."""
    found = [source_direction(source, view) for source in view.targets]
    errors = [direction_error(source, there) for source, there in zip(view.targets, found, strict=True)]
    stems = Stems(view, blobs)
    sources = SourceTable(view, looks, stems, found, errors)
    power = float(np.mean(np.square(view.mixture, dtype=np.float64)))
    level = 10 * float(np.log10(power)) if power > 0 else float("-inf")
    labels = tuple(source.label for source in view.targets)
    title = ", ".join(times(label, count) for label, count in Counter(labels).items()) or "No target"
    estimates = view.estimates or ()
    mistakes = len(view.missed) + sum(e.target is None for e in estimates)
    answers = [(e.label, None if e.target is None else e.sdri) for e in estimates]
    answers += [(view.targets[n].label, None) for n in view.missed]
    body = f"""<article class="scene" id="s{_NUMBER}" data-seconds="{view.samples / view.rate:.4f}" tabindex="-1" aria-labelledby="s{_NUMBER}h">
<header><h3 id="s{_NUMBER}h"><a class="number" href="#s{_NUMBER}">{_NUMBER}</a> {esc(title)}</h3>
{_meta(view, level, mistakes)}</header>
{_stage(view, looks, stems)}
{_player(view, stems)}
<div class="below"><div class="table">{sources.table()}</div>{sources.map()}</div>
{_paper(view)}
</article>
"""
    known = tuple(error for error in errors if error is not None)
    return ScenePage(
        body, title, view.name, stems.image, labels, level, known, view.worth, mistakes, tuple(answers)
    )


def _meta(view: SceneView, level: Decibels, mistakes: int) -> str:
    """Return the line under the title."""
    parts = [f"<span>{esc(view.name)}</span>"]
    if view.place is not None:
        parts.append(f"<span>{esc(PurePosixPath(view.place).stem)}</span>")
    parts.append(f"<span>{view.samples / view.rate:g} s at {view.rate / 1000:g} kHz</span>")
    peak = decibels(peak_db(view.mixture), unit="dBFS")
    parts.append(f"<span>peak {peak}, level {decibels(level, unit='dBFS')}</span>")
    if view.worth is not None:
        parts.append(f'<span class="worth">SDRi {decibels(view.worth, sign=True)}</span>')
    if mistakes:
        parts.append(f'<span class="wrong">{mistakes} label error{"s" if mistakes > 1 else ""}</span>')
    return f'<p class="meta">{"".join(parts)}</p>'


def _stage(view: SceneView, looks: Looks, stems: Stems) -> str:
    """Return the spectrogram with its axes and the timeline under it."""
    said = esc(f"Spectrogram of channel W of the mixture: {view.name}")
    low, high = (f"{level:.0f}".replace("-", "−") for level in (stems.top - RANGE, stems.top))
    lanes = [_lane(view, source, n, looks) for n, source in enumerate(view.targets)]
    lanes += [_lane(view, source, n, looks) for n, source in enumerate(view.interferers)]
    return f"""<div class="stage">
<div class="hertz" aria-hidden="true">{_frequencies(view)}<em>Hz</em></div>
<div class="plot"><img data-blob="{stems.image}" alt="{said}"><i class="playhead"></i><div class="scale" aria-hidden="true"><span>{low}</span><i></i><span>{high} dB</span></div></div>
<div class="lanes">{"".join(lanes)}<i class="playhead"></i></div>
<div class="time" aria-hidden="true">{_moments(view)}</div>
</div>"""


def _frequencies(view: SceneView) -> str:
    top, bottom = hertz_to_mel(view.rate / 2), hertz_to_mel(LOWEST)
    return "".join(
        f'<span style="bottom:{percent(hertz_to_mel(f) - bottom, top - bottom)}">{f if f < 1000 else f"{f // 1000}k"}</span>'
        for f in _TICKS
        if f < view.rate / 2 * 0.95
    )


def _moments(view: SceneView) -> str:
    length = view.samples / view.rate
    step = next((step for step in _STEPS if length / step <= 10), length)
    return "".join(
        f'<span style="left:{percent(n * step, length)}">{n * step:g}</span>'
        for n in range(int(length / step + 1e-9) + 1)
    )


def _lane(view: SceneView, source: Source, number: int, looks: Looks) -> str:
    """Return one line of the timeline: where a source sounds, and where a system heard it."""
    css = css_of(source, looks)
    answers = [e for e in view.estimates or () if source.role == "target" and e.target == number]
    heard = "".join(_bars(e.events, "guess", view.samples) for e in answers)
    moments = [(seconds(b, view.rate), seconds(e, view.rate)) for b, e in source.extents[:_SPOKEN]]
    when = ", ".join(f"{start} to {end} s" for start, end in moments) or "never"
    return (
        f'<div class="lane {source.role}"><span class="who"><b class="sign {css}">{sign_of(source, number)}</b>'
        f'<span class="label">{esc(source.label)}</span><span class="aside"> {source.role}, {when}</span></span>'
        f'<span class="track">{_bars(source.extents, css, view.samples)}{heard}</span></div>'
    )


def _bars(extents: Sequence[Extent], css: str, whole: int) -> str:
    return "".join(
        f'<i class="ev {css}" style="left:{percent(start, whole)};width:{percent(end - start, whole)}"></i>'
        for start, end in extents
    )


def _player(view: SceneView, stems: Stems) -> str:
    """Return the controls, with the buttons of the sounds of the whole scene."""
    buttons = [stems.mixture(view)]
    if view.interference is not None and view.interferers:
        buttons.append(stems.button("Interference", view.interference, "all interferers"))
    if view.noise is not None:
        buttons.append(stems.button("Noise", view.noise, "the background"))
    length = view.samples / view.rate
    return f"""<div class="player"><button class="play" type="button" aria-label="Play" title="Play or pause (space)">{_PLAY}</button>
<input class="seek" type="range" min="0" max="{length:.3f}" step="0.01" value="0" aria-label="Position in seconds">
<span class="clock">0.0 / {length:.1f} s</span>
<div class="stems" role="group" aria-label="Sounds of the whole scene">{"".join(buttons)}</div>
<p class="now" aria-live="polite"><b>Mixture</b>, raised by {decibels(stems.gain)} for listening</p></div>"""


def _paper(view: SceneView) -> str:
    if view.spec is None:
        return ""
    text = esc(view.spec.to_json(indent=1))
    return f'<details class="paper"><summary>The scene on paper (SceneSpec)</summary><pre tabindex="0">{text}</pre></details>'
