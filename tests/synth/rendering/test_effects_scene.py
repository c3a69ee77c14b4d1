"""Effects of whole scenes: turned, coloured, cut and noisy, on every stem, and labels that still point there."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import EventSpec, NoiseSpec, Renderer, SceneSpec, render
from synth.rendering.batch import BatchRenderer
from synth.rendering.effects.batch import apply_chains
from synth.rendering.effects.equaliser import eq_taps, sections
from synth.rendering.effects.scene import SceneChain, microphone_noise, scene_chain
from synth.rendering.effects.space import foa_matrix
from synth.rendering.sample import SampleFormat
from synth.scenes.effect_specs import (
    EqBand,
    Gain,
    Polarity,
    SceneEffects,
    SelfNoise,
    SpaceEffect,
    TimeStretch,
)
from synth.scenes.spec import DrySpec
from synth.scenes.windowing import moved
from tests.synth.rendering.reference import MemorySounds, relative_error, render64

RATE = 8_000
T = 2 * RATE
STEMS = ("mixture", "dry", "wet", "interference", "noise")
SPACES = st.builds(
    SpaceEffect, mirror=st.booleans(), yaw=st.floats(-180, 180) | st.sampled_from([0, 90, 180, -90]),
    flip=st.booleans(),
)  # fmt: skip


def make_sounds(seed: int = 0, taps: int = 900) -> MemorySounds:
    rng = np.random.Generator(np.random.PCG64(seed))
    decay = np.exp(-np.arange(taps) / (taps / 5))
    rirs = rng.standard_normal((3, 4, taps)) * decay
    rirs[:, :, 20] += [[4.0], [-5.0], [3.0]]
    return MemorySounds(
        events={f"e{n}": rng.standard_normal(3 * RATE).astype(np.float32) for n in range(3)},
        noises={"n": rng.standard_normal((4, 5 * RATE)).astype(np.float32)},
        rirs={"room": rirs.astype(np.float32)},
    )


def event(path: str, onset: int, duration: int, position: int = 0, snr: float = 10.0) -> EventSpec:
    return EventSpec(
        label="Speech", path=path, start=100, duration=duration, onset=onset, position=position,
        xyz=(1.0, 0.0, 0.0), snr_db=snr,
    )  # fmt: skip


def make_spec(effects: SceneEffects | None = None, **changes: object) -> SceneSpec:
    fields: dict[str, object] = {
        "rules": "s5kit2026", "sample_rate": RATE, "duration": T, "ref_db": -50.0, "place": "room",
        "targets": (event("e0", 500, 4_000), event("e1", 9_000, 6_900, 1, 15.5)),
        "interferers": (event("e2", 3_000, 8_000, 2, 3.25),),
        "noise": NoiseSpec(path="n", start=37, duration=T), "effects": effects,
    }  # fmt: skip
    return SceneSpec(**(fields | changes))


def stems(spec: SceneSpec, sounds: MemorySounds | None = None) -> dict[str, np.ndarray]:
    scene = render(spec, sounds or make_sounds(), stems=STEMS)
    return {name: getattr(scene, name) for name in STEMS}


EVERYTHING = SceneEffects(
    space=SpaceEffect(mirror=True, yaw=77.0, flip=True),
    mismatch_db=(0.5, -1.0, 0.25, 1.5),
    eq=(EqBand(kind="peak", frequency_hz=700, gain_db=5, q=1.2), EqBand(kind="low_shelf", frequency_hz=200, gain_db=-4, q=0.7)),
    level_db=3.0,
    self_noise=SelfNoise(level_db=-60.0, seed=11),
)  # fmt: skip


# space


@given(azimuth=st.floats(-180, 180), elevation=st.floats(-85, 85), space=SPACES)
@settings(max_examples=25)
def test_intensity_points_to_the_label_of_a_turned_scene(
    azimuth: float, elevation: float, space: SpaceEffect
) -> None:
    """A user who trains localisation on turned scenes learns true directions."""
    a, e = np.radians((azimuth, elevation))
    x, y, z = np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)
    sounds = make_sounds()
    plane = np.zeros((1, 4, 50), np.float32)
    plane[0, :, 20] = 1.0, y, z, x
    sounds.rirs["room"] = plane
    target = event("e0", 200, 4_000).model_copy(update={"xyz": (2 * x, 2 * y, 2 * z)})
    spec = make_spec(SceneEffects(space=space), targets=(target,), interferers=(), noise=None)
    scene = render(spec, sounds, stems=("wet",))
    w, y, z, x = scene.wet[0].astype(np.float64)
    found = np.array([np.mean(w * x), np.mean(w * y), np.mean(w * z)]) / np.mean(w * w)
    label = scene.labels[0]
    b, f = np.radians((label.azimuth, label.elevation))
    assert np.allclose(found, (np.cos(b) * np.cos(f), np.sin(b) * np.cos(f), np.sin(f)), atol=1e-5)


@given(space=SPACES)
@settings(max_examples=15)
def test_turned_scenes_are_scenes_of_turned_rooms(space: SpaceEffect) -> None:
    """Every stem, the noise and the dry window of any channel: as if room and noise had been turned before."""
    spec = make_spec(SceneEffects(space=space), dry=DrySpec(channel=1))
    matrix = foa_matrix(spec)
    sounds = make_sounds()
    before = make_sounds()
    before.rirs["room"] = np.einsum("ij,pjt->pit", matrix, before.rirs["room"]).astype(np.float32)
    before.noises["n"] = (matrix @ before.noises["n"]).astype(np.float32)
    expected = render64(spec, before)
    for name, found in stems(spec, sounds).items():
        assert relative_error(found, expected[name]) < 3e-6, name


@given(space=SPACES)
def test_turning_back_gives_the_scene_again_and_energy_stays(space: SpaceEffect) -> None:
    matrix = foa_matrix(make_spec(SceneEffects(space=space)))
    back = SpaceEffect(mirror=space.mirror, yaw=space.yaw if space.mirror else -space.yaw, flip=space.flip)
    inverse = foa_matrix(make_spec(SceneEffects(space=back)))
    assert np.allclose(inverse @ matrix, np.eye(4), atol=1e-12)
    assert np.allclose(matrix.T @ matrix, np.eye(4), atol=1e-12)
    assert np.array_equal(matrix[0], [1, 0, 0, 0])


def test_the_16_swaps_are_those_of_the_paper() -> None:
    """Mazzon et al. 2019, table 1: signs and swaps of X and Y, sign of Z."""
    found = {
        tuple(foa_matrix(make_spec(SceneEffects(space=SpaceEffect(mirror=m, yaw=q, flip=f)))).ravel())
        for m in (False, True) for q in (0, 90, 180, -90) for f in (False, True)
    }  # fmt: skip
    expected = set()
    for z in (1, -1):
        # New (X, Y) for azimuths phi, phi + 90, phi + 180, phi - 90, -phi, -phi + 90, -phi + 180, -phi - 90.
        for new_x, new_y in (("X", "Y"), ("-Y", "X"), ("-X", "-Y"), ("Y", "-X"),
                             ("X", "-Y"), ("Y", "X"), ("-X", "Y"), ("-Y", "-X")):  # fmt: skip
            matrix = np.zeros((4, 4))
            matrix[0, 0], matrix[2, 2] = 1, z
            for row, name in ((3, new_x), (1, new_y)):
                matrix[row, {"X": 3, "Y": 1}[name[-1]]] = -1 if name[0] == "-" else 1
            expected.add(tuple(matrix.ravel()))
    assert found == expected


def test_a_turn_leaves_w_and_the_dry_targets_as_they_are() -> None:
    plain, turned = stems(make_spec()), stems(make_spec(SceneEffects(space=SpaceEffect(yaw=33.0, flip=True))))
    assert np.array_equal(turned["dry"], plain["dry"])
    for name in ("wet", "mixture", "noise", "interference"):
        assert relative_error(turned[name][..., 0, :], plain[name][..., 0, :].astype(np.float64)) < 1e-6
        assert np.sum(turned[name].astype(float) ** 2) == pytest.approx(
            np.sum(plain[name].astype(float) ** 2)
        )
        assert relative_error(turned[name], plain[name].astype(np.float64)) > 0.3


# level, colour, microphone


def test_level_scales_all_stems() -> None:
    plain, loud = stems(make_spec()), stems(make_spec(SceneEffects(level_db=-7.5)))
    for name in STEMS:
        assert relative_error(loud[name], plain[name] * 10 ** (-7.5 / 20)) < 1e-6


BANDS = (
    EqBand(kind="peak", frequency_hz=500, gain_db=6, q=1.5),
    EqBand(kind="high_shelf", frequency_hz=2_000, gain_db=-9, q=0.7),
    EqBand(kind="low_shelf", frequency_hz=150, gain_db=4, q=0.7),
)


@pytest.mark.parametrize("band", BANDS)
def test_bands_have_their_gains_where_the_cookbook_puts_them(band: EqBand) -> None:
    corner = 2 * np.pi * band.frequency_hz / RATE
    _, (low, centre, high) = scipy.signal.sosfreqz(sections([band], RATE), [1e-9, corner, np.pi - 1e-9])
    found = 20 * np.log10(np.abs([low, centre, high]))
    expected = {"peak": (0, band.gain_db, 0), "low_shelf": (band.gain_db, band.gain_db / 2, 0),
                "high_shelf": (0, band.gain_db / 2, band.gain_db)}  # fmt: skip
    assert np.allclose(found, expected[band.kind], atol=1e-6)


def test_the_equaliser_colours_every_stem_dry_as_well_and_is_causal() -> None:
    plain, coloured = stems(make_spec()), stems(make_spec(SceneEffects(eq=BANDS)))
    for name in STEMS:
        expected = scipy.signal.sosfilt(sections(BANDS, RATE), plain[name].astype(np.float64))
        assert relative_error(coloured[name], expected) < 2e-6, name
    assert not coloured["wet"][0, :, :500].any() or np.abs(coloured["wet"][0, :, :500]).max() < 1e-8


@given(
    st.lists(
        st.builds(EqBand, kind=st.sampled_from(["peak", "low_shelf", "high_shelf"]),
                  frequency_hz=st.floats(100, 10_000), gain_db=st.floats(-12, 12), q=st.floats(0.3, 1.9)),
        min_size=1, max_size=3,
    )
)  # fmt: skip
@settings(max_examples=15)
def test_the_finite_filter_is_the_infinite_one(bands: list[EqBand]) -> None:
    taps = eq_taps(tuple(bands), 32_000)
    grid = np.linspace(0.005, np.pi - 0.001, 500)
    _, expected = scipy.signal.sosfreqz(sections(bands, 32_000), grid)
    _, found = scipy.signal.freqz(taps.astype(np.float64), worN=grid)
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_unequal_capsules_are_a_matter_of_the_microphone_not_of_the_target() -> None:
    gains_db = (1.0, -2.0, 0.5, -0.25)
    plain, found = stems(make_spec()), stems(make_spec(SceneEffects(mismatch_db=gains_db)))
    assert np.array_equal(found["dry"], plain["dry"])
    g = 10 ** (np.array(gains_db) / 20)
    for name in ("mixture", "interference", "noise"):
        w, y, z, x = plain[name].astype(np.float64)
        r = 1 / np.sqrt(3)
        # Ideal cardioids front-left-up, front-right-down, back-left-down, back-right-up.
        signs = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
        c = [gain * 0.5 * (w + r * (a * x + b * y + d * z)) for gain, (a, b, d) in zip(g, signs, strict=True)]
        h = np.sqrt(3) / 2
        expected = [
            0.5 * (c[0] + c[1] + c[2] + c[3]), h * (c[0] - c[1] + c[2] - c[3]),
            h * (c[0] - c[1] - c[2] + c[3]), h * (c[0] + c[1] - c[2] - c[3]),
        ]  # fmt: skip
        assert relative_error(found[name], np.array(expected)) < 2e-6


def test_self_noise_has_its_level_and_the_colours_of_a_tetrahedron() -> None:
    noise = microphone_noise(SelfNoise(level_db=-80.0, seed=5), 200_000).astype(np.float64)
    assert noise.shape == (4, 200_000)
    assert 10 * np.log10(np.mean(noise**2)) == pytest.approx(-80, abs=0.02)
    covariance = noise @ noise.T / noise.shape[1] / np.mean(noise**2)
    # W = sum / 2 of four unit capsules: power 1; Y, Z, X: 4 * 3 / 4 = 3; mean 2.5; nothing between them.
    assert np.allclose(covariance, np.diag([0.4, 1.2, 1.2, 1.2]), atol=0.015)
    w = noise[0] / noise[0].std()
    assert np.mean(w**4) == pytest.approx(3, abs=0.05)
    assert np.abs(np.mean(w[1:] * w[:-1])) < 0.01
    assert np.array_equal(
        microphone_noise(SelfNoise(level_db=-80.0, seed=5), 200_000), noise.astype(np.float32)
    )
    other = microphone_noise(SelfNoise(level_db=-80.0, seed=6), 200_000)
    assert np.abs(np.mean(other[0] * noise[0])) < 0.01 * np.mean(noise**2)


def test_self_noise_is_in_noise_and_mixture_also_without_background() -> None:
    own = SelfNoise(level_db=-70.0, seed=3)
    effects = SceneEffects(level_db=6.0, self_noise=own)
    found = stems(make_spec(effects, noise=None))
    assert np.array_equal(found["noise"], microphone_noise(own, T))
    assert np.allclose(
        found["mixture"], found["wet"].sum(0) + found["interference"] + found["noise"], atol=1e-9
    )


# all together


def test_the_mixture_is_the_sum_of_its_stems_with_every_effect() -> None:
    spec = make_spec(EVERYTHING)
    scene = render(spec, make_sounds(), stems=STEMS)
    total = scene.wet.sum(axis=0) + scene.interference + scene.noise
    assert np.array_equal(scene.mixture, total)
    assert relative_error(render(spec, make_sounds()).mixture, total.astype(np.float64)) < 2e-6
    assert np.array_equal(render(spec, make_sounds()).dry, scene.dry)


def test_scenes_played_again_from_json_are_the_same_bits() -> None:
    changed = event("e0", 0, 4_400).model_copy(
        update={
            "cut_before": 600,
            "effects": (TimeStretch(factor=1.25, samples=4_000), Gain(db=2.0), Polarity()),
        }
    )
    spec = make_spec(EVERYTHING, targets=(changed,))
    first, renderer = render(spec, make_sounds(), STEMS), Renderer(make_sounds())
    renderer.render(make_spec())
    again = renderer.render(SceneSpec.from_json(spec.to_json()), STEMS)
    for name in STEMS:
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
    assert first.labels == again.labels


@given(
    onsets=st.lists(st.tuples(st.integers(0, 9_000), st.integers(200, 9_000)), min_size=1, max_size=3),
    start=st.integers(0, 6_000),
    rules=st.sampled_from(["s5kit2025", "s5kit2026"]),
    taps=st.integers(60, 3_000),
)
@settings(max_examples=20)
def test_a_cut_scene_sounds_like_that_part_of_the_whole_scene(
    onsets: list[tuple[int, int]], start: int, rules: str, taps: int
) -> None:
    """Reverberation of what came before is heard, and every label lies on what it names."""
    sounds = make_sounds(taps, taps)
    events = [event(f"e{n}", onset, duration, n) for n, (onset, duration) in enumerate(onsets)]
    left = moved(events, start, T, 1)
    kept = [e for e in events if e.path in {x.path for x in left}]
    whole = make_spec(targets=tuple(kept), interferers=(), noise=None, rules=rules, duration=T + start)
    cut = whole.model_copy(update={"targets": left, "duration": T})
    expected, scene = render64(whole, sounds), render(cut, sounds, STEMS)
    for name in ("mixture", "wet", "dry"):
        assert relative_error(getattr(scene, name), expected[name][..., start:]) < 3e-6, name
    for label, before in zip(scene.labels, kept, strict=True):
        assert label.onset + start == max(before.onset, start)
        assert label.offset + start == min(before.onset + before.duration, start + T)


def test_a_gain_on_paper_is_undone_by_the_level_and_polarity_is_not() -> None:
    plain = stems(make_spec())
    for effect, sign in ((Gain(db=9.0), 1), (Polarity(), -1)):
        targets = tuple(e.model_copy(update={"effects": (effect,)}) for e in make_spec().targets)
        found = stems(make_spec(targets=targets))
        assert relative_error(found["dry"], sign * plain["dry"].astype(np.float64)) < 1e-6
        assert relative_error(found["wet"], sign * plain["wet"].astype(np.float64)) < 1e-6


def test_effects_on_tensors_are_effects_on_arrays() -> None:
    """A batch on a device has the effects of its scenes, one by one."""
    specs = [
        make_spec(),
        make_spec(EVERYTHING),
        make_spec(SceneEffects(space=SpaceEffect(yaw=10.0), self_noise=SelfNoise(level_db=-70, seed=1))),
        make_spec(SceneEffects(eq=BANDS, level_db=-3.0)),
        make_spec(SceneEffects(mismatch_db=(0.1, 0.2, -0.3, 0.4))),
    ]
    bare = {name: np.stack([stems(make_spec())[name]] * len(specs)) for name in STEMS}
    batch = {name: torch.from_numpy(x.copy()) for name, x in bare.items()}
    apply_chains([scene_chain(spec) for spec in specs], batch)
    for n, spec in enumerate(specs):
        for name, expected in stems(spec).items():
            assert relative_error(batch[name][n].numpy(), expected.astype(np.float64)) < 3e-6, (n, name)


def test_scenes_without_effects_pass_untouched() -> None:
    chain, sound = scene_chain(make_spec()), np.ones((4, 10), np.float32)
    assert chain == SceneChain()
    assert chain.of_spatial(sound) is sound
    assert chain.of_dry(sound) is sound
    assert chain.of_noise(None, 10) is None


@given(
    cuts=st.lists(st.tuples(st.integers(0, 40_000), st.integers(50, 4_000)), min_size=1, max_size=3),
    taps=st.sampled_from([60, 900, 20_000]),
)
@settings(max_examples=12)
def test_a_batch_hears_what_began_before_its_scenes(cuts: list[tuple[int, int]], taps: int) -> None:
    """The renderer of batches agrees with the one of single scenes to 1e-5, whatever lies before the scene."""
    sounds = make_sounds(taps, taps)
    for name in sounds.events:
        sounds.events[name] = np.tile(sounds.events[name], 2)
    cut = [event(f"e{n}", 0, d, n).model_copy(update={"cut_before": c}) for n, (c, d) in enumerate(cuts)]
    specs = [make_spec(EVERYTHING, targets=tuple(cut)), make_spec(), make_spec(interferers=tuple(cut))]
    batch = BatchRenderer(sounds).render(specs, SampleFormat(("Speech",), 3, stems=STEMS))
    for n, spec in enumerate(specs):
        for name, expected in stems(spec, sounds).items():
            got = batch[name][n][: len(spec.targets)] if name in ("dry", "wet") else batch[name][n]
            assert relative_error(got.numpy(), expected.astype(np.float64)) < 1e-5, (n, name)
