"""Augmentation of batches: labels mix as sounds do, and the same step draws the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as nnf

from models import create_frontend, create_sed
from synth import SynthError
from training.augment import MelAugment, attach, filter_gains, masks, mixup, warp_weights
from training.sections import AugmentSection


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(B: int = 5, T: int = 200) -> dict[str, torch.Tensor]:
    draw = generator(1)
    return {
        "position": torch.arange(B),
        "mixture": torch.randn(B, 4, T, generator=draw),
        "dry": torch.randn(B, 3, T, generator=draw),
        "noise": torch.randn(B, 4, T, generator=draw),
        "interference": torch.randn(B, 4, T, generator=draw),
        "labels": torch.randint(0, 6, (B, 3), generator=draw),
        "strong": torch.rand(B, 6, 25, generator=draw).round(),
        "weak": torch.rand(B, 6, generator=draw).round(),
    }


def test_mixup_mixes_sound_and_labels_with_one_factor_per_scene() -> None:
    """Else labels name sounds at another level than they have."""
    given = batch()
    before = {name: tensor.clone() for name, tensor in given.items()}
    mixed = mixup(given, generator(3))
    other = torch.randperm(5, generator=generator(3))
    for n, m in enumerate(other.tolist()):
        own, partner = given["mixture"][n].double(), given["mixture"][m].double()
        if n != m:
            difference = own - partner
            c = float(
                ((mixed["mixture"][n].double() - partner) * difference).sum() / difference.square().sum()
            )
        else:
            c = float((mixed["dry"][n] / given["dry"][n]).mean())
        assert 0.5 - 1e-6 <= c <= 1 + 1e-6
        for name in ("mixture", "noise", "strong", "weak"):
            expected = c * given[name][n] + (1 - c) * given[name][m]
            assert torch.allclose(mixed[name][n], expected, atol=1e-5), name
        assert torch.allclose(mixed["dry"][n], c * given["dry"][n], atol=1e-5)
    assert torch.equal(mixed["labels"], given["labels"])
    assert "interference" not in mixed
    assert all(torch.equal(given[name], tensor) for name, tensor in before.items())


def test_mixup_factors_are_from_the_beta_distribution() -> None:
    import scipy.stats

    one = torch.ones(4_000, 1, 1, dtype=torch.float64)  # in float32 a tenth of them would be 1
    c = mixup({"mixture": one, "dry": one}, generator(), alpha=0.2)["dry"].flatten().numpy()
    folded = scipy.stats.beta(0.2, 0.2)
    assert scipy.stats.kstest(c, lambda x: 2 * folded.cdf(x) - 1).pvalue > 0.01


def test_mixup_of_one_step_is_always_the_same_and_of_alpha_above_zero() -> None:
    first, second = mixup(batch(), generator(7)), mixup(batch(), generator(7))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(mixup(batch(), generator(8))["mixture"], first["mixture"])
    with pytest.raises(SynthError, match="above 0"):
        mixup(batch(), generator(), alpha=0.0)


def test_frequency_warp_is_bicubic_resizing_of_a_part() -> None:
    mel = torch.randn(6, 1, 40, 9, generator=generator(2))
    weights = warp_weights(6, 40, (0.6, 1.0), generator(5))
    warped = weights @ mel[:, 0]
    draw = generator(5)
    factor = 0.6 + 0.4 * torch.rand(6, generator=draw, dtype=torch.float64)
    start = torch.rand(6, generator=draw, dtype=torch.float64) * (1 - factor) * 39
    y = 2 * (start[:, None] + factor[:, None] * torch.arange(40)) / 39 - 1
    x = torch.linspace(-1, 1, 9, dtype=torch.float64)
    grid = torch.stack(torch.broadcast_tensors(x[None, None, :], y[:, :, None]), dim=-1)
    expected = nnf.grid_sample(mel.double(), grid, mode="bicubic", padding_mode="border", align_corners=True)
    assert torch.allclose(warped.double(), expected[:, 0], atol=1e-5)
    assert torch.allclose(warp_weights(2, 40, (1.0, 1.0), generator()), torch.eye(40).expand(2, -1, -1))
    assert torch.allclose(weights.sum(2), torch.ones(6, 40), atol=1e-6)


def test_filters_are_polygons_within_their_range() -> None:
    gains = filter_gains(200, 64, (-6.0, 3.0), generator()).double().numpy()
    assert gains.min() >= -6
    assert gains.max() <= 3
    assert -2.2 < gains.mean() < -0.8
    bends = (np.abs(np.diff(gains, 2, axis=1)) > 1e-4).sum(axis=1)
    assert bends.max() <= 2 * 5
    assert len({tuple(row.round(3)) for row in gains}) == 200


def test_masks_are_as_many_and_as_wide_as_asked_for() -> None:
    drawn = masks(3_000, 50, 2, 8, generator()).numpy()
    runs = (np.diff(np.pad(drawn, ((0, 0), (1, 0))).astype(int), axis=1) == 1).sum(axis=1)
    assert runs.max() == 2
    assert drawn.sum(axis=1).max() == 16
    one = masks(20_000, 50, 1, 8, generator(1)).sum(1)
    counts = torch.bincount(one, minlength=9).double() / len(one)
    assert torch.allclose(counts, torch.full((9,), 1 / 9, dtype=torch.float64), atol=0.01)
    assert masks(50, 5, 3, 100, generator()).shape == (50, 5)


FULL = AugmentSection(freq_warp=(0.6, 1.0), filter_db=(-6.0, 6.0), time_masks=2, mel_masks=1)


def test_the_same_generator_gives_the_same_spectrograms_and_the_given_ones_stay() -> None:
    mel = torch.randn(3, 1, 64, 100, generator=generator(4))
    before = mel.clone()
    first, second = (MelAugment(FULL)(mel, generator(9)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(mel, before)
    assert first.shape == mel.shape
    assert not torch.equal(MelAugment(FULL)(mel, generator(10)), first)
    nothing = MelAugment(AugmentSection())
    assert not nothing
    assert torch.equal(nothing(mel, generator()), mel)


@pytest.mark.parametrize("name", ["m2d", "atst", "beats", "fpasst", "asit"])
def test_a_filter_of_some_decibels_is_those_decibels_in_every_front_end(name: str) -> None:
    """+6 dB on all bands is what the front end makes of a sound that is 6 dB louder."""
    net = create_sed(name, 4, size="tiny").train()
    augment = MelAugment(AugmentSection(filter_db=(6.0, 6.0)))
    handle = attach(net, augment)
    x = 0.05 * torch.randn(2, 16_000, generator=generator(6))
    frontend = create_frontend(name).eval()
    louder = frontend(x * 10 ** (6 / 20))
    net.backbone.frontend.draw_band = False  # of fPaSST
    assert torch.allclose(net.backbone.mel(x), frontend(x), atol=1e-6)
    augment.generator = generator()
    # Bands below the resolution of a short spectrum stay at the floor of the logarithm.
    off = (net.backbone.mel(x) - louder).abs()
    assert off.quantile(0.95) < 2e-2
    net.eval()
    assert torch.allclose(net.backbone.mel(x), frontend(x), atol=1e-6)
    net.train()
    handle.remove()
    assert torch.allclose(net.backbone.mel(x), frontend(x), atol=1e-6)


def test_a_net_without_a_front_end_is_refused() -> None:
    with pytest.raises(SynthError, match="Linear has no mel front end"):
        attach(torch.nn.Linear(2, 2), MelAugment(FULL))


def test_a_training_step_draws_its_own_masks_and_validation_none() -> None:
    """A resumed run sees the spectrograms of the run that was not interrupted."""
    from training.config import load_config
    from training.facts import SceneFacts
    from training.keyed import KeyedDraws
    from training.sed import SedTask

    changes = ["model.size=tiny", "model.weights=null", "augment.time_masks=2", "augment.freq_warp=[0.6,1]"]
    config = load_config("sed-m2d", changes)
    facts = SceneFacts(classes=("a", "b", "c", "d", "e", "f"), frames=25, samples=32_000)
    task = SedTask(config, facts)
    net = task.build()
    scenes = {
        name: x for name, x in batch(2, 32_000).items() if name in ("mixture", "strong", "weak", "labels")
    }

    def loss(step: int) -> float:
        draws = KeyedDraws(0, step)
        return float(task.loss(net, scenes, step=step, draws=draws)[0].detach())

    first, second = loss(0), loss(1)
    assert loss(0) == first
    assert second != first
    net.eval()
    still = {
        float(task.loss(net, scenes, step=step, draws=KeyedDraws(0, step))[0].detach()) for step in (0, 1)
    }
    assert len(still) == 1
