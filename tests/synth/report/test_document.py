"""The report as a file: whole, harmless, the same every time, the worst first."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from synth.errors import SynthError
from synth.report.charts import bars
from synth.report.document import write_report
from synth.report.palette import PATTERNS, Looks
from synth.report.summary import Summary
from synth.report.view import Estimate, SceneView
from tests.synth.report.scenes import HOSTILE, clicks, event, paper, scene, target


class Page(HTMLParser):
    """What a browser makes of a file: elements with attributes, and the text in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.blobs: dict[str, str] = {}
        self.text = ""
        self._blob: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._blob = dict(attrs).get("id") if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._blob:
            self.blobs[self._blob] = self.blobs.get(self._blob, "") + data
        else:
            self.text += data

    def having(self, attribute: str) -> list[str]:
        return [value for _, a in self.elements if (value := a.get(attribute)) is not None]


def read(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def test_every_sound_and_picture_is_inside(tmp_path: Path) -> None:
    """The file opens from a disk without a network: what buttons and pictures name is in it and decodes."""
    report = write_report([scene("a"), scene("b")], tmp_path)
    page = read(tmp_path)
    assert (report.scenes, report.size) == (2, (tmp_path / "index.html").stat().st_size)
    for name in {*page.having("data-blob"), *page.having("data-image")}:
        with Image.open(io.BytesIO(base64.b64decode(page.blobs[name]))) as image:
            image.load()
            assert image.format == "PNG"
    sounds = page.having("data-audio")
    assert len(sounds) == 2 * (2 + 4)  # mixture, noise, two dry, two wet
    for name in sounds:
        y, rate = soundfile.read(io.BytesIO(base64.b64decode(page.blobs[name])))
        assert len(y) / rate == pytest.approx(1.0)
        assert 0 < np.abs(y).max() < 1


def test_nothing_is_named_that_lies_elsewhere(tmp_path: Path) -> None:
    """No request ever leaves: no address in the page, and a policy that forbids what a bug might add."""
    write_report([scene()], tmp_path)
    page = read(tmp_path)
    for name in ("src", "href", "action", "poster", "srcset"):
        assert all(value.startswith(("#", "data:image/svg+xml")) for value in page.having(name))
    content = (tmp_path / "index.html").read_text()
    assert set(re.findall(r"https?://[^'\"\s<>]+", content)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in content
    assert "url(" not in content
    policy = page.having("content")
    script = re.search(r"<script>(.*?)</script>", content, re.S)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert any("default-src 'none'" in p and f"'sha256-{digest}'" in p for p in policy)


def test_names_from_data_stay_text(tmp_path: Path) -> None:
    """A label or path with HTML in it runs nothing and breaks nothing."""
    path = f"sound_event/{HOSTILE.replace('/', '_')}.wav"
    hostile = scene(HOSTILE, target(HOSTILE, 1, path=path), place=f"{HOSTILE}.sofa")
    hostile = replace(
        hostile,
        interferers=(replace(target(HOSTILE, 2), role="interferer"),),
        estimates=(Estimate(HOSTILE, clicks(3), target=0, sdri=1.0), Estimate(HOSTILE, clicks(4))),
        spec=paper(event("<b>Speech", 0, 99)),
    )
    summary = Summary(HOSTILE, facts=[(HOSTILE, HOSTILE)], rt60={HOSTILE: 0.5})
    write_report([hostile], tmp_path / "plain")
    write_report([replace(hostile, name="s\0")], tmp_path, summary=summary, title=HOSTILE)
    for page in (read(tmp_path / "plain"), read(tmp_path)):
        assert HOSTILE in page.text
        assert not [a for tag, a in page.elements if tag == "img" and "data-blob" not in a]
        assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
        scripts = [a for tag, a in page.elements if tag == "script" and a.get("type") != "text/plain"]
        assert len(scripts) == 1


def test_the_same_scenes_give_the_same_bytes(tmp_path: Path) -> None:
    """A report can be compared, cached and kept under version control."""
    for name in ("a", "b"):
        write_report([scene()], tmp_path / name)
    assert (tmp_path / "a/index.html").read_bytes() == (tmp_path / "b/index.html").read_bytes()


def judged(name: str, sdri: float, *, label: str = "Speech") -> SceneView:
    estimate = Estimate(label, clicks(1), target=0, sdr=3.0, sdri=sdri, score=0.75, events=((5_000, 9_000),))
    return scene(name, target("Speech", 1, wet=None), estimates=(estimate,), noise=None)


def test_the_worst_scenes_come_first(tmp_path: Path) -> None:
    """Whoever looks for why a model fails finds it at the top."""
    unasked = scene("unasked", target("Cough", 1, wet=None), noise=None)
    views = [judged("good", 12.0), judged("bad", -3.0), unasked, judged("fair", 5.0)]
    write_report(views, tmp_path)
    text = read(tmp_path).text
    shown = re.findall(r"\b(good|bad|fair|unasked)(?=room|hall)", text) or re.findall(
        "good|bad|fair|unasked", text
    )
    assert [name for name in dict.fromkeys(shown)] == ["bad", "fair", "good", "unasked"]
    assert "The worst come first." in text
    assert "+4.7 dB" in text  # the mean of 12, -3 and 5


def test_it_says_what_the_worst_are_the_worst_of(tmp_path: Path) -> None:
    """Nobody takes the worst of a few for the worst of all."""
    views = [scene(f"s{n}", estimates=(), score=float(n)) for n in range(2)]
    collection = Summary("all", scenes=9)

    def said(**options: Any) -> str:
        return write_report(views, tmp_path, **options).path.read_text()

    assert "The worst come first.</p>" in said()
    assert "others may be worse" in said(summary=collection)
    assert "The worst 2 of 9 scenes that were tried" in said(summary=collection, tried=9)


def test_one_scene_is_no_collection(tmp_path: Path) -> None:
    """Who inspects a scene sees that scene, not histograms of one."""
    page = write_report([scene("s")], tmp_path).path.read_text()
    assert page.count('<article class="scene"') == 1
    assert "The collection" not in page


def test_bars_of_losses_go_to_the_left() -> None:
    """A class that a system makes worse is not drawn like one it leaves as it was."""
    page = bars({"Speech": -6.0, "Cough": 2.0})
    widths = [float(x) for x in re.findall(r";width:([\d.]+)%", page)]
    starts = [float(x) for x in re.findall(r"margin-left:([\d.]+)%", page)]
    assert (starts, widths) == ([0.0, 75.0], [75.0, 25.0])
    assert "--zero:75.0%" in page
    assert "margin-left" not in bars({"Speech": 3.0})


def test_label_errors_are_marked(tmp_path: Path) -> None:
    """Missed targets, false alarms and wrong labels are words, not only colours."""
    false = Estimate("Cough", clicks(2))
    views = [replace(scene("s", target("Speech", 1)), estimates=(false,)), judged("t", 1.0, label="Dishes")]
    write_report(views, tmp_path)
    text = read(tmp_path).text
    for words in (
        "missed",
        "false alarm",
        "wrong label",
        "2 label errors",
        "SDR",
        "score 0.75",
        "−0.0 dB",
        "+1.0 dB",
    ):
        assert (words in text) == (words != "−0.0 dB"), words


def test_warnings_stand_before_everything_else(tmp_path: Path) -> None:
    """Clipping is read before a picture is looked at, with a link to the scene."""
    view = scene()
    report = write_report(
        [scene("ok"), replace(view, name="loud", mixture=view.mixture * np.float32(100))], tmp_path
    )
    assert [n.level for n in report.notices] == ["problem"]
    content = (tmp_path / "index.html").read_text()
    assert (
        content.index("reaches full scale") < content.index("The collection") < content.index('class="scene"')
    )
    assert 'Scene <a href="#s2">2</a>' in content


def test_scenes_without_anything_are_shown(tmp_path: Path) -> None:
    """No target, no noise, a silent mixture, a single channel, odd rates: still a page."""
    bare = SceneView("bare", np.zeros((4, 8_000), np.float32), 16_000)
    mono = SceneView("mono", clicks(1)[None], 48_000)
    short = SceneView("short", 0.1 * np.ones((4, 10), np.float32), 44_100)
    report = write_report([bare, mono, short], tmp_path)
    assert report.scenes == 3
    assert "No source: background only." in read(tmp_path).text


def test_no_scene_and_no_room_are_errors_with_a_remedy(tmp_path: Path) -> None:
    """Not an empty page, and not a traceback."""
    with pytest.raises(SynthError, match="no scene to show"):
        write_report([], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SynthError, match="cannot be written"):
        write_report([scene()], tmp_path / "file")


def test_classes_differ_in_colour_or_pattern() -> None:
    """All 18 classes of the task look different, always the same, and others come after them."""
    looks = Looks(["Speech"])
    from synth.assets.classes import target_classes

    drawn = [looks.of(label) for label in target_classes()]
    assert len(set(drawn)) == 18
    assert drawn == [Looks().of(label) for label in target_classes()]
    assert looks.of("Theremin").pattern == PATTERNS[2]
    assert Looks(["Zither", "Alphorn"]).of("Alphorn").css == "c0 solid"
