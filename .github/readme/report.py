"""Draws the picture of a report for the README: one scene of it, playing.

usage: python .github/readme/report.py REPORT/index.html SCENE OUT.png   (needs playwright, Chromium, Pillow)

The picture in this folder:
    s5kit inspect demo/corpus --catalog demo/catalog --scenes 41 --out demo/report
    python .github/readme/report.py demo/report/index.html 1 .github/readme/report.png
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1160, 2400
MOMENT = 0.47
COLOURS = 200


def main(report: Path, scene: int, out: Path) -> None:
    """Open the report, put the playhead into a scene, and keep what is seen."""
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(report.absolute().as_uri())
        plot = page.locator(f"#s{scene} .plot")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box is not None
        plot.click(position={"x": box["width"] * MOMENT, "y": 30})
        page.add_style_tag(content=".bar, .skip { display: none !important }")
        page.wait_for_timeout(1_000)
        seen = page.locator(f"#s{scene}").screenshot()
        browser.close()
    image = Image.open(io.BytesIO(seen)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    image.save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
