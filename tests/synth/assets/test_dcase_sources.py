"""What a user would lose: the task's sounds, each in its class, its split, with its own licence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from synth.assets.importers.dcase import build_catalog
from synth.assets.importers.dcase_sources import prepare_by_config, prepare_dcase
from synth.assets.importers.semantic_hearing import prepare_semantic_hearing
from synth.errors import SynthError
from tests.builders import burst, make_dev_set, write_wav

RNG = np.random.default_rng(5)


def sound(path: Path, seconds: float = 0.4, rate: int = 48_000, level: float = 1.0, **kind: Any) -> Path:
    return write_wav(path, level * burst(RNG, int(seconds * rate)), rate, **kind)


def ears(root: Path) -> Path:
    for name in ("p001/a.wav", "p001/b.wav", "p002/a.wav"):
        sound(root / name)
    return root


def config(path: Path, *entries: dict[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(list(entries)))
    return path


def entry(file: str, label: str, to: str) -> dict[str, str]:
    return {"file_name": file, "t4_label": label, "convert_path": to}


EARS = (
    entry("p001/a.wav", "Speech", "sound_event/train/Speech/p001/a.wav"),
    entry("p001/b.wav", "Speech", "dev_set/sound_event/train/Speech/p001/b.wav"),
    entry("p002/a", "Speech", "valid/Speech/p002/a.wav"),
)


def files(dev_set: Path) -> list[str]:
    return sorted(p.relative_to(dev_set).as_posix() for p in dev_set.rglob("*.*"))


def test_ears_by_its_config(tmp_path: Path) -> None:
    """Paths of the config decide; the speaker is the folder, which catalogs take as the source."""
    root = ears(tmp_path / "EARS")
    report = prepare_by_config("ears", root, config(tmp_path / "c.json", *EARS), tmp_path / "out")
    assert files(report.dev_set) == [
        "sound_event/train/Speech/p001/a.wav",
        "sound_event/train/Speech/p001/b.wav",
        "sound_event/valid/Speech/p002/a.wav",
    ]
    info = soundfile.info(report.dev_set / files(report.dev_set)[0])
    assert (info.samplerate, info.channels, info.subtype, info.frames) == (32_000, 1, "PCM_16", 12_800)
    catalog = build_catalog("prepared", tmp_path / "out", tmp_path / "catalog").catalog
    assert catalog.events["source"].tolist() == ["p001", "p001", "p002"]
    assert set(catalog.events["dataset"]) == {"ears"}
    assert all("CC-BY-NC" in licence for licence in catalog.events["licence"])


def test_fsd50k_clips_have_their_own_licences(tmp_path: Path) -> None:
    """FSD50K mixes licences: the ledger says each clip's, and a clip that is cut keeps its source."""
    root = tmp_path / "FSD50K"
    sound(root / "FSD50K.dev_audio/101.wav", rate=44_100)
    gap = np.zeros(12 * 44_100)
    parts = [burst(RNG, 44_100), gap, burst(RNG, 44_100)]
    write_wav(root / "FSD50K.dev_audio/102.wav", np.concatenate(parts), 44_100)
    sound(root / "FSD50K.dev_audio/103.wav", rate=44_100, level=0.01)
    clips = {
        "101": {"license": "http://creativecommons.org/licenses/by-nc/3.0/"},
        "102": {"license": "http://creativecommons.org/publicdomain/zero/1.0/"},
    }
    (root / "FSD50K.metadata").mkdir()
    (root / "FSD50K.metadata/dev_clips_info_FSD50K.json").write_text(json.dumps(clips))
    listed = [entry(f"{n}.wav", "Dishes", f"sound_event/train/Dishes/{n}.wav") for n in (101, 102, 103)]
    report = prepare_by_config("fsd50k", root, config(tmp_path / "c.json", *listed), tmp_path / "out")
    folder = "sound_event/train/Dishes"
    split = [f"{folder}/102/102_split0.wav", f"{folder}/102/102_split1.wav"]
    assert files(report.dev_set) == sorted([f"{folder}/101.wav", *split])
    assert any("1 file(s) left out: quieter than 0.02" in note for note in report.notes)
    events = build_catalog("prepared", tmp_path / "out", tmp_path / "catalog").catalog.events
    licences = dict(zip(events["path"], events["licence"], strict=True))
    assert "by-nc" in licences[f"dev_set/{folder}/101.wav"]
    assert all("publicdomain" in licences[f"dev_set/{path}"] for path in split)
    assert events["source"].tolist() == ["101", "102", "102"]


