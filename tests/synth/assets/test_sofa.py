"""What a user would lose: room responses read right, and never another file's bytes."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from synth.assets.sofa import probe_sofa, read_sofa
from synth.errors import SynthError
from tests.builders import around, room, write_sofa

POINTS = around(6, height=0.5)
TAPS = room(np.random.default_rng(0), POINTS, 200)


def whole(path: Path) -> np.ndarray:
    return np.concatenate([block for _, block in read_sofa(path).blocks()])


@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4"])
@pytest.mark.parametrize(
    ("chunks", "compression"), [(None, None), ((1, 4, 200), None), ((6, 4, 200), "gzip"), ((4, 1, 64), "lzf")]
)
def test_every_storage_reads_the_same(
    tmp_path: Path, dtype: str, chunks: tuple[int, ...] | None, compression: str | None
) -> None:
    path = write_sofa(tmp_path / "a.sofa", TAPS, POINTS, dtype=dtype, chunks=chunks, compression=compression)
    found = read_sofa(path)
    assert (found.rate, found.channels, found.taps, found.convention) == (32_000, 4, 200, "GeneralFIR")
    np.testing.assert_array_equal(found.positions, POINTS)
    np.testing.assert_array_equal(whole(path), TAPS.astype(np.float32))
    for n in (5, 0, 3):
        np.testing.assert_array_equal(found.read(n), TAPS[n].astype(np.float32))
        assert found.read(n).dtype == np.float32
    with pytest.raises(SynthError, match="position 6 was asked for"):
        found.read(6)


def test_a_header_reads_no_taps(tmp_path: Path) -> None:
    """A catalog of a hundred rooms is made from headers."""
    path = write_sofa(tmp_path / "a.sofa", np.full((1, 4, 9), np.nan), POINTS[:1])
    assert probe_sofa(path).taps == 9


def test_spherical_positions(tmp_path: Path) -> None:
    """Azimuth is counter-clockwise from the front, elevation upwards: left is +y, up is +z."""
    angles = [[0, 0, 1], [90, 0, 2], [270, 0, 1], [180, 0, 1], [0, 90, 1], [45, -30, 2]]
    expected = [[1, 0, 0], [0, 2, 0], [0, -1, 0], [-1, 0, 0], [0, 0, 1]]
    expected.append([2 * np.cos(np.pi / 6) / np.sqrt(2)] * 2 + [-1.0])
    for units, values in (
        ("degree, degree, metre", np.array(angles)),
        ("radian,radian,metre", np.array(angles) * [np.pi / 180, np.pi / 180, 1]),
    ):
        path = write_sofa(tmp_path / "a.sofa", TAPS, values, kind="spherical", units=units)
        np.testing.assert_allclose(read_sofa(path).positions, expected, atol=1e-12)


def test_one_position_for_all_responses(tmp_path: Path) -> None:
    path = write_sofa(tmp_path / "a.sofa", TAPS, POINTS[:1])
    np.testing.assert_array_equal(read_sofa(path).positions, np.repeat(POINTS[:1], 6, axis=0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leave_out": ["Data.IR"]}, "it has no Data.IR"),
        ({"leave_out": ["Data.SamplingRate"]}, "it has no Data.SamplingRate"),
        ({"leave_out": ["SourcePosition"]}, "it has no SourcePosition"),
        ({"taps": TAPS[0]}, "Data.IR has the shape"),
        ({"taps": TAPS[:, :, None]}, "Data.IR has the shape"),
        ({"taps": TAPS[:, :, :0]}, "Data.IR has the shape"),
        ({"taps": np.zeros((6, 65, 2))}, "65 receivers"),
        ({"positions": POINTS[:5]}, "SourcePosition: the shape"),
        ({"positions": POINTS * np.nan}, "not finite"),
        ({"rate": 0.0}, "the rate is 0"),
        ({"rate": 2e9}, "the rate is 2"),
        ({"rate": 32000.5}, "the rate is 32000.5"),
        ({"rate": float("nan")}, "the rate is nan"),
        ({"kind": "polar"}, "Type is 'polar'"),
        ({"kind": "spherical"}, "Type is 'spherical' with Units 'metre'"),
        ({"units": "foot"}, "Units 'foot'"),
        ({"kind": "spherical", "units": "gon, gon, metre"}, "angles are in 'gon'"),
        ({"kind": "spherical", "units": "degree, degree, metre", "positions": POINTS * 100}, "beyond 90"),
        ({"dtype": "S8"}, "expected are plain numbers"),
    ],
)
def test_faults_are_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {"taps": TAPS, "positions": POINTS, **changes}
    path = write_sofa(tmp_path / "a.sofa", **arguments)  # type: ignore[arg-type]
    with pytest.raises(SynthError, match=message) as caught:
        read_sofa(path)
    assert caught.value.where == str(path)
    assert caught.value.remedy


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_taps_that_are_no_numbers(tmp_path: Path, bad: float) -> None:
    taps = TAPS.copy()
    taps[4, 2, 17] = bad
    path = write_sofa(tmp_path / "a.sofa", taps, POINTS)
    with pytest.raises(SynthError, match=r"not finite numbers at position\(s\) 4"):
        whole(path)
    with pytest.raises(SynthError, match="not finite"):
        read_sofa(path).read(4)
    assert read_sofa(path).read(3).shape == (4, 200)


def test_peculiar_files_are_told_of(tmp_path: Path) -> None:
    path = write_sofa(tmp_path / "a.sofa", TAPS, POINTS)
    assert read_sofa(path).notes == ()
    with h5py.File(path, "r+") as file:
        file["ListenerPosition"][0] = [1, 2, 3]
        file["Data.Delay"][0, 1] = 5
    assert len(read_sofa(path).notes) == 2


SECRET = np.arange(6 * 4 * 200, dtype=np.float64).reshape(6, 4, 200)


def external_storage(file: h5py.File, secret: Path) -> None:
    raw = secret.with_suffix(".raw")
    SECRET.tofile(raw)
    file.create_dataset("Data.IR", SECRET.shape, "f8", external=[(os.fsencode(raw), 0, SECRET.nbytes)])


def external_link(file: h5py.File, secret: Path) -> None:
    file["Data.IR"] = h5py.ExternalLink(str(secret), "/data")


def soft_link(file: h5py.File, secret: Path) -> None:
    file["elsewhere"] = h5py.ExternalLink(str(secret), "/data")
    file["Data.IR"] = h5py.SoftLink("/elsewhere")


def virtual_dataset(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout(SECRET.shape, "f8")
    layout[...] = h5py.VirtualSource(str(secret), "data", SECRET.shape)
    file.create_virtual_dataset("Data.IR", layout)


def declared_only(file: h5py.File, secret: Path) -> None:
    file.create_dataset("Data.IR", (100_000, 4, 100_000), "f8", chunks=(1, 4, 1000))


def expanding(file: h5py.File, secret: Path) -> None:
    file.create_dataset("Data.IR", data=np.zeros((6, 4, 100_000)), chunks=(6, 4, 100_000), compression="gzip")


def nothing_stored(file: h5py.File, secret: Path) -> None:
    file.create_dataset("Data.IR", (6, 4, 200), "f8", chunks=(1, 4, 200))


def great_chunk(file: h5py.File, secret: Path) -> None:
    chunks = (6, 4, 8_000_000)
    data = file.create_dataset(
        "Data.IR", (6, 4, 200), "f8", chunks=chunks, maxshape=(None,) * 3, compression="gzip"
    )
    data.id.write_direct_chunk((0, 0, 0), b"x" * 5000)


def a_group(file: h5py.File, secret: Path) -> None:
    file.create_group("Data.IR")


def text_of_any_length(file: h5py.File, secret: Path) -> None:
    file.create_dataset("Data.IR", (6, 4, 200), h5py.string_dtype())


def foreign_filter(file: h5py.File, secret: Path) -> None:
    file.create_dataset("Data.IR", data=SECRET, chunks=(1, 4, 200), scaleoffset=3)


def too_many_positions(file: h5py.File, secret: Path) -> None:
    file.create_dataset("Data.IR", data=np.zeros((100_001, 1, 1)))


ATTACKS = [
    external_storage,
    external_link,
    soft_link,
    virtual_dataset,
    declared_only,
    expanding,
    nothing_stored,
    great_chunk,
    a_group,
    text_of_any_length,
    foreign_filter,
    too_many_positions,
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_files_are_refused(tmp_path: Path, attack: Callable[[h5py.File, Path], None]) -> None:
    """Bytes of other files, and gigabytes out of nothing, stay out."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["data"] = SECRET
    path = write_sofa(tmp_path / "a.sofa", TAPS, POINTS, leave_out=["Data.IR"])
    with h5py.File(path, "r+") as file:
        attack(file, secret)
    with pytest.raises(SynthError, match=r"Data\.IR") as caught:
        read_sofa(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize("name", ["SourcePosition", "Data.SamplingRate", "Data.Delay", "ListenerPosition"])
def test_small_variables_are_guarded_as_well(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["data"] = POINTS
    path = write_sofa(tmp_path / "a.sofa", TAPS, POINTS, leave_out=[name])
    for attack in ("link", "large"):
        with h5py.File(path, "r+") as file:
            if name in file:
                del file[name]
            if attack == "link":
                file[name] = h5py.ExternalLink(str(secret), "/data")
            else:
                file.create_dataset(name, (20_000_000, 3), "f8", chunks=(10_000, 3))
        with pytest.raises(SynthError, match=name):
            read_sofa(path)


def test_large_attributes_are_refused(tmp_path: Path) -> None:
    path = write_sofa(tmp_path / "a.sofa", TAPS, POINTS, leave_out=["SourcePosition"])
    with h5py.File(path, "r+", libver="latest") as file:
        file["SourcePosition"] = POINTS
        file["SourcePosition"].attrs["Units"] = np.bytes_(b"x" * 100_000)
    with pytest.raises(SynthError, match="Units: the attribute is larger"):
        read_sofa(path)


def test_no_hdf5_file(tmp_path: Path) -> None:
    for name, content in (("text.sofa", b"not HDF5"), ("empty.sofa", b"")):
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.sofa")
    for name in ("none.sofa", "text.sofa", "empty.sofa", "pipe.sofa"):
        with pytest.raises(SynthError) as caught:
            read_sofa(tmp_path / name)
        assert caught.value.where == str(tmp_path / name)


def test_cut_and_flipped_files(tmp_path: Path) -> None:
    """A damaged file gives an error or an array of the right kind: no crash, no NaN."""
    path = write_sofa(tmp_path / "a.sofa", TAPS, POINTS, chunks=(1, 4, 200), compression="gzip")
    data = path.read_bytes()
    rng = random.Random(0)
    errors = 0
    for n in range(120):
        damaged = bytearray(data)
        if n % 3 == 0:
            del damaged[rng.randrange(len(data)) :]
        else:
            damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(damaged))
        try:
            found = whole(path)
        except SynthError:
            errors += 1
        else:
            assert n % 3 or np.array_equal(found, TAPS.astype(np.float32)), "a cut file was read"
            assert np.isfinite(found).all()
    assert errors >= 40


def test_a_room_goes_to_other_processes_without_its_taps(tmp_path: Path) -> None:
    found = read_sofa(write_sofa(tmp_path / "a.sofa", TAPS, POINTS))
    found.read(2)
    data = pickle.dumps(found)
    assert len(data) < 2000
    np.testing.assert_array_equal(pickle.loads(data).read(2), found.read(2))
