"""What a user would lose: room responses as in the SOFA file, with the right peaks and energies."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from synth.assets.mapped import let_pages_go, map_array, will_need
from synth.assets.rirs import RirBank, autocorrelation, length_at, make_rir, taps_at
from synth.errors import SynthError
from synth.files import sha256_file
from tests.builders import around, room, write_sofa
from tests.synth.assets.disk import FaultyDisk, leftovers, names

POINTS = around(5)
TAPS = room(np.random.default_rng(3), POINTS, 150)


def sofa_at(folder: Path, **changes: object) -> Path:
    return write_sofa(folder / "a.sofa", changes.pop("taps", TAPS), POINTS, **changes)  # type: ignore[arg-type]


def test_autocorrelation_is_the_definition() -> None:
    h = np.random.default_rng(0).standard_normal((4, 33)).astype(np.float32)
    direct = sum(np.correlate(c, c, "full")[32:] for c in h.astype(np.float64))
    np.testing.assert_allclose(autocorrelation(h), direct, rtol=1e-6, atol=1e-5)
    assert autocorrelation(h).dtype == np.float32


def test_autocorrelation_gives_the_energy_of_the_wet_signal() -> None:
    """This is what it is for: the level of an event without its tail being rendered."""
    rng = np.random.default_rng(1)
    h, x = rng.standard_normal((4, 40)).astype(np.float32), rng.standard_normal(100)
    wet = scipy.signal.fftconvolve(x[None], h.astype(np.float64), axes=1)
    r_x = np.correlate(x, x, "full")[99:]
    r_h = autocorrelation(h)
    energy = r_x[0] * r_h[0] + 2 * np.sum(r_x[1:40] * r_h[1:])
    assert energy == pytest.approx(np.sum(wet**2), rel=1e-6)


def test_peaks_of_an_inverted_response() -> None:
    """Signed and absolute peaks part where the polarity is inverted; both years' rules need theirs."""
    h = np.zeros((2, 20), dtype=np.float32)
    h[0, 3], h[0, 8], h[1, 5], h[1, 6] = -1.0, 0.5, 0.2, -0.9
    rir = make_rir(h)
    assert (rir.peak(0, absolute=False), rir.peak(0, absolute=True)) == (8, 3)
    assert (rir.peak(1, absolute=False), rir.peak(1, absolute=True)) == (5, 6)


def test_bank_holds_the_file(tmp_path: Path) -> None:
    sofa = sofa_at(tmp_path)
    place = RirBank(tmp_path / "cache").place(sofa, sha256_file(sofa), 32_000)
    np.testing.assert_array_equal(place.taps, TAPS.astype(np.float32))
    for n in range(5):
        rir, made = place.rir(n), make_rir(TAPS[n].astype(np.float32))
        np.testing.assert_array_equal(rir.taps, made.taps)
        np.testing.assert_array_equal(rir.autocorrelation, made.autocorrelation)
        assert (rir.peak_signed, rir.peak_absolute) == (made.peak_signed, made.peak_absolute)
        assert rir.taps.flags.c_contiguous
        assert not rir.taps.flags.writeable
    with pytest.raises(SynthError, match="position 5 was asked for"):
        place.rir(5)
    with pytest.raises(SynthError, match="position -1 was asked for"):
        place.rir(-1)


def test_rates(tmp_path: Path) -> None:
    """At the scene rate responses are resampled; "as stored" takes them as they are."""
    low = np.zeros((5, 4, 300))
    low[:, :, 150:200] = np.hanning(50)
    sofa = sofa_at(tmp_path, taps=low, rate=48_000)
    bank = RirBank(tmp_path / "cache")
    digest = sha256_file(sofa)
    raw, brought = bank.place(sofa, digest, None), bank.place(sofa, digest, 32_000)
    assert raw.key != brought.key
    np.testing.assert_array_equal(raw.taps, low.astype(np.float32))
    assert brought.taps.shape == (5, 4, 200)
    reference = scipy.signal.resample(low[0, 0], 200)
    np.testing.assert_allclose(brought.taps[0, 0], reference, atol=2e-3)
    assert brought.rir(0).peak_absolute == pytest.approx(174.5 * 2 / 3, abs=1)


def test_lengths_are_those_of_the_official_rooms() -> None:
    """262144 taps at 48 kHz are 174763 at 32 kHz in the official metadata."""
    assert length_at(262_144, 48_000, 32_000) == 174_763
    assert length_at(500, 48_000, None) == 500
    x = np.ones((4, 1000), dtype=np.float32)
    assert taps_at(x, 44_100, 32_000).shape == (4, 726)
    assert taps_at(x, 44_100, None) is x


