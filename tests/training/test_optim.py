"""Learning rates decide what a fine-tuned net forgets; they are the references', parameter by parameter."""

from __future__ import annotations

import gzip
import json
import math
from typing import Any

import pytest
import torch

from models import GuidedSeparator, create_sed, create_separator, create_tagger
from models.checkpoints.sed_keys import reference_names
from models.checkpoints.separator_keys import reference_key
from tests.models.filling import GOLDEN
from training.optim import factor, freeze_ungrouped, make_optimizer, sed_groups, separator_groups
from training.sections import ScheduleSection, SedOptimSection, SeparatorOptimSection

SEPARATOR_KEYS = GOLDEN.parent / "separator" / "keys"


def groups_of(folder: Any, name: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


def named(model: torch.nn.Module, groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each parameter's group, by the parameter's name."""
    place = {id(p): group for group in groups for p in group["params"]}
    return {name: place[id(p)] for name, p in model.named_parameters() if id(p) in place}


def test_layer_wise_rates_are_the_references() -> None:
    """lr 1e-3, decay 0.8 in 12 layers, two groups each by the number of axes: 28 lists of names, the same ones."""
    model = create_sed("m2d", 18, depth=12, dim=48, heads=3)
    theirs = reference_names(model)
    groups = sed_groups(model, SedOptimSection(lr=1e-3, layer_decay=0.8, weight_decay=1e-5))
    ours = {
        frozenset(theirs[name] for name, place in named(model, groups).items() if place is group): group
        for group in groups
    }
    expected = {
        frozenset(group["names"]) - {"model.m2d.backbone.norm_stats"}: group["lr"]
        for group in groups_of(GOLDEN / "keys", "cpjku_m2d_wrapper_param_groups")
        if group["names"]
    }
    assert ours.keys() == expected.keys()
    for names, group in ours.items():
        assert group["lr"] == pytest.approx(expected[names], rel=1e-12)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))


def test_separator_rates_are_the_references() -> None:
    """2e-4 for what AudioSep brings, 1e-3 for what is new, 5e-4 for the recurrence."""
    with torch.device("meta"):
        model = create_separator("cpjku_iterative")
    optim = SeparatorOptimSection(lr_pretrained=2e-4, lr_new=1e-3, lr_dprnn=5e-4)
    groups = separator_groups(model, optim)
    ours = {reference_key(n, model.config): g for n, g in named(model, groups).items()}
    left = set()
    for group in groups_of(SEPARATOR_KEYS, "cpjku_separator_iterative_param_groups"):
        mine = {id(ours[name]): ours[name] for name in group["names"] if name in ours}
        assert len(mine) == 1
        assert next(iter(mine.values()))["lr"] == pytest.approx(group["lr"])
        left |= set(group["names"]) - ours.keys()
    assert len(groups) == 6
    dead = (
        "stft.",
        "time_film.",
        "bn2.",
        "->beta2",
    )  # what only the reference has: kernels, layers never used
    assert all(any(part in name for part in dead) for name in left)


def test_the_guides_blocks_learn_and_its_heads_do_not() -> None:
    sed = create_sed("m2d", size="tiny", sample_rate=32000)
    maps = {"features": sed.backbone.feature_maps, "feature_width": sed.backbone.feature_dim}
    model = GuidedSeparator(create_separator("cpjku_iterative-tiny", **maps), sed)
    optim = SeparatorOptimSection(lr_sed=4e-4, sed_decay=0.9)
    groups = separator_groups(model, optim)
    freeze_ungrouped(model, groups)
    place = named(model, groups)
    assert not any(name.startswith("sed.head.") for name in place)
    assert not any(p.requires_grad for p in model.sed.head.parameters())
    depth = len(sed.backbone.blocks)
    for block in range(depth):
        rate = place[f"sed.backbone.blocks.{block}.mlp.fc1.weight"]["lr"]
        assert rate == pytest.approx(4e-4 * 0.9 ** (depth - block))
    frozen = GuidedSeparator(create_separator("cpjku_iterative-tiny", **maps), sed, frozen=True)
    assert not any(name.startswith("sed.") for name in named(frozen, separator_groups(frozen, optim)))


def test_vectors_and_scalars_do_not_decay() -> None:
    """Weight decay on norms and biases pulls scales to zero."""
    models = (create_sed("beats", size="tiny"), create_tagger("baseline2025", size="tiny"))
    for model in models:
        optim = SedOptimSection(weight_decay=0.01)
        for name, group in named(model, sed_groups(model, optim)).items():
            wide = model.get_parameter(name).ndim >= 2
            assert group["weight_decay"] == (0.01 if wide else 0.0), name


def test_frozen_parameters_are_in_no_group() -> None:
    """Else an optimiser with weight decay would still move them."""
    model = create_tagger("baseline2025", size="tiny")
    model.train_only(1)
    groups = sed_groups(model, SedOptimSection())
    grouped = {id(p) for group in groups for p in group["params"]}
    assert grouped == {id(p) for p in model.parameters() if p.requires_grad}
    assert {group["name"].partition("_1d")[0] for group in groups} == {
        "head",
        f"block{len(model.backbone.blocks) - 1}",
    }


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, 0.0),
        (1, 1 / 4000),
        (2000, 0.5),
        (4000, 1.0),
        (9250, 0.5 * (1 + math.cos(math.pi / 4))),
        (14_500, 0.5),
        (25_000, 0.0),
        (30_000, 0.0),
    ],
)
def test_cosine_with_warm_up_is_the_formula(step: int, expected: float) -> None:
    """lr step / warmup, then lr (1 + cos(pi p)) / 2 with p from 0 to 1 over the remaining steps."""
    section = ScheduleSection(kind="cosine", warmup_steps=4000)
    assert factor(step, section, 25_000) == pytest.approx(expected, abs=1e-12)


def test_staircase_is_audioseps() -> None:
    """0.001, 0.01 and 0.1 for 10000 steps each, then 1."""
    section = ScheduleSection(kind="staircase", warmup_steps=30_000)
    steps = (0, 9_999, 10_000, 19_999, 20_000, 29_999, 30_000, 10**6)
    assert [factor(step, section, 1) for step in steps] == [0.001, 0.001, 0.01, 0.01, 0.1, 0.1, 1.0, 1.0]


def test_constant_may_warm_up() -> None:
    assert [factor(step, ScheduleSection(kind="constant"), 10) for step in (0, 9)] == [1.0, 1.0]
    section = ScheduleSection(kind="constant", warmup_steps=4)
    assert [factor(step, section, 10) for step in (0, 1, 4, 9)] == [0.0, 0.25, 1.0, 1.0]


@pytest.mark.parametrize(("optimizer", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_optimiser_steps_as_torchs_does(optimizer: str, kind: type[torch.optim.Optimizer]) -> None:
    """One group per rate, every setting passed on: the same weights as torch's optimiser made by hand."""
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(3, 2, generator=draw)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    section = SedOptimSection(
        optimizer=optimizer, amsgrad=True, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, lr=0.01
    )
    group = {"name": "head", "params": [ours], "lr": 0.02, "weight_decay": 0.1}
    mine = make_optimizer([group], section)
    assert type(mine) is kind
    other = kind([theirs], lr=0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1, amsgrad=True)  # type: ignore[call-arg]
    for _ in range(4):
        gradient = torch.randn(3, 2, generator=draw)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        mine.step()
        other.step()
    assert torch.equal(ours, theirs)
