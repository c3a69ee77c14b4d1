"""What a user would lose: other people's rooms, whatever convention they are kept in."""

from __future__ import annotations

import random
from pathlib import Path

import h5py
import numpy as np
import pytest

from synth.assets.importers.sofa_rooms import RoomOptions, prepare_sofa
from synth.assets.sofa import read_sofa
from synth.errors import ProblemsError, SynthError
from tests.synth.assets.plane_waves import CAPSULES, Array, a_format, foa, pulse, toward, write_room

ANGLES = ((0, 0), (90, 0), (-120, 30), (45, -40), (10, 75))
DISTANCE = 1.5
RATE = 48_000
POINTS = np.array([DISTANCE * toward(*angles) for angles in ANGLES])
WAVES = np.array([foa(pulse(900, RATE, DISTANCE, 0.4), toward(*angles)) for angles in ANGLES])
EXPECTED = np.array([foa(pulse(600, 32_000, DISTANCE, 0.4), toward(*angles)) for angles in ANGLES])
ROOT3, ROOT2 = np.sqrt(3), np.sqrt(2)

# Channels as other conventions have them, from W Y Z X in SN3D.
ENCODERS: dict[tuple[str, str], tuple[list[int], list[float]]] = {
    ("acn", "sn3d"): ([0, 1, 2, 3], [1, 1, 1, 1]),
    ("acn", "n3d"): ([0, 1, 2, 3], [1, ROOT3, ROOT3, ROOT3]),
    ("fuma", "fuma"): ([0, 3, 1, 2], [1 / ROOT2, 1, 1, 1]),
    ("fuma", "maxn"): ([0, 3, 1, 2], [1, 1, 1, 1]),
    ("sid", "n3d"): ([0, 3, 1, 2], [1, ROOT3, ROOT3, ROOT3]),
    ("acn", "fuma"): ([0, 1, 2, 3], [1 / ROOT2, 1, 1, 1]),
}


def encoded(order: str, normalisation: str, waves: Array = WAVES) -> Array:
    channels, gains = ENCODERS[order, normalisation]
    return np.asarray(waves[:, channels] * np.array(gains)[:, None])


def whole(path: Path) -> Array:
    return np.concatenate([block for _, block in read_sofa(path).blocks()])


def check(path: Path, expected: Array = EXPECTED, points: Array = POINTS) -> None:
    room = read_sofa(path)
    assert (room.rate, room.taps) == (32_000, 600)
    np.testing.assert_allclose(room.positions, points, atol=1e-9)
    np.testing.assert_allclose(whole(path), expected, atol=2e-4)


@pytest.mark.parametrize(("order", "normalisation"), ENCODERS)
@pytest.mark.parametrize("tagged", [True, False])
def test_orders_and_normalisations(tmp_path: Path, order: str, normalisation: str, tagged: bool) -> None:
    """By the file's word or by the caller's, every one becomes W Y Z X in SN3D."""
    taps = encoded(order, normalisation)
    said = (order.upper(), normalisation.upper()) if tagged else None
    write_room(tmp_path / "in/hall.sofa", taps, POINTS, convention="GeneralFIR", stated=said)
    options = RoomOptions() if tagged else RoomOptions(order=order, normalisation=normalisation)
    check(prepare_sofa(tmp_path / "in", tmp_path / "out", options).dev_set / "room_ir/train/hall.sofa")


