"""What a user would lose: figures that tell a good room from a broken one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from synth.assets.ambisonics import Convention, a_to_b_matrix, convert, foa_matrix
from synth.assets.rir_check import check_rirs
from synth.assets.room_acoustics import (
    direct_to_reverberant,
    is_clipped,
    longest_flat_run,
    noise_floor,
    reverberation_time,
    rir_figures,
)
from synth.errors import SynthError
from tests.builders import write_sofa
from tests.synth.assets.plane_waves import CAPSULES, a_format, foa, pulse, toward

RATE = 32_000


@pytest.mark.parametrize("rt60", [0.2, 0.5, 1.2])
@pytest.mark.parametrize("floor", [None, -60.0, -45.0])
def test_reverberation_time_of_a_known_decay(rt60: float, floor: float | None) -> None:
    """Noise that decays by 60 dB in `rt60`, above a noise floor: within 5 %."""
    rng = np.random.default_rng(1)
    t = np.arange(int(1.6 * rt60 * RATE)) / RATE
    w = rng.standard_normal(len(t)) * 10 ** (-3 * t / rt60)
    if floor is not None:
        w += rng.standard_normal(len(t)) * 10 ** (floor / 20)
    assert reverberation_time(w, RATE) == pytest.approx(rt60, rel=0.05)


def test_no_decay_has_no_reverberation_time() -> None:
    w = np.random.default_rng(0).standard_normal(9_000)
    assert np.isnan(reverberation_time(w, RATE))
    assert np.isnan(reverberation_time(np.eye(1, 50)[0], RATE))


def test_direct_to_reverberant_ratio_in_closed_form() -> None:
    """One tap of 1, and 100 taps of 0.05 later: 10 log10(1 / 0.25)."""
    w = np.zeros(2_000)
    w[100], w[400:500] = 1.0, 0.05
    assert direct_to_reverberant(w, RATE) == pytest.approx(10 * np.log10(1 / 0.25))
    assert direct_to_reverberant(w[:300], RATE) == np.inf


def test_noise_floor_clipping_and_silence() -> None:
    w = np.zeros(1_000)
    w[10], w[900:] = 1.0, 0.001
    assert noise_floor(w) == pytest.approx(-60)
    assert noise_floor(w[:800]) == -np.inf
    flat = np.zeros((4, 100), np.float32)
    flat[2, 20:23] = -1
    assert longest_flat_run(flat) == 3
    clipped = foa(np.clip(pulse(900, RATE, 1, 4.0), -1, 1), toward(20, 10)).astype(np.float32)
    assert is_clipped(rir_figures(clipped, RATE))
    whole = rir_figures(foa(pulse(900, RATE, 1, 0.9), toward(20, 10)).astype(np.float32), RATE)
    assert not is_clipped(whole)
    assert not whole.silent
    assert rir_figures(np.zeros((4, 900), np.float32), RATE).silent


@pytest.mark.parametrize("angles", [(0, 0), (90, 0), (180, -45), (-60, 30), (12, 80)])
def test_the_direct_path_in_a_reverberant_room(angles: tuple[int, int]) -> None:
    """Reflections after 3 ms do not turn the direction that is found."""
    rng = np.random.default_rng(2)
    taps = foa(pulse(16_000, RATE, 1, 1.0), toward(*angles))
    tail = rng.standard_normal((4, 16_000)) * 0.2 * 10 ** (-3 * np.arange(16_000) / RATE / 0.3)
    tail[:, : int((0.002 + 1 / 343 + 0.003) * RATE)] = 0
    figures = rir_figures((taps + tail).astype(np.float32), RATE)
    assert float(figures.direction @ toward(*angles)) > np.cos(np.deg2rad(0.5))
    assert figures.dipole_level == pytest.approx(0, abs=0.1)


def test_capsules_to_b_format() -> None:
    """The sums that FOA-MEIR documents, with factors that make a plane wave SN3D."""
    signs = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, -1, -1, 1], [1, 1, -1, -1]])
    factors = np.array([0.5, *[np.sqrt(3) / 2] * 3])[:, None]
    np.testing.assert_allclose(a_to_b_matrix(), signs * factors, atol=1e-12)
    np.testing.assert_allclose(a_to_b_matrix(CAPSULES, "sum"), signs, atol=1e-12)
    for angles in ((0, 0), (90, 0), (33, -20)):
        b = convert(a_format(np.ones(3), toward(*angles)), a_to_b_matrix())
        np.testing.assert_allclose(b, foa(np.ones(3), toward(*angles)), atol=1e-6)
    with pytest.raises(SynthError, match="do not form a tetrahedron"):
        a_to_b_matrix(np.tile([1.0, 0, 0], (4, 1)))


def test_conventions_are_words_from_a_list() -> None:
    assert np.array_equal(foa_matrix("acn", "sn3d"), np.eye(4))
    assert "FUMA" in Convention("foa", "fuma", "fuma").describe()
    for wrong in ({"order": "wxyz"}, {"normalisation": "sn2d"}, {"kind": "stereo"}, {"scaling": "no"}):
        with pytest.raises(SynthError, match="choose one of"):
            Convention(**wrong)  # type: ignore[arg-type]


def test_a_check_says_what_is_wrong_with_each_place(tmp_path: Path) -> None:
    """Swapped channels, another normalisation, clipping and silence each have a line of their own."""
    points = np.array([toward(a, 10) for a in (0, 90, 200)])
    taps = np.array([foa(pulse(900, RATE, 1, 0.5), p) for p in points])
    write_sofa(tmp_path / "good.sofa", taps, points)
    write_sofa(tmp_path / "swapped.sofa", taps[:, [0, 3, 2, 1]], points)
    write_sofa(tmp_path / "n3d.sofa", taps * np.array([1, *[np.sqrt(3)] * 3])[:, None], points)
    write_sofa(tmp_path / "clipped.sofa", np.clip(taps, -0.1, 0.1), points)
    write_sofa(tmp_path / "silent.sofa", taps * np.array([1, 1, 0])[:, None, None], points)
    write_sofa(tmp_path / "mono.sofa", taps[:, :1], points)
    report = check_rirs(tmp_path)
    said = {Path(p.where).stem: p.what for p in report.problems}
    assert len(report.problems) == 5
    assert "90.0 degrees (median)" in said["swapped"] or "degrees (median)" in said["swapped"]
    assert "+4.8 dB against SN3D" in said["n3d"]
    assert "clipped: 0, 1, 2" in said["clipped"]
    assert "silent: 2" in said["silent"]
    assert "1 channels" in said["mono"]
    good = next(place for place in report.places if place.place == "good")
    assert (good.count, good.rate, good.taps) == (3, 32_000, 900)
    assert good.direction_error.max() < 0.01
    np.testing.assert_allclose(good.stated, good.found, atol=0.01)
    with pytest.raises(SynthError, match="no rooms"):
        check_rirs(tmp_path / "nothing")
