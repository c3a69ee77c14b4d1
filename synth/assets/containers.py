"""What an audio container says about its own length, so that a cut file is an error and not a short sound."""

from __future__ import annotations

import struct
from typing import IO

_MAX_CHUNKS = 4096
_W64_RIFF = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
_W64_DATA = b"data" + bytes.fromhex("f3acd3118cd100c04f8edb8a")
_OGG_TAIL = 1 << 17
_OGG_LAST_PAGE = 0x04


def cut_fault(file: IO[bytes], size: int) -> str | None:
    """Say how a file is shorter than its header declares; None when nothing is missing.

    Knows WAV, RF64, W64, AIFF and Ogg. A cut FLAC or MP3 shows when it is decoded.

    Args:
        file: The open file.
        size: Its length in bytes.
    """
    file.seek(0)
    head = file.read(40)
    if head[:4] in (b"RIFF", b"RF64", b"BW64"):
        return _missing(_riff_end(file, size), size)
    if head[:16] == _W64_RIFF:
        return _missing(_w64_end(file, size), size)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return _missing(_aiff_end(file, size), size)
    if head[:4] == b"OggS":
        return _ogg_fault(file, size)
    return None


def _missing(end: int | None, size: int) -> str | None:
    if end is None:
        return "it has no chunk of samples"
    if end > size:
        return f"its header declares samples up to byte {end:,}, the file ends at byte {size:,}"
    return None


def _riff_end(file: IO[bytes], size: int) -> int | None:
    """Byte where the samples of a RIFF or RF64 file should end."""
    position, wide = 12, None
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return None
        name, length = head[:4], int(struct.unpack("<I", head[4:])[0])
        if name == b"ds64":
            wide = file.read(16)
        if name == b"data":
            if length == 0xFFFFFFFF and wide is not None and len(wide) == 16:
                length = int(struct.unpack("<Q", wide[8:])[0])
            return position + 8 + length
        position += 8 + length + (length & 1)
    return None


def _w64_end(file: IO[bytes], size: int) -> int | None:
    position = 40
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(24)
        if len(head) < 24:
            return None
        length = int(struct.unpack("<Q", head[16:])[0])
        if head[:16] == _W64_DATA:
            return position + length
        if length < 24 or length > size:
            return None
        position += (length + 7) & ~7
    return None


def _aiff_end(file: IO[bytes], size: int) -> int | None:
    position = 12
    for _ in range(_MAX_CHUNKS):
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return None
        length = int(struct.unpack(">I", head[4:])[0])
        if head[:4] == b"SSND":
            return position + 8 + length
        position += 8 + length + (length & 1)
    return None


def _ogg_fault(file: IO[bytes], size: int) -> str | None:
    """An Ogg stream states no length, but its last page says that it is the last."""
    start = max(0, size - _OGG_TAIL)
    file.seek(start)
    tail = file.read(_OGG_TAIL)
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return "its last Ogg page is cut"
    segments = tail[at + 26]
    lacing = tail[at + 27 : at + 27 + segments]
    if len(lacing) < segments or at + 27 + segments + sum(lacing) > len(tail):
        return "its last Ogg page is cut"
    if not tail[at + 5] & _OGG_LAST_PAGE:
        return "its last Ogg page does not end the stream"
    return None
