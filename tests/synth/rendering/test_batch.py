"""The batch renderer against the CPU renderer and against float64: the same scenes, whatever shares a batch."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from synth import (
    BatchRenderer,
    Catalog,
    EventSpec,
    NoiseSpec,
    Renderer,
    SceneSpec,
    SynthError,
    build_catalog,
    load_recipe,
    plan,
)
from synth.rendering import batch, batch_device
from synth.rendering.sample import SampleFormat, scene_sample
from synth.rendering.scene import STEMS
from synth.scenes.effect_specs import SceneEffects, SpaceEffect, TimeStretch
from synth.scenes.spec import DrySpec, LabelSpec, TrimSpec
from tests.builders import around, make_dev_set, room, write_sofa, write_wav
from tests.synth.rendering.reference import MemorySounds, relative_error, render64

RATE = 8_000
T = 2 * RATE
CLASSES = ("Cough", "Dishes", "Doorbell", "Speech")
LONG_TAPS = 70_000  # such responses take the larger blocks


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """Places with responses of 800, 20,000 and 70,000 taps; a noise shorter than a scene and a longer one."""
    root = make_dev_set(tmp_path_factory.mktemp("batch") / "dev_set", nested=True, seconds=0.6)
    rng = np.random.default_rng(1)
    for name, taps in (("wide", 20_000), ("hall", LONG_TAPS)):
        points = around(4)
        write_sofa(root / "room_ir" / "train" / f"{name}.sofa", room(rng, points, taps), points)
    write_wav(root / "noise" / "train" / "long.wav", 0.02 * rng.standard_normal((4, 100_000)))
    built = build_catalog("dcase2026", root, root.parent / "catalog")
    assert built.result is not None
    return built.result


def planned(catalog: Catalog, count: int, recipe: str = "dcase2026", *changes: str) -> list[SceneSpec]:
    small = ("scene.duration=2.0", "scene.max_event_duration=1.5", "targets.count=[0,3]", *changes)
    chosen = load_recipe(recipe, small)
    return [plan(chosen, catalog, 5, index) for index in range(count)]


def form(stems: Sequence[str] = STEMS, slots: int = 3) -> SampleFormat:
    return SampleFormat(CLASSES, slots, 0.04, tuple(stems))


def expected(specs: Sequence[SceneSpec], sounds: object, shape: SampleFormat) -> dict[str, np.ndarray]:
    renderer = Renderer(sounds)  # type: ignore[arg-type]
    samples = [
        scene_sample(
            renderer.render(spec, shape.stems), shape.classes, shape.slots, shape.frame,
            spec.origin.index if spec.origin else 0,
        )
        for spec in specs
    ]  # fmt: skip
    return {name: np.stack([sample[name] for sample in samples]) for name in samples[0]}


def assert_agrees(
    got: dict[str, torch.Tensor], wanted: dict[str, np.ndarray], tolerance: float = 1e-5
) -> None:
    assert got.keys() == wanted.keys()
    for name, array in wanted.items():
        found = got[name].numpy()
        assert found.dtype == array.dtype
        assert found.shape == array.shape
        if name not in STEMS:
            assert np.array_equal(found, array), name
            continue
        for n, (one, other) in enumerate(zip(found, array, strict=True)):
            assert relative_error(one, other.astype(np.float64)) < tolerance, (name, n)


def assert_same(got: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Equal to float32 rounding, scene by scene: FFTs of other numbers of rows may round otherwise."""
    assert_agrees(got, {name: tensor.numpy() for name, tensor in wanted.items()}, 1e-6)


@pytest.mark.parametrize("recipe", ["dcase2025", "dcase2026"])
def test_planned_scenes_agree_with_the_cpu_renderer(catalog: Catalog, recipe: str) -> None:
    """Who moves from CPU workers to the GPU renderer trains on the same data, labels to the bit."""
    specs = planned(catalog, 12, recipe)
    assert len({spec.place for spec in specs}) == 3
    assert {len(spec.targets) for spec in specs} >= {0, 1, 3}
    assert {spec.noise.duration < spec.duration for spec in specs if spec.noise} == {True, False}
    if recipe == "dcase2026":
        assert any(len({e.label for e in s.targets}) < len(s.targets) for s in specs)
    renderer = BatchRenderer(catalog)
    assert_agrees(renderer.render(specs, form()), expected(specs, catalog, form()))
    few = form(("mixture", "dry"), slots=4)
    assert_agrees(renderer.render(specs, few), expected(specs, catalog, few))


