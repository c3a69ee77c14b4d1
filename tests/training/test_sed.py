"""First-stage training: every net learns, stages freeze what they should, figures depend on no batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import ModelError, SedModel, Tagger, create_sed, load_model, save_model
from synth import SynthError
from tests.training.scenes import SILENCE, drive, facts, scenes, task_of
from training.config import SedConfig, load_config
from training.keyed import KeyedDraws
from training.sed import SedTask


def sed(name: str, *overrides: str) -> SedTask:
    task = task_of(name, *overrides)
    assert isinstance(task, SedTask)
    return task


@pytest.mark.parametrize(
    ("name", "steps", "lr", "end"),
    [
        ("sed-m2d-tiny", 25, 3e-3, 0.02),
        ("baseline2026-tagger-1c-tiny", 12, 1e-3, 0.01),
        *(
            pytest.param(name, steps, lr, end, marks=pytest.mark.slow)
            for name, steps, lr, end in (
                ("sed-atst-tiny", 80, 3e-3, 0.05),
                ("sed-beats-tiny", 80, 3e-3, 0.05),
                ("sed-fpasst-tiny", 120, 3e-3, 0.05),
                ("sed-asit-tiny", 80, 3e-3, 0.05),
                ("tagger-beats-tiny", 160, 1e-2, 0.2),
                ("baseline2025-tagger-tiny", 200, 3e-2, 0.05),
                ("baseline2026-tagger-4c-tiny", 20, 1e-3, 0.01),
            )
        ),
    ],
)
def test_a_net_learns_one_batch_by_heart(name: str, steps: int, lr: float, end: float) -> None:
    """A net that cannot do this has a gradient, a label or a frozen layer wrong."""
    losses = drive(sed(name), scenes(2), steps, lr=lr)
    assert losses[-1] < end < 0.35 * losses[0]


@pytest.mark.parametrize("name", ["sed-beats-tiny", "tagger-atst-tiny", "baseline2026-tagger-4c-tiny"])
def test_figures_do_not_depend_on_the_batch(name: str) -> None:
    """Else a run looks better on a larger GPU."""
    task = sed(name)
    net = task.build()
    whole = scenes(4)
    pieces = [{k: v[n : n + 1] for k, v in whole.items()} for n in range(4)]
    one, four = task.validate(net, [whole]), task.validate(net, pieces)
    assert net.training
    assert one.keys() == four.keys() >= {"loss", "label_accuracy", "source_accuracy"}
    for figure, (total, count) in one.items():
        assert four[figure] == pytest.approx((total, count), rel=1e-5), figure


class Oracle(torch.nn.Module):
    """Says what it is told to."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x: torch.Tensor) -> Any:
        return self.output


def test_figures_are_those_of_the_labels_by_hand() -> None:
    from models import SedOutput

    batch = scenes(3, empty=1)
    weak = torch.full((3, 18), 0.05)
    right = batch["weak"].bool()
    weak[:2] = torch.where(right[:2], 0.8, 0.05)  # two scenes right
    first = int(batch["labels"][2, 0])
    weak[2, first] = 0.8  # one of three found
    strong = torch.where(batch["strong"] > 0, 0.9, 0.1)
    strong[2] = 0.9  # and every frame claimed in the last scene
    task = sed("sed-m2d-tiny")
    sums = task.validate(Oracle(SedOutput(weak, strong)), [batch])
    assert sums["label_accuracy"] == (2, 3)
    assert sums["label_accuracy@0.9"] == (0, 3)  # nothing reaches it: one label each, the best
    assert sums["source_accuracy"] == (2 + 3 + 1, 2 + 3 + 3)
    true, claimed = batch["strong"].sum(), batch["strong"][:2].sum() + strong[2].numel()
    assert sums["frame_f1"] == pytest.approx((float(2 * true), float(true + claimed)))


def test_tracks_are_counted_as_multisets() -> None:
    """Twice Speech is another verdict than once, in whatever order the tracks say it."""
    batch = {**scenes(2), "labels": torch.tensor([[4, 4, SILENCE], [4, 7, SILENCE]])}
    heard = torch.tensor([[SILENCE, 4, 4], [4, SILENCE, SILENCE]])
    logits = 10 * torch.nn.functional.one_hot(heard, 19).float()
    sums = sed("baseline2026-tagger-1c-tiny").validate(Oracle(logits), [batch])
    assert sums["label_accuracy"] == (1, 2)
    assert sums["source_accuracy"] == (3, 4)


@pytest.mark.parametrize(("blocks", "expected"), [(0, set()), (1, {2}), (2, {1, 2}), (None, {1, 2})])
def test_stages_train_the_head_and_the_last_blocks(blocks: int | None, expected: set[int]) -> None:
    """The 2025 baseline: the head first; then the last blocks and the final norm with it."""
    task = sed("baseline2025-tagger-tiny", f"model.train_only={'null' if blocks is None else blocks}")
    net = task.build()
    assert len(net.backbone.blocks) == 2
    trained = {net.layer_of(name) for name, p in net.named_parameters() if p.requires_grad}
    assert trained - {None} == expected
    assert None in trained
    assert net.backbone.norm.weight.requires_grad is bool(expected)


def test_the_same_configuration_starts_from_the_same_weights() -> None:
    """Two ranks with different initial nets train neither."""
    with torch.random.fork_rng():
        first = sed("sed-fpasst-tiny").build().state_dict()
        torch.rand(7)
        second = sed("sed-fpasst-tiny").build().state_dict()
    other = sed("sed-fpasst-tiny", "loop.seed=1").build().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.strong.weight"], other["head.strong.weight"])