@pytest.mark.parametrize(
    ("convention", "data_type"),
    [
        ("GeneralFIR", "FIR"),
        ("SingleRoomSRIR", "FIR"),
        ("AmbisonicsDRIR", "FIRE"),
        ("GeneralFIR-E", "FIR-E"),
    ],
)
def test_conventions(tmp_path: Path, convention: str, data_type: str) -> None:
    """One source per measurement: Data.IR is M R N, M R E N or M R N E."""
    taps = encoded("acn", "n3d")
    taps = taps[:, :, None] if data_type == "FIRE" else taps[..., None] if data_type == "FIR-E" else taps
    angles = np.array([(a % 360, e, DISTANCE) for a, e in ANGLES])
    path = write_room(
        tmp_path / "a.sofa", taps, angles, convention=convention, data_type=data_type, kind="spherical",
        stated=("acn", "n3d"),
    )  # fmt: skip
    report = prepare_sofa(path, tmp_path / "out")
    check(report.dev_set / "room_ir/train/a.sofa")
    assert "CC-BY-4.0" in (tmp_path / "out/licences.tsv").read_text()


def test_loudspeakers_as_emitters(tmp_path: Path) -> None:
    """AmbisonicsDRIR keeps one listener and many loudspeakers: they are the positions."""
    taps = np.moveaxis(encoded("fuma", "fuma"), 0, 1)[None]
    shift = np.array([0.5, -0.25, 0.1])
    path = write_room(
        tmp_path / "a.sofa", taps, shift[None], convention="AmbisonicsDRIR", data_type="FIRE",
        stated=("fuma", "fuma"),
        variables={"EmitterPosition": ((POINTS - shift)[:, :, None], "cartesian", "metre")},
    )  # fmt: skip
    check(prepare_sofa(path, tmp_path / "out").dev_set / "room_ir/train/a.sofa")


def test_listeners_that_stand_and_look_elsewhere(tmp_path: Path) -> None:
    """Two listeners are two places, and directions are theirs, not the room's."""
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])  # looks along +y of the room
    places = np.array([[3.0, 2.0, 1.2], [1.0, 1.0, 1.6]])
    sources = np.concatenate([POINTS @ turn.T + places[0], POINTS @ turn.T + places[1]])
    variables = {
        "ListenerPosition": (np.repeat(places, len(POINTS), axis=0), "cartesian", "metre"),
        "ListenerView": (np.array([[0.0, 1.0, 0.0]]), "cartesian", "metre"),
        "ListenerUp": (np.array([[0.0, 0.0, 1.0]]), "cartesian", "metre"),
    }
    write_room(
        tmp_path / "a.sofa", np.tile(WAVES, (2, 1, 1)), sources, stated=("acn", "sn3d"), variables=variables
    )  # fmt: skip
    report = prepare_sofa(tmp_path / "a.sofa", tmp_path / "out")
    assert report.counts == {"room_ir": 2}
    for n in range(2):
        check(report.dev_set / f"room_ir/train/a_listener{n}.sofa")


def test_positions_that_are_relative_already(tmp_path: Path) -> None:
    variables = {"ListenerPosition": (np.array([[3.0, 2.0, 1.2]]), "cartesian", "metre")}
    write_room(tmp_path / "a.sofa", WAVES, POINTS, stated=("acn", "sn3d"), variables=variables)
    check(prepare_sofa(tmp_path / "a.sofa", tmp_path / "out", RoomOptions(relative=True)).dev_set / "room_ir/train/a.sofa")  # fmt: skip
    report = prepare_sofa(tmp_path / "a.sofa", tmp_path / "out2")
    assert "direct path comes from elsewhere" in report.problems[0].what


@pytest.mark.parametrize("turned", [False, True])
def test_a_format_by_its_capsules(tmp_path: Path, turned: bool) -> None:
    """Four capsules around a point are A-format, in whatever order and turn the file has them."""
    capsules = CAPSULES[[2, 0, 3, 1]]
    if turned:
        c, s = np.cos(0.7), np.sin(0.7)
        capsules = capsules @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
    sound = pulse(900, RATE, DISTANCE, 0.4)
    taps = np.array([a_format(sound, toward(*angles), capsules) for angles in ANGLES])
    write_room(tmp_path / "a.sofa", taps, POINTS, receivers=0.01 * capsules)
    check(prepare_sofa(tmp_path / "a.sofa", tmp_path / "out").dev_set / "room_ir/train/a.sofa")


