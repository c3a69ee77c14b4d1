"""Scenes for a report from everything that people have: corpora, scene files, folders of sounds."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from synth import Catalog, SynthError, build_catalog, load_recipe, plan, render, write_corpus, write_scene
from synth.report.folders import active_extents, labelled_files
from synth.report.loading import evenly, open_inspection, scene_view, worst_scenes
from synth.report.rooms import reverberation_times
from synth.scenes.spec import SceneSpec
from tests.builders import make_dev_set, write_wav
from tests.synth.report.scenes import RATE, clicks, plane_wave


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    folder = tmp_path_factory.mktemp("report")
    make_dev_set(folder / "dev_set", positions=6, taps=400, seconds=0.2, noise_seconds=1.0, places=2)
    build_catalog("dcase2025", folder / "dev_set", folder / "catalog", workers=1)
    return Catalog.load(folder / "catalog")


@pytest.fixture(scope="module")
def corpus(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("corpora") / "corpus"
    recipe = load_recipe("dcase2025", ["scene.duration=0.5"])
    write_corpus(recipe, catalog, out, num_scenes=9, seed=3, workers=1, shard_size=4)
    return out


def specs(catalog: Catalog, count: int) -> list[SceneSpec]:
    recipe = load_recipe("dcase2025", ["scene.duration=0.5"])
    return [plan(recipe, catalog, 3, n) for n in range(count)]


def test_a_corpus_is_counted_whole_and_shown_in_part(corpus: Path, catalog: Catalog) -> None:
    """Histograms are of all scenes, pictures of some, and both are of this corpus."""
    found = open_inspection(corpus, num=3)
    planned = specs(catalog, 9)
    assert found.shown == (0, 3, 6)
    assert found.summary.counted == found.summary.scenes == len(found.names) == 9
    assert found.summary.targets == Counter(e.label for spec in planned for e in spec.targets)
    assert found.summary.snr_db == [e.snr_db for spec in planned for e in spec.targets]
    assert found.summary.ledger is not None
    views = list(found.views())
    assert [view.name for view in views] == [found.names[n] for n in (0, 3, 6)]
    for view, spec in zip(views, (planned[n] for n in (0, 3, 6)), strict=True):
        sound = render(spec, catalog)
        assert view.spec == spec
        assert np.abs(view.mixture - sound.mixture).max() <= 2**-15
        for target, dry in zip(view.targets, sound.dry if sound.dry is not None else (), strict=True):
            assert target.dry is not None
            assert np.abs(target.dry - dry).max() <= 2**-15
        assert view.noise is None


def test_with_its_catalog_a_corpus_has_all_stems(corpus: Path, catalog: Catalog) -> None:
    """Wet sounds, interference and noise are rendered again, and add up to the mixture."""
    found = open_inspection(corpus, scenes=[range(2, 4)], catalog=catalog)
    for view in found.views():
        assert view.interference is not None
        assert view.noise is not None
        total = view.interference + view.noise
        for target in view.targets:
            assert target.wet is not None
            total = total + target.wet
        assert np.allclose(total, view.mixture, atol=1e-7)


def test_reverberation_is_that_of_the_responses(catalog: Catalog) -> None:
    """An exponential decay of known length comes out as its RT60."""
    paths = catalog.places["path"].tolist()[:1]
    (time,) = reverberation_times(catalog, paths, RATE).values()
    # The builder's rooms fall by exp(-6 t / T) in amplitude over T = 400 taps: 60 dB in T ln(1000) / 6.
    assert time == pytest.approx(400 / RATE * np.log(1000) / 6, rel=0.15)


def test_a_corpus_of_another_catalog_is_refused(corpus: Path, tmp_path: Path) -> None:
    """Otherwise the pictures would be of other scenes than the numbers."""
    make_dev_set(tmp_path / "dev_set", seed=9)
    build_catalog("dcase2025", tmp_path / "dev_set", tmp_path / "catalog", workers=1)
    with pytest.raises(SynthError, match="another catalog"):
        open_inspection(corpus, catalog=Catalog.load(tmp_path / "catalog"))


def test_a_scene_file_of_ours_is_rendered(catalog: Catalog, tmp_path: Path) -> None:
    """`s5kit plan` then `s5kit inspect`: one scene, with a catalog or straight from the files."""
    spec = specs(catalog, 1)[0]
    (tmp_path / "scene.json").write_text(spec.to_json())
    expected = render(spec, catalog).mixture
    assert expected is not None
    for options in ({"catalog": catalog}, {"data_root": catalog.root}):
        found = open_inspection(tmp_path / "scene.json", **options)  # type: ignore[arg-type]
        (view,) = found.views()
        assert np.allclose(view.mixture, expected, atol=1e-6)
        assert view.name == "scene"
        assert (found.summary.ledger is None) == ("catalog" not in options)


def test_an_official_list_is_rendered_from_its_data_root(catalog: Catalog, tmp_path: Path) -> None:
    """The task's own valid.json, without a catalog."""
    from synth.rendering.folder import write_dcase_scene

    for n, spec in enumerate(specs(catalog, 2)):
        write_dcase_scene(spec, tmp_path / f"{n:04d}.json", catalog.root)
    (tmp_path / "valid.json").write_text(
        json.dumps([{"metadata_path": "0000.json"}, {"metadata_path": "0001.json"}])
    )
    found = open_inspection(tmp_path / "valid.json", data_root=catalog.root)
    assert list(found.names) == ["0000", "0001"]
    assert [len(view.targets) for view in found.views()] == [len(spec.targets) for spec in specs(catalog, 2)]