def test_trimmed_responses_and_other_labels_agree(catalog: Catalog) -> None:
    for changes in (("rirs.trim.seconds=0.01", "labels.support=tail"),
                    ("rirs.trim.at_noise_floor=true", "labels.support=active", "dry.channel=2")):  # fmt: skip
        specs = planned(catalog, 5, "dcase2026", *changes)
        shape = form(("mixture",))
        assert_agrees(BatchRenderer(catalog).render(specs, shape), expected(specs, catalog, shape))


def event(path: str, onset: int, duration: int, position: int = 0, snr: float = 10.0) -> EventSpec:
    return EventSpec(
        label="Speech", path=path, start=100, duration=duration, onset=onset, position=position,
        xyz=(1.0, 0.0, 0.0), snr_db=snr,
    )  # fmt: skip


def make_spec(rules: str = "s5kit2026", **changes: object) -> SceneSpec:
    fields: dict[str, object] = {
        "rules": rules, "sample_rate": RATE, "duration": T, "ref_db": -50.0, "place": "room",
        "targets": (event("e0", 500, 4_000), event("e1", 9_000, 12_000, 1, 15.5)),
        "interferers": (event("e2", 3_000, 8_000, 2, 3.25),),
        "noise": NoiseSpec(path="n", start=37, duration=T),
    }  # fmt: skip
    return SceneSpec(**(fields | changes))  # type: ignore[arg-type]


def make_sounds(seed: int = 0, taps: int = 900) -> MemorySounds:
    rng = np.random.Generator(np.random.PCG64(seed))
    rirs = rng.standard_normal((2, 3, 4, taps)) * np.exp(-np.arange(taps) / (taps / 5))
    rirs[..., 20] += [[4.0], [-5.0], [3.0]]
    return MemorySounds(
        events={f"e{n}": rng.standard_normal(3 * RATE).astype(np.float32) for n in range(3)}
        | {"zero": np.zeros(3 * RATE, np.float32)},
        noises={"n": rng.standard_normal((4, 5 * RATE)).astype(np.float32)},
        rirs={"room": rirs[0].astype(np.float32), "den": rirs[1, :, :, :400].astype(np.float32)},
    )


EVENTS = st.tuples(st.integers(0, 2), st.integers(0, T - 1), st.integers(1, T), st.floats(-5, 30))