def test_a_format_by_the_callers_word(tmp_path: Path) -> None:
    """With all receivers in one point the usual order of the capsules is taken, and said."""
    taps = np.array([a_format(pulse(900, RATE, DISTANCE, 0.4), toward(*angles)) for angles in ANGLES])
    write_room(tmp_path / "a.sofa", taps, POINTS, stated=("acn", "sn3d"))
    report = prepare_sofa(tmp_path / "a.sofa", tmp_path / "out", RoomOptions(kind="tetra"))
    check(report.dev_set / "room_ir/train/a.sofa")
    assert any("front-left-up" in note for note in report.notes)


def test_higher_orders_give_their_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    taps = np.concatenate((encoded("acn", "n3d"), rng.standard_normal((5, 12, 900))), axis=1)
    write_room(tmp_path / "a.sofa", taps, POINTS, stated=("acn", "n3d"))
    report = prepare_sofa(tmp_path / "a.sofa", tmp_path / "out")
    check(report.dev_set / "room_ir/train/a.sofa")
    assert any("first four of 16" in note for note in report.notes)


def test_the_caller_is_believed_and_the_difference_is_said(tmp_path: Path) -> None:
    write_room(tmp_path / "a.sofa", encoded("acn", "n3d"), POINTS, stated=("acn", "sn3d"))
    report = prepare_sofa(tmp_path / "a.sofa", tmp_path / "out", RoomOptions(normalisation="n3d"))
    check(report.dev_set / "room_ir/train/a.sofa")
    assert any("read as n3d, as you say" in note for note in report.notes)
    wrong = prepare_sofa(tmp_path / "a.sofa", tmp_path / "out2")
    assert any("+4.8 dB against W" in note for note in wrong.notes)