@pytest.mark.parametrize("numbered", [False, True])
def test_an_official_test_folder_is_read(tmp_path: Path, numbered: bool) -> None:
    """Names of 2025 and 2026; when targets sound is found from their sound."""
    dry = clicks(1)
    number = "0_" if numbered else ""
    write_wav(tmp_path / "test/soundscape/eval_0001.wav", plane_wave(dry, 90, 0), subtype="FLOAT")
    write_wav(tmp_path / f"test/oracle_target/eval_0001_{number}Speech.wav", dry, subtype="FLOAT")
    write_wav(tmp_path / "test/soundscape/eval_0002.wav", plane_wave(dry, 0, 0), subtype="FLOAT")
    found = open_inspection(tmp_path)
    first, second = found.views()
    assert (first.name, second.name) == ("eval_0001", "eval_0002")
    (target,) = first.targets
    assert target.label == "Speech"
    assert abs(target.extents[0][0] - 4_000) <= 320
    assert target.extents[-1][1] <= 28_000
    assert second.targets == ()
    assert found.summary.targets == {"Speech": 1}


def test_what_render_wrote_is_read_back(catalog: Catalog, tmp_path: Path) -> None:
    """`s5kit render` then `s5kit inspect`: the same scene as from the catalog, label for label."""
    spec = next(s for s in specs(catalog, 9) if len(s.targets) == 2)
    sound = render(spec, catalog, ("mixture", "dry", "wet", "noise", "interference"))
    write_scene(sound, tmp_path / "a" / "scene")
    for path in (tmp_path / "a", tmp_path / "a" / "scene"):
        (view,) = open_inspection(path).views()
        other = scene_view("scene", sound)
        assert view.spec == spec
        assert [t.extents for t in view.targets] == [t.extents for t in other.targets]
        assert [t.azimuth for t in view.targets] == [t.azimuth for t in other.targets]
        for a, b in zip(view.targets, other.targets, strict=True):
            assert np.array_equal(a.dry, b.dry)  # type: ignore[arg-type]
            assert np.array_equal(a.wet, b.wet)  # type: ignore[arg-type]
        assert np.array_equal(view.noise, other.noise)  # type: ignore[arg-type]


def test_files_belong_to_the_longest_name_that_fits(tmp_path: Path) -> None:
    """Scene names may contain each other, and labels may have underscores."""
    for name in ("a_Speech", "a_1_Cough", "a_b_Speech", "a_b_0_Big_Dog", "c_Speech"):
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(9), RATE)
    found = labelled_files(tmp_path, ["a", "a_b"])
    assert {scene: [label for label, _ in files] for scene, files in found.items()} == {
        "a": ["Speech", "Cough"],
        "a_b": ["Big_Dog", "Speech"],
    }


def test_pauses_split_a_sound_only_when_they_are_long() -> None:
    """Timelines of official targets show where something sounds, not every gap between steps."""
    x = np.zeros(RATE, np.float32)
    x[3200:6400] = x[7000:9600] = x[20_000:25_600] = 0.5
    assert active_extents(x, RATE) == ((3200, 9600), (19_840, 25_600))
    assert active_extents(np.zeros(RATE, np.float32), RATE) == ()


def test_which_scenes() -> None:
    """Evenly spaced from the first, never one twice."""
    assert evenly(200, 4) == (0, 50, 100, 150)
    assert evenly(3, 12) == (0, 1, 2)
    assert evenly(5, 0) == (0,)


@pytest.mark.parametrize(
    ("scenes", "fault"), [([range(8, 10)], "no scene 9"), ([range(3, 3)], "no scene was named")]
)
def test_scenes_that_are_not_there_are_named(corpus: Path, scenes: list[range], fault: str) -> None:
    """A wrong number is an error with the valid ones, not an empty report."""
    with pytest.raises(SynthError, match=f"{fault}.*0 to 8"):
        open_inspection(corpus, scenes=scenes)


def test_paths_that_hold_no_scenes_are_named(tmp_path: Path) -> None:
    """The message says what is expected there."""
    with pytest.raises(SynthError, match="no such corpus"):
        open_inspection(tmp_path / "nothing")
    with pytest.raises(SynthError, match=r"no index\.json"):
        open_inspection(tmp_path)
    (tmp_path / "soundscape").mkdir()
    with pytest.raises(SynthError, match="no scenes"):
        open_inspection(tmp_path)


def test_the_worst_scenes_of_all_that_were_tried() -> None:
    """The lowest figures, in order; scenes that cannot be judged come last."""
    worths = [(4, 2.0), (7, None), (1, -3.0), (9, 2.0), (5, 8.0)]
    assert worst_scenes(worths, 3) == (1, 4, 9)
    assert worst_scenes(worths, 9) == (1, 4, 9, 5, 7)
