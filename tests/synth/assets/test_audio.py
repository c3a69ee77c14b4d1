"""What a user would lose: sounds at the right level and length, and truth about files that are not whole."""

from __future__ import annotations

import io
import os
import resource
import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile

from synth.assets import audio
from synth.errors import SynthError
from tests.builders import write_wav

LOSSLESS = [
    ("wav", "PCM_U8", 1 / 128),
    ("wav", "PCM_16", 2**-15),
    ("wav", "PCM_24", 2**-23),
    ("wav", "PCM_32", 2**-23),
    ("wav", "FLOAT", 1e-9),
    ("wav", "DOUBLE", 1e-7),
    ("w64", "PCM_16", 2**-15),
    ("rf64", "PCM_16", 2**-15),
    ("aiff", "PCM_16", 2**-15),
    ("flac", "PCM_16", 2**-15),
    ("flac", "PCM_24", 2**-23),
]
LOSSY = [("ogg", "VORBIS", 32_000), ("opus", "OPUS", 48_000), ("mp3", "MPEG_LAYER_III", 32_000)]


def tone(channels: int, samples: int = 4000, rate: int = 32_000) -> np.ndarray:
    frequency = 440 * (1 + np.arange(channels))[:, None]
    return 0.25 * np.sin(2 * np.pi * frequency * np.arange(samples) / rate)


def level(x: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(x, dtype=np.float64))))


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
@pytest.mark.parametrize(("suffix", "subtype", "step"), LOSSLESS)
def test_lossless_formats_give_back_what_was_written(
    tmp_path: Path, suffix: str, subtype: str, step: float, channels: int
) -> None:
    x = tone(channels)
    path = write_wav(tmp_path / f"x.{suffix}", x, subtype=subtype)
    info = audio.probe(path)
    assert (info.rate, info.channels, info.frames) == (32_000, channels, 4000)
    got = audio.read_frames(path)
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    np.testing.assert_allclose(got, x, atol=step)


