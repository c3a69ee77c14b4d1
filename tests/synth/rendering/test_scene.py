"""The renderer against the formulas in float64: levels, windows, stems, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import EventSpec, NoiseSpec, Renderer, SceneSpec, SynthError, render
from synth.scenes.spec import LabelSpec, TrimSpec
from tests.synth.rendering.reference import MemorySounds, relative_error, render64

RATE = 8_000
T = 2 * RATE
STEMS = ("mixture", "dry", "wet", "interference", "noise")


def make_sounds(seed: int = 0, taps: int = 900) -> MemorySounds:
    rng = np.random.Generator(np.random.PCG64(seed))
    decay = np.exp(-np.arange(taps) / (taps / 5))
    rirs = rng.standard_normal((3, 4, taps)) * decay
    rirs[:, :, 20] += [[4.0], [-5.0], [3.0]]
    return MemorySounds(
        events={f"e{n}": rng.standard_normal(3 * RATE).astype(np.float32) for n in range(3)}
        | {"zero": np.zeros(3 * RATE, np.float32)},
        noises={"n": rng.standard_normal((4, 5 * RATE)).astype(np.float32)},
        rirs={"room": rirs.astype(np.float32)},
    )


def event(path: str, onset: int, duration: int, position: int = 0, snr: float = 10.0) -> EventSpec:
    return EventSpec(
        label="Speech", path=path, start=100, duration=duration, onset=onset, position=position,
        xyz=(1.0, 0.0, 0.0), snr_db=snr,
    )  # fmt: skip


def make_spec(rules: str = "s5kit2026", **changes: object) -> SceneSpec:
    fields: dict[str, object] = {
        "rules": rules, "sample_rate": RATE, "duration": T, "ref_db": -50.0, "place": "room",
        "targets": (event("e0", 500, 4_000), event("e1", 9_000, 6_900, 1, 15.5)),
        "interferers": (event("e2", 3_000, 8_000, 2, 3.25),),
        "noise": NoiseSpec(path="n", start=37, duration=T),
    }  # fmt: skip
    return SceneSpec(**(fields | changes))


@given(
    rules=st.sampled_from(["dcase2025", "dcase2026", "s5kit2025", "s5kit2026"]),
    targets=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, T - 1), st.integers(1, T), st.floats(-5, 30)), max_size=3
    ),
    interferers=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, T - 1), st.integers(1, T), st.floats(-5, 30)), max_size=2
    ),
    noise=st.one_of(st.none(), st.integers(1, T)),
    taps=st.integers(30, 3_000),
)
@settings(max_examples=30)
def test_every_stem_follows_the_formulas(rules, targets, interferers, noise, taps):
    sounds = make_sounds(taps, taps)
    spec = make_spec(
        rules,
        targets=tuple(event(f"e{n}", onset, d, n, snr) for n, onset, d, snr in targets),
        interferers=tuple(event(f"e{n}", onset, d, n, snr) for n, onset, d, snr in interferers),
        noise=None if noise is None else NoiseSpec(path="n", start=11, duration=noise),
    )
    expected = render64(spec, sounds)
    scene = render(spec, sounds, stems=STEMS)
    for stem in STEMS:
        got = getattr(scene, stem)
        assert got.dtype == np.float32
        assert got.shape == expected[stem].shape
        assert relative_error(got, expected[stem]) < 2e-6, stem
    fast = render(spec, sounds)
    assert relative_error(fast.mixture, expected["mixture"]) < 2e-6
    assert np.array_equal(fast.dry, scene.dry)
    assert fast.wet is fast.interference is fast.noise is None


def test_mixture_is_the_sum_of_its_stems():
    scene = render(make_spec(), make_sounds(), stems=STEMS)
    total = scene.wet.sum(axis=0) + scene.interference + scene.noise
    assert np.array_equal(scene.mixture, total)


def test_levels_are_what_the_spec_says():
    """A user who asks for 15.5 dB over the reference gets 15.5 dB, tail included."""
    spec = make_spec(targets=(event("e0", 0, 4_000, snr=15.5),), interferers=())
    scene = render(spec, make_sounds(), stems=("wet", "noise"))
    whole = 4_000 + 900 - 1
    assert whole < T
    level = 10 * np.log10(np.mean(scene.wet[0, :, :whole].astype(np.float64) ** 2))
    assert level == pytest.approx(-50 + 15.5, abs=1e-4)
    assert 10 * np.log10(np.mean(scene.noise.astype(np.float64) ** 2)) == pytest.approx(-50, abs=1e-4)


def test_same_spec_gives_the_same_bits_whatever_was_rendered_before():
    sounds, spec = make_sounds(), make_spec()
    renderer = Renderer(sounds)
    first = renderer.render(spec)
    renderer.render(make_spec(targets=(), duration=T // 2, noise=None, interferers=()))
    second = renderer.render(spec)
    third = render(spec, make_sounds())
    for scene in (second, third):
        assert np.array_equal(first.mixture, scene.mixture)
        assert np.array_equal(first.dry, scene.dry)


def test_scene_without_targets_is_noise_and_interference():
    scene = render(make_spec(targets=()), make_sounds(), stems=STEMS)
    assert scene.dry.shape == (0, T)
    assert scene.wet.shape == (0, 4, T)
    assert scene.labels == []
    assert np.abs(scene.interference).max() > 0


def test_silent_event_is_refused_by_our_rules_and_zero_by_the_official_ones():
    spec = make_spec("s5kit2025", targets=(event("zero", 0, 500),))
    with pytest.raises(SynthError, match="zero: is silent"):
        render(spec, make_sounds())
    official = render(make_spec("dcase2025", targets=(event("zero", 0, 500),)), make_sounds())
    assert not official.dry.any()


def test_wrong_channels_and_stems_are_named():
    sounds = make_sounds()
    sounds.noises["n"] = sounds.noises["n"][:2]
    with pytest.raises(SynthError, match="n: has 2 channels, expected 4"):
        render(make_spec(), sounds)
    sounds = make_sounds()
    sounds.rirs["room"] = np.ascontiguousarray(sounds.rirs["room"][:, :2])
    with pytest.raises(SynthError, match="RIRs have 2 channels, expected 4"):
        render(make_spec(), sounds)
    with pytest.raises(SynthError, match="unknown stem 'reverb'"):
        render(make_spec(), make_sounds(), stems=("reverb",))


def test_labels_come_with_the_scene():
    spec = make_spec(labels=LabelSpec(support="tail"))
    labels = render(spec, make_sounds(), stems=("noise",)).labels
    assert [(x.onset, x.offset) for x in labels] == [(500, 500 + 4_000 + 899), (9_000, T)]
    active = render(make_spec(labels=LabelSpec(support="active")), make_sounds(), stems=("mixture",))
    assert active.dry is None
    assert {x.support for x in active.labels} == {"active"}


def test_trimmed_rirs_are_shorter_and_the_level_follows_them():
    spec = make_spec(trim=TrimSpec(seconds=0.05), interferers=(), noise=None)
    sounds = make_sounds()
    wet = render(spec, sounds, stems=("wet",)).wet
    end = spec.targets[0].onset + 4_000 + int(0.05 * RATE)
    assert np.abs(wet[0, :, end:]).max() < 1e-6 * np.abs(wet[0]).max()
    assert np.mean(wet[0, :, 500 : end - 1].astype(np.float64) ** 2) == pytest.approx(1e-4, rel=1e-4)