@given(
    rules=st.sampled_from(["dcase2025", "dcase2026", "s5kit2025", "s5kit2026"]),
    scenes=st.lists(
        st.tuples(
            st.sampled_from(["room", "den"]),
            st.lists(EVENTS, max_size=3),
            st.lists(EVENTS, max_size=2),
            st.one_of(st.none(), st.integers(1, T)),
        ),
        min_size=1,
        max_size=3,
    ),
    taps=st.sampled_from([450, 3_000, 40_000]),
)
@settings(max_examples=20)
def test_every_stem_follows_the_formulas(rules, scenes, taps):
    """Events cut by the end of the scene, one-sample events and short noises included."""
    sounds = make_sounds(taps, taps)
    specs = [
        make_spec(
            rules,
            place=place,
            targets=tuple(event(f"e{n}", onset, d, n, snr) for n, onset, d, snr in targets),
            interferers=tuple(event(f"e{n}", onset, d, n, snr) for n, onset, d, snr in interferers),
            noise=None if noise is None else NoiseSpec(path="n", start=11, duration=noise),
        )
        for place, targets, interferers, noise in scenes
    ]
    got = BatchRenderer(sounds).render(specs, form())
    fast = BatchRenderer(sounds).render(specs, form(("mixture", "dry")))
    for n, spec in enumerate(specs):
        reference, count = render64(spec, sounds), len(spec.targets)
        for stem in STEMS:
            found = got[stem][n].numpy()
            if stem in ("dry", "wet"):
                assert not found[count:].any()
                found = found[:count]
            assert relative_error(found, reference[stem]) < 1e-5, stem
        assert relative_error(fast["mixture"][n].numpy(), reference["mixture"]) < 1e-5
        total = got["wet"][n].sum(dim=0) + got["interference"][n] + got["noise"][n]
        assert torch.allclose(got["mixture"][n], total, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rules", ["dcase2025", "spatialscaper"])
def test_rules_of_other_generators_are_followed(rules: str) -> None:
    """Stretched noise, levels by magnitude, no tails: such scenes come as the CPU renderer makes them."""
    sounds = make_sounds()
    specs = [make_spec(rules, noise=NoiseSpec(path="n", start=5, duration=d)) for d in (3_000, T)]
    specs.append(make_spec())
    assert_agrees(BatchRenderer(sounds).render(specs, form()), expected(specs, sounds, form()))


def test_a_scene_is_the_same_whatever_shares_its_batch(catalog: Catalog) -> None:
    """Validation at another batch size gives the same figures; the same batch gives the same bits."""
    specs = planned(catalog, 6)
    renderer = BatchRenderer(catalog)
    together = renderer.render(specs, form())
    again = renderer.render(specs, form())
    other = BatchRenderer(catalog).render(specs[::-1], form())
    assert all(torch.equal(again[name], tensor) for name, tensor in together.items())
    assert_same({name: tensor.flip(0) for name, tensor in other.items()}, together)
    for n, spec in enumerate(specs):
        alone = renderer.render([spec], form())
        assert_same(alone, {name: tensor[n : n + 1] for name, tensor in together.items()})


@pytest.mark.parametrize("resident", [0, 1 << 20, 1 << 30])
def test_where_sounds_and_spectra_live_changes_nothing(catalog: Catalog, resident: int) -> None:
    """A small GPU renders what a large one does: pools copied piecewise, spectra made again and again."""
    specs = planned(catalog, 6)
    wanted = BatchRenderer(catalog).render(specs, form())
    renderer = BatchRenderer(catalog, resident_bytes=resident)
    for _ in range(2):
        assert_same(renderer.render(specs, form()), wanted)


def test_the_path_of_a_gpu_agrees(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """One partition per response and rounded-up transforms, as on CUDA, here on the CPU."""
    monkeypatch.setattr(batch, "batch_block", lambda taps, device: REAL_BLOCK(taps, "cuda"))
    monkeypatch.setitem(batch_device.FFT_QUANTUM, "cpu", 32)
    specs = planned(catalog, 6)
    renderer = BatchRenderer(catalog, resident_bytes=1 << 30, max_bytes=1 << 30)
    assert_agrees(renderer.render(specs, form()), expected(specs, catalog, form()))


REAL_BLOCK = batch.batch_block


def test_gpu_blocks_hold_a_whole_response() -> None:
    assert [batch.batch_block(taps, "cuda") for taps in (1, 32_000, 32_769, 174_720)] == [
        16_384, 32_768, 65_536, 131_072,
    ]  # fmt: skip


def peak_bytes(work: object) -> int:
    """Run something and return the most bytes of tensors that lived at once, beyond those before."""
    with torch.profiler.profile(profile_memory=True, acc_events=True) as found:
        work()  # type: ignore[operator]
    now = most = 0
    for entry in found.profiler.kineto_results.events():  # type: ignore[union-attr]
        if entry.name() == "[memory]":
            now += entry.nbytes()
            most = max(most, now)
    assert most > 0
    return most


def test_chunks_bound_the_memory_and_change_nothing(catalog: Catalog) -> None:
    """A batch that does not fit is cut; intermediate tensors stay under `max_bytes`."""
    specs = planned(catalog, 6, "dcase2026", "targets.count=[2,3]")
    wanted = BatchRenderer(catalog, max_bytes=1 << 30).render(specs, form())
    result = sum(tensor.nbytes for tensor in wanted.values())
    peaks = []
    for limit in (1 << 30, 56 << 20, 32 << 20):
        renderer = BatchRenderer(catalog, max_bytes=limit)
        renderer.render(specs, form())  # its spectra stay
        got: dict[str, torch.Tensor] = {}
        peaks.append(peak_bytes(lambda r=renderer, g=got: g.update(r.render(specs, form()))) - result)
        assert peaks[-1] <= limit
        assert_same(got, wanted)
    assert peaks[2] < peaks[1] < peaks[0]
    with pytest.raises(SynthError, match=r"max_bytes: 100,000 bytes are too few, a scene needs"):
        BatchRenderer(catalog, max_bytes=100_000).render(specs, form())


def test_silent_sounds_are_refused_by_our_rules_and_zero_by_the_official_ones() -> None:
    sounds = make_sounds()
    silent = event("zero", 0, 500)
    for spec in (make_spec(targets=(silent,)), make_spec(interferers=(silent,))):
        with pytest.raises(SynthError, match="zero: is silent"):
            BatchRenderer(sounds).render([make_spec(), spec], form())
    sounds.noises["n"][:] = 0
    with pytest.raises(SynthError, match="n: is silent"):
        BatchRenderer(sounds).render([make_spec()], form())
    got = BatchRenderer(sounds).render([make_spec("dcase2025", targets=(silent,))], form())
    assert not got["dry"].any()
    assert got["interference"].any()


def test_what_a_batch_cannot_be_is_named(catalog: Catalog) -> None:
    sounds = make_sounds()
    renderer = BatchRenderer(sounds)
    with pytest.raises(SynthError, match="scenes of one length are needed"):
        renderer.render([make_spec(), make_spec(duration=T + 1)], form())
    with pytest.raises(SynthError, match="scenes of one length are needed, got none"):
        renderer.render([], form())
    with pytest.raises(SynthError, match="2 targets, a sample has 1 slots"):
        renderer.render([make_spec()], form(slots=1))
    with pytest.raises(SynthError, match=r"dry.channel: is 4, the RIRs have 4"):
        renderer.render([make_spec(dry=DrySpec(channel=4))], form())
    sounds.noises["n"] = sounds.noises["n"][:2]
    with pytest.raises(SynthError, match="n: has 2 channels, expected 4"):
        BatchRenderer(sounds).render([make_spec()], form())
    sounds.rirs["room"] = np.ascontiguousarray(sounds.rirs["room"][:, :2])
    with pytest.raises(SynthError, match="RIRs have 2 channels, expected 4"):
        BatchRenderer(sounds).render([make_spec()], form())
    missing = planned(catalog, 1, "dcase2026", "targets.count=[1,1]")[0]
    other = missing.targets[0].model_copy(update={"path": "sound_event/none.wav"})
    with pytest.raises(SynthError, match=r"none.wav: the catalog has no such sound"):
        BatchRenderer(catalog).render([missing.model_copy(update={"targets": (other,)})], form())


def test_scenes_with_effects_agree() -> None:
    """Augmented scenes are the same on both renderers; a dry channel that a turn mixes, too."""
    sounds = make_sounds()
    early, earlier = (event("e0", 0, 4_000).model_copy(update={"cut_before": n}) for n in (700, 19_000))
    earlier = earlier.model_copy(update={"start": 0})
    slow = event("e1", 700, 4_500).model_copy(update={"effects": (TimeStretch(factor=1.5, samples=3_000),)})
    effects = SceneEffects(space=SpaceEffect(yaw=30.0), level_db=-3.0)
    specs = [
        make_spec(targets=(early,), interferers=(earlier,)),
        make_spec(targets=(early, slow), effects=effects),
        make_spec(effects=effects, dry=DrySpec(channel=1)),
        make_spec(labels=LabelSpec(support="active"), trim=TrimSpec(seconds=0.05)),
    ]
    assert_agrees(BatchRenderer(sounds).render(specs, form()), expected(specs, sounds, form()))


def test_a_damaged_file_is_named_as_the_cpu_renderer_names_it(tmp_path: Path) -> None:
    """A file that broke after the catalog was made stops the training, and the user learns which it was."""
    root = make_dev_set(tmp_path / "dev_set", nested=True)
    assert build_catalog("dcase2026", root, tmp_path / "catalog").result is not None
    for pool in (tmp_path / "catalog" / "cache").glob("pool-*"):
        shutil.rmtree(pool)
    broken = sorted((root / "sound_event" / "train").rglob("*.wav"))[0]
    broken.write_bytes(broken.read_bytes()[:-100])
    catalog = Catalog.load(tmp_path / "catalog")
    [spec] = planned(catalog, 1, "dcase2026", "targets.count=[1,1]")
    with pytest.raises(SynthError, match=broken.name) as caught:
        BatchRenderer(catalog).render([spec], form())
    with pytest.raises(SynthError) as expected_error:
        Renderer(catalog).render(spec)
    assert str(caught.value) == str(expected_error.value)
