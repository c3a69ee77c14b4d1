"""Scenes drawn with every effect at once: labels lie on the sound, and whoever renders it gives the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synth import Catalog, Recipe, Renderer, SceneSpec, build_catalog, load_recipe, plan
from synth.rendering.batch import BatchRenderer
from synth.rendering.sample import SampleFormat, scene_sample
from tests.builders import make_dev_set
from tests.synth.rendering.reference import relative_error

STEMS = ("mixture", "dry", "wet", "interference", "noise")
EVENT = ("time_stretch", "pitch_shift", "high_pass", "low_pass", "band_pass", "gain", "polarity", "coloured_noise")  # fmt: skip
SCENE = ("shift", "crop", "mismatch", "eq", "level", "self_noise")
SPACE = ("swap", "yaw", "elevation_flip")
RATES = [f"effects.{kind}.{name}.rate=0.6"
         for kind, names in (("events", EVENT), ("scene", SCENE), ("space", SPACE)) for name in names]  # fmt: skip
SCENES = 8
EARLY_S = 0.06
"""The dry target rings on for 50 ms after its event; a response takes some ms to begin."""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("effects")
    make_dev_set(folder / "dev_set", taps=600, noise_seconds=3, splits=("train",))
    build_catalog("dcase2025", folder / "dev_set", folder / "catalog", workers=1)
    return Catalog.load(folder / "catalog")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    short = ["scene.duration=2", "effects.scene.shift.seconds=[-0.5,0.5]", "effects.scene.crop.extra=[0,1]"]
    return load_recipe("dcase2025", [*RATES, *short, "effects.scene.eq.frequency_hz=[200,8000]"])


def planned(recipe: Recipe, catalog: Catalog) -> list[SceneSpec]:
    specs = [plan(recipe, catalog, 4, index) for index in range(SCENES)]
    kinds = {e.kind for s in specs for event in (*s.targets, *s.interferers) for e in event.effects}
    assert kinds == set(EVENT)
    assert any(event.cut_before for s in specs for event in s.targets)
    assert any(s.effects and s.effects.eq and s.effects.self_noise and s.effects.space for s in specs)
    return specs


def test_labels_lie_on_the_sound_of_augmented_scenes(recipe: Recipe, catalog: Catalog) -> None:
    """A detector learns onsets and offsets at which the augmented sound really begins and ends."""
    renderer = Renderer(catalog)
    for spec in planned(recipe, catalog):
        scene = renderer.render(spec, ("dry",))
        for label, dry in zip(scene.labels, scene.dry, strict=True):
            energy = np.square(dry, dtype=np.float64)
            assert energy[: label.onset].sum() < 1e-9 * energy.sum()  # rounding of the transforms
            end = label.offset + round(EARLY_S * spec.sample_rate)
            assert energy[label.onset : end].sum() > 0.99 * energy.sum() > 0


def test_both_renderers_and_json_give_the_same_scene(recipe: Recipe, catalog: Catalog) -> None:
    """Who trains with effects on the GPU renderer, or renders a stored scene again, hears the same."""
    specs = planned(recipe, catalog)
    form = SampleFormat(tuple(sorted(catalog.events["label"].unique())), 3, 0.04, STEMS)
    batch = BatchRenderer(catalog).render(specs, form)
    renderer = Renderer(catalog)
    for n, spec in enumerate(specs):
        again = SceneSpec.from_json(spec.to_json())
        scene = renderer.render(spec, STEMS)
        twice = renderer.render(again, STEMS) if n < 3 else scene
        assert all(np.array_equal(getattr(scene, name), getattr(twice, name)) for name in STEMS)
        sample = scene_sample(scene, form.classes, form.slots, form.frame, n)
        for name, array in sample.items():
            found: torch.Tensor = batch[name][n]
            if name in STEMS:
                assert relative_error(found.numpy(), array.astype(np.float64)) < 1e-5, (name, n)
            else:
                assert np.array_equal(found.numpy(), array), name
