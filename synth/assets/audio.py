"""Sound files in and out, within bounds: the one place that touches soundfile and soxr."""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..errors import SynthError
from ..units import Audio, Hertz, Samples
from .containers import cut_fault

SUFFIXES = frozenset(
    (".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")
)
"""Endings of file names (lower case) that count as sound."""

MIN_RATE: Hertz = 8_000
MAX_RATE: Hertz = 192_000
MAX_CHANNELS = 64
MAX_SECONDS = 3_600
"""Longest segment that is decoded at once; files may be longer."""
MAX_BYTES = 2 << 30
"""Largest segment, as float32, that is decoded at once."""
SILENT_PEAK = 2.0**-24
"""A sound whose peak is below this (half a step of 24 bits) counts as silent."""

_FULL_SCALE = np.float32(32_768)
_MP3_COMPRESSION = 0.9


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What the header of a sound file says; `frames` counts per channel at `rate` Hz."""

    rate: Hertz
    channels: int
    frames: Samples
    format: str
    subtype: str


def probe(path: Path) -> AudioInfo:
    """Read the header of a sound file.

    Raises:
        SynthError: No sound file, a truncated one, an empty one, or one outside the limits above.
    """
    with _opened(path) as (_, info):
        return info


def read_frames(path: Path, start: Samples = 0, count: Samples | None = None) -> Audio:
    """Decode part of a sound file, all channels, at the rate of the file.

    Args:
        path: The file.
        start: First frame.
        count: Number of frames; None: to the end.

    Returns:
        `(channels, count)` float32, integers scaled by 1 / 2**(bits - 1).

    Raises:
        SynthError: As `probe`; the segment is outside the file or the limits; the stream is damaged.
    """
    with _opened(path) as (file, info):
        count = info.frames - start if count is None else count
        _check_segment(path, info, start, count)
        try:
            file.seek(start)
            block: NDArray[np.float32] = file.read(count, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise _damaged(path, str(error)) from error
        if len(block) != count:
            raise _damaged(path, f"it gave {len(block)} of the {count} frames its header declares")
    return np.ascontiguousarray(block.T)


def decode_whole(path: Path, rate: Hertz, *, mono: bool) -> Audio:
    """Decode a file as catalogs keep it: `(channels, samples)` float32 at `rate` Hz.

    Channels are averaged first when `mono`; the length is `samples_at` of the file's.

    Raises:
        SynthError: As `read_frames`.
    """
    info = probe(path)
    x = read_frames(path, 0, info.frames)
    if mono:
        x = to_mono(x)[None]
    return resample(x, info.rate, rate, samples_at(info.frames, info.rate, rate))


def check_samples(x: Audio, where: str | Path) -> None:
    """Refuse sound that would poison or empty a scene.

    Raises:
        SynthError: There is no sample, a NaN, an infinity, or only silence.
    """
    peak = float(np.max(np.abs(x))) if x.size else 0.0
    if not np.isfinite(peak):
        bad = np.flatnonzero(~np.isfinite(x).all(axis=0) if x.ndim == 2 else ~np.isfinite(x))
        raise SynthError(
            f"{len(bad)} frame(s) are not finite numbers, the first is frame {bad[0]}",
            where=where,
            remedy="write the file again from its source, or remove it",
        )
    if peak < SILENT_PEAK:
        raise SynthError(
            f"it is silent (peak {peak:.3g}, at least {SILENT_PEAK:.3g} is needed)",
            where=where,
            remedy="remove the file or replace it by one with sound in it",
        )


def to_mono(x: Audio) -> Audio:
    """Average channels: `(channels, samples)` to `(samples,)`, in float32."""
    mono: Audio = x[0] if len(x) == 1 else np.mean(x, axis=0, dtype=np.float32)
    return mono


def resample(x: Audio, rate: Hertz, target: Hertz, length: Samples | None = None) -> Audio:
    """Bring sound to another sampling rate (soxr, quality HQ).

    Args:
        x: `(samples,)` or `(channels, samples)` float32.
        rate: Its sampling rate in Hz.
        target: The sampling rate wanted in Hz.
        length: Samples wanted; the end is cut or padded with zeros to it. None: what soxr gives.

    Returns:
        The same axes, float32; `x` itself when nothing is to be done.
    """
    if rate != target:
        frames_first = np.ascontiguousarray(x.T)
        x = np.ascontiguousarray(soxr.resample(frames_first, rate, target, quality="HQ").T)
    if length is None or x.shape[-1] == length:
        return x
    if x.shape[-1] > length:
        return np.ascontiguousarray(x[..., :length])
    padding = [(0, 0)] * (x.ndim - 1) + [(0, length - x.shape[-1])]
    return np.pad(x, padding)


def samples_at(frames: Samples, rate: Hertz, target: Hertz) -> Samples:
    """Length at `target` Hz of a sound of `frames` at `rate` Hz, as catalogs count it."""
    return frames if rate == target else frames * target // rate


def to_int16(x: Audio) -> tuple[NDArray[np.int16], int]:
    """Round sound to 16 bits (full scale 32768).

    Returns:
        The samples, same axes, and how many were beyond full scale and clipped.
    """
    scaled = np.rint(x * _FULL_SCALE)
    clipped = int(np.count_nonzero((scaled > 32_767) | (scaled < -32_768)))
    return np.clip(scaled, -32_768, 32_767).astype(np.int16), clipped


def encode_flac16(x: Audio | NDArray[np.int16], rate: Hertz) -> bytes:
    """Encode sound as 16-bit FLAC; the same samples give the same bytes.

    Args:
        x: `(samples,)` or `(channels, samples)`, at most 8 channels; float32 is rounded by `to_int16`.
        rate: Sampling rate in Hz.
    """
    pcm = x if x.dtype == np.int16 else to_int16(np.asarray(x, dtype=np.float32))[0]
    target = io.BytesIO()
    soundfile.write(target, np.ascontiguousarray(pcm.T), rate, format="FLAC", subtype="PCM_16")
    return target.getvalue()


def encode_mp3(x: Audio, rate: Hertz) -> bytes:
    """Encode sound to listen to as MP3 of variable rate, about 60 kbit/s in stereo and 35 kbit/s in mono.

    Args:
        x: `(1 or 2, samples)` float32, within full scale.
        rate: 16, 22.05, 24, 32, 44.1 or 48 kHz.

    Raises:
        SynthError: The installed libsndfile was built without MP3.
    """
    if "MP3" not in soundfile.available_formats():
        raise SynthError(
            f"libsndfile {soundfile.__libsndfile_version__} cannot write MP3",
            remedy="install soundfile from its wheel, or libsndfile 1.1 or later with MPEG support",
        )
    target = io.BytesIO()
    quality = {"bitrate_mode": "VARIABLE", "compression_level": _MP3_COMPRESSION}
    soundfile.write(
        target, np.ascontiguousarray(x.T), rate, format="MP3", subtype="MPEG_LAYER_III", **quality
    )
    return target.getvalue()


def decode_flac(data: bytes, where: str | Path) -> tuple[Audio, Hertz]:
    """Decode a FLAC file held in memory, within the same bounds as a file on disk.

    Returns:
        `(channels, samples)` float32, and the sampling rate in Hz.

    Raises:
        SynthError: It is no FLAC, is damaged, or is outside the limits above.
    """
    path = Path(where)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            info = AudioInfo(file.samplerate, file.channels, file.frames, file.format, file.subtype)
            if info.format != "FLAC":
                raise _damaged(path, f"it is {info.format}, not FLAC")
            _check_info(path, info)
            _check_segment(path, info, 0, info.frames)
            block: NDArray[np.float32] = file.read(info.frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    if len(block) != info.frames:
        raise _damaged(path, f"it gave {len(block)} of the {info.frames} frames its header declares")
    return np.ascontiguousarray(block.T), info.rate


def write_wav_float(target: Path | IO[bytes], x: Audio, rate: Hertz) -> None:
    """Write a float32 WAV file; the same samples give the same bytes.

    The header is written here because libsndfile stamps float files with the time of writing.

    Args:
        target: A path (not written atomically) or an open binary file.
        x: `(samples,)` or `(channels, samples)` float32.
        rate: Sampling rate in Hz.

    Raises:
        SynthError: The sound does not fit into a WAV file (4 GiB).
    """
    if isinstance(target, Path):
        with target.open("wb") as file:
            write_wav_float(file, x, rate)
        return
    channels = 1 if x.ndim == 1 else len(x)
    data = np.ascontiguousarray(x.T, dtype="<f4")
    if data.nbytes > 0xFFFFFFFF - 50:
        raise SynthError(f"{data.nbytes} bytes do not fit into a WAV file", remedy="write shorter pieces")
    form = struct.pack("<HHIIHHH", 3, channels, rate, rate * channels * 4, channels * 4, 32, 0)
    fact = struct.pack("<I", data.shape[0])
    parts = [(b"fmt ", form), (b"fact", fact)]
    chunks = b"".join(name + struct.pack("<I", len(body)) + body for name, body in parts)
    size = 4 + len(chunks) + 8 + data.nbytes
    target.write(b"RIFF" + struct.pack("<I", size) + b"WAVE" + chunks)
    target.write(b"data" + struct.pack("<I", data.nbytes))
    target.write(data.data)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, AudioInfo]]:
    """Open a sound file that has passed every check a header allows."""
    _check_whole(path)
    try:
        file = soundfile.SoundFile(os.fspath(path))
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    with file:
        info = AudioInfo(file.samplerate, file.channels, file.frames, file.format, file.subtype)
        _check_info(path, info)
        yield file, info


def _check_whole(path: Path) -> None:
    try:
        state = path.stat()
        if not stat.S_ISREG(state.st_mode):
            raise SynthError("it is not a regular file", where=path, remedy="give a sound file")
        with path.open("rb") as file:
            fault = cut_fault(file, state.st_size)
    except OSError as error:
        raise SynthError(
            f"it cannot be opened: {error.strerror or error}",
            where=path,
            remedy="check that the file is there and may be read, or build the catalog again",
        ) from error
    if state.st_size == 0:
        raise SynthError("the file is empty (0 bytes)", where=path, remedy="fetch it again or remove it")
    if fault is not None:
        raise SynthError(
            f"the file is truncated: {fault}",
            where=path,
            remedy="fetch or write the file again, or remove it",
        )


def _check_info(path: Path, info: AudioInfo) -> None:
    fault = None
    if not MIN_RATE <= info.rate <= MAX_RATE:
        fault = f"its sampling rate is {info.rate} Hz, allowed are {MIN_RATE} to {MAX_RATE} Hz"
    elif not 1 <= info.channels <= MAX_CHANNELS:
        fault = f"it has {info.channels} channels, allowed are 1 to {MAX_CHANNELS}"
    elif info.frames <= 0:
        fault = "it holds no samples"
    if fault is not None:
        raise SynthError(fault, where=path, remedy="convert the file or remove it")


def _check_segment(path: Path, info: AudioInfo, start: Samples, count: Samples) -> None:
    if start < 0 or count <= 0 or start + count > info.frames:
        raise SynthError(
            f"frames {start} to {start + count} were asked for, it has {info.frames}",
            where=path,
            remedy="the scene or catalog belongs to another version of this file: make it again",
        )
    size = count * info.channels * 4
    if count > MAX_SECONDS * info.rate or size > MAX_BYTES:
        raise SynthError(
            f"{count / info.rate:.0f} s ({size:,} bytes decoded) are too much to decode at once; "
            f"the limits are {MAX_SECONDS} s and {MAX_BYTES:,} bytes",
            where=path,
            remedy="cut the file into shorter ones",
        )


def _damaged(path: Path, reason: str) -> SynthError:
    return SynthError(
        f"it cannot be decoded: {reason}",
        where=path,
        remedy="fetch or write the file again, or remove it",
    )
