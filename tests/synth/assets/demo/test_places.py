"""The rooms of the demo: a user who trains or tests on directions must be able to trust them."""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import signal

from synth import SynthError
from synth.assets.demo import rooms
from synth.assets.demo.draws import draws
from synth.assets.demo.places import PLACES, Place, cartesian, source_positions

RATE = 32_000
BY_NAME = {place.name: place for place in PLACES}


def test_the_list_of_places_is_what_the_demo_promises() -> None:
    """Without enough rooms, or with shared ones, a valid score would say nothing."""
    split = {name: [p for p in PLACES if p.split == name] for name in ("train", "valid")}
    assert len(split["train"]) >= 6
    assert len(split["valid"]) >= 3
    assert not {p.room for p in split["train"]} & {p.room for p in split["valid"]}
    assert len({p.name for p in PLACES}) == len(PLACES)
    assert all(36 <= len(source_positions(p)) <= 72 for p in PLACES)
    assert min(p.room.rt60 for p in PLACES) <= 0.25
    assert max(p.room.rt60 for p in PLACES) >= 0.85
    assert all(p.taps_s <= 1.0 for p in PLACES)
    assert len({p.taps_s for p in PLACES}) >= 5
    for place in PLACES:
        spots = np.asarray(place.microphone) + cartesian(source_positions(place))
        assert (spots > 0.3).all()
        assert (spots < np.asarray(place.room.size) - 0.3).all()


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_direct_sound_comes_from_where_the_file_says(name: str) -> None:
    """Labels of direction would be wrong: intensity of the direct sound, every position, 2 degrees."""
    place = replace(BY_NAME[name], taps_s=0.03)
    positions, taps = rooms.place_responses(place)
    assert np.array_equal(positions, source_positions(place))
    aim = cartesian(positions)
    for (w, y, z, x), vector in zip(taps, aim, strict=True):
        distance = np.linalg.norm(vector)
        peak = int(np.argmax(np.abs(w)))
        assert peak == round(distance / 343.0 * RATE)
        assert w[peak] == pytest.approx(1 / distance, rel=0.03)
        window = slice(max(0, peak - 20), peak + 21)
        intensity = np.array([w[window] @ part[window] for part in (x, y, z)])
        cosine = intensity @ vector / np.linalg.norm(intensity) / distance
        assert math.degrees(math.acos(min(1.0, cosine))) < 2.0


def test_image_sources_are_those_of_a_shoebox() -> None:
    """Early reflections from wrong places: positions and losses against the closed form."""
    place = BY_NAME["synthetic_office_a"]
    offset = np.array([0.7, -0.5, 0.2])
    losses = rooms.wall_absorption(place.room)
    vectors, damping = rooms.image_sources(place, offset, losses)
    got = {tuple(np.round(v, 4)): d for v, d in zip(vectors.T, damping.T, strict=True)}
    expected = _images(place, offset, losses, reach=11.0)
    assert len(expected) > 50
    for vector, gain in expected.items():
        np.testing.assert_allclose(got[vector], gain, rtol=1e-5)
    assert sum(np.linalg.norm(v) < 11.0 for v in got) == len(expected)


def _images(
    place: Place, offset: np.ndarray, losses: dict[str, np.ndarray], reach: float
) -> dict[tuple[float, ...], np.ndarray]:
    """J. B. Allen, D. A. Berkley (1979): images at 2 n L + (1 - 2 u) s, |n - u| and |n| hits per wall."""
    microphone = np.asarray(place.microphone)
    source = microphone + offset
    walls = (("west", "east"), ("south", "north"), ("floor", "ceiling"))
    out = {}
    for n, u in itertools.product(
        itertools.product(range(-3, 4), repeat=3), itertools.product((0, 1), repeat=3)
    ):
        spot = 2 * np.array(n) * place.room.size + (1 - 2 * np.array(u)) * source - microphone
        if np.linalg.norm(spot) < reach:
            gain = np.ones(8)
            for k, (low, high) in enumerate(walls):
                gain = (
                    gain
                    * np.sqrt(1 - losses[low]) ** abs(n[k] - u[k])
                    * np.sqrt(1 - losses[high]) ** abs(n[k])
                )
            out[tuple(np.round(spot, 4))] = gain
    return out


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_reverberation_time_is_the_designed_one(name: str) -> None:
    """The RT60 table in the README would be wrong: Schroeder, 20 dB of decay from 60 ms, per octave."""
    place = BY_NAME[name]
    _, taps = rooms.place_responses(place, rows=4)
    designed = dict(zip(rooms.BANDS, rooms.reverberation_times(place.room), strict=True))
    assert designed[1_000.0] == pytest.approx(place.room.rt60)
    for centre, tolerance in ((500.0, 0.15), (1_000.0, 0.12), (4_000.0, 0.12)):
        sos = signal.butter(3, (centre / 2**0.5, centre * 2**0.5), "bandpass", fs=RATE, output="sos")
        late = signal.sosfilt(sos, taps, axis=-1)[..., round(0.06 * RATE) :]
        weights = np.array([1, 3, 3, 3])[:, None]  # SN3D: the figure of all four channels has less spread
        energy = np.cumsum((late**2 * weights).sum((0, 1))[::-1])[::-1]
        level = 10 * np.log10(energy / energy[0])
        fit = (level < -1) & (level > -21)
        slope = np.polyfit(np.flatnonzero(fit) / RATE, level[fit], 1)[0]
        assert -60 / slope == pytest.approx(designed[centre], rel=tolerance)


def test_the_tail_continues_the_reflections() -> None:
    """An audible step at 50 ms: energy of the images against that of the tail, where they meet.

    Above 200 Hz: below, images of a box add up in phase, which the join takes out.
    """
    steps = []
    above = signal.butter(4, 200, "highpass", fs=RATE, output="sos")
    for place in PLACES:
        losses = rooms.wall_absorption(place.room)
        levels = rooms.tail_levels(place, losses)
        energy = np.zeros(2)
        for k, vector in enumerate(cartesian(source_positions(place))[::5]):
            images = rooms.early(*rooms.image_sources(place, vector, losses), 1_600)[0]
            tail = rooms.diffuse_tail(place.room, 1_600, draws("test", k), levels)[0]
            both = signal.sosfilt(above, np.stack([images, tail]))
            energy += (both[:, 720:] ** 2).sum(1)
        steps.append(10 * math.log10(energy[0] / energy[1]))
    assert np.abs(steps).max() < 2.0, steps
    assert abs(np.mean(steps)) < 1.0, steps


def test_the_tail_is_diffuse() -> None:
    """A tail that leans to one side would draw every estimate of direction: SN3D thirds, no correlation."""
    tail = rooms.diffuse_tail(BY_NAME["synthetic_hall_a"].room, 25_000, draws("test"), np.ones(8))
    covariance = np.cov(tail[:, :12_000])
    power = np.diag(covariance)
    np.testing.assert_allclose(power[1:] / power[0], 1 / 3, rtol=0.15)
    correlation = covariance / np.sqrt(np.outer(power, power))
    assert np.abs(correlation - np.eye(4)).max() < 0.1


def test_octave_weights_rebuild_a_pulse() -> None:
    """A direct sound coloured by the filter bank: the weights sum to one at every frequency."""
    np.testing.assert_allclose(rooms.band_weights(4_096).sum(1), 1.0, atol=1e-12)


def test_without_pyroomacoustics_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without the extra gets a remedy, not an ImportError."""
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    with pytest.raises(SynthError, match=r"s5kit\[demo\]"):
        rooms.place_responses(PLACES[0], rows=1)
