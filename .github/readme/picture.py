"""Draws the picture of README: one scene's W spectrogram and the timeline of its events.

usage: python .github/readme/picture.py CATALOG RECIPE SEED INDEX OUT.png   (needs matplotlib)
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import scipy.signal

from synth import Catalog, load_recipe, plan, render

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#d55e00")


def main(catalog: Path, recipe: str, seed: int, index: int, out: Path) -> None:
    """Render one scene and draw it."""
    chosen, tables = load_recipe(recipe), Catalog.load(catalog)
    spec = plan(chosen, tables, seed, index)
    scene = render(spec, tables, stems=("mixture",))
    rate = spec.sample_rate
    _, times, power = scipy.signal.spectrogram(scene.mixture[0], rate, nperseg=1024, noverlap=704)
    level = 10 * np.log10(power + 1e-14)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9, 4.6), sharex=True, height_ratios=(3, 1.25), layout="constrained", dpi=110
    )
    peak = np.percentile(level, 99.8)
    top.pcolormesh(
        times, np.linspace(0, rate / 2000, len(level)), level, vmin=peak - 65, vmax=peak, cmap="magma"
    )
    top.set_ylabel("kHz")
    sounds = "synthetic sounds" if chosen.synthetic else "recorded sounds"
    top.set_title(
        f"channel W of one scene ({chosen.name}, {sounds}, seed {seed}, index {index})", fontsize=10
    )
    rows = []
    for n, label in enumerate(scene.labels):
        rows.append(label.label)
        start, end = label.onset / rate, label.offset / rate
        bottom.barh(n, end - start, left=start, color=COLOURS[n], height=0.7)
        text = f"{label.azimuth:+.0f}° / {label.elevation:+.0f}°, {spec.targets[n].snr_db:.0f} dB"
        bottom.text(start + 0.06, n, text, va="center", fontsize=8, color="black")
    for event in spec.interferers:
        bottom.barh(len(rows), event.duration / rate, left=event.onset / rate, color="#bbbbbb", height=0.7)
        rows.append(f"({event.label})")
    bottom.set_yticks(range(len(rows)), rows, fontsize=8)
    bottom.invert_yaxis()
    bottom.set_xlim(0, spec.duration / rate)
    bottom.set_xlabel("seconds")
    for side in ("top", "right"):
        bottom.spines[side].set_visible(False)
    figure.savefig(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
