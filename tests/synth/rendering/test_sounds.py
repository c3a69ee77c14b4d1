"""What a user would lose: the same sound from files and from caches, and official files cut as officially."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from synth.assets.catalog import Catalog
from synth.assets.importers.dcase import build_catalog
from synth.errors import SynthError
from synth.rendering.sounds import CatalogSounds, FolderSounds, Sounds, open_sounds
from synth.scenes.spec import EventSpec, FileTimes, NoiseSpec, Rules
from tests.builders import make_dev_set, write_sofa, write_wav

RATE = 32_000


def event(path: str, start: int, duration: int, times: FileTimes | None = None) -> EventSpec:
    """A spec that was not validated: sources guard themselves."""
    return EventSpec.model_construct(
        label="Speech",
        path=path,
        start=start,
        duration=duration,
        onset=0,
        position=0,
        xyz=(1.0, 0.0, 0.0),
        snr_db=0.0,
        file_times=times,
    )


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """A tree with files at 32 and 44.1 kHz, mono and stereo, rooms at 32 and 48 kHz."""
    root = tmp_path_factory.mktemp("dev_set")
    make_dev_set(root, per_class=1, classes=("Speech",), positions=3, taps=120, splits=("train",))
    rng = np.random.default_rng(0)
    write_wav(
        root / "sound_event" / "train" / "Speech" / "low.wav", 0.1 * rng.standard_normal((2, 9001)), 44_100
    )
    write_wav(root / "noise" / "train" / "high.wav", 0.1 * rng.standard_normal((4, 9000)), 48_000)
    taps = rng.standard_normal((3, 4, 90))
    write_sofa(root / "room_ir" / "train" / "high.sofa", taps, np.eye(3), rate=48_000)
    return build_catalog("dcase2025", root, root / "catalog").catalog


def test_files_and_caches_give_the_same(catalog: Catalog) -> None:
    cached, files = open_sounds(catalog), FolderSounds(catalog.root)
    assert isinstance(cached, CatalogSounds)
    for table in (catalog.events, catalog.interferers):
        for path, samples in zip(table["path"], table["samples"], strict=True):
            for start, duration in ((0, samples), (17, samples - 40), (samples - 1, 1)):
                spec = event(path, start, duration)
                got = cached.event(spec, "s5kit2025", RATE)
                assert got.shape == (duration,)
                np.testing.assert_array_equal(got, files.event(spec, "s5kit2025", RATE))
    for path, samples in zip(catalog.noises["path"], catalog.noises["samples"], strict=True):
        noise = NoiseSpec(path=path, start=5, duration=samples - 9)
        got = cached.noise(noise, "s5kit2025", RATE)
        assert got.shape == (4, samples - 9)
        np.testing.assert_array_equal(got, files.noise(noise, "s5kit2025", RATE))


@pytest.mark.parametrize("rules", ["dcase2025", "dcase2026", "s5kit2025", "s5kit2026"])
def test_responses_are_the_same_under_all_rules(catalog: Catalog, rules: Rules) -> None:
    cached, files = open_sounds(catalog), FolderSounds(catalog.root)
    for path in catalog.places["path"]:
        for position in range(3):
            one, two = cached.rir(path, position, rules, RATE), files.rir(path, position, rules, RATE)
            np.testing.assert_array_equal(one.taps, two.taps)
            np.testing.assert_array_equal(one.autocorrelation, two.autocorrelation)
            assert (one.peak_signed, one.peak_absolute) == (two.peak_signed, two.peak_absolute)
    high = cached.rir("room_ir/train/high.sofa", 0, rules, RATE)
    assert high.taps.shape == (4, 90 if rules == "dcase2025" else 60)


def test_another_scene_rate(catalog: Catalog) -> None:
    cached, files = open_sounds(catalog), FolderSounds(catalog.root)
    path = catalog.events["path"].iloc[0]
    spec = event(path, 3, 2000)
    np.testing.assert_array_equal(
        cached.event(spec, "s5kit2025", 16_000), files.event(spec, "s5kit2025", 16_000)
    )


def test_specs_of_another_catalog_are_refused(catalog: Catalog) -> None:
    path, samples = catalog.events[["path", "samples"]].iloc[0]
    for sounds in (open_sounds(catalog), FolderSounds(catalog.root)):
        with pytest.raises(SynthError, match="were asked for"):
            sounds.event(event(path, 1, int(samples)), "s5kit2025", RATE)
        with pytest.raises(SynthError, match="position 3 was asked for"):
            sounds.rir("room_ir/train/high.sofa", 3, "s5kit2025", RATE)
        for missing in ("none.wav", "../outside.wav", "/etc/hostname"):
            with pytest.raises(SynthError):
                sounds.event(event(missing, 0, 5), "s5kit2025", RATE)
            with pytest.raises(SynthError):
                sounds.rir(missing, 0, "s5kit2025", RATE)


def test_nothing_outside_the_folder_is_opened(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_wav(tmp_path / "secret.wav", np.full(100, 0.5))
    write_wav(root / "x.wav", np.full(100, 0.25))
    (root / "link.wav").symlink_to(tmp_path / "secret.wav")
    (root / "up").symlink_to(tmp_path)
    (root / "inner.wav").symlink_to(root / "x.wav")
    sounds = FolderSounds(root)
    for path in (
        "../secret.wav",
        "link.wav",
        "up/secret.wav",
        str(tmp_path / "secret.wav"),
        "a/../../secret.wav",
    ):
        with pytest.raises(SynthError, match=r"absolute|component|leads out"):
            sounds.event(event(path, 0, 10), "s5kit2025", RATE)
        with pytest.raises(SynthError, match=r"absolute|component|leads out"):
            sounds.positions(path)
    assert sounds.event(event("inner.wav", 0, 10), "s5kit2025", RATE).tolist() == [0.25] * 10


@pytest.mark.parametrize("rules", ["dcase2025", "dcase2026"])
def test_official_times_are_truncated_at_the_rate_of_the_file(tmp_path: Path, rules: Rules) -> None:
    """The official readers cut by int(seconds * rate): one sample is lost where n / rate rounds down."""
    x = np.arange(2000) / 32_768
    write_wav(tmp_path / "x.wav", x)
    sounds = FolderSounds(tmp_path)
    times = FileTimes(source_time=100.9 / RATE, event_time=0.0, event_duration=1001 / RATE)
    got = sounds.event(event("x.wav", 0, 1001, times), rules, RATE)
    assert len(got) == 1000  # int((1001 / 32000) * 32000) is 1000
    np.testing.assert_array_equal(got, x[100:1100].astype(np.float32))


def test_official_files_of_another_rate(tmp_path: Path) -> None:
    """2025 cuts again after resampling, 2026 does not."""
    write_wav(tmp_path / "x.wav", np.random.default_rng(0).standard_normal((2, 4410)) * 0.1, 44_100)
    sounds = FolderSounds(tmp_path)
    times = FileTimes(source_time=0.01, event_time=0.0, event_duration=0.05003)
    spec = event("x.wav", 320, 1600, times)
    old, new = sounds.event(spec, "dcase2025", RATE), sounds.event(spec, "dcase2026", RATE)
    assert len(old) == int(0.05003 * RATE) == 1600
    assert len(new) == -(-int(0.05003 * 44_100) * RATE // 44_100) == 1601
    np.testing.assert_array_equal(old, new[:1600])


def test_official_noise(tmp_path: Path) -> None:
    """A source time of null means the whole file; otherwise what the file has of the span."""
    x = np.random.default_rng(0).standard_normal((4, 1000)) * 0.1
    write_wav(tmp_path / "n.wav", x, subtype="FLOAT")
    sounds = FolderSounds(tmp_path)
    spans = {None: slice(None), 0.01: slice(320, 1000)}
    for start, span in spans.items():
        times = FileTimes(source_time=start, event_time=0.0, event_duration=10.0)
        noise = NoiseSpec(path="n.wav", start=0, duration=320_000, file_times=times)
        got = sounds.noise(noise, "dcase2025", RATE)
        np.testing.assert_array_equal(got, x[:, span].astype(np.float32))
    times = FileTimes(source_time=1.0, event_time=0.0, event_duration=10.0)
    with pytest.raises(SynthError, match="were asked for"):
        sounds.noise(NoiseSpec(path="n.wav", start=0, duration=9, file_times=times), "dcase2025", RATE)


def test_official_scenes_can_use_a_catalog(catalog: Catalog) -> None:
    times = FileTimes(source_time=0.0, event_time=0.0, event_duration=0.1)
    spec = event(catalog.events["path"].iloc[0], 0, 3200, times)
    files = FolderSounds(catalog.root)
    np.testing.assert_array_equal(
        open_sounds(catalog).event(spec, "dcase2025", RATE), files.event(spec, "dcase2025", RATE)
    )


def test_sources_go_to_other_processes(catalog: Catalog) -> None:
    spec = event(catalog.events["path"].iloc[0], 0, 1000)
    for sounds in (open_sounds(catalog), FolderSounds(catalog.root)):
        sounds.rir("room_ir/train/high.sofa", 0, "s5kit2025", RATE)
        expected = sounds.event(spec, "s5kit2025", RATE)
        copy = pickle.loads(pickle.dumps(sounds))
        np.testing.assert_array_equal(copy.event(spec, "s5kit2025", RATE), expected)
        assert copy.rir("room_ir/train/high.sofa", 0, "s5kit2025", RATE).taps.shape == (4, 60)


def test_a_catalog_is_opened_once(catalog: Catalog) -> None:
    assert open_sounds(catalog) is open_sounds(catalog)
    files = FolderSounds(catalog.root)
    assert open_sounds(files) is files
    assert isinstance(files, Sounds)
    assert open_sounds(catalog).place_paths() == catalog.places["path"].tolist()


def test_positions(catalog: Catalog) -> None:
    files = FolderSounds(catalog.root)
    np.testing.assert_array_equal(files.positions("room_ir/train/high.sofa"), np.eye(3))
    np.testing.assert_array_equal(files.positions(catalog.root / "room_ir/train/high.sofa"), np.eye(3))
