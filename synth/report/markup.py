"""Pieces of HTML: everything that comes from data is escaped here, and sounds and pictures are numbered."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Iterator

from ..units import Decibels, Degrees, Hertz, Samples


def esc(text: object) -> str:
    """Return text as HTML, safe in content and in quoted attributes."""
    return html.escape(str(text).replace("\0", "\ufffd"), quote=True)


class Blobs:
    """Files inside the page, in base64, each read by the script when it is first needed."""

    def __init__(self) -> None:
        self._content: list[str] = []

    def add(self, data: bytes) -> str:
        """Keep a file; return the id of the element that will hold it."""
        self._content.append(base64.b64encode(data).decode("ascii"))
        return f"b{len(self._content) - 1}"

    def elements(self) -> Iterator[str]:
        """Yield the elements: text to the browser, neither run nor laid out."""
        for n, content in enumerate(self._content):
            yield f'<script type="text/plain" id="b{n}">{content}</script>\n'


def tag_list(items: Iterable[str], css: str) -> str:
    """Return an unordered list of pieces of HTML; nothing when there are none."""
    rows = "".join(f"<li>{item}</li>" for item in items)
    return f'<ul class="{css}">{rows}</ul>' if rows else ""


def decibels(value: Decibels | None, *, sign: bool = False, unit: str = "dB") -> str:
    """Return a level as readers expect it, with a true minus sign."""
    if value is None or value != value:
        return "–"
    if value == float("-inf"):
        return f"−∞ {unit}"
    text = f"{value:+.1f}" if sign else f"{value:.1f}"
    return f"{text.replace('-', '−')} {unit}"


def degrees(value: Degrees) -> str:
    """Return an angle with its sign, whole degrees."""
    rounded = round(value)
    return f"{'−' if rounded < 0 else '+' if rounded > 0 else ''}{abs(rounded)}°"


def seconds(samples: Samples, rate: Hertz) -> str:
    """Return a moment in seconds, to the hundredth."""
    return f"{samples / rate:.2f}"


def percent(part: float, whole: float) -> str:
    """Return a share for CSS, with as many digits as a wide screen shows."""
    return f"{100 * part / whole:.3f}%" if whole else "0%"
