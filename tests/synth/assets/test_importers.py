"""What a user would lose: a whole collection read right, and every fault in it named at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from synth.assets.catalog import Catalog
from synth.assets.importers.dcase import build_catalog
from synth.assets.importers.ledger import read_ledger
from synth.errors import ProblemsError, SynthError
from tests.builders import around, make_dev_set, room, write_sofa, write_wav
from tests.synth.assets.disk import FaultyDisk, leftovers, names

SPEECH = "sound_event/train/Speech"


def tone(samples: int = 900, channels: int | None = None, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(
        samples if channels is None else (channels, samples)
    )


def rooms(receivers: int = 4) -> np.ndarray:
    return room(np.random.default_rng(5), around(3), 60)[:, :receivers]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_dev_set(tmp_path / "dev_set", classes=("Speech", "Cough"), positions=4, taps=80, seconds=0.05)


def test_a_good_tree(root: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    report = build_catalog("dcase2025", root, tmp_path / "out", progress=lambda *step: told.append(step))
    assert report.problems == ()
    catalog = Catalog.load(tmp_path / "out")
    assert catalog.content_hash == report.catalog.content_hash
    assert catalog.events[["label", "split", "path"]].values.tolist() == [
        [label, split, f"sound_event/{split}/{label}/{label}_{split}_{n}.wav"]
        for split in ("train", "valid")
        for label in ("Cough", "Speech")
        for n in range(2)
    ]
    first = catalog.events.iloc[0]
    assert (first["source"], first["depth"], first["dataset"], first["set"], first["licence"]) == (
        "Cough_train_0",
        0,
        "dcase2025",
        "dev",
        "unknown",
    )
    assert sorted(set(catalog.interferers["label"])) == ["Dog", "Rain"]
    assert catalog.noises["channels"].tolist() == [4, 4]
    assert catalog.places[["place", "taps", "positions"]].values.tolist() == [
        ["room_train_0", 80, 4],
        ["room_valid_0", 80, 4],
    ]
    np.testing.assert_array_equal(catalog.positions[["x", "y", "z"]].to_numpy()[:4], around(4))
    np.testing.assert_allclose(catalog.positions["azimuth"][:4], [0, 90, 180, -90], atol=1e-9)
    np.testing.assert_allclose(catalog.positions["distance"], 1.5)
    assert {stage for stage, done, total in told if done == total} >= {"headers", "events", "rooms"}
    events = [row for row in report.summary if row.table == "events" and row.split == "train"]
    assert [(row.label, row.files) for row in events] == [("Cough", 2), ("Speech", 2)]
    assert sum(row.hours for row in events) * 3600 * 32_000 == pytest.approx(
        catalog.events.loc[catalog.events["split"] == "train", "frames"].sum()
    )
    assert any("no train sounds of AlarmClock" in note for note in report.notes)


def test_workers_and_order_change_nothing(root: Path, tmp_path: Path) -> None:
    one = build_catalog("dcase2025", root, tmp_path / "one").catalog
    copy = tmp_path / "copy"
    for path in sorted(root.rglob("*.*"), reverse=True):
        (copy / path.relative_to(root)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy / path.relative_to(root))
    two = build_catalog("dcase2025", copy, tmp_path / "two", workers=2).catalog
    assert one.content_hash == two.content_hash
    for name in ("events.csv", "positions.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_source_identity_of_nested_files(tmp_path: Path) -> None:
    root = make_dev_set(tmp_path / "r", classes=("Speech",), positions=2, taps=50, seconds=0.05, nested=True)
    write_wav(root / SPEECH / "p001" / "take1" / "a.wav", tone())
    events = build_catalog("dcase2026", root, tmp_path / "out").catalog.events
    found = events.loc[events["split"] == "train", ["source", "depth"]].values.tolist()
    assert found == [["object0", 1], ["object1", 1], ["p001/take1", 2]]


@pytest.mark.parametrize("above", ["dev_set", "data/dev_set"])
def test_root_may_lie_above(tmp_path: Path, above: str) -> None:
    make_dev_set(tmp_path / above, classes=("Speech",), positions=2, taps=50, seconds=0.05)
    catalog = build_catalog("dcase2025", tmp_path, tmp_path / "out").catalog
    assert all(path.startswith(f"{above}/sound_event/") for path in catalog.events["path"])


def test_all_formats_and_rates(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / SPEECH)
    for n, name in enumerate(["a.wav", "b.flac", "c.ogg", "d.mp3", "e.WAV", "f.aiff", "g.w64"]):
        rate = (8_000, 11_025, 44_100, 48_000, 96_000, 192_000, 22_050)[n]
        write_wav(root / SPEECH / name.lower(), tone(rate // 4, seed=n), rate, subtype=None)
        if name != name.lower():
            (root / SPEECH / name.lower()).rename(root / SPEECH / name)
    (root / SPEECH / "read me.txt").write_text("hello")
    (root / SPEECH / ".hidden.wav").write_text("hello")
    report = build_catalog("dcase2025", root, tmp_path / "out")
    events = report.catalog.events
    speech = events[(events["label"] == "Speech") & (events["split"] == "train")]
    assert len(speech) == 7
    assert all(8000 * 0.99 <= samples <= 8000 * 1.3 for samples in speech["samples"])
    assert "1 file(s) ending in .txt left alone" in report.notes


def test_licences(root: Path, tmp_path: Path) -> None:
    ledger = tmp_path / "licences.tsv"
    known = f"{SPEECH}/Speech_train_0.wav"
    ledger.write_text(
        f"file\tsource\tlicence\ndev_set/{known}\tfreesound\tCC BY 4.0 (me)\nnone.wav\tx\tCC0\n"
    )
    report = build_catalog(
        "dcase2025", root, tmp_path / "out", licences=ledger, licence="all rights reserved"
    )
    events = report.catalog.events
    first = events[events["path"] == known]
    assert first[["licence", "dataset"]].values.tolist() == [["CC BY 4.0 (me)", "freesound"]]
    assert set(events["licence"]) == {"CC BY 4.0 (me)", "all rights reserved"}
    assert "1 entries of the table of licences match no file" in report.notes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,licence\na,b\n", "file and licence are needed"),
        ("file,licence\na.wav,\n", r"l\.csv:2: file or licence is empty"),
        ("file,licence\na.wav,x\na.wav,y\n", r"l\.csv:3: 'a.wav' is listed twice"),
        ("file,licence\na.wav\n", r"l\.csv:2: file or licence is empty"),
    ],
)
def test_faulty_licences(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(SynthError, match=message):
        read_ledger(tmp_path / "l.csv")


def truncated_wav(root: Path) -> Path:
    path = write_wav(root / SPEECH / "bad.wav", tone())
    path.write_bytes(path.read_bytes()[:-100])
    return path


def truncated_flac(root: Path) -> Path:
    path = write_wav(root / SPEECH / "bad.flac", tone(9000))
    path.write_bytes(path.read_bytes()[:-100])
    return path


def no_sound(root: Path) -> Path:
    path = root / SPEECH / "bad.wav"
    path.write_text("not a sound")
    return path


def empty_class(root: Path) -> Path:
    path = root / "sound_event" / "valid" / "Doorbell"
    path.mkdir()
    return path


def unknown_class(root: Path) -> Path:
    return write_wav(root / "sound_event" / "train" / "Speach" / "a.wav", tone()).parent


def beside_the_classes(root: Path) -> Path:
    return write_wav(root / "sound_event" / "train" / "stray.wav", tone())


def stereo_noise(root: Path) -> Path:
    return write_wav(root / "noise" / "valid" / "bad.wav", tone(channels=2))


def silent_event(root: Path) -> Path:
    return write_wav(root / SPEECH / "bad.wav", np.zeros(500))


def silent_noise(root: Path) -> Path:
    return write_wav(root / "noise" / "train" / "bad.wav", np.zeros((4, 500)))


def nan_event(root: Path) -> Path:
    return write_wav(root / "interference" / "train" / "Dog" / "bad.wav", tone() * np.nan, subtype="FLOAT")


def no_responses(root: Path) -> Path:
    return write_sofa(root / "room_ir" / "train" / "bad.sofa", rooms(), around(3), leave_out=["Data.IR"])


def external_responses(root: Path) -> Path:
    path = write_sofa(root / "room_ir" / "train" / "bad.sofa", rooms(), around(3), leave_out=["Data.IR"])
    taps = rooms()
    taps.tofile(root.parent / "secret.raw")
    with h5py.File(path, "r+") as file:
        raw = str(root.parent / "secret.raw").encode()
        file.create_dataset("Data.IR", taps.shape, "f8", external=[(raw, 0, taps.nbytes)])
    return path


def mono_responses(root: Path) -> Path:
    return write_sofa(root / "room_ir" / "train" / "bad.sofa", rooms(1), around(3))


def nan_responses(root: Path) -> Path:
    return write_sofa(root / "room_ir" / "valid" / "bad.sofa", rooms() * np.nan, around(3))


def silent_responses(root: Path) -> Path:
    return write_sofa(root / "room_ir" / "valid" / "bad.sofa", rooms() * 0, around(3))


def link_out(root: Path) -> Path:
    write_wav(root.parent / "outside.wav", tone(seed=8))
    path = root / SPEECH / "bad.wav"
    path.symlink_to(root.parent / "outside.wav")
    return path


def folder_link_out(root: Path) -> Path:
    write_wav(root.parent / "outside" / "a.wav", tone(seed=8))
    path = root / SPEECH / "more"
    path.symlink_to(root.parent / "outside")
    return path


def loop(root: Path) -> Path:
    path = root / SPEECH / "again"
    path.symlink_to(root / SPEECH)
    return path


def leak(root: Path) -> Path:
    """The same recording in two splits: a net would be tested on what it has learnt."""
    good = root / "sound_event" / "valid" / "Speech" / "Speech_valid_0.wav"
    return Path(shutil.copy(good, root / SPEECH / "other name.wav"))


FAULTS: list[Callable[[Path], Path]] = [
    truncated_wav,
    truncated_flac,
    no_sound,
    empty_class,
    unknown_class,
    beside_the_classes,
    stereo_noise,
    silent_event,
    silent_noise,
    nan_event,
    no_responses,
    external_responses,
    mono_responses,
    nan_responses,
    silent_responses,
    link_out,
    folder_link_out,
    loop,
    leak,
]


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named_and_can_be_left_out(
    root: Path, tmp_path: Path, fault: Callable[[Path], Path]
) -> None:
    clean = build_catalog("dcase2025", root, tmp_path / "clean").catalog
    bad = fault(root)
    out = tmp_path / "out"
    report = build_catalog("dcase2025", root, out)
    assert [problem.where for problem in report.problems] == [str(bad)]
    assert report.problems[0].what
    assert report.problems[0].remedy
    assert report.result is None
    assert not (out / "catalog.json").exists()
    with pytest.raises(ProblemsError, match="1 problem"):
        _ = report.catalog
    skipped = build_catalog("dcase2025", root, out, skip_bad=True)
    assert skipped.problems == report.problems
    assert skipped.catalog.content_hash == clean.content_hash
    assert leftovers(tmp_path) == []


def test_all_faults_at_once(root: Path, tmp_path: Path) -> None:
    bad = {
        str(fault(root)) for fault in (truncated_wav, empty_class, stereo_noise, nan_event, silent_responses)
    }
    report = build_catalog("dcase2025", root, tmp_path / "out")
    assert {problem.where for problem in report.problems} == bad
    assert len(build_catalog("dcase2025", root, tmp_path / "out", skip_bad=True).catalog.events) == 8


def test_a_failed_import_leaves_the_old_catalog(root: Path, tmp_path: Path) -> None:
    before = build_catalog("dcase2025", root, tmp_path / "out").catalog
    silent_event(root)
    assert build_catalog("dcase2025", root, tmp_path / "out").result is None
    assert Catalog.load(tmp_path / "out").content_hash == before.content_hash


def test_without_cache_only_headers_are_read(root: Path, tmp_path: Path) -> None:
    silent_event(root)
    report = build_catalog("dcase2025", root, tmp_path / "out", cache=False)
    assert report.problems == ()
    assert not (tmp_path / "out" / "cache").exists()


@pytest.mark.parametrize("gone", ["sound_event", "noise", "room_ir"])
def test_no_dev_set(root: Path, tmp_path: Path, gone: str) -> None:
    shutil.rmtree(root / gone)
    with pytest.raises(SynthError, match=f"no dev_set: .*{gone}"):
        build_catalog("dcase2025", root, tmp_path / "out")


def test_unknown_layout(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="dcase2025, dcase2026"):
        build_catalog("dcase2024", root, tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    [
        "-rf.wav",
        "a b.wav",
        "e\u0301.wav",
        "\u00e9.wav",
        "\U0001f600.wav",
        "\u05d0.wav",
        "a\nb.wav",
        'q".wav',
        "x" * 251 + ".wav",
    ],
)
def test_names_of_all_kinds(root: Path, tmp_path: Path, name: str) -> None:
    write_wav(root / SPEECH / name, tone(seed=6))
    catalog = build_catalog("dcase2025", root, tmp_path / "out").catalog
    assert f"{SPEECH}/{name}" in catalog.events["path"].tolist()


def test_a_name_that_is_no_text(root: Path, tmp_path: Path) -> None:
    path = write_wav(root / SPEECH / "a.wav", tone(seed=6))
    path.rename(path.with_name("\udcff.wav"))
    report = build_catalog("dcase2025", root, tmp_path / "out")
    assert [problem.what for problem in report.problems] == ["its name is not UTF-8"]
    assert r"\udcff" in report.problems[0].where


def test_disk_fails_at_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted anywhere, there is the old catalog, the new one, or none: never a mixture."""
    root = make_dev_set(
        tmp_path / "r",
        classes=("Speech",),
        per_class=1,
        interferers=("Dog",),
        positions=2,
        taps=40,
        seconds=0.02,
    )
    out = tmp_path / "out"
    expected = build_catalog("dcase2025", root, tmp_path / "clean").catalog.content_hash
    for n in range(1, 400, 7):
        with monkeypatch.context() as patch:
            disk = FaultyDisk(patch, n)
            try:
                build_catalog("dcase2025", root, out)
            except SynthError as error:
                assert "full" in str(error) or "No space" in str(error), n  # noqa: PT017
        assert leftovers(out) == []
        if "catalog.json" in names(out):
            assert Catalog.load(out).content_hash == expected
        if not disk.failed:
            break
        shutil.rmtree(out, ignore_errors=True)
    assert 60 < n < 399
    assert Catalog.load(out).content_hash == expected
