"""What a user would lose: scenes that a Scaper has drawn, rendered to what SpatialScaper makes of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from synth import (
    Catalog,
    ProblemsError,
    SceneSpec,
    SynthError,
    build_scaper_catalog,
    new_scaper,
    render,
    scaper_scene,
)
from tests.builders import write_sofa, write_wav

GOLDEN = Path(__file__).parents[2] / "golden" / "spatialscaper"


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    with np.load(GOLDEN / "scene.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def data(golden: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders as SpatialScaper had them."""
    root = tmp_path_factory.mktemp("data")
    for name, samples in golden.items():
        if name.endswith(".wav"):
            write_wav(root / name.replace("|", "/"), samples.T, 16_000 if "bell" in name else 8_000)
    taps = golden["taps"] / 32768
    write_sofa(root / "rirs" / "spatialscaper_RIRs" / "gym_foa.sofa", taps, golden["positions"], rate=8_000)
    return root


@pytest.fixture(scope="module")
def catalog(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    out = tmp_path_factory.mktemp("catalog")
    return build_scaper_catalog(data / "rirs", out, foreground_dir=data / "sounds").catalog


@pytest.fixture
def scaper(data: Path) -> SimpleNamespace:
    """The event lists of the Scaper of the golden scene, as its objects hold them."""
    drawn = json.loads((GOLDEN / "scaper.json").read_text())
    for name in ("fg_events", "bg_events"):
        drawn[name] = [
            SimpleNamespace(**{**event, "source_file": str(data / event["source_file"])})
            for event in drawn[name]
        ]
    return SimpleNamespace(**drawn)


def test_a_scene_sounds_as_spatialscaper_makes_it(
    scaper: SimpleNamespace, catalog: Catalog, golden: dict[str, Any]
) -> None:
    spec = scaper_scene(scaper, catalog)
    expected = golden["mixture"]
    for stems in (("mixture",), ("mixture", "wet", "noise")):
        scene = render(spec, catalog, stems=stems)
        assert scene.mixture is not None
        assert scene.mixture.shape == expected.shape
        assert np.abs(scene.mixture - expected).max() < 1e-5 * np.abs(expected).max()


def test_labels_and_places_are_those_of_spatialscaper(
    scaper: SimpleNamespace, catalog: Catalog, golden: dict[str, Any]
) -> None:
    spec = scaper_scene(scaper, catalog)
    assert SceneSpec.from_json(spec.to_json()) == spec
    assert [event.label for event in spec.targets] == ["telephone", "bell", "knock", "bell"]
    for n, event in enumerate(spec.targets):
        rows = golden["labels"][golden["labels"][:, 2] == n]
        assert int(rows[0, 0]) == event.onset * 10 // spec.sample_rate
        x, y, z = event.xyz
        angles = np.rad2deg([np.arctan2(y, x), np.arcsin(z / np.linalg.norm(event.xyz))])
        assert np.allclose(rows[0, 3:5], angles, atol=1e-3)
        assert rows[0, 5] == pytest.approx(np.linalg.norm(event.xyz))


def test_the_wet_signal_ends_with_its_event(scaper: SimpleNamespace, catalog: Catalog) -> None:
    spec = scaper_scene(scaper, catalog, background=False)
    assert spec.noise is None
    scene = render(spec, catalog, stems=("wet",))
    assert scene.wet is not None
    for wet, event in zip(scene.wet, spec.targets, strict=True):
        end = event.onset + event.duration
        assert np.abs(wet[:, end - 200 : end]).max() > 0
        assert not wet[:, end:].any()
        level = 20 * np.log10(np.abs(wet[:, event.onset : end]).mean())
        assert level == pytest.approx(spec.ref_db + event.snr_db, abs=0.01)


def test_what_moves_or_is_elsewhere_is_named_all_at_once(scaper: SimpleNamespace, catalog: Catalog) -> None:
    scaper.fg_events[0].event_position = [[1.5, 0, 0], [-1.5, 0, 0]]
    scaper.fg_events[2].source_file = "/elsewhere/x.wav"
    scaper.fg_events[3].pitch_shift = 2
    with pytest.raises(ProblemsError) as error:
        scaper_scene(scaper, catalog)
    whats = [problem.what for problem in error.value.problems]
    assert len(whats) == 3
    assert "moves past 2 room responses" in whats[0]
    assert "no such sound" in whats[1]
    assert "pitch" in whats[2]


def test_a_path_that_stays_with_one_response_is_static(scaper: SimpleNamespace, catalog: Catalog) -> None:
    before = scaper_scene(scaper, catalog)
    x, y, z = before.targets[0].xyz
    scaper.fg_events[0].event_position = [[x, y, z], [x + 0.01, y, z], [x, y + 0.01, z]]
    assert scaper_scene(scaper, catalog) == before


def test_a_background_that_no_file_holds_is_refused(scaper: SimpleNamespace, catalog: Catalog) -> None:
    scaper.bg_events[0].source_file = None
    with pytest.raises(SynthError, match="Gaussian noise"):
        scaper_scene(scaper, catalog)
    assert scaper_scene(scaper, catalog, background=False).noise is None


def test_other_objects_and_other_rooms(scaper: SimpleNamespace, catalog: Catalog) -> None:
    with pytest.raises(SynthError, match="a str is no Scaper"):
        scaper_scene("scaper", catalog)
    scaper.room = "arni"
    with pytest.raises(SynthError, match="0 places of the name arni_foa"):
        scaper_scene(scaper, catalog)


def test_the_catalog_of_its_folders(catalog: Catalog, data: Path) -> None:
    assert catalog.root == data
    assert catalog.events["path"].tolist()[0] == "sounds/bell/train/bell0.wav"
    assert set(catalog.events["label"]) == {"bell", "knock", "telephone"}
    assert catalog.places["path"].tolist() == ["rirs/spatialscaper_RIRs/gym_foa.sofa"]
    assert len(catalog.noises) == 1
    assert len(catalog.positions) == 6


def test_a_part_of_its_folders(data: Path, tmp_path: Path) -> None:
    rooms = build_scaper_catalog(
        data / "rirs", tmp_path / "a", rooms=["gym"], split="valid", cache=False
    ).catalog
    assert rooms.root == data / "rirs"
    assert rooms.places["split"].tolist() == ["valid"]
    assert len(rooms.events) == 0
    for change, word in (
        ({"rooms": ["gym", "arni"]}, "no room 'arni'"),
        ({"fmt": "mic"}, r"no file \*_mic.sofa"),
        ({"fmt": "fao"}, "'fao' is not known"),
        ({"split": "dev"}, "'dev' is not known"),
        ({"foreground_dir": "/nowhere"}, "no such folder"),
        ({"root": data / "sounds"}, "not under the root"),
        ({"foreground_dir": "/usr", "root": "/"}, "root of the file system"),
    ):
        with pytest.raises(SynthError, match=word):
            build_scaper_catalog(data / "rirs", tmp_path / "b", cache=False, **change)


def test_without_the_package_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spatialscaper", None)
    with pytest.raises(SynthError, match="cannot be imported") as error:
        new_scaper(duration=10)
    assert "pip install" in error.value.remedy
