"""PNG files with a palette, written by hand: an image library for this alone would be too much."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_UP = 2


def encode_png(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Encode an image of palette entries (W3C PNG, colour type 3, 8 bits).

    Rows are stored as differences to the row above: with an ordered palette they are small.

    Args:
        indices: (height, width), each below `len(palette)`.
        palette: (1 to 256, 3) red, green, blue.
    """
    height, width = indices.shape
    above = np.vstack((np.zeros((1, width), np.uint8), indices[:-1]))
    rows = np.full((height, width + 1), _UP, np.uint8)
    rows[:, 1:] = indices - above
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = (
        (b"IHDR", header),
        (b"PLTE", np.ascontiguousarray(palette, np.uint8).tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 6)),
        (b"IEND", b""),
    )
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
