"""The report: one HTML file with everything in it, for people who would rather look and listen."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from ..corpus.identity import generator_version
from ..errors import SynthError
from ..files import atomic_write
from .markup import Blobs, esc
from .notices import Notice, direction_notices, gathered, summary_notices, view_notices
from .overview import facts_table, notices_section, overview_charts, sheet, tiles
from .palette import Looks
from .scene_page import ScenePage, numbered, scene_page
from .summary import Summary, view_facts
from .view import SceneView

REPORT_NAME = "index.html"

_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M2 9v-2M5 12V4M8 "
    "14V2M11 11V5M14 9V7' stroke='%231f6f8b' stroke-width='1.8' stroke-linecap='round'/%3E%3C/svg%3E"
)
_ABOUT = """<footer><h2>How to read this</h2>
<p><b>Listening.</b> The mixture is heard through two virtual cardioids, 60° to the left and right of the front
(headphones or loudspeakers). All sounds of a scene are raised by the same gain, so their levels compare. They are
MP3, for every browser plays that: judge by ear, measure on the data.</p>
<p><b>Looking.</b> Spectrograms are channel W on a mel scale; all of a scene share one range of 65 dB. Times,
SNRs and directions are those of the labels. “Heard from” is the active intensity between 200 and 6000 Hz, of the wet
sound where there is one, else of the target's share of the mixture: reflections pull it away from the source.
Azimuth counts from the front to the left. A thin line under a bar of the timeline: where a system heard
the class. The SDRi of a scene counts missed targets and false alarms as no improvement.</p>
<p><b>Keys.</b> <kbd>j</kbd> <kbd>k</kbd> next and previous scene, <kbd>space</kbd> play and pause, <kbd>←</kbd>
<kbd>→</kbd> one second, <kbd>1</kbd> … <kbd>9</kbd> choose a sound, <kbd>t</kbd> light or dark.</p>
<p class="soft">Made by s5kit {version}. This file reads nothing from elsewhere.</p></footer>"""


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """What was written: the file, its bytes, the scenes in it, and what to know first."""

    path: Path
    size: int
    scenes: int
    notices: tuple[Notice, ...]


def write_report(
    views: Iterable[SceneView],
    out: str | Path,
    *,
    summary: Summary | None = None,
    title: str | None = None,
    tried: int | None = None,
) -> WrittenReport:
    """Write scenes, and what is known of the collection they are from, as `index.html` in a folder.

    Scenes are taken one at a time. When any has estimates, the worst come first. The same scenes
    give the same bytes.

    Args:
        views: The scenes.
        out: A folder, made if needed; a report in it is replaced.
        summary: Counts over the whole collection; None: over `views`.
        title: Of the report; None: the summary's.
        tried: Of how many scenes that a system was tried on these are the worst; None: they were not chosen so.

    Raises:
        SynthError: There is no scene, or the folder cannot be written.
    """
    out = Path(out)
    counts = summary or Summary(title or "Scenes")
    looks, blobs = Looks(counts.targets), Blobs()
    pages: list[ScenePage] = []
    found: list[Notice] = []
    for view in views:
        if summary is None:
            counts.add(view_facts(view))
        pages.append(scene_page(view, looks, blobs))
        found += view_notices(view)
    if not pages:
        raise SynthError("there is no scene to show", where=out, remedy="ask for at least one scene")
    found += direction_notices([error for page in pages for error in page.errors])
    notices = gathered([*summary_notices(counts), *found])
    if any(page.worth is not None for page in pages):
        pages.sort(key=lambda page: float("inf") if page.worth is None else page.worth)
    order = _order(pages, counts, tried)
    parts = _document(title or counts.title, order, counts, looks, pages, notices, blobs)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with atomic_write(out / REPORT_NAME) as file:
            size = sum(file.write(part.encode()) for part in parts)
    except OSError as error:
        raise SynthError(
            f"cannot be written: {error.strerror or error}",
            where=out,
            remedy="choose a folder with room and rights",
        ) from error
    return WrittenReport(out / REPORT_NAME, size, len(pages), tuple(notices))


def _document(
    title: str,
    order: str,
    summary: Summary,
    looks: Looks,
    pages: Sequence[ScenePage],
    notices: Sequence[Notice],
    blobs: Blobs,
) -> Iterator[str]:
    """Yield the page: what is seen first comes first, sounds and pictures last."""
    script = resources.files(__package__).joinpath("report.js").read_text(encoding="utf-8")
    style = resources.files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    yield _head(title, style, script)
    yield _bar(title, pages)
    numbers = {page.name: n for n, page in enumerate(pages, start=1)}
    made_up = '<p class="badge">Synthetic sounds and rooms</p>' if summary.synthetic else ""
    yield (
        f'<main id="main"><header class="hero">{made_up}<h1>{esc(title)}</h1><p class="lead">{_lead(summary, pages)}</p></header>'
        f"{notices_section(notices, numbers)}"
    )
    if summary.scenes > 1:
        yield (
            f'<section aria-labelledby="overview"><h2 id="overview">The collection</h2>{tiles(summary, pages)}'
            f"{overview_charts(summary, looks, pages)}{facts_table(summary)}</section>"
            f'<section aria-labelledby="scenes"><h2 id="scenes">Scenes</h2>{order}{sheet(pages, looks)}</section>'
        )
    yield '<section class="scenes" aria-label="Scenes one by one">'
    for number, page in enumerate(pages, start=1):
        yield numbered(page, number)
    if summary.scenes == 1:  # it is no collection: its scene comes first
        yield facts_table(summary)
    yield f"</section>{_ABOUT.format(version=esc(generator_version()))}</main>\n"
    yield f"<script>{script}</script>\n"
    yield from blobs.elements()
    yield "</body></html>\n"


def _head(title: str, style: str, script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; img-src data: blob:; media-src data: blob:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{esc(title)} · s5kit</title>
<link rel="icon" href="{_ICON}">
<style>{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
"""