def test_nothing_is_guessed(tmp_path: Path) -> None:
    """Channels of which nobody says what they are stop the import, with the options that say it."""
    write_room(tmp_path / "a.sofa", WAVES, POINTS)
    report = prepare_sofa(tmp_path / "a.sofa", tmp_path / "out")
    assert "states no channel order" in report.problems[0].what
    assert "--normalisation" in report.problems[0].remedy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taps": WAVES[:, :1], "stated": ("acn", "sn3d")}, "not 1"),
        ({"taps": WAVES[:, [0, 1, 2, 3, 0]], "stated": ("acn", "sn3d")}, "not 5"),
        ({"taps": WAVES[:, :3], "receivers": CAPSULES[:3]}, "not 3"),
        ({"data_type": "TF"}, "DataType is 'TF'"),
        ({"data_type": "FIRE"}, "Data.IR has the shape"),
        ({"sources": POINTS[:2]}, "SourcePosition: the shape"),
        ({"sources": np.zeros((5, 3))}, "it has no direction"),
        ({"kind": "spherical", "sources": np.tile((400, 0, 1.0), (5, 1))}, "azimuths beyond 360"),
        ({"rate": 47_999.5}, "the rate is"),
        ({"taps": WAVES * np.nan}, "not finite"),
        ({"taps": WAVES * 0}, "silent"),
        ({"variables": {"ListenerView": (np.zeros((1, 3)), "cartesian", "metre")}}, "span no frame"),
        ({"variables": {"ListenerView": (np.ones((1, 3)), "cartesian", "feet")}}, "ListenerView: Type"),
        ({"variables": {"Data.Delay": (np.array([[0, 1, 0, 0]]), "", "")}}, "Data.Delay differs"),
    ],
)
def test_refusals(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    given = {"taps": WAVES, "sources": POINTS, "stated": ("acn", "sn3d")} | changes
    write_room(tmp_path / "a.sofa", **given)  # type: ignore[arg-type]
    report = prepare_sofa(tmp_path / "a.sofa", tmp_path / "out")
    assert report.result is None
    assert any(message in p.what for p in report.problems), report.problems
    with pytest.raises(ProblemsError, match="skip-bad"):
        _ = report.dev_set


def test_another_files_bytes_are_never_read(tmp_path: Path) -> None:
    """External storage and links out of the file are refused, as by the reader of catalogs."""
    (tmp_path / "secret").write_bytes(b"\1" * (5 * 4 * 900 * 8))
    write_room(tmp_path / "a.sofa", WAVES, POINTS, stated=("acn", "sn3d"))
    with h5py.File(tmp_path / "a.sofa", "a") as file:
        del file["Data.IR"]
        external = [(str(tmp_path / "secret"), 0, 5 * 4 * 900 * 8)]
        file.create_dataset("Data.IR", shape=(5, 4, 900), dtype="f8", external=external)
    write_room(tmp_path / "b.sofa", WAVES, POINTS, stated=("acn", "sn3d"))
    with h5py.File(tmp_path / "b.sofa", "a") as file:
        del file["ReceiverPosition"]
        file["ReceiverPosition"] = h5py.ExternalLink(str(tmp_path / "a.sofa"), "SourcePosition")
    (tmp_path / "c.sofa").write_bytes((tmp_path / "b.sofa").read_bytes()[:3000])
    report = prepare_sofa(tmp_path, tmp_path / "out")
    said = {Path(p.where).name: p.what for p in report.problems}
    assert "keeps its data in another file" in said["a.sofa"]
    assert "ExternalLink" in said["b.sofa"]
    assert "cannot be read as HDF5" in said["c.sofa"]


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    write_room(tmp_path / "secret.sofa", WAVES, POINTS, stated=("acn", "sn3d"))
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.sofa").symlink_to(tmp_path / "secret.sofa")
    with pytest.raises(SynthError, match="leads out of"):
        prepare_sofa(tmp_path / "in", tmp_path / "out")


def test_damaged_files_are_refused_or_read_right(tmp_path: Path) -> None:
    """Bits flipped and ends cut anywhere: an error with the file's name, or a tree of finite sound."""
    whole = write_room(tmp_path / "whole.sofa", WAVES[:2], POINTS[:2], stated=("acn", "sn3d")).read_bytes()
    rng = random.Random(7)
    for n in range(60):
        data = bytearray(whole)
        if n % 3:
            # Mostly in the structure, which is at the two ends; taps fill the middle.
            at = rng.randrange(len(data)) if n % 2 else rng.randrange(3_000)
            data[at] ^= 1 << rng.randrange(8)
        else:
            del data[rng.randrange(len(data)) :]
        (tmp_path / "a.sofa").write_bytes(data)
        report = prepare_sofa(tmp_path / "a.sofa", tmp_path / str(n))
        if report.result is None:
            assert all(p.what for p in report.problems)
            assert report.problems
        else:
            for path in report.dev_set.rglob("*.sofa"):
                assert all(np.isfinite(block).all() for _, block in read_sofa(path).blocks())


def test_names_of_a_tree_stay_apart(tmp_path: Path) -> None:
    for name in ("north/room 1.sofa", "south/room 1.sofa"):
        write_room(tmp_path / "in" / name, WAVES, POINTS, stated=("acn", "sn3d"))
    options = RoomOptions(dataset="Halls", set="halls", valid_places=("south_room_1",), licence="CC0-1.0")
    report = prepare_sofa(tmp_path / "in", tmp_path / "out", options, workers=1)
    files = sorted(p.relative_to(report.dev_set).as_posix() for p in report.dev_set.rglob("*.sofa"))
    assert files == ["room_ir/train/north_room_1.sofa", "room_ir/valid/south_room_1.sofa"]
    assert "\tCC0-1.0\tHalls\thalls\n" in (tmp_path / "out/licences.tsv").read_text()
    with pytest.raises(SynthError, match=r"there is no \.sofa file"):
        prepare_sofa(tmp_path / "out/dev_set/room_ir/test", tmp_path / "other")
