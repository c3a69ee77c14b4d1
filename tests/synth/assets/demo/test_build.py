"""Building the demo: the same bytes every time, whole or absent, and readable as a catalog."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile

from synth import ProblemsError, SynthError, build_catalog, build_demo
from synth.assets.demo import build, request
from synth.assets.demo.places import PLACES, cartesian, source_positions
from synth.assets.demo.request import Request, tasks
from synth.assets.demo.rooms import place_responses
from synth.assets.demo.sofa_file import GRID, write_place
from synth.assets.demo.wav import write_wav
from synth.assets.sofa import read_sofa

TINY = Request(
    classes=("Percussion", "Typing", "Dishes", "Speech", "Bird", "Dog"),
    files_per_class=2,
    noises=1,
    noise_s=1.0,
    places=("synthetic_studio_a", "synthetic_study_a"),
    positions=4,
)


def digests(root: Path) -> dict[str, str]:
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(root.rglob("*"))
        if p.is_file()
    }


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "tiny"
    assert build_demo(out, request=TINY) == out / "dev_set"
    return out


def test_bytes_do_not_depend_on_the_run_or_the_workers(tiny: Path, tmp_path: Path) -> None:
    """Catalog hashes, and with them scenes, would differ between two machines or two runs."""
    build_demo(tmp_path / "again", workers=2, request=TINY)
    assert digests(tmp_path / "again") == digests(tiny)
    assert build.demo_hash(tmp_path / "again") == build.demo_hash(tiny)


def test_the_tree_is_a_dev_set_that_says_it_is_synthetic(tiny: Path) -> None:
    """A reader of the files must not take them for recordings."""
    files = digests(tiny)
    assert {name.split("/")[1] for name in files if name.startswith("dev_set/")} == {
        "sound_event", "interference", "noise", "room_ir",
    }  # fmt: skip
    assert all("synthetic" in name for name in files if name.startswith("dev_set/"))
    assert "synthetic" in (tiny / "README.md").read_text()
    assert "CC0" in (tiny / "LICENCE.md").read_text()
    with h5py.File(tiny / "dev_set/room_ir/train/synthetic_studio_a.sofa") as file:
        assert "Synthetic" in file.attrs["Comment"].decode()
        assert file.attrs["SOFAConventions"] == b"SingleRoomSRIR"


def test_splits_share_no_content(tiny: Path) -> None:
    """A valid score on sounds that were trained on."""
    files = digests(tiny / "dev_set")
    train = {digest for name, digest in files.items() if "/train/" in name}
    valid = {digest for name, digest in files.items() if "/valid/" in name}
    assert train
    assert valid
    assert not train & valid


def test_sounds_are_16_bit_mono_at_32_khz_and_noises_have_four_channels(tiny: Path) -> None:
    """The layout of the official sets, which other readers expect."""
    for path in (tiny / "dev_set").rglob("*.wav"):
        info = soundfile.info(path)
        channels = 4 if "/noise/" in path.as_posix() else 1
        assert (info.samplerate, info.subtype, info.channels) == (32_000, "PCM_16", channels)


def test_a_catalog_can_be_built_from_it(tiny: Path, tmp_path: Path) -> None:
    """`make demo` would stop at its second step; licences and sources must arrive in the tables."""
    try:
        report = build_catalog(
            "dcase2025", tiny / "dev_set", tmp_path / "catalog", licences=tiny / "licences.tsv"
        )
    except ProblemsError as error:  # pragma: no cover
        pytest.fail(str(error))
    assert not report.problems
    catalog = report.result
    assert catalog is not None
    assert set(catalog.events.label) == {"Percussion", "Typing", "Dishes", "Speech"}
    assert set(catalog.interferers.label) == {"Bird", "Dog"}
    assert set(catalog.events.licence) == {"CC0-1.0"}
    assert set(catalog.events.dataset) == {"s5kit demo (synthetic)"}
    assert catalog.events[catalog.events.label == "Speech"].source.str.contains("object_").all()
    assert len(catalog.positions) == 8


def test_a_whole_tree_is_left_alone(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `make demo` would build for a minute again."""
    monkeypatch.setattr(build, "_fill", lambda *_: pytest.fail("built again"))
    before = {p: p.stat().st_mtime_ns for p in tiny.rglob("*")}
    build_demo(tiny, request=TINY)
    assert before == {p: p.stat().st_mtime_ns for p in tiny.rglob("*")}


SMALL = Request(classes=("Percussion",), files_per_class=1, noises=0, places=())


