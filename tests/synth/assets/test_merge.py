"""Merging: more rooms and noises in one catalog, and nothing counted twice or smuggled across splits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from synth.assets.catalog import Catalog
from synth.assets.importers.dcase import build_catalog
from synth.assets.merge import merge_catalogs
from synth.errors import SynthError
from synth.rendering.scene import render
from synth.scenes.plan import plan
from synth.scenes.recipe import load_recipe
from tests.builders import make_dev_set

SIZES = {
    "classes": ("Speech", "Cough", "Pour"),
    "positions": 3,
    "taps": 60,
    "seconds": 0.05,
    "noise_seconds": 0.3,
}


def built(folder: Path, seed: int, **options: str) -> Catalog:
    make_dev_set(folder / "dev_set", seed=seed, **SIZES)  # type: ignore[arg-type]
    return build_catalog("dcase2025", folder / "dev_set", folder / "catalog", cache=False, **options).catalog  # type: ignore[arg-type]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Catalog, Catalog]:
    return built(tmp_path / "a", 0), built(tmp_path / "b", 1, dataset="mine", licence="CC0-1.0")


def test_all_rows_are_there_and_can_be_heard(pair: tuple[Catalog, Catalog], tmp_path: Path) -> None:
    merged = merge_catalogs(pair, tmp_path / "out").catalog
    for name in ("events", "interferers", "noises", "places", "positions"):
        assert len(getattr(merged, name)) == sum(len(getattr(one, name)) for one in pair)
    assert merged.root == tmp_path
    assert set(merged.events["path"].str.split("/").str[0]) == {"a", "b"}
    assert set(merged.events.loc[merged.events["path"].str.startswith("b/"), "licence"]) == {"CC0-1.0"}
    recipe = load_recipe("dcase2025", ["scene.duration=0.3"])
    rooms = set()
    for index in range(12):
        spec = plan(recipe, merged, 0, index)
        rooms.add(spec.place)
        scene = render(spec, merged)
        assert scene.mixture is not None
        assert np.isfinite(scene.mixture).all()
    assert {room.split("/")[0] for room in rooms} == {"a", "b"}


def test_the_order_of_catalogs_does_not_matter(pair: tuple[Catalog, Catalog], tmp_path: Path) -> None:
    one = merge_catalogs(pair, tmp_path / "one").catalog
    two = merge_catalogs(pair[::-1], tmp_path / "two").catalog
    assert one.content_hash == two.content_hash


def test_a_file_in_both_is_taken_once(pair: tuple[Catalog, Catalog], tmp_path: Path) -> None:
    again = build_catalog("dcase2025", pair[0].root, tmp_path / "again", cache=False).catalog
    report = merge_catalogs((*pair, again), tmp_path / "out")
    assert report.catalog.content_hash == merge_catalogs(pair, tmp_path / "two").catalog.content_hash
    assert any("taken once" in note for note in report.notes)


def test_lines_that_contradict(pair: tuple[Catalog, Catalog], tmp_path: Path) -> None:
    other = build_catalog(
        "dcase2025", pair[0].root, tmp_path / "again", cache=False, licence="CC0-1.0"
    ).catalog
    report = merge_catalogs((pair[0], other), tmp_path / "out")
    assert report.result is None
    assert not (tmp_path / "out").exists()
    assert len(report.problems) == sum(
        len(getattr(other, t)) for t in ("events", "interferers", "noises", "places")
    )
    assert "its licence is 'unknown' in" in report.problems[0].what


def test_content_that_crosses_splits(pair: tuple[Catalog, Catalog], tmp_path: Path) -> None:
    a, b = pair
    shutil.copy(a.root / "room_ir/train/room_train_0.sofa", b.root / "room_ir/valid/room_valid_0.sofa")
    b = build_catalog("dcase2025", b.root, tmp_path / "b2", cache=False).catalog
    report = merge_catalogs((a, b), tmp_path / "out")
    assert report.result is None
    assert "the same content is in the split valid" in report.problems[0].what
    kept = merge_catalogs((a, b), tmp_path / "out", skip_bad=True).catalog
    assert sorted(kept.places["path"]) == [
        "a/dev_set/room_ir/valid/room_valid_0.sofa",
        "b/dev_set/room_ir/train/room_train_0.sofa",
        "b/dev_set/room_ir/valid/room_valid_0.sofa",
    ]
    assert len(kept.positions) == 9


def test_what_cannot_be_merged(pair: tuple[Catalog, Catalog], tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="give two or more"):
        merge_catalogs(pair[:1], tmp_path / "out")
    with pytest.raises(SynthError, match="one of those"):
        merge_catalogs(pair, pair[0].directory)
