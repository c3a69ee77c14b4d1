"""The report in a browser, as people meet it: from a disk, on a laptop and a phone, by keyboard."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from synth.report.document import write_report
from synth.report.summary import Summary, view_facts
from synth.report.view import Estimate
from tests.synth.report.scenes import HOSTILE, SAMPLES, clicks, event, paper, scene, target

CHROMIUM = next(
    (p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None
)
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes: a plain one, one with estimates, one with long and hostile names."""
    plain = replace(scene("train-0-0001"), spec=paper(event("Speech", 0, SAMPLES)))
    found = Estimate("Speech", clicks(1), target=0, sdr=9.0, sdri=6.0, score=0.9, events=((5_000, 20_000),))
    judged = scene("train-0-0002", estimates=(found, Estimate("Dishes", clicks(4))))
    long = "A_very_long_name_without_any_place_to_break_it_" * 4
    odd = scene(
        long, target(HOSTILE, 1, 170.0, path=f"{long}/{long}.wav"), target(long, 2, -170.0), place=long
    )
    odd = replace(odd, interferers=(replace(target("Rain", 3, 45.0), role="interferer", dry=None, wet=None),))
    views = [plain, judged, odd]
    summary = Summary(
        "train-0", scenes=200, synthetic=True, facts=[("Recipe", "demo"), ("Catalog", "5" * 64)]
    )
    summary.rt60 = {"hall.sofa": 0.7, f"{long}.sofa": 0.2}
    for view in views * 4:
        summary.add(view_facts(view))
    folder = tmp_path_factory.mktemp("browser")
    write_report(views, folder, summary=summary)
    return folder / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield started
        started.close()


def until(page: Any, expression: str, seconds: float = 10) -> None:
    """Wait until something is true in the page, whose policy lets nobody wait inside it."""
    for _ in range(round(seconds / 0.02)):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never true: {expression}")


class Opened:
    """A report in a window, with all that the browser complained of or asked for."""

    def __init__(
        self, browser: Any, report: Path, size: dict[str, int] = LAPTOP, scheme: str = "light"
    ) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page = browser.new_page(viewport=size, color_scheme=scheme)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.complaints.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())

    def see_all(self) -> None:
        """Scroll through the page, so that every picture is asked for."""
        for image in self.page.query_selector_all("img"):
            image.scroll_into_view_if_needed()
        until(self.page, "[...document.images].every(i => i.complete && i.naturalWidth > 0)")

    def playing(self) -> str | None:
        """Name of the scene that plays."""
        found: str | None = self.page.evaluate("document.querySelector('.scene.playing')?.id ?? null")
        return found

    def current(self) -> str:
        focused: str = self.page.evaluate("document.activeElement.closest('.scene')?.id ?? ''")
        return focused


@in_browser
@pytest.mark.parametrize("size", [LAPTOP, PHONE], ids=["laptop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_nothing_is_asked_for_or_complained_of(
    browser: Any, report: Path, size: dict[str, int], scheme: str
) -> None:
    """No sideways scrolling, no console message, no request but the file itself; soon there, and in the theme."""
    opened = Opened(browser, report, size, scheme)
    opened.see_all()
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    beyond = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, svg, pre, .file, .who') && "
        "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
    )
    assert beyond == []
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
    assert page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") < 2_000
    paper_colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", paper_colour)[:3]))
    assert (brightness > 600) == (scheme == "light")
    page.close()


@in_browser
def test_every_sound_plays_for_as_long_as_the_scene(browser: Any, report: Path) -> None:
    """Every button brings its own sound and picture, goes on at the same place, and stops the one before."""
    opened = Opened(browser, report)
    page = opened.page
    for n in (1, 2, 3):
        buttons = page.query_selector_all(f"#s{n} .stem")
        assert len(buttons) >= 6
        for button in buttons:
            button.click()
            until(page, f"document.querySelector('#s{n} audio').readyState > 0")
            assert page.evaluate("n => document.querySelector(`#s${n} audio`).duration", n) == pytest.approx(
                1.0, abs=0.06
            )
            assert button.get_attribute("aria-pressed") == "true"
            assert page.get_attribute(f"#s{n} .plot img", "data-blob") == button.get_attribute("data-image")
        assert len(page.query_selector_all(f'#s{n} .stem[aria-pressed="true"]')) == 1
    # Slowly, so that a busy machine cannot miss a sound of one second.
    page.evaluate("document.querySelectorAll('audio').forEach(a => { a.pause(); a.playbackRate = 0.1; })")
    page.click("#s1 .play")
    until(page, "document.querySelector('#s1.playing audio')?.currentTime > 0.01")
    assert opened.playing() == "s1"
    page.click("#s2 .play")
    until(page, "document.querySelector('#s2.playing audio')?.currentTime > 0.01")
    assert page.evaluate("document.querySelector('#s1 audio').paused")
    page.evaluate("document.querySelector('#s2 audio').playbackRate = 2")
    until(page, "document.querySelector('#s2 audio').ended && !document.querySelector('.playing')")
    assert page.inner_text("#s2 .clock") == "1.0 / 1.0 s"
    assert opened.complaints == []
    page.close()


