"""A shard that tar programs read differently, or whose bytes depend on the clock, is no archive."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.corpus import tar
from tests.synth.corpus.corpora import member_bytes

members = st.lists(
    st.tuples(
        st.from_regex(r"[a-z0-9_-]{1,40}\.(json|mixture\.flac)", fullmatch=True), st.binary(max_size=1500)
    ),
    max_size=6,
    unique_by=lambda member: member[0],
)


def archive(contents: list[tuple[str, bytes]]) -> bytes:
    raw = b"".join(tar.header(name, len(data)) + data + tar.padding(len(data)) for name, data in contents)
    return raw + tar.ending(len(raw))


@given(members)
def test_tarfile_reads_back_what_was_written(contents: list[tuple[str, bytes]]) -> None:
    raw = archive(contents)
    with tarfile.open(fileobj=io.BytesIO(raw)) as opened:
        found = [(m.name, member_bytes(opened, m)) for m in opened]
        assert found == contents
    sizes = [len(data) for _, data in contents]
    assert len(raw) == tar.archive_size(sizes)
    assert len(raw) % tar.RECORD == 0
    for (_, data), offset in zip(contents, tar.offsets(sizes), strict=True):
        assert raw[offset : offset + len(data)] == data


@given(members)
def test_headers_are_those_of_tarfile(contents: list[tuple[str, bytes]]) -> None:
    """Python's own writer, told the same owner, mode and time, is the reference."""
    for name, data in contents:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        expected = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
        ours = tar.header(name, len(data))
        for field in (slice(148, 156), slice(329, 345)):  # spelling of checksum and device numbers
            expected[field] = ours[field]
        assert ours == bytes(expected)


def test_members_have_no_time_no_owner_and_plain_rights() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive([("a.json", b"{}")]))) as opened:
        (member,) = opened.getmembers()
    assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
    assert member.mode == 0o644
    assert member.isreg()


@pytest.mark.parametrize(("name", "size"), [("", 0), ("a" * 101, 0), ("a", -1), ("a", tar.MAX_SIZE + 1)])
def test_what_a_header_cannot_say_is_refused(name: str, size: int) -> None:
    with pytest.raises(ValueError, match="cannot be named"):
        tar.header(name, size)