@pytest.mark.parametrize(
    "rate", [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000]
)
def test_rates(tmp_path: Path, rate: int) -> None:
    """A file of any common rate keeps its length in seconds and its level at 32 kHz."""
    x = tone(1, samples=rate // 4, rate=rate)
    path = write_wav(tmp_path / "x.wav", x, rate)
    got = audio.decode_whole(path, 32_000, mono=True)
    assert got.shape == (1, (rate // 4) * 32_000 // rate)
    assert level(got[:, 200:-200]) == pytest.approx(level(x[:, rate // 80 : -rate // 80]), abs=0.1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("suffix", "subtype", "rate"), LOSSY)
def test_lossy_formats_keep_level_and_length(
    tmp_path: Path, suffix: str, subtype: str, rate: int, channels: int
) -> None:
    x = tone(channels, samples=rate // 2, rate=rate)
    write_wav(tmp_path / f"x.{suffix}", x, rate, subtype)
    got = audio.read_frames(tmp_path / f"x.{suffix}")
    assert got.shape == x.shape
    middle = slice(rate // 8, -rate // 8)
    assert level(got[:, middle]) == pytest.approx(level(x[:, middle]), abs=0.1)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(
    ("suffix", "subtype", "rate"), [(s, t, 32_000) for s, t, _ in LOSSLESS if t == "PCM_16"] + LOSSY
)
def test_truncated_files_are_errors(
    tmp_path: Path, suffix: str, subtype: str, rate: int, share: float
) -> None:
    """libsndfile reads a cut WAV short without a word; a scene would hold half a sound."""
    path = tmp_path / f"x.{suffix}"
    rng = np.random.default_rng(0)
    write_wav(path, 0.1 * rng.standard_normal(rate), rate, subtype)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(SynthError) as caught:
        audio.read_frames(path)
    assert caught.value.where == str(path)
    assert caught.value.remedy


def test_truncated_wav_is_found_in_the_header(tmp_path: Path) -> None:
    """The import reads headers only, and must see the loss there."""
    path = write_wav(tmp_path / "x.wav", tone(1))
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(SynthError, match="truncated"):
        audio.probe(path)


def test_ogg_cut_between_pages_is_an_error(tmp_path: Path) -> None:
    """Cut at a page, an Ogg file is a valid shorter one but for the missing end mark."""
    path = tmp_path / "x.ogg"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(64_000), 32_000)
    data = path.read_bytes()
    path.write_bytes(data[: data.rfind(b"OggS")])
    with pytest.raises(SynthError, match="does not end the stream"):
        audio.probe(path)


def test_damaged_flac_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(8000), 32_000)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 2, len(data), len(data) // 16):
        broken = bytearray(data)
        broken[at] ^= 0x10
        path.write_bytes(bytes(broken))
        with pytest.raises(SynthError, match=r"cannot be decoded"):
            audio.read_frames(path)


def wav_header(rate: int, channels: int, data: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate & 0xFFFFFFFF, 0, 2 * channels, 16)
    return (
        b"RIFF"
        + struct.pack("<I", min(36 + data, 0xFFFFFFFF))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", data)
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"no sound at all, but text", "cannot be decoded"),
        (wav_header(32_000, 1, 0), "no samples"),
        (wav_header(4_000, 1, 4) + b"\1\2\3\4", "sampling rate is 4000"),
        (wav_header(2**31 - 1, 1, 4) + b"\1\2\3\4", "sampling rate|cannot be decoded"),
        (wav_header(32_000, 65, 130) + b"\1" * 130, "65 channels"),
        (wav_header(32_000, 1, 0xFFFFFFFF) + b"\1\2\3\4", "truncated"),
        (b"RIFF\0\0\0\0WAVE", "no chunk of samples"),
    ],
)
def test_bad_headers(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(SynthError, match=message) as caught:
        audio.probe(path)
    assert caught.value.where == str(path)


def test_endless_chunks_end(tmp_path: Path) -> None:
    """A file of a million empty chunks is refused, not walked."""
    path = tmp_path / "x.wav"
    path.write_bytes(b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 100_000)
    with pytest.raises(SynthError, match="no chunk of samples"):
        audio.probe(path)


def test_missing_unreadable_and_special_files(tmp_path: Path) -> None:
    with pytest.raises(SynthError, match="cannot be opened"):
        audio.probe(tmp_path / "none.wav")
    with pytest.raises(SynthError, match="not a regular file"):
        audio.probe(tmp_path)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(SynthError, match="not a regular file"):
        audio.probe(tmp_path / "pipe.wav")


def test_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """Silence packs 1000 to 1: a FLAC of a few hundred kB may stand for gigabytes."""
    path = tmp_path / "bomb.flac"
    soundfile.write(path, np.zeros((192_000, 8), dtype=np.int16), 192_000)
    data = bytearray(path.read_bytes())
    data[22:26] = struct.pack(">I", 600 * 192_000)  # total samples of the STREAMINFO block
    path.write_bytes(bytes(data))
    assert audio.probe(path).frames == 600 * 192_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SynthError, match="too much to decode at once"):
        audio.read_frames(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_segment_of_a_huge_file(tmp_path: Path) -> None:
    """Three hours of 4 channels at 192 kHz: a segment is read, the file is not."""
    path = tmp_path / "huge.wav"
    frames = 3 * 3600 * 192_000
    size = frames * 8
    form = struct.pack("<HHIIHH", 1, 4, 192_000, 192_000 * 8, 8, 16)
    head = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, size + 72, size, frames, 0)
    head += b"fmt " + struct.pack("<I", 16) + form + b"data\xff\xff\xff\xff"
    with path.open("wb") as file:
        file.write(head)
        file.seek(len(head) + (frames - 100) * 8)
        file.write(struct.pack("<4h", 1, 2, 3, 4) * 100)
    assert audio.probe(path).frames == frames
    got = audio.read_frames(path, frames - 150, 150)
    np.testing.assert_array_equal(got[:, 50], np.array([1, 2, 3, 4]) / 32_768)
    assert not got[:, 49].any()
    with pytest.raises(SynthError, match="too much"):
        audio.read_frames(path)


def test_segments_outside_the_file(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "x.wav", tone(1, 100))
    np.testing.assert_array_equal(audio.read_frames(path, 90, 10), audio.read_frames(path)[:, 90:])
    for start, count in ((90, 11), (-1, 5), (0, 0), (100, 1)):
        with pytest.raises(SynthError, match="were asked for"):
            audio.read_frames(path, start, count)


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        (np.zeros(100), "silent"),
        (np.full(100, 1e-30), "silent"),
        (np.full(100, np.nan), "100 frame"),
        (np.array([0.1, 0.2, np.inf, 0.1]), "the first is frame 2"),
        (np.array([[0.1, 0.2], [0.1, np.nan]]), "the first is frame 1"),
        (np.zeros(0), "silent"),
    ],
)
def test_samples_that_would_poison_a_scene(sound: np.ndarray, message: str) -> None:
    with pytest.raises(SynthError, match=message):
        audio.check_samples(sound.astype(np.float32), "x.wav")


@pytest.mark.parametrize(
    "sound", [np.full(5, 0.5), np.array([0, 4.0]), np.array([1e-6, 0]), np.array([-1.0])]
)
def test_odd_but_sound_samples(sound: np.ndarray) -> None:
    """Constant, 12 dB over full scale, very quiet, one sample: unusual, and usable."""
    audio.check_samples(sound.astype(np.float32), "x.wav")


def test_resampling_keeps_a_sine() -> None:
    """Against the closed form, away from the edges."""
    x = tone(2, samples=48_000, rate=48_000).astype(np.float32)
    got = audio.resample(x, 48_000, 32_000)
    assert got.shape == (2, 32_000)
    np.testing.assert_allclose(got[:, 500:-500], tone(2, 32_000)[:, 500:-500], atol=2e-5)
    assert audio.resample(x, 48_000, 32_000, 31_990).shape == (2, 31_990)
    assert not audio.resample(x[0], 48_000, 32_000, 32_010)[32_000:].any()
    assert audio.resample(x, 48_000, 48_000) is x


def test_mono_is_the_mean() -> None:
    x = np.random.default_rng(0).standard_normal((3, 50)).astype(np.float32)
    np.testing.assert_allclose(audio.to_mono(x), x.astype(np.float64).mean(axis=0), atol=1e-6)
    assert audio.to_mono(x[:1]).shape == (50,)


def test_int16_rounds_to_nearest_and_counts_clipping() -> None:
    x = np.array([0, 0.4 / 32_768, 0.6 / 32_768, 1.0, -1.0, -1.5, 32_767 / 32_768], dtype=np.float32)
    pcm, clipped = audio.to_int16(x)
    assert pcm.tolist() == [0, 0, 1, 32_767, -32_768, -32_768, 32_767]
    assert clipped == 2


@pytest.mark.parametrize("channels", [0, 1, 4])
def test_flac_is_exact_and_repeatable(channels: int) -> None:
    rng = np.random.default_rng(1)
    x = (0.2 * rng.standard_normal((channels, 3000) if channels else 3000)).astype(np.float32)
    data = audio.encode_flac16(x, 32_000)
    assert data == audio.encode_flac16(audio.to_int16(x)[0], 32_000)
    got, rate = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate == 32_000
    np.testing.assert_array_equal(got.T, audio.to_int16(x)[0] if channels != 1 else audio.to_int16(x[0])[0])


@pytest.mark.parametrize("channels", [0, 1, 4])
def test_float_wav_is_exact_repeatable_and_read_by_others(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((channels, 3001) if channels else 3001).astype(np.float32)
    audio.write_wav_float(tmp_path / "x.wav", x, 32_000)
    file = io.BytesIO()
    audio.write_wav_float(file, x, 32_000)
    assert file.getvalue() == (tmp_path / "x.wav").read_bytes()
    rate, other = scipy.io.wavfile.read(tmp_path / "x.wav")
    assert rate == 32_000
    np.testing.assert_array_equal(other.T, x if channels != 1 else x[0])
    np.testing.assert_array_equal(audio.read_frames(tmp_path / "x.wav"), np.atleast_2d(x))