@in_browser
def test_the_playhead_goes_where_the_picture_is_clicked(browser: Any, report: Path) -> None:
    """What is seen can be heard: a click at three quarters of the picture is three quarters of the sound."""
    page = Opened(browser, report).page
    box = page.query_selector("#s1 .plot").bounding_box()
    page.click("#s1 .plot", position={"x": box["width"] * 0.75, "y": 20})
    assert page.inner_text("#s1 .clock") == "0.8 / 1.0 s"
    assert float(
        page.evaluate("document.querySelector('#s1 .stage').style.getPropertyValue('--p')")
    ) == pytest.approx(0.75, abs=0.01)
    page.close()


@in_browser
def test_a_keyboard_is_enough(browser: Any, report: Path) -> None:
    """j, k, space, arrows, digits and t do what the page says they do; tabbing starts at the skip link."""
    opened = Opened(browser, report)
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert (opened.current(), page.input_value("#jump")) == ("s2", "s2")
    page.keyboard.press("k")
    assert opened.current() == "s1"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#s1 .clock") == "1.0 / 1.0 s"
    page.keyboard.press("ArrowLeft")
    assert page.inner_text("#s1 .clock") == "0.0 / 1.0 s"
    page.evaluate("document.querySelector('#s1 audio').defaultPlaybackRate = 0.1")
    page.keyboard.press("Space")
    until(page, "document.querySelector('#s1.playing') !== null")
    page.keyboard.press("Space")
    until(page, "document.querySelector('.playing') === null")
    page.keyboard.press("3")
    until(page, "document.querySelectorAll('#s1 .stem')[2].getAttribute('aria-pressed') === 'true'")
    page.keyboard.press("t")
    assert page.get_attribute("html", "data-theme") == "dark"
    page.keyboard.press("t")
    assert page.get_attribute("html", "data-theme") == "light"
    page.select_option("#jump", "s3")
    assert opened.current() == "s3"
    assert opened.complaints == []
    page.close()


@in_browser
def test_every_control_has_a_name(browser: Any, report: Path) -> None:
    """A screen reader says what a button does, what a picture shows and what a bar stands for."""
    page = Opened(browser, report).page
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, select, input, svg[role=img], [role=region], [role=group]')]"
        ".filter(e => !(e.getAttribute('aria-label') || e.textContent.trim())).map(e => e.outerHTML.slice(0, 90))"
    )
    assert nameless == []
    assert page.evaluate("[...document.querySelectorAll('img')].every(i => i.hasAttribute('alt'))")
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert "target, 0.12 to 0.88 s" in page.text_content("#s1 .lanes")
    page.close()


@in_browser
def test_on_paper_all_pictures_are_there(browser: Any, report: Path) -> None:
    """Printing does not wait for scrolling, and is dark on white whatever the theme."""
    page = Opened(browser, report, scheme="dark").page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    until(page, "[...document.querySelectorAll('.plot img')].every(i => i.naturalWidth > 0)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.querySelector('.bar')).display") == "none"
    page.close()


def test_text_can_be_read_in_both_themes() -> None:
    """Every colour of text has a contrast of 4.5 to every ground it stands on (WCAG 2.2, 1.4.3)."""
    style = resources.files("synth.report").joinpath("report.css").read_text("utf-8")
    for start in (":root {", ':root[data-theme="dark"] {'):
        block = style[style.index(start) :].split("}")[0]
        colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for text in ("ink", "soft", "accent", "problem", "caution", "note", "good"):
            for ground in ("paper", "card") if text != "soft" else ("paper", "card", "faint"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (start, text, ground)
        assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    for colour, on in re.findall(r"--c: (#[0-9a-f]{6}); --on: (#[0-9a-f]{3,6});", style):
        assert contrast(colour, on if len(on) == 7 else "#" + "".join(2 * c for c in on[1:])) >= 3


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two colours as WCAG defines it."""

    def luminance(text: str) -> float:
        values = [int(text[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
