"""Scene files in, folders of sound out: what people open in an editor or give to other programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from synth import (
    Catalog,
    FolderSounds,
    SynthError,
    build_catalog,
    load_recipe,
    load_scenes,
    plan,
    render,
    write_dcase_scene,
    write_scene,
)
from synth.scenes.label_files import from_tsv
from tests.builders import make_dev_set


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("folder")
    built = build_catalog("dcase2025", make_dev_set(folder / "dev_set"), folder / "catalog")
    assert built.result is not None
    return built.result


def two_targets(catalog: Catalog) -> object:
    recipe = load_recipe("dcase2025", ["targets.count=2", "interference.count=1"])
    return plan(recipe, catalog, 3, 1)


def test_a_folder_holds_what_was_rendered(catalog: Catalog, tmp_path: Path) -> None:
    spec = two_targets(catalog)
    scene = render(spec, catalog, stems=("mixture", "dry", "wet", "interference", "noise"))
    write_scene(scene, tmp_path / "out")
    names = {p.name for p in (tmp_path / "out").iterdir()}
    labels = [e.label for e in spec.targets]
    assert names == {"mixture.wav", "interference.wav", "noise.wav", "labels.tsv", "scene.json"} | {
        f"{stem}_{n}_{label}.wav" for stem in ("dry", "wet") for n, label in enumerate(labels)
    }
    read, rate = soundfile.read(tmp_path / "out" / "mixture.wav", dtype="float32")
    assert rate == 32_000
    assert np.array_equal(read.T, scene.mixture)
    dry, _ = soundfile.read(tmp_path / "out" / f"dry_1_{labels[1]}.wav", dtype="float32")
    assert np.array_equal(dry, scene.dry[1])
    rows = from_tsv((tmp_path / "out" / "labels.tsv").read_text())
    assert [row.event_label for row in rows] == labels
    assert [row.filename for row in rows] == ["mixture.wav"] * 2


def test_a_written_scene_renders_to_the_same_bits_from_files_and_from_the_catalog(
    catalog: Catalog, tmp_path: Path
) -> None:
    spec = two_targets(catalog)
    scene = render(spec, catalog)
    write_scene(scene, tmp_path / "out")
    [(name, again)] = load_scenes(tmp_path / "out" / "scene.json", catalog.root)
    assert name == "scene"
    assert again == spec
    from_files = render(again, FolderSounds(catalog.root))
    assert np.array_equal(from_files.mixture, scene.mixture)
    assert np.array_equal(from_files.dry, scene.dry)


def test_our_scene_in_the_official_form_sounds_the_same(catalog: Catalog, tmp_path: Path) -> None:
    """A planned scene can be given to people who run the official generator."""
    spec = two_targets(catalog)
    write_dcase_scene(spec, tmp_path / "official.json", catalog.root, prefix="data")
    official = json.loads((tmp_path / "official.json").read_text())
    assert set(official) == {"config", "fg_events", "bg_events", "int_events", "room"}
    assert official["config"]["foreground_dir"].startswith("data/")
    write_dcase_scene(spec, tmp_path / "here.json", catalog.root)
    [(_, read)] = load_scenes(tmp_path / "here.json", catalog.root)
    assert read.rules == "dcase2025"
    stems = ("wet", "dry", "interference")  # this short noise is what the official rules stretch
    ours, theirs = render(spec, catalog, stems), render(read, FolderSounds(catalog.root), stems)
    for stem in stems:
        a, b = getattr(ours, stem), getattr(theirs, stem)
        assert np.linalg.norm(a - b) < 1e-6 * np.linalg.norm(b)


def test_a_folder_that_cannot_be_written_is_named(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SynthError, match="file: cannot be written"):
        write_scene(render(two_targets(catalog), catalog), tmp_path / "file")


def test_a_scene_outside_the_data_root_is_refused(catalog: Catalog, tmp_path: Path) -> None:
    spec = two_targets(catalog).model_dump(mode="json")
    spec["targets"][0]["path"] = "../outside.wav"
    (tmp_path / "bad.json").write_text(json.dumps(spec))
    with pytest.raises(SynthError, match=r"\.\."):
        list(load_scenes(tmp_path / "bad.json", catalog.root))
