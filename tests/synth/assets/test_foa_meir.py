"""What a user would lose: rooms at their stated angles, at the right rate and level; no silent gaps."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.assets.importers.dcase import build_catalog
from synth.assets.importers.foa_meir import prepare_foa_meir
from synth.assets.rir_check import check_rirs
from synth.assets.sofa import read_sofa
from synth.errors import ProblemsError, SynthError
from tests.synth.assets.plane_waves import a_format, foa, make_foa_meir, pulse, toward, write_bin


def test_plane_waves_come_out_where_they_came_from(tmp_path: Path) -> None:
    """Angle, rate, level and arrival: every tap is what the closed form says at 32 kHz."""
    make_foa_meir(tmp_path)
    report = prepare_foa_meir(tmp_path, tmp_path / "out")
    assert report.counts == {"room_ir": 2, "noise": 2}
    room = read_sofa(report.dev_set / "room_ir/train/foa-meir_test_pid0001.sofa")
    assert (room.rate, room.channels, room.taps) == (32_000, 4, 640)
    stated = {(75, 0, 0), (150, 30, 20), (150, 200, -20), (75, 340, 0)}
    for row, (x, y, z) in enumerate(room.positions):
        distance = float(np.sqrt(x * x + y * y + z * z))
        azimuth = round(np.rad2deg(np.arctan2(y, x)) % 360, 6) % 360
        elevation = round(np.rad2deg(np.arcsin(z / distance)), 6)
        stated.remove((round(100 * distance), azimuth, elevation))
        expected = foa(pulse(640, 32_000, distance, 0.5), toward(azimuth, elevation))
        np.testing.assert_allclose(room.read(row), expected, atol=2e-4)
    assert not stated
    check = check_rirs(tmp_path / "out")
    assert max(place.direction_error.max() for place in check.places) < 0.1
    assert max(abs(place.dipole_level).max() for place in check.places) < 0.01
    assert check.problems == ()
    assert any("-4.8 dB against W in 8 direct paths" in note for note in report.notes)


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(st.sampled_from([50, 75, 150, 300]), st.integers(-180, 359), st.integers(-90, 90)),
        min_size=1,
        max_size=4,
        unique_by=lambda p: (p[0], p[1] % 360, p[2]),
    ),
    st.floats(0.001, 4.0),
)
def test_any_angle_and_level(directions: list[tuple[int, int, int]], level: float) -> None:
    """Wherever a plane wave comes from, within a hundredth of a degree and a thousandth of its level."""
    with TemporaryDirectory() as folder:
        make_foa_meir(
            Path(folder), places=(("anechoic", "7"),), directions=tuple(directions), level=level,
            noise_seconds=0.01,
        )  # fmt: skip
        report = prepare_foa_meir(folder, Path(folder, "out"))
        (place,) = check_rirs(report.dev_set).places
        assert place.worst_direction_error < 0.01
        room = read_sofa(place.path)
        for row, distance in enumerate(np.linalg.norm(room.positions, axis=1)):
            sound = pulse(room.taps, 32_000, distance, level)
            np.testing.assert_allclose(room.read(row)[0], sound, atol=1e-3 * level)


def test_noise_keeps_its_level_and_direction(tmp_path: Path) -> None:
    """A sine of 0.1 from the left is 0.1 in W and Y at 32 kHz, and nothing in Z and X."""
    make_foa_meir(tmp_path)
    report = prepare_foa_meir(tmp_path, tmp_path / "out", subsets=("reverb-s",))
    path = report.dev_set / "noise/train/foa-meir_reverb-s_pid0031_BG.wav"
    x, rate = soundfile.read(path, always_2d=True)
    assert (rate, x.shape) == (32_000, (16_000, 4))
    steady = x[2_000:-2_000]
    np.testing.assert_allclose(np.abs(steady).max(axis=0), [0.1, 0.1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(steady[:, 0], steady[:, 1], atol=1e-4)


def test_equalised_capsules_are_seen(tmp_path: Path) -> None:
    """Capsules whose plain sums are SN3D already come out as such, rooms and noises at one level."""
    base = make_foa_meir(tmp_path, places=(("test", "1"),))
    sums = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, -1, -1, 1], [1, 1, -1, -1]])
    for path in (base / "IRrecordings").rglob("*.bin"):
        distance, azimuth, elevation = (
            int("".join(c for c in part if c in "-0123456789")) for part in path.stem.split("_")[1:4]
        )
        waves = foa(pulse(960, 48_000, distance / 100, 0.5), toward(azimuth, elevation))
        write_bin(path, sums.T @ waves / 4)
    report = prepare_foa_meir(tmp_path, tmp_path / "out")
    assert any("plain sums, which are SN3D here" in note for note in report.notes)
    room = read_sofa(report.dev_set / "room_ir/train/foa-meir_test_pid1.sofa")
    for row, point in enumerate(room.positions):
        distance = float(np.linalg.norm(point))
        expected = foa(pulse(640, 32_000, distance, 0.5), point / distance)
        np.testing.assert_allclose(room.read(row), expected, atol=2e-4)
    noise = soundfile.read(report.dev_set / "noise/train/foa-meir_test_pid1_BG.wav")[0]
    assert np.abs(noise[2_000:-2_000, 0]).max() == pytest.approx(0.2, abs=1e-3)


def test_the_published_sums_can_be_had(tmp_path: Path) -> None:
    """`sum` is the plain sum of the capsules: W twice, Y, Z, X 2 / sqrt(3) times the plane wave."""
    make_foa_meir(tmp_path, places=(("test", "1"),))
    report = prepare_foa_meir(tmp_path, tmp_path / "out", subsets=("test",), scaling="sum", noises=False)
    room = read_sofa(report.dev_set / "room_ir/train/foa-meir_test_pid1.sofa")
    sound = pulse(640, 32_000, 0.75, 0.5)
    front = next(n for n, p in enumerate(room.positions) if np.allclose(p, (0.75, 0, 0)))
    expected = np.array([2, 0, 0, 2 / np.sqrt(3)])[:, None] * sound
    np.testing.assert_allclose(room.read(front), expected, atol=4e-4)
    assert not any("normalisation" in note for note in report.notes)


def test_a_catalog_with_named_sets_and_licences(tmp_path: Path) -> None:
    """Recipes choose these rooms by name, and nobody publishes them by mistake."""
    make_foa_meir(tmp_path)
    prepare_foa_meir(tmp_path, tmp_path / "out", valid_places=("0031",))
    catalog = build_catalog("prepared", tmp_path / "out", tmp_path / "catalog").catalog
    places = catalog.places.set_index("place")
    assert places["set"].to_dict() == {
        "foa-meir_test_pid0001": "foa-meir-test",
        "foa-meir_reverb-s_pid0031": "reverb-s",
    }
    assert places["split"].to_dict()["foa-meir_reverb-s_pid0031"] == "valid"
    assert set(catalog.noises["set"]) == {"foa-meir-extra"}
    assert all("no redistribution" in licence for licence in (*places["licence"], *catalog.noises["licence"]))
    assert set(catalog.places["dataset"]) == {"foa-meir"}
    about = json.loads((tmp_path / "out/prepared.json").read_text())
    entry = about["files"]["dev_set/room_ir/train/foa-meir_test_pid0001.sofa"]
    assert len(entry["origin"]) == 4
    assert "room 0001" in entry["note"]


def test_again_is_nothing_to_do_and_changes_are_seen(tmp_path: Path) -> None:
    """A second run costs a look; a damaged or another preparation is never taken for this one."""
    make_foa_meir(tmp_path)
    first = prepare_foa_meir(tmp_path, tmp_path / "out")
    sofa = first.dev_set / "room_ir/train/foa-meir_test_pid0001.sofa"
    before = sofa.stat().st_mtime_ns
    again = prepare_foa_meir(tmp_path, tmp_path / "out")
    assert (first.fresh, again.fresh, again.counts) == (True, False, first.counts)
    assert sofa.stat().st_mtime_ns == before
    with pytest.raises(SynthError, match=r"another preparation .options differ"):
        prepare_foa_meir(tmp_path, tmp_path / "out", scaling="sum")
    data = bytearray(sofa.read_bytes())
    data[-1] ^= 1
    sofa.write_bytes(data)
    with pytest.raises(ProblemsError, match="was changed since"):
        prepare_foa_meir(tmp_path, tmp_path / "out")


def test_the_bytes_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    make_foa_meir(tmp_path)
    roots = [prepare_foa_meir(tmp_path, tmp_path / str(n), workers=n).dev_set for n in (1, 2)]
    files = sorted(p.relative_to(roots[0]) for p in roots[0].rglob("*") if p.is_file())
    assert len(files) == 4
    for name in files:
        assert (roots[0] / name).read_bytes() == (roots[1] / name).read_bytes()


def test_every_fault_is_listed_and_nothing_is_written(tmp_path: Path) -> None:
    base = make_foa_meir(tmp_path)
    folder = base / "IRrecordings" / "test"
    good = a_format(pulse(960, 48_000, 0.75, 0.1), toward(0, 0))
    write_bin(folder / "imp_d75_azi10_ele0_pid0001.bin", np.full((4, 960), np.nan))
    write_bin(folder / "imp_d75_azi20_ele0_pid0001.bin", np.zeros((4, 960)))
    (folder / "imp_d75_azi30_ele0_pid0001.bin").write_bytes(b"\0" * 1001)
    (folder / "imp_d75_azi40_ele0_pid0001.bin").write_bytes(b"")
    good.T.astype(">f8").tofile(folder / "imp_d75_azi50_ele0_pid0001.bin")
    write_bin(folder / "imp_75_azi10_ele0_pid0001.bin", good)
    write_bin(folder / "imp_d75_azi0_ele95_pid0001.bin", good)
    write_bin(folder / "copy" / "imp_d75_azi0_ele0_pid0001.bin", good)
    write_bin(folder / "imp_d075_azi0_ele0_pid0001.bin", good)
    (base / "Noise/test/BG_pid0001_ch3.wav").unlink()
    (base / "Noise/test/BG_0001.wav").write_bytes(b"x")
    soundfile.write(base / "Noise/reverb-s/BG_pid0031_ch2.wav", np.zeros(99), 48_000)
    report = prepare_foa_meir(tmp_path, tmp_path / "out")
    assert report.result is None
    assert not (tmp_path / "out").exists()
    said = {Path(p.where).name: p.what for p in report.problems}
    expected = {
        "imp_d75_azi10_ele0_pid0001.bin": "not finite",
        "imp_d75_azi20_ele0_pid0001.bin": "silent",
        "imp_d75_azi30_ele0_pid0001.bin": "no whole number of frames",
        "imp_d75_azi40_ele0_pid0001.bin": "no whole number of frames",
        "imp_d75_azi50_ele0_pid0001.bin": "little-endian",
        "imp_75_azi10_ele0_pid0001.bin": "its name is not",
        "imp_d75_azi0_ele95_pid0001.bin": "are no position",
        "imp_d75_azi0_ele0_pid0001.bin": "same position",
        "BG_pid0001_ch1.wav": r"channel(s) 3",
        "BG_0001.wav": "its name is not",
        "BG_pid0031_ch1.wav": "differ in rate or length",
    }
    assert {name: text in said[name] for name, text in expected.items()} == dict.fromkeys(expected, True)
    kept = prepare_foa_meir(tmp_path, tmp_path / "out", skip_bad=True)
    assert kept.counts == {"room_ir": 3}
    assert len(kept.problems) == len(report.problems)
    assert not [p for p in tmp_path.rglob("*.partial")]


def test_swapped_capsules_are_refused(tmp_path: Path) -> None:
    """A place whose direct paths come from elsewhere than its names say does not get into a catalog."""
    base = make_foa_meir(tmp_path, places=(("test", "1"),))
    for path in (base / "IRrecordings").rglob("*.bin"):
        x = np.fromfile(path).reshape(-1, 4)
        x[:, [2, 0, 3, 1]].tofile(path)
    report = prepare_foa_meir(tmp_path, tmp_path / "out", subsets=("test",), noises=False)
    assert report.result is None
    assert "direct path comes from elsewhere" in report.problems[0].what


def test_links_and_doubles_are_refused(tmp_path: Path) -> None:
    """A link in a data set opens no file elsewhere, and no recording is chosen by chance."""
    base = make_foa_meir(tmp_path, places=(("test", "1"),))
    secret = tmp_path / "secret.bin"
    write_bin(secret, np.full((4, 960), 0.1))
    (base / "IRrecordings/test/imp_d75_azi80_ele0_pid1.bin").symlink_to(secret)
    shutil.copytree(base / "Noise/test", base / "Noise/test/copy")
    report = prepare_foa_meir(tmp_path, tmp_path / "out")
    assert report.result is None
    said = [p.what for p in report.problems]
    assert sum("leads out of" in what for what in said) == 1
    assert sum("the same channel" in what for what in said) == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [({"subsets": ("lounge",)}, "no sub-set 'lounge'"), ({"scaling": "loud"}, "no scaling 'loud'")],
)
def test_options_are_checked(tmp_path: Path, change: dict[str, object], message: str) -> None:
    make_foa_meir(tmp_path)
    with pytest.raises(SynthError, match=message):
        prepare_foa_meir(tmp_path, tmp_path / "out", **change)  # type: ignore[arg-type]


def test_missing_parts_are_named(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="no folder IRrecordings"):
        prepare_foa_meir(tmp_path, tmp_path / "out")
    make_foa_meir(tmp_path, places=(("test", "1"),))
    assert prepare_foa_meir(tmp_path, tmp_path / "what is there").counts == {"room_ir": 1, "noise": 1}
    report = prepare_foa_meir(tmp_path, tmp_path / "out", subsets=("test", "reverb-s"))
    assert {os.path.basename(os.path.dirname(p.where)) for p in report.problems} == {"IRrecordings", "Noise"}


def test_echo_and_reverb_c_have_their_own_names(tmp_path: Path) -> None:
    """echo/test and echo/reverb-s hold places of their own; noises of reverb-c say of which kind."""
    base = make_foa_meir(tmp_path, places=(("reverb-c", "7"),))
    os.rename(base / "Noise/reverb-c/BG_pid7_ch1.wav", base / "Noise/reverb-c/BG_pid7_whitenoise_ch1.wav")
    for n in (2, 3, 4):
        os.rename(
            base / f"Noise/reverb-c/BG_pid7_ch{n}.wav", base / f"Noise/reverb-c/BG_whitenoise_pid7_ch{n}.wav"
        )
    wave = np.vstack([pulse(960, 48_000, 1.5, 0.3)] * 2 + [np.zeros(960)] * 2)
    for part in ("test", "reverb-s"):
        write_bin(base / f"IRrecordings/echo/{part}/imp_d150_azi0_ele0_pid7.bin", wave)
    report = prepare_foa_meir(tmp_path, tmp_path / "out", subsets=("echo", "reverb-c"))
    assert sorted(p.relative_to(report.dev_set).as_posix() for p in report.dev_set.rglob("*.*")) == [
        "noise/train/foa-meir_reverb-c_pid7_BG_whitenoise.wav",
        "room_ir/train/foa-meir_echo-reverb-s_pid7.sofa",
        "room_ir/train/foa-meir_echo-test_pid7.sofa",
        "room_ir/train/foa-meir_reverb-c_pid7.sofa",
    ]
