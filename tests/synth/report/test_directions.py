"""Where sounds are heard from: plane waves in closed form, and what makes it hard."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from synth.report.directions import direction_error, find_direction, source_direction
from tests.synth.report.scenes import RATE, SAMPLES, clicks, plane_wave, scene, target

WHOLE = ((0, SAMPLES),)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (90, 0), (-90, 20), (175, -45), (-135, 80)])
def test_a_plane_wave_is_found_where_it_is(azimuth: float, elevation: float) -> None:
    """A wrong channel order or sign would put every ring elsewhere."""
    found = find_direction(plane_wave(clicks(0), azimuth, elevation), RATE, WHOLE)
    assert found == pytest.approx((azimuth, elevation), abs=1e-4)


def test_a_target_is_found_in_a_mixture_by_its_dry_sound() -> None:
    """Stored corpora have no wet stems; the louder neighbour must not pull the ring to itself."""
    view = scene("s", target("Speech", 1, 90.0), target("Cough", 2, -60.0, dry=clicks(2, 6_000), wet=None))
    other = plane_wave(clicks(2, 6_000, level=0.3), -60.0, 0.0)
    mixture = (plane_wave(clicks(1), 90.0, 0.0) + other).astype(np.float32)
    view = replace(view, mixture=mixture, targets=tuple(replace(t, wet=None) for t in view.targets))
    errors = [direction_error(t, source_direction(t, view)) for t in view.targets]
    assert all(error is not None and error < 12 for error in errors)
    alone = find_direction(mixture, RATE, WHOLE)
    assert alone is not None
    assert abs(alone[0] - 90) > 60


def test_the_room_does_not_pull_as_much_as_it_is_loud() -> None:
    """Reverberation has more energy than the direct sound; what comes first counts."""
    rng = np.random.default_rng(3)
    s = clicks(1)
    tail = rng.standard_normal((4, 8_000)) * np.exp(-np.arange(8_000) / 2_500)
    tail[:, :160] = 0
    tail[1] += 1.2 * np.exp(-np.arange(8_000) / 2_500) * rng.standard_normal(8_000)
    room = np.stack([np.convolve(s, 0.05 * taps)[:SAMPLES] for taps in tail]).astype(np.float32)
    assert np.mean(room[0] ** 2) > 2 * np.mean(s**2)
    found = find_direction(plane_wave(s, -40.0, 20.0) + room, RATE, WHOLE)
    there = target("Speech", 1, -40.0, 20.0)
    error = direction_error(there, found)
    assert error is not None
    assert error < 15


def test_nothing_is_found_where_nothing_sounds() -> None:
    """No ring is drawn for silence, for mono, or for an event of no length."""
    assert find_direction(np.zeros((4, SAMPLES), np.float32), RATE, WHOLE) is None
    assert find_direction(np.zeros((1, SAMPLES), np.float32), RATE, WHOLE) is None
    assert find_direction(plane_wave(clicks(0), 0, 0), RATE, ()) is None
    assert direction_error(replace(target("Speech", 1), azimuth=None), (0.0, 0.0)) is None
    assert find_direction(plane_wave(clicks(0)[:100] + 1, 10, 0), RATE, ((0, 90),)) is not None


def test_the_error_is_the_angle_between_directions() -> None:
    """Near the pole a large difference in azimuth is a small angle."""
    assert direction_error(target("a", 1, 0.0, 0.0), (90.0, 0.0)) == pytest.approx(90)
    assert direction_error(target("a", 1, 0.0, 89.0), (180.0, 89.0)) == pytest.approx(2)
