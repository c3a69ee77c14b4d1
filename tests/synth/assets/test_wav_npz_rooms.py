"""What a user would lose: rooms of one's own, from plain files and a table."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from synth.assets.importers.npz_rooms import prepare_npz
from synth.assets.importers.prepared import PreparationReport
from synth.assets.importers.sofa_rooms import RoomOptions
from synth.assets.importers.wav_folders import prepare_wav
from synth.assets.sofa import read_sofa
from synth.errors import ProblemsError, SynthError
from tests.synth.assets.plane_waves import a_format, foa, pulse, toward

ANGLES = ((0, 0), (100, 10), (-70, -20))
POINTS = np.array([2.0 * toward(*a) for a in ANGLES])
WAVES = np.array([foa(pulse(900, 48_000, 2, 0.4), toward(*a)) for a in ANGLES])
EXPECTED = np.array([foa(pulse(600, 32_000, 2, 0.4), toward(*a)) for a in ANGLES])
FUMA = WAVES[:, [0, 3, 1, 2]] * np.array([1 / np.sqrt(2), 1, 1, 1])[:, None]
AMBIX = RoomOptions(order="acn", normalisation="sn3d", dataset="mine")


def check(report: PreparationReport, path: str) -> None:
    room = read_sofa(report.dev_set / path)
    np.testing.assert_allclose(room.positions, POINTS, atol=1e-9)
    taps = np.concatenate([block for _, block in room.blocks()])
    np.testing.assert_allclose(taps, EXPECTED, atol=2e-4)


def wav_folder(
    root: Path, waves: np.ndarray = WAVES, header: str = "file,azimuth,elevation,distance"
) -> Path:
    lines = [header]
    for n, (angles, x) in enumerate(zip(ANGLES, waves, strict=True)):
        (root / "hall").mkdir(parents=True, exist_ok=True)
        soundfile.write(root / f"hall/{n}.wav", x.T, 48_000, subtype="FLOAT")
        where = (
            f"{angles[0]},{angles[1]},2" if "azimuth" in header else ",".join(map(repr, POINTS[n].tolist()))
        )
        lines.append(f"hall/{n}.wav,{where}")
    (root / "positions.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("header", ["file,azimuth,elevation,distance", "file,x,y,z"])
def test_wav_files_with_a_table(tmp_path: Path, header: str) -> None:
    wav_folder(tmp_path / "in", header=header)
    check(prepare_wav(tmp_path / "in", tmp_path / "out", AMBIX), "room_ir/train/hall.sofa")


def test_wav_files_in_other_conventions(tmp_path: Path) -> None:
    wav_folder(tmp_path / "fuma", FUMA)
    options = RoomOptions(order="fuma", normalisation="fuma")
    check(prepare_wav(tmp_path / "fuma", tmp_path / "out", options), "room_ir/train/hall.sofa")
    capsules = np.array([a_format(pulse(900, 48_000, 2, 0.4), toward(*a)) for a in ANGLES])
    wav_folder(tmp_path / "tetra", capsules)
    check(
        prepare_wav(tmp_path / "tetra", tmp_path / "out2", RoomOptions(kind="tetra")),
        "room_ir/train/hall.sofa",
    )
    with pytest.raises(SynthError, match="state no channel order"):
        prepare_wav(tmp_path / "fuma", tmp_path / "out3")


def test_places_and_splits_of_a_table(tmp_path: Path) -> None:
    wav_folder(tmp_path)
    table = "file\tplace\tsplit\tx\ty\tz\n" + "".join(
        f"hall/{n}.wav\troom {n}\t{split}\t" + "\t".join(map(repr, POINTS[n].tolist())) + "\n"
        for n, split in enumerate(("train", "valid", "test"))
    )
    (tmp_path / "other.tsv").write_text(table)
    report = prepare_wav(tmp_path, tmp_path / "out", AMBIX, table=tmp_path / "other.tsv")
    files = sorted(p.relative_to(report.dev_set).as_posix() for p in report.dev_set.rglob("*.sofa"))
    assert files == ["room_ir/test/room_2.sofa", "room_ir/train/room_0.sofa", "room_ir/valid/room_1.sofa"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("../hall/0.wav,0,0,2", "'..' component"),
        ("/etc/passwd,0,0,2", "absolute"),
        ("hall/0.wav,nan,0,2", "finite"),
        ("hall/0.wav,0,91,2", "are no position"),
        ("hall/0.wav,0,0,0", "are no position"),
        ("hall/0.wav,left,0,2", "not three numbers"),
        ("hall/0.wav,0,0", "not three numbers"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    wav_folder(tmp_path)
    with (tmp_path / "positions.csv").open("a") as file:
        file.write(f"{line}\nhall/1.wav,inf,0,2\n")
    with pytest.raises(ProblemsError) as caught:
        prepare_wav(tmp_path, tmp_path / "out", AMBIX)
    assert [p.where.rsplit(":", 1)[1] for p in caught.value.problems] == ["5", "6"]
    assert message in caught.value.problems[0].what


def test_tables_from_other_programs(tmp_path: Path) -> None:
    """A byte order mark, CRLF and spaces in the heading change nothing; what is no UTF-8 is said."""
    wav_folder(tmp_path)
    table = tmp_path / "positions.csv"
    text = table.read_text().replace("\n", "\r\n").replace("file,azimuth", "file , azimuth")
    table.write_bytes(b"\xef\xbb\xbf" + text.encode())
    check(prepare_wav(tmp_path, tmp_path / "out", AMBIX), "room_ir/train/hall.sofa")
    for data, message in (
        (b"file,\xff", "cannot be read"),
        (b"", "it is empty"),
        (b"name,x,y,z\n", "are needed"),
    ):
        table.write_bytes(data)
        with pytest.raises(SynthError, match=message):
            prepare_wav(tmp_path, tmp_path / "out2", AMBIX)


def test_bad_files_are_named(tmp_path: Path) -> None:
    """A missing file, stereo, a cut one, a link out of the folder, a line twice."""
    wav_folder(tmp_path / "in")
    soundfile.write(tmp_path / "in/hall/1.wav", np.zeros((90, 2)), 48_000)
    (tmp_path / "in/hall/2.wav").unlink()
    whole = (tmp_path / "in/hall/0.wav").read_bytes()
    (tmp_path / "out.wav").write_bytes(whole)
    (tmp_path / "in/hall/3.wav").symlink_to(tmp_path / "out.wav")
    (tmp_path / "in/hall/4.wav").write_bytes(whole[:-100])
    with (tmp_path / "in/positions.csv").open("a") as file:
        file.write("hall/3.wav,1,0,2\nhall/4.wav,2,0,2\nhall/0.wav,0,0,2\n")
    report = prepare_wav(tmp_path / "in", tmp_path / "out", AMBIX)
    said = " | ".join(p.what for p in report.problems)
    for text in ("2 channel(s)", "cannot be opened", "leads out of", "truncated", "listed twice"):
        assert text in said
    assert report.result is None


def write_npz(path: Path, **changes: Any) -> Path:
    arrays = {
        "taps": WAVES, "positions": POINTS, "rate": 48_000, "order": "acn", "normalisation": "sn3d",
    } | changes  # fmt: skip
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_npz(tmp_path: Path) -> None:
    check(prepare_npz(write_npz(tmp_path / "a.npz"), tmp_path / "1"), "room_ir/train/a.sofa")
    angles = np.array([(*a, 2.0) for a in ANGLES])
    path = write_npz(
        tmp_path / "b.npz", taps=FUMA, positions=angles, coordinates="spherical", order="fuma",
        normalisation="fuma",
    )  # fmt: skip
    check(prepare_npz(path, tmp_path / "2"), "room_ir/train/b.sofa")
    path = write_npz(tmp_path / "c.npz", order=None, normalisation=None)
    assert "states no channel order" in prepare_npz(path, tmp_path / "3").problems[0].what
    check(prepare_npz(path, tmp_path / "4", AMBIX), "room_ir/train/c.sofa")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taps": None}, "taps are missing"),
        ({"taps": WAVES[:, :3]}, "expected are floats"),
        ({"taps": (WAVES * 9).astype(int)}, "expected are floats"),
        ({"taps": np.array([{}], dtype=object)}, "cannot be read"),
        ({"positions": POINTS[:2]}, "positions have the shape"),
        ({"positions": POINTS * np.nan}, "finite"),
        ({"positions": POINTS * 0}, "at the listener's place"),
        ({"rate": 4}, "the rate is 4"),
        ({"coordinates": "polar"}, "coordinates are 'polar'"),
        ({"order": "xyz"}, "there is no order 'xyz'"),
        ({"taps": WAVES * 0}, "silent"),
    ],
)
def test_npz_refusals(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    report = prepare_npz(write_npz(tmp_path / "a.npz", **changes), tmp_path / "out")
    assert report.result is None
    assert any(message in p.what for p in report.problems), report.problems


def test_npz_bombs_and_cuts(tmp_path: Path) -> None:
    """An archive that unpacks to far more than it holds is not unpacked."""
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr("taps.npy", b"\0" * (64 << 20))
        file.writestr("positions.npy", b"")
        file.writestr("rate.npy", b"")
    data = write_npz(tmp_path / "cut.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.npz").write_text("no archive")
    report = prepare_npz(tmp_path, tmp_path / "out")
    said = {Path(p.where).stem: p.what for p in report.problems}
    assert "too many" in said["bomb"]
    assert "cannot be read" in said["cut"]
    assert "cannot be read" in said["text"]