def test_a_damaged_or_older_tree_is_replaced(tmp_path: Path) -> None:
    """A flipped bit or an old version would live on in every corpus."""
    out = tmp_path / "demo"
    seen: list[tuple[int, int]] = []
    build_demo(out, request=SMALL, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    whole = digests(out)
    wav = next(out.rglob("*.wav"))
    data = bytearray(wav.read_bytes())
    data[-1] ^= 1
    wav.write_bytes(bytes(data))
    build_demo(out, request=SMALL)
    assert digests(out) == whole
    marker = json.loads((out / "demo.json").read_text())
    (out / "demo.json").write_text(json.dumps({**marker, "version": "0"}))
    build_demo(out, request=SMALL)
    assert digests(out) == whole
    assert sorted(p.name for p in tmp_path.iterdir()) == [".demo.lock", "demo"]


def test_what_a_killed_build_left_is_cleared(tmp_path: Path) -> None:
    """Disks that fill up with half-built trees."""
    left = tmp_path / ".demo.123-abcd.partial"
    left.mkdir()
    (left / "half.wav").write_bytes(b"x")
    build_demo(tmp_path / "demo", request=SMALL)
    assert not left.exists()


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    """Somebody's recordings would be deleted."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious.wav").write_bytes(b"x")
    with pytest.raises(SynthError, match="something else"):
        build_demo(tmp_path / "mine", request=SMALL)
    assert (tmp_path / "mine" / "precious.wav").read_bytes() == b"x"
    with pytest.raises(SynthError, match="no demo here"):
        build.demo_hash(tmp_path / "mine")


def test_a_full_disk_is_an_error_with_a_remedy_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a demo that looks like a whole one."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(request, "write_wav", full)
    with pytest.raises(SynthError, match="the disk is full"):
        build_demo(tmp_path / "demo", request=SMALL)
    assert [p.name for p in tmp_path.iterdir()] == [".demo.lock"]


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    """A typing error would build nothing, silently."""
    with pytest.raises(SynthError, match=r"no class Bagpipe.*AlarmClock"):
        tasks(Request(classes=("Bagpipe",)))
    with pytest.raises(SynthError, match=r"no place cellar.*synthetic_hall_a"):
        tasks(Request(places=("cellar",)))


def test_the_whole_demo_is_what_was_promised() -> None:
    """Too few files for a class or a split to work with."""
    todo = tasks(Request())
    counts: dict[tuple[str, str, str], int] = {}
    for task in todo:
        key = (task.what, task.name if task.what != "room_ir" else "", task.split)
        counts[key] = counts.get(key, 0) + 1
    assert len({task.path for task in todo}) == len(todo)
    assert counts["noise", "noise", "train"] == 6
    assert counts["noise", "noise", "valid"] == 3
    assert counts["room_ir", "", "train"] == 6
    assert counts["room_ir", "", "valid"] == 3
    per_class = {
        counts[key] for key in counts if key[0] in ("sound_event", "interference") and key[2] == "train"
    }
    assert per_class == {10}


def test_a_place_reads_back_as_it_was_written(tmp_path: Path) -> None:
    """Directions or taps changed by the file format: against our own reader, to its rounding."""
    place = PLACES[0]
    positions, taps = place_responses(place, rows=20)
    write_place(tmp_path / "a.sofa", place, positions, taps)
    room = read_sofa(tmp_path / "a.sofa")
    assert (room.rate, room.channels, room.taps) == (32_000, 4, taps.shape[2])
    np.testing.assert_allclose(room.positions, cartesian(source_positions(place)[:20]), atol=1e-9)
    np.testing.assert_allclose(room.read(19), taps[19], atol=0.51 * GRID + 1e-7)
    write_place(tmp_path / "b.sofa", place, positions, taps)
    assert (tmp_path / "a.sofa").read_bytes() == (tmp_path / "b.sofa").read_bytes()


def test_a_wav_that_would_clip_is_an_error(tmp_path: Path) -> None:
    """Wrapped samples."""
    with pytest.raises(ValueError, match="clip"):
        write_wav(tmp_path / "x.wav", np.array([0.0, 1.5]))


@pytest.mark.slow
def test_the_whole_demo_builds_within_its_size(tmp_path: Path) -> None:
    """Every file within bounds, under 250 MB; the time is printed, not judged."""
    build_demo(tmp_path / "demo", workers=2)
    files = [p for p in (tmp_path / "demo").rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 250e6
    sounds = [p for p in files if p.suffix == ".wav" and "/noise/" not in p.as_posix()]
    assert len(sounds) == 14 * 29
    durations = []
    for path in sounds:
        x, rate = soundfile.read(path)
        durations.append(len(x) / rate)
        assert 0.3 <= np.abs(x).max() <= 0.9
        assert abs(x.mean()) < 2e-3 * np.abs(x).max()
        assert np.argmax(np.abs(x) > 0.01 * np.abs(x).max()) < 0.05 * rate
    assert min(durations) >= 0.3
    assert max(durations) <= 12.0
    assert sum(d > 10.0 for d in durations) >= 10
