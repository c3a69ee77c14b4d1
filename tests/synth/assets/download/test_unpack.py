"""What a user would lose: tens of gigabytes in parts, joined by hand; or files outside the folder."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from synth import ProblemsError, SynthError, unpack, unpack_all
from synth.assets.download import unpack as module
from synth.assets.download.zips import missing_parts
from tests.archives import make_zip

RNG = np.random.default_rng(0)
TREE = {
    "set/train/a.wav": RNG.integers(0, 256, 70_000, dtype=np.uint8).tobytes(),
    "set/train/ü b.wav": b"silence" * 9_000,
    "set/valid/c.wav": RNG.integers(0, 256, 30_000, dtype=np.uint8).tobytes(),
    "set/empty": b"",
    "README.md": b"hello",
}


def split(path: Path, size: int, *, wide: bool = False) -> list[Path]:
    """Split a zip as the format describes: a mark at the start, offsets within parts.

    With `wide` the directory uses ZIP64 fields, as archives of more than 4 GiB do.
    """
    data = bytearray(b"PK\x07\x08" + path.read_bytes())
    end = data.rfind(b"PK\5\6")
    count, length, start = struct.unpack_from("<HLL", data, end + 10)
    start += 4
    directory, at, entries = bytearray(), start, 0
    while at < start + length:
        head = bytearray(data[at : at + 46])
        name, extra, comment = struct.unpack_from("<3H", head, 28)
        where = struct.unpack_from("<L", head, 42)[0] + 4
        rest = bytes(data[at + 46 : at + 46 + name + extra + comment])
        disk, offset = where // size, where % size
        if wide:
            struct.pack_into("<HH", head, 30, extra + 16, comment)
            struct.pack_into("<H", head, 34, 0xFFFF)
            struct.pack_into("<L", head, 42, 0xFFFFFFFF)
            field = struct.pack("<HHQL", 1, 12, offset, disk)
            rest = rest[:name] + field + rest[name:]
        else:
            struct.pack_into("<H", head, 34, disk)
            struct.pack_into("<L", head, 42, offset)
        directory += head + rest
        at += 46 + name + extra + comment
        entries += 1
    body = data[:start] + directory
    # The end records must lie in one part: the last part takes whatever is left.
    last = (len(body) - 1) // size
    first_disk, first_offset = start // size, start % size
    if wide:
        body += struct.pack(
            "<4sQ2H2L4Q",
            b"PK\6\6",
            44,
            45,
            45,
            last,
            first_disk,
            entries,
            count,
            len(directory),
            first_offset,
        )
        body += struct.pack("<4sLQL", b"PK\6\7", last, len(body) - 56 - last * size, last + 1)
        body += struct.pack("<4s4H2LH", b"PK\5\6", 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    else:
        body += struct.pack(
            "<4s4H2LH", b"PK\5\6", last, first_disk, entries, count, len(directory), first_offset, 0
        )
    parts = [path.with_suffix(f".z{n + 1:02d}") for n in range(last)] + [path]
    for n, part in enumerate(parts):
        part.write_bytes(body[n * size :] if n == last else body[n * size : (n + 1) * size])
    return parts


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_one_zip(tmp_path: Path, method: int) -> None:
    found = unpack(make_zip(tmp_path / "a.zip", TREE, method), tmp_path / "out")
    assert content(tmp_path / "out") == TREE
    assert (found.written, found.bytes) == (len(TREE), sum(map(len, TREE.values())))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("size", [1 << 10, 9_999, 40_000, 1 << 20])
def test_parts_are_read_as_one(tmp_path: Path, size: int, wide: bool) -> None:
    parts = split(make_zip(tmp_path / "a.zip", TREE), size, wide=wide)
    assert len(parts) == (1 if size > 200_000 else -(-sum(p.stat().st_size for p in parts[:-1]) // size) + 1)
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert content(tmp_path / "out") == TREE


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    parts = split(make_zip(tmp_path / "a.zip", TREE), 20_000)
    parts[1].unlink()
    parts[3].unlink()
    assert missing_parts(tmp_path / "a.zip") == ["a.z02", "a.z04"]
    with pytest.raises(SynthError, match=r"2 of its \d+ parts are missing: a.z02, a.z04") as error:
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert "s5kit download" in error.value.remedy
    assert not (tmp_path / "out").exists()


def test_a_damaged_part_is_named_and_nothing_bad_is_left(tmp_path: Path) -> None:
    parts = split(make_zip(tmp_path / "a.zip", TREE), 20_000)
    data = bytearray(parts[0].read_bytes())
    data[10_000] ^= 1
    parts[0].write_bytes(data)
    with pytest.raises(SynthError, match=r"'set/train/a.wav', which begins in a.z01, is damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert content(tmp_path / "out") == {}


@pytest.mark.parametrize("part", [0, 2, -1])
@pytest.mark.parametrize("lost", [1, 7_000])
def test_a_cut_part_is_noticed(tmp_path: Path, part: int, lost: int) -> None:
    parts = split(make_zip(tmp_path / "a.zip", TREE), 20_000)
    data = parts[part].read_bytes()
    parts[part].write_bytes(data[: max(0, len(data) - lost)])
    with pytest.raises(SynthError):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert all(TREE[name] == found for name, found in content(tmp_path / "out").items())


def test_swapped_parts_are_noticed(tmp_path: Path) -> None:
    parts = split(make_zip(tmp_path / "a.zip", TREE), 20_000)
    one, two = parts[1].read_bytes(), parts[2].read_bytes()
    parts[1].write_bytes(two)
    parts[2].write_bytes(one)
    with pytest.raises(SynthError, match=r"damaged|cannot be read"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_every_flipped_bit_of_the_end_is_read_right_or_refused(tmp_path: Path) -> None:
    parts = split(make_zip(tmp_path / "a.zip", TREE), 20_000)
    good = parts[-1].read_bytes()
    for at in range(max(0, len(good) - 60), len(good)):
        parts[-1].write_bytes(good[:at] + bytes([good[at] ^ 0x11]) + good[at + 1 :])
        out = tmp_path / f"out{at}"
        with contextlib.suppress(SynthError):
            unpack(tmp_path / "a.zip", out)
        assert not out.exists() or content(out).items() <= TREE.items()


@pytest.mark.parametrize(
    "data", [b"", b"no zip", b"PK\5\6", b"PK\5\6" + b"\xff" * 18, b"PK\5\6" + b"\0" * 18 + b"x" * 70_000]
)
def test_what_is_no_zip(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(SynthError) as error:
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert error.value.where == str(tmp_path / "a.zip")


EVIL = ["../evil", "/evil", "a/../../evil", "C:/evil", "a\\..\\evil", "a//b", "./evil", "nul\0name", "a/."]


@pytest.mark.parametrize("name", EVIL)
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / "in" / "a.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("good", b"x")
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        file.writestr(info, b"evil")
    with pytest.raises(ProblemsError, match="nothing was unpacked"):
        unpack(path, tmp_path / "out" / "deep")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.zip", "in"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_no_links_and_devices(tmp_path: Path, kind: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (kind | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    with pytest.raises(ProblemsError, match="link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_a_link_that_lies_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "set").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SynthError, match="through a link"):
        unpack(make_zip(tmp_path / "a.zip", TREE), tmp_path / "out")
    assert not any((tmp_path / "elsewhere").iterdir())


def test_a_broken_run_goes_on_and_files_of_others_stay(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a.zip", TREE)
    assert unpack(archive, tmp_path / "out").written == len(TREE)
    (tmp_path / "out" / "README.md").unlink()
    assert unpack(archive, tmp_path / "out").written == 1
    (tmp_path / "out" / "README.md").write_bytes(b"HELLO")
    with pytest.raises(SynthError, match="other content"):
        unpack(archive, tmp_path / "out")
    assert (tmp_path / "out" / "README.md").read_bytes() == b"HELLO"


def test_a_disk_without_room_is_seen_before_the_first_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.statvfs(tmp_path)
    monkeypatch.setattr(
        os, "statvfs", lambda path: os.statvfs_result((real[0], 1, *[real[2], 9, 9], *real[5:]))
    )
    with pytest.raises(SynthError, match=r"disk is full: 176,128 bytes are needed, 9 are free"):
        unpack(make_zip(tmp_path / "a.zip", TREE), tmp_path / "out")
    assert content(tmp_path / "out") == {}


@pytest.mark.parametrize("room", [0, 50_000, 100_000, 160_000])
def test_a_disk_that_fills_up_leaves_whole_files_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    real_fsync, written = os.fsync, [0]

    def fsync(handle: int) -> None:
        written[0] += os.fstat(handle).st_size
        if written[0] > room:
            raise OSError(errno.ENOSPC, "No space left on device")
        real_fsync(handle)

    archive = make_zip(tmp_path / "a.zip", TREE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(SynthError, match="disk is full") as error:
            unpack(archive, tmp_path / "out")
    assert "goes on where it was" in error.value.remedy
    assert content(tmp_path / "out").items() < TREE.items()
    unpack(archive, tmp_path / "out")
    assert content(tmp_path / "out") == TREE


def test_a_bomb_is_measured_before_it_goes_off(tmp_path: Path) -> None:
    """A few kilobytes that announce more than any disk has."""
    path = make_zip(tmp_path / "a.zip", {"zeros": b"\0" * 100_000})
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\1\2")
    struct.pack_into("<L", data, at + 24, 0xFFFFFFF0)
    path.write_bytes(data)
    with pytest.raises(SynthError):
        unpack(path, tmp_path / "out")
    assert content(tmp_path / "out") == {}


def test_encrypted_and_doubled_members_are_refused(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "a.zip", {"a": b"a"})
    data = bytearray(path.read_bytes())
    data[data.rfind(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ProblemsError, match="encrypted"):
        unpack(path, tmp_path / "out")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a", b"a")
        with pytest.warns(UserWarning, match="Duplicate"):
            file.writestr("a", b"b")
    with pytest.raises(ProblemsError, match="twice"):
        unpack(path, tmp_path / "out")


def make_tar(path: Path, *extra: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in TREE.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info, data in extra:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_a_tar(tmp_path: Path) -> None:
    assert unpack(make_tar(tmp_path / "a.tar"), tmp_path / "out").written == len(TREE)
    assert content(tmp_path / "out") == TREE
    assert unpack(tmp_path / "a.tar", tmp_path / "out").written == 0


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_no_name_of_a_tar_leads_out(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProblemsError):
        unpack(make_tar(tmp_path / "a.tar", (tarfile.TarInfo(name), b"evil")), tmp_path / "out")
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_no_links_and_devices_of_a_tar(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("odd")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(ProblemsError, match="no regular file"):
        unpack(make_tar(tmp_path / "a.tar", (info, b"")), tmp_path / "out")


@pytest.mark.parametrize("size", [100, 40_000, 150_000])
def test_a_cut_tar_is_noticed(tmp_path: Path, size: int) -> None:
    """tarfile ends quietly where a cut archive ends between two members."""
    path = make_tar(tmp_path / "a.tar")
    os.truncate(path, size)
    with pytest.raises(SynthError):
        unpack(path, tmp_path / "out")


def test_all_archives_of_a_folder_and_a_choice_of_members(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    split(make_zip(source / "a.zip", TREE), 20_000)
    make_tar(source / "b.tar")
    told: list[tuple[str, int, int]] = []
    found = unpack_all(
        source,
        tmp_path / "out",
        only=lambda name: name.startswith("set/train/"),
        progress=lambda *w: told.append(w),
    )
    assert [one.archive.name for one in found] == ["a.zip", "b.tar"]
    assert [one.written for one in found] == [2, 0]
    assert set(content(tmp_path / "out")) == {"set/train/a.wav", "set/train/ü b.wav"}
    assert told[-1] == ("b.tar", 133_000, 133_000)


def test_too_many_members_are_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_MEMBERS", 3)
    for path in (make_zip(tmp_path / "a.zip", TREE), make_tar(tmp_path / "b.tar")):
        with pytest.raises(SynthError, match="more than 3 members"):
            unpack(path, tmp_path / "out")