def test_bank_is_built_once_and_needs_the_file_no_more(tmp_path: Path) -> None:
    sofa = sofa_at(tmp_path)
    digest = sha256_file(sofa)
    RirBank(tmp_path / "cache").place(sofa, digest, 32_000)
    sofa.unlink()
    place = RirBank(tmp_path / "cache").place(sofa, digest, 32_000)
    np.testing.assert_array_equal(place.taps, TAPS.astype(np.float32))


def test_bank_goes_to_other_processes_without_its_maps(tmp_path: Path) -> None:
    sofa = sofa_at(tmp_path)
    bank = RirBank(tmp_path / "cache")
    first = bank.place(sofa, sha256_file(sofa), 32_000)
    assert bank.place(sofa, sha256_file(sofa), 32_000) is first
    data = pickle.dumps(bank)
    assert len(data) < 1000
    again = pickle.loads(data).place(sofa, sha256_file(sofa), 32_000)
    np.testing.assert_array_equal(again.taps, first.taps)


def test_a_file_that_changed_is_refused(tmp_path: Path) -> None:
    """A scene planned with one room is not rendered in another."""
    sofa = sofa_at(tmp_path)
    digest = sha256_file(sofa)
    sofa_at(tmp_path, taps=2 * TAPS)
    with pytest.raises(SynthError, match="checksum differs") as caught:
        RirBank(tmp_path / "cache").place(sofa, digest, 32_000)
    assert caught.value.where == str(sofa)
    assert names(tmp_path / "cache") == set()


@pytest.mark.parametrize(("value", "message"), [(np.nan, "not finite"), (0.0, r"position\(s\) 2 are silent")])
def test_bad_responses_are_refused(tmp_path: Path, value: float, message: str) -> None:
    taps = TAPS.copy()
    taps[2] = value
    sofa = sofa_at(tmp_path, taps=taps)
    with pytest.raises(SynthError, match=message) as caught:
        RirBank(tmp_path / "cache").place(sofa, sha256_file(sofa), 32_000)
    assert caught.value.where == str(sofa)
    assert names(tmp_path / "cache") == set()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "meta", "missing"])
def test_a_damaged_bank_is_refused(tmp_path: Path, damage: str) -> None:
    sofa = sofa_at(tmp_path)
    cache = tmp_path / "cache"
    place = RirBank(cache).place(sofa, sha256_file(sofa), 32_000)
    if damage == "cut":
        file = cache / place.key / "bank.f32"
        file.write_bytes(file.read_bytes()[:-4])
    elif damage == "meta":
        (cache / place.key / "meta.json").write_text("{")
    else:
        (cache / place.key / "bank.f32").unlink()
    with pytest.raises(SynthError, match="delete the folder"):
        RirBank(cache).place(sofa, sha256_file(sofa), 32_000)


def test_disk_fails_at_every_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the disk refuses, no half-made bank stands under a final name."""
    sofa = sofa_at(tmp_path)
    digest = sha256_file(sofa)
    cache = tmp_path / "cache"
    for n in range(1, 100):
        with monkeypatch.context() as patch:
            disk = FaultyDisk(patch, n)
            try:
                RirBank(cache).place(sofa, digest, 32_000)
            except SynthError as error:
                assert "disk is full" in str(error), n  # noqa: PT017
        assert leftovers(cache) == []
        if names(cache):
            place = RirBank(cache).place(sofa, digest, 32_000)
            np.testing.assert_array_equal(place.taps, TAPS.astype(np.float32))
            shutil.rmtree(cache)
        if not disk.failed:
            break
    assert 8 < n < 99


def test_reading_ahead_changes_nothing_and_leaves_other_arrays_alone(tmp_path: Path) -> None:
    """A hint to the system: any part of a mapped file, or an array that is no file at all."""
    numbers = np.arange(5_000, dtype="<f4")
    (tmp_path / "numbers").write_bytes(numbers.tobytes())
    mapped = map_array(tmp_path / "numbers", np.dtype("<f4"), 5_000).reshape(5, 1_000)
    for part in (mapped, mapped[3], mapped[4, 999:], numbers):
        will_need(part)
    assert np.array_equal(mapped.reshape(-1), numbers)


def test_a_process_does_not_keep_the_pages_of_what_it_has_read(tmp_path: Path) -> None:
    """Sixteen workers that walk through large pools stay within a container's memory."""
    numbers = np.arange(1 << 22, dtype="<f4")
    (tmp_path / "numbers").write_bytes(numbers.tobytes())
    mapped = map_array(tmp_path / "numbers", np.dtype("<f4"), len(numbers))
    assert np.array_equal(mapped, numbers)
    status = Path("/proc/self/status")
    before = status.read_text() if status.exists() else ""
    let_pages_go()
    assert np.array_equal(mapped[::1000], numbers[::1000])
    if before:
        let_pages_go()
        assert file_kb(before) - file_kb(status.read_text()) > 12_000


def file_kb(status: str) -> int:
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssFile"))