def _bar(title: str, pages: Sequence[ScenePage]) -> str:
    options = "".join(
        f'<option value="s{n}">{n} · {esc(page.title)}</option>' for n, page in enumerate(pages, start=1)
    )
    return f"""<nav class="bar" aria-label="Scenes"><a class="brand" href="#main"><svg viewBox="0 0 16 16" aria-hidden="true"><path d="M2 9V7M5 12V4M8 14V2M11 11V5M14 9V7"/></svg><span>{esc(title)}</span></a>
<button type="button" id="previous" aria-label="Previous scene" title="Previous scene (k)">↑</button>
<select id="jump" aria-label="Go to scene"><option value="main">Overview</option>{options}</select>
<button type="button" id="next" aria-label="Next scene" title="Next scene (j)">↓</button>
<button type="button" id="theme" aria-label="Light or dark" title="Light or dark (t)">◐</button></nav>
<noscript><p class="noscript">Pictures and players need JavaScript; labels and tables are complete without it.</p></noscript>
"""


def _order(pages: Sequence[ScenePage], summary: Summary, tried: int | None) -> str:
    """Say in which order scenes come, and what they were chosen from."""
    if all(page.worth is None for page in pages):
        return ""
    if tried is not None:
        return f'<p class="soft">The worst {len(pages)} of {tried:,} scenes that were tried; the worst come first.</p>'
    if len(pages) < summary.scenes:
        return '<p class="soft">The worst of the scenes shown come first; others may be worse.</p>'
    return '<p class="soft">The worst come first.</p>'


def _lead(summary: Summary, pages: Sequence[ScenePage]) -> str:
    what = "spatial sound scene" if summary.scenes == 1 else "spatial sound scenes"
    shown = "" if len(pages) == summary.scenes else f" {len(pages)} of them are shown below."
    return f"{summary.scenes:,} {what} in first-order Ambisonics.{shown}"
