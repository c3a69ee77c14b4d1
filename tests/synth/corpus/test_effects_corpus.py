"""A corpus with every effect: made twice the same, verified, and its labels turned as its scenes are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth import CorpusReader, build_catalog, load_recipe, verify_corpus, write_corpus
from synth.scenes.labels import heard_from
from tests.builders import make_dev_set

RATES = [
    *(f"events.{n}" for n in ("time_stretch", "pitch_shift", "high_pass", "low_pass", "band_pass", "gain")),
    *("events.polarity", "events.coloured_noise", "space.swap", "space.yaw", "scene.shift", "scene.crop"),
    *("scene.eq", "scene.mismatch", "scene.level", "scene.self_noise"),
]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_corpus_with_every_effect_is_verified_by_rendering_it_again(tmp_path: Path, workers: int) -> None:
    catalog = build_catalog(
        "dcase2025", make_dev_set(tmp_path / "data"), tmp_path / "catalog", workers=1
    ).catalog
    changes = [
        "scene.duration=1.5",
        "effects.scene.shift.seconds=[-0.3,0.3]",
        "effects.scene.crop.extra=[0.2,1]",
    ]
    changes += [f"effects.{name}.rate=0.6" for name in RATES]
    recipe = load_recipe("dcase2025", changes)
    write_corpus(recipe, catalog, tmp_path / "one", num_scenes=6, shard_size=3, workers=workers)
    report = verify_corpus(tmp_path / "one", catalog, rerender=6)
    assert report.identical == 6
    described = json.loads((tmp_path / "one" / "index.json").read_text())["recipe"]
    assert described["effects"]["scene"]["eq"]["rate"] == 0.6
    turned = 0
    reader = CorpusReader(tmp_path / "one")
    for index in range(6):
        scene = reader.read_scene(index)
        record = json.loads(reader.read_members(index)["json"])
        for slot, (event, label) in enumerate(zip(scene.spec.targets, scene.labels, strict=True)):
            azimuth, elevation, distance = heard_from(event, scene.spec)
            entry = record["targets"][slot]
            assert (entry["azimuth"], entry["elevation"], entry["distance"]) == (azimuth, elevation, distance)
            assert (label.azimuth, label.elevation) == (azimuth, elevation)
            assert entry["snr_db"] == event.snr_db
        turned += scene.spec.effects is not None and scene.spec.effects.space is not None
    assert turned >= 2
