"""Draws the sheet of effects of README: every augmentation before and after, from one catalog.

usage: python .github/readme/effects.py CATALOG OUT.png   (needs s5kit[augment,plots])
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import scipy.signal
import torch

import synth as s5
from models import create_frontend
from training.augment import MelAugment, mixup
from training.sections import AugmentSection

mpl.use("Agg")
import matplotlib.pyplot as plt

RATE = 32_000
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7")
Draw = Callable[[Any], None]


def main(catalog: Path, out: Path) -> None:
    """Draw the sheet."""
    tables = s5.Catalog.load(catalog)
    panels = [*event_panels(tables), *space_panels(tables), *scene_panels(tables), *training_panels(tables)]
    columns = 4
    rows = -(-len(panels) // columns)
    figure = plt.figure(figsize=(12.5, 1.85 * rows), dpi=88, layout="constrained")
    grid = figure.add_gridspec(rows, columns)
    for n, (title, before, after) in enumerate(panels):
        part = figure.add_subfigure(grid[n // columns, n % columns])
        part.suptitle(title, fontsize=9)
        for axes, draw in zip(part.subplots(1, 2, sharey=True), (before, after), strict=True):
            axes.tick_params(labelsize=6, length=2)
            draw(axes)
    figure.supxlabel(
        "Each pair: before and after. Spectrograms: kHz over seconds. Space: elevation over azimuth in degrees, circles are labels, "
        "crosses the direction that the sound's intensity has.\nSpectra: dB over Hz. Time lines: targets in colour, "
        "interferers in grey, a dot where one began before the scene. Curriculum: SNR in dB over the index of the scene.",
        fontsize=7.5,
    )
    figure.savefig(out)


def event_panels(tables: Any) -> list[tuple[str, Draw, Draw]]:
    """Return the effects of single events, on one recording."""
    spec = s5.plan(s5.load_recipe("demo", ["targets.classes=[Speech]", "targets.count=1"]), tables, 0, 0)
    x = s5.open_sounds(tables).event(spec.targets[0], spec.rules, RATE)[: 2 * RATE]
    x = x / np.abs(x).max() * 0.5
    effects: list[tuple[str, Any]] = [
        ("time_stretch: factor 1.25", s5.TimeStretch(factor=1.25, samples=len(x))),
        ("pitch_shift: +7 semitones", s5.PitchShift(semitones=7)),
        ("high_pass: 800 Hz", s5.HighPass(cutoff_hz=800)),
        ("low_pass: 1500 Hz", s5.LowPass(cutoff_hz=1500)),
        ("band_pass: 1 kHz, width 1", s5.BandPass(centre_hz=1000, width=1.0)),
        ("coloured_noise: 15 dB, decay 1", s5.ColouredNoise(snr_db=15, decay=1.0, seed=1)),
        ("gain: +5 dB", s5.Gain(db=5)),
        ("polarity", s5.Polarity()),
    ]
    panels = []
    for title, effect in effects:
        y = s5.apply_event_effects(torch.from_numpy(x.copy()), (effect,), RATE).numpy()
        draw = wave if effect.kind in ("gain", "polarity") else spectrogram
        panels.append((title, draw(x), draw(y)))
    return panels


def space_panels(tables: Any) -> list[tuple[str, Draw, Draw]]:
    """Return turns and mirrors: labels as circles, the direction of intensity as crosses."""
    effects = [
        ("space: swap (mirror, +90°)", s5.SceneEffects(space=s5.SpaceEffect(mirror=True, yaw=90.0))),
        ("space: yaw +140°", s5.SceneEffects(space=s5.SpaceEffect(yaw=140.0))),
        ("space: elevation flip", s5.SceneEffects(space=s5.SpaceEffect(flip=True))),
        ("scene: mismatch of 2 dB", s5.SceneEffects(mismatch_db=(2.0, -2.0, 1.0, -1.5))),
    ]
    spec = best_heard(tables)
    return [
        (title, sky(spec, tables), sky(spec.model_copy(update={"effects": e}), tables))
        for title, e in effects
    ]


def best_heard(tables: Any) -> s5.SceneSpec:
    """Return a scene of three events with different elevations, without background."""
    recipe = s5.load_recipe("demo", ["targets.count=3", "interference.count=0"])
    specs = [s5.plan(recipe, tables, 1, index) for index in range(40)]
    spread = [np.ptp([s5.heard_from(e, spec)[1] for e in spec.targets]) for spec in specs]
    return specs[int(np.argmax(spread))].model_copy(update={"noise": None})


def scene_panels(tables: Any) -> list[tuple[str, Draw, Draw]]:
    """Return effects of level, colour and time."""
    recipe = s5.load_recipe("demo", ["targets.count=3", "interference.count=0"])
    spec = s5.plan(recipe, tables, 2, 3)
    bands = (
        s5.EqBand(kind="low_shelf", frequency_hz=250, gain_db=9, q=0.7),
        s5.EqBand(kind="peak", frequency_hz=2500, gain_db=-12, q=0.8),
    )
    shifted = ["effects.scene.shift.rate=1", "effects.scene.shift.seconds=3"]
    cropped = ["effects.scene.crop.rate=1", "effects.scene.crop.extra=5"]
    curriculum = ["effects.scene.snr_curriculum.scenes=200"]
    return [
        ("scene: eq (two bands)", spectrum(spec, tables), spectrum(with_effects(spec, eq=bands), tables)),
        (
            "scene: self_noise −40 dB",
            spectrum(spec, tables),
            spectrum(with_effects(spec, self_noise=s5.SelfNoise(level_db=-40, seed=1)), tables),
        ),
        (
            "scene: level −6 dB",
            scene_wave(spec, tables),
            scene_wave(with_effects(spec, level_db=-6.0), tables),
        ),
        ("scene: shift +3 s", timeline(tables, []), timeline(tables, shifted)),
        ("scene: crop out of 15 s", timeline(tables, []), timeline(tables, cropped)),
        ("scene: SNR curriculum", ranges(tables, []), ranges(tables, curriculum)),
    ]


def with_effects(spec: s5.SceneSpec, **effects: Any) -> s5.SceneSpec:
    """Return a scene with other effects."""
    return spec.model_copy(update={"effects": s5.SceneEffects(**effects)})


def training_panels(tables: Any) -> list[tuple[str, Draw, Draw]]:
    """Return what training does to labels and mel spectrograms."""
    recipe = s5.load_recipe("demo", ["targets.count=3"])
    scenes = [s5.render(s5.plan(recipe, tables, 3, index), tables) for index in (0, 1)]
    classes = sorted({label.label for scene in scenes for label in scene.labels})
    strong = [s5.frame_matrix(scene.labels, 320_000, RATE, classes).T for scene in scenes]
    batch = {
        "mixture": torch.from_numpy(np.stack([scene.mixture for scene in scenes])),
        "strong": torch.from_numpy(np.stack(strong)),
    }
    seed = next(n for n in range(99) if 0.2 < float(mixup(batch, draw(n))["strong"][0].frac().max()) < 0.8)
    mel = create_frontend("atst")(batch["mixture"][:1, 0, ::2])
    panels = [
        (
            "training: mixup (strong labels)",
            image(batch["strong"][0]),
            image(mixup(batch, draw(seed))["strong"][0]),
        )
    ]
    for title, section in (
        ("training: freq_warp (mel)", AugmentSection(freq_warp=(0.65, 0.65))),
        ("training: filter (mel)", AugmentSection(filter_db=(-25.0, 25.0))),
        ("training: masks (mel)", AugmentSection(time_masks=3, mel_masks=2, time_width=120, mel_width=12)),
    ):
        augment = MelAugment(section)
        augment.per_db = 2 / 130.3324  # of this front end
        panels.append((title, image(mel[0, 0]), image(augment(mel, draw(3))[0, 0])))
    return panels


def draw(seed: int) -> torch.Generator:
    """Return a generator."""
    return torch.Generator().manual_seed(seed)


def spectrogram(x: np.ndarray) -> Draw:
    """Draw a spectrogram up to 6 kHz; all panels of a kind share their axes."""
    _, _, power = scipy.signal.spectrogram(
        np.pad(x, (0, round(2.6 * RATE) - len(x))), RATE, nperseg=1024, noverlap=256
    )
    level = 10 * np.log10(power[:192] + 1e-12)

    def on(axes: Any) -> None:
        axes.imshow(
            steps(level, -95, -35),
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=(0, 2.6, 0, 6),
            interpolation="nearest",
        )

    return on


def wave(x: np.ndarray) -> Draw:
    """Draw some milliseconds of a waveform around its loudest sample."""
    centre = int(np.argmax(np.abs(x)))

    def on(axes: Any) -> None:
        part = x[max(centre - 300, 0) : centre + 300]
        axes.plot(np.arange(len(part)) / 32, part, lw=0.8, color="#0072b2")
        axes.axhline(0, lw=0.4, color="#888888")
        axes.set_ylim(-1, 1)

    return on


def scene_wave(spec: s5.SceneSpec, tables: Any) -> Draw:
    """Draw the envelope of channel W."""
    w = s5.render(spec, tables).mixture[0]
    envelope = np.abs(w[: len(w) // 1600 * 1600]).reshape(-1, 1600).max(axis=1)

    def on(axes: Any) -> None:
        t = np.arange(len(envelope)) / 20
        axes.fill_between(t, -envelope, envelope, color="#0072b2", lw=0)

    return on


def sky(spec: s5.SceneSpec, tables: Any) -> Draw:
    """Draw labels (circles) and where the intensity of the wet sound points to (crosses)."""
    scene = s5.render(spec, tables, stems=("wet",))

    def on(axes: Any) -> None:
        for n, (label, wet) in enumerate(zip(scene.labels, scene.wet, strict=True)):
            # The direct sound alone: 3 ms from where it rises out of nothing.
            loud = np.abs(wet[0, label.onset :]) > 0.02 * np.abs(wet[0]).max()
            start = label.onset + int(np.argmax(loud))
            first = wet[:, start : start + 96].astype(float)
            y, z, x = ((first[0] * first[k]).sum() for k in (1, 2, 3))
            colour = COLOURS[n]
            axes.plot(label.azimuth, label.elevation, "o", mfc="none", ms=9, color=colour)
            axes.plot(
                np.degrees(np.arctan2(y, x)),
                np.degrees(np.arctan2(z, np.hypot(x, y))),
                "x",
                ms=6,
                color=colour,
            )
        axes.set_xlim(180, -180)
        axes.set_ylim(-60, 60)
        axes.set_xticks((180, 90, 0, -90, -180))
        axes.grid(lw=0.3)

    return on


def spectrum(spec: s5.SceneSpec, tables: Any) -> Draw:
    """Draw the mean spectrum of channel W."""
    frequency, power = scipy.signal.welch(s5.render(spec, tables).mixture[0], RATE, nperseg=1024)

    def on(axes: Any) -> None:
        axes.semilogx(frequency[1:], 10 * np.log10(power[1:] + 1e-20), lw=0.9, color="#0072b2")
        axes.set_xlim(50, 16_000)
        axes.set_ylim(-125, -35)
        axes.grid(lw=0.3)

    return on


def timeline(tables: Any, changes: list[str]) -> Draw:
    """Draw when the events of a scene sound; a dot marks those that began before it."""
    recipe = s5.load_recipe("demo", ["targets.count=3", "interference.count=2", *changes])
    spec = s5.plan(recipe, tables, 2, 0)

    def on(axes: Any) -> None:
        for n, e in enumerate((*spec.targets, *spec.interferers)):
            colour = COLOURS[n % 4] if n < len(spec.targets) else "#bbbbbb"
            axes.barh(n, min(e.duration, spec.duration - e.onset) / RATE, left=e.onset / RATE, color=colour)
            if e.cut_before:
                axes.plot(0.15, n, "k.", ms=5)
        axes.set_xlim(0, 10)
        axes.set_ylim(4.6, -0.6)
        axes.set_yticks([])

    return on


def ranges(tables: Any, changes: list[str]) -> Draw:
    """Draw the SNR of the targets (dots) and interferers (grey) over the index of the scene."""
    recipe = s5.load_recipe("demo", changes)
    specs = [s5.plan(recipe, tables, 0, index) for index in range(0, 300, 2)]

    def on(axes: Any) -> None:
        for n, spec in enumerate(specs):
            axes.plot(
                [2 * n] * len(spec.targets), [e.snr_db for e in spec.targets], ".", ms=1.5, color="#0072b2"
            )
            axes.plot(
                [2 * n] * len(spec.interferers),
                [e.snr_db for e in spec.interferers],
                ".",
                ms=1.5,
                color="#999999",
            )

    return on


def image(values: torch.Tensor) -> Draw:
    """Draw a matrix."""

    def on(axes: Any) -> None:
        low, high = (0.0, 1.0) if float(values.min()) >= 0 else (-0.3, 0.9)
        axes.imshow(
            steps(values.numpy(), low, high),
            origin="lower",
            aspect="auto",
            cmap="magma",
            interpolation="nearest",
            extent=(0, 10, 0, len(values)),
        )

    return on


def steps(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values in 12 steps from 0 to 1: such pictures pack small."""
    return np.round(np.clip((values - low) / (high - low), 0, 1) * 12) / 12


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