def test_bad_entries_are_all_named(tmp_path: Path) -> None:
    root = ears(tmp_path / "EARS")
    sound(root / "more/p002/a.wav")
    (tmp_path / "secret.wav").write_bytes(b"x")
    os.symlink(tmp_path / "secret.wav", root / "p001/link.wav")
    listed = [
        EARS[0],
        entry("p009/a.wav", "Speech", "train/Speech/x.wav"),
        entry("p002/a.wav", "Talking", "train/Talking/x.wav"),
        entry("p002/a.wav", "Speech", "train/Speech/../../../../x.wav"),
        entry("", "Speech", "train/Speech/x.wav"),
        entry("p002/a.wav", "Speech", "train/Speech/x.wav"),
        entry("p001/link.wav", "Speech", "train/Speech/y.wav"),
    ]
    report = prepare_by_config("ears", root, config(tmp_path / "c.json", *listed), tmp_path / "out")
    assert report.result is None
    said = [p.what for p in report.problems]
    expected = (
        "is missing",
        "none of the 18 classes",
        "'..'",
        "file_name or t4_label",
        "any of 2 files",
        "leads out",
    )
    assert [text in what for text, what in zip(expected, said, strict=True)] == [True] * len(expected)


@pytest.mark.parametrize("text", ["", "{", "[1]", "[]", '{"a": 1}', "[" * 100_000])
def test_a_config_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(SynthError, match=r"c\.json"):
        prepare_by_config("ears", ears(tmp_path / "EARS"), tmp_path / "c.json", tmp_path / "out")


def test_a_development_set_with_its_additions(tmp_path: Path) -> None:
    """One tree: the set's own files unchanged, EARS by the config inside, Semantic Hearing beside."""
    make_dev_set(tmp_path / "in/dev_set", classes=("Dishes",))
    config(tmp_path / "in/dev_set/config/EARS_config.json", *EARS)
    sound(tmp_path / "sh/bg_scaper_fmt/val/wind, light/1.wav")
    report = prepare_dcase(
        2025,
        tmp_path / "in",
        tmp_path / "out",
        ears=ears(tmp_path / "EARS"),
        semantic_hearing=tmp_path / "sh",
    )
    assert report.counts == {"sound_event": 4 + 3, "interference": 4 + 1, "noise": 2, "room_ir": 2}
    for kind in ("sound_event", "interference", "noise", "room_ir"):
        for path in (tmp_path / "in/dev_set" / kind).rglob("*.*"):
            copy = report.dev_set / path.relative_to(tmp_path / "in/dev_set")
            assert copy.read_bytes() == path.read_bytes()
    catalog = build_catalog("prepared", tmp_path / "out", tmp_path / "catalog").catalog
    assert set(catalog.events["dataset"]) == {"dcase2025", "ears"}
    assert "wind, light" in set(catalog.interferers["label"])
    assert prepare_dcase(
        2025, tmp_path / "in", tmp_path / "out", ears=tmp_path / "EARS", semantic_hearing=tmp_path / "sh"
    ).fresh is False  # fmt: skip
    with pytest.raises(SynthError, match=r"no config/FSD50K_config\.json"):
        prepare_dcase(2026, tmp_path / "in", tmp_path / "out2", fsd50k=tmp_path / "EARS")


def test_a_damaged_development_set_is_refused(tmp_path: Path) -> None:
    make_dev_set(tmp_path / "in", classes=("Dishes",))
    cut = next((tmp_path / "in/sound_event").rglob("*.wav"))
    cut.write_bytes(cut.read_bytes()[:-200])
    room = next((tmp_path / "in/room_ir").rglob("*.sofa"))
    room.write_bytes(room.read_bytes()[:500])
    report = prepare_dcase(2026, tmp_path / "in", tmp_path / "out")
    assert {Path(p.where).name for p in report.problems} == {cut.name, room.name}
    assert not (tmp_path / "out").exists()


def test_interference_of_semantic_hearing(tmp_path: Path) -> None:
    base = tmp_path / "BinauralCuratedDataset/bg_scaper_fmt"
    for split, label, n in (
        ("train", "rain", 1),
        ("train", "dog", 2),
        ("val", "rain", 3),
        ("test", "rain", 4),
    ):
        stereo = np.stack([burst(RNG, 22_050)] * 2)
        write_wav(base / split / label / f"{n}.wav", stereo, 44_100)
    sound(base / "train/dog/quiet.wav", level=0.01)
    report = prepare_semantic_hearing(tmp_path, tmp_path / "out")
    assert files(report.dev_set) == [
        "interference/train/dog/2.wav",
        "interference/train/rain/1.wav",
        "interference/valid/rain/3.wav",
    ]
    assert any("quieter than 0.02" in note for note in report.notes)
    with pytest.raises(SynthError, match="another preparation"):
        prepare_semantic_hearing(tmp_path, tmp_path / "out", splits=("test",))
    with pytest.raises(SynthError, match="no folder bg_scaper_fmt"):
        prepare_semantic_hearing(tmp_path / "out", tmp_path / "out3")