def test_a_run_starts_from_imported_weights_of_other_classes(tmp_path: Path) -> None:
    """AudioSet has 447 classes: the backbone comes along, the head starts fresh."""
    audioset = create_sed("m2d", 447, "linear", weak_classes=527, size="tiny")
    path = save_model(audioset, tmp_path / "audioset.safetensors")
    for name in ("sed-m2d-tiny", "tagger-m2d-tiny"):
        net = sed(name, f"model.weights={path}").build()
        assert torch.equal(net.backbone.pos_embed, audioset.backbone.pos_embed)
        assert net.head.weak.weight.shape[0] == 18


def test_the_baselines_second_stage_starts_from_the_first_and_the_first_from_m2d(tmp_path: Path) -> None:
    m2d = create_sed("m2d", 527, "tagging", size="tiny", mel_rate=32000, use_norm_stats=True, pad_clip=True)
    start = save_model(m2d, tmp_path / "m2d")
    first = sed("baseline2025-tagger-head-tiny", f"model.weights={start.parent}").build()
    assert isinstance(first, Tagger)
    assert torch.equal(first.backbone.cls_token, m2d.backbone.cls_token)
    save_model(first, tmp_path / "best")
    second = sed("baseline2025-tagger-tiny", f"model.weights={tmp_path / 'best'}").build()
    saved = load_model(tmp_path / "best").state_dict()
    assert all(torch.equal(tensor, saved[key]) for key, tensor in second.state_dict().items())


def test_missing_or_foreign_weights_stop_the_run(tmp_path: Path) -> None:
    with pytest.raises(
        SynthError, match=r"model\.weights: .*nowhere.*s5kit weights import.*model\.weights=null"
    ):
        sed("sed-m2d-tiny", f"model.weights={tmp_path / 'nowhere.safetensors'}").build()
    other = save_model(create_sed("atst", 18, size="tiny"), tmp_path / "atst.safetensors")
    for name in ("sed-m2d-tiny", "baseline2025-tagger-tiny"):
        with pytest.raises(ModelError, match=r"atst\.safetensors"):
            sed(name, f"model.weights={other}").build()


def test_every_trained_parameter_gets_a_gradient() -> None:
    """DDP waits for the gradient of each of them in every step."""
    for name in (
        "sed-m2d-tiny model.head=linear loss.strong_weight=0",
        "sed-atst-tiny model.head=linear loss.strong_weight=1",
        "sed-asit-tiny loss.strong_weight=1",
        "tagger-fpasst-tiny",
    ):
        preset, *overrides = name.split()
        task = sed(preset, *overrides)
        net = task.build()
        loss, _ = task.loss(net, scenes(2), step=0, draws=KeyedDraws(0, 0))
        loss.backward()
        assert not [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None], name


def test_augmentation_is_what_the_configuration_says_and_only_in_training() -> None:
    plain, warped = (
        sed("sed-m2d-tiny", *o) for o in ((), ("augment.freq_warp=[0.6,1]", "augment.mixup=0.2"))
    )
    nets = [task.build() for task in (plain, warped)]
    batch = scenes(3)
    draws = KeyedDraws(0, 5)
    losses = [
        float(t.loss(n, batch, step=5, draws=draws)[0].detach())
        for t, n in zip((plain, warped), nets, strict=True)
    ]
    again = float(warped.loss(nets[1], batch, step=5, draws=draws)[0].detach())
    assert losses[0] != losses[1] == again
    assert plain.validate(nets[0], [batch]) == warped.validate(nets[1], [batch])


def test_labels_of_tracks_cannot_be_mixed_and_must_fit() -> None:
    with pytest.raises(SynthError, match=r"augment\.mixup"):
        sed("baseline2026-tagger-1c-tiny", "augment.mixup=0.2")
    task = sed("baseline2026-tagger-1c-tiny")
    crowded = scenes(2, slots=4, empty=0)
    with pytest.raises(SynthError, match=r"3 tracks.*data\.set\.targets\.count=\[0,3\]"):
        task.loss(task.build(), crowded, step=0, draws=KeyedDraws(0, 0))
    config = load_config("baseline2025-tagger-tiny")
    assert isinstance(config, SedConfig)
    from training.facts import SceneFacts

    with pytest.raises(SynthError, match="18 classes, the scenes have 2"):
        SedTask(config, SceneFacts(("a", "b"))).build()


def test_panels_show_what_was_heard_beside_what_sounds() -> None:
    task = sed("sed-m2d-tiny")
    net = task.build()
    shown = task.panels(net, {k: v[:1] for k, v in scenes(2).items()})
    assert [panel.name for panel in shown] == ["scene-0/mixture", "scene-0/heard-above-truth"]
    assert net.training
    picture = shown[1].image
    assert picture is not None
    assert picture.shape == (36, facts().frames, 3)
    truth = scenes(2)["strong"][0].numpy() > 0
    bright = picture.sum(axis=2, dtype=int)[18:]  # the lower half; class 17 on top
    assert np.array_equal(bright[::-1] > 600, truth) or np.array_equal(bright > 600, truth)


def test_an_sed_model_keeps_its_settings_for_later(tmp_path: Path) -> None:
    """What training saves, `load_model` and the system open without being told."""
    net = sed("sed-beats-tiny").build()
    again = load_model(save_model(net, tmp_path / "net"))
    assert isinstance(again, SedModel)
    assert again.config == net.config
