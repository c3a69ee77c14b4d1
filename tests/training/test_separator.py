"""Second-stage training: every separator learns, questions depend on the scene alone, figures on no batch."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from models import ModelError, Separator, create_sed, create_separator, load_model, save_model
from models.checkpoints.separator_keys import export
from synth import SynthError
from tests.training.scenes import CLASSES, SILENCE, drive, scenes, task_of
from training.keyed import KeyedDraws
from training.queries import draw_queries
from training.separator import SeparatorTask

SHORT = 0.25
PREDICTED = ("validation.labels=[predicted]", "validation.metric=predicted/ca_sdri")


def separator(name: str, *overrides: str) -> SeparatorTask:
    task = task_of(name, *overrides, seconds=SHORT)
    assert isinstance(task, SeparatorTask)
    return task


@pytest.mark.parametrize(
    ("name", "steps", "end"),
    [
        ("separator-resunet-tiny", 40, -9.0),
        *(
            pytest.param(name, steps, end, marks=pytest.mark.slow)
            for name, steps, end in (
                ("separator-iterative-2-tiny", 50, -10.0),
                ("separator-injection-tiny", 50, -10.0),
                ("baseline2025-resunet-tiny", 50, -10.0),
                ("baseline2025-resunetk-tiny", 60, -9.0),
                ("baseline2026-resunetk-tiny", 60, -9.0),
            )
        ),
    ],
)
def test_a_separator_learns_one_batch_by_heart(name: str, steps: int, end: float) -> None:
    """From the mixture's level to an error of a tenth of the target's energy and less."""
    losses = drive(separator(name), scenes(2, seconds=SHORT), steps, lr=1e-2)
    assert min(losses[-5:]) < end < losses[0] - 6


def test_figures_do_not_depend_on_the_batch() -> None:
    task = separator("separator-timefilm-tiny", "validation.batch_size=3")
    net = task.build()
    whole = scenes(3, seconds=SHORT)
    pieces = [{k: v[n : n + 1] for k, v in whole.items()} for n in range(3)]
    one, three = task.validate(net, [whole]), task.validate(net, pieces)
    assert net.training
    assert one.keys() == three.keys() == {"oracle/ca_sdri", "oracle/capi_sdri", "oracle/snr"}
    for figure, (total, count) in one.items():
        assert three[figure] == pytest.approx((total, count), abs=1e-3), figure
    assert one["oracle/ca_sdri"][1] == 3
    assert one["oracle/snr"][1] == 2 + 3 + 3


def test_ca_sdri_is_the_improvement_over_the_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """With oracle labels, and halved by every label that is wrong or missing."""
    monkeypatch.setattr("training.separator.PredictedLabels", lambda *_: lambda *_: guess)
    task = separator("separator-resunet-tiny", "validation.labels=[oracle, predicted]")
    batch = scenes(2, seconds=SHORT, slots=2, empty=0)
    half = {n: batch["dry"][n] * 0.5 for n in range(2)}  # SNR of half the target: 10 log10(4)

    def answer(model: object, mixture: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        out = torch.zeros(2, labels.shape[1], mixture.shape[-1])
        for n in range(2):
            for slot, label in enumerate(labels[n].tolist()):
                place = (batch["labels"][n] == label).nonzero()
                if len(place):
                    out[n, slot] = half[n][place[0, 0]]
        return out

    guess = batch["labels"].clone()
    guess[0, 1] = (guess[0, 1] + 1 + (guess[0, 0] == guess[0, 1] + 1)) % 18
    monkeypatch.setattr(task, "_answer", answer)
    sums = task.validate(separator("separator-resunet-tiny").build(), [batch])

    def gain(n: int, slot: int) -> float:
        s, x = batch["dry"][n, slot].double(), batch["mixture"][n, 0].double()
        return 10 * math.log10(4) - 10 * math.log10(float(s.square().sum() / (s - x).square().sum()))

    oracle = [(gain(n, 0) + gain(n, 1)) / 2 for n in range(2)]
    assert sums["oracle/ca_sdri"] == pytest.approx((sum(oracle), 2), abs=1e-4)
    assert sums["oracle/snr"] == pytest.approx((4 * 10 * math.log10(4), 4), abs=1e-4)
    wrong = gain(0, 0) / 3  # one hit, one spurious, one missed
    assert sums["predicted/ca_sdri"] == pytest.approx((wrong + oracle[1], 2), abs=1e-4)
    assert sums["predicted/label_accuracy"] == (1, 2)


def test_questions_depend_on_the_scene_and_the_seed_alone() -> None:
    """The same scene is asked the same on every rank, in every batch, by every number of workers."""
    batch = scenes(6, seconds=0.1)
    batch["position"] = torch.arange(100, 106)
    whole = draw_queries(batch, 18, each=2, negatives=0.3, seed=4)
    order = [5, 0, 3]
    part = draw_queries({k: v[order] for k, v in batch.items()}, 18, each=2, negatives=0.3, seed=4)
    rows = [2 * n + k for n in order for k in range(2)]
    for name in ("labels", "target", "absent", "weight"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[rows])
    other = draw_queries(batch, 18, each=2, negatives=0.3, seed=5)
    assert not torch.equal(other.labels, whole.labels)


def test_each_question_has_its_targets_sound() -> None:
    batch = scenes(4, seconds=0.1, empty=2)
    asked = draw_queries(batch, 18, each=3, negatives=0.0, seed=0)
    assert asked.weight.view(4, 3).sum(1).tolist() == [1, 3, 3, 3]  # the first scene has one target
    assert not asked.absent.any()
    for n in range(4):
        classes = [int(v.argmax()) for v in asked.labels.view(4, 3, 18)[n] if v.any()]
        assert sorted(classes) == sorted(batch["labels"][n][batch["labels"][n] < SILENCE].tolist())
        for row, label in enumerate(classes):
            slot = int((batch["labels"][n] == label).nonzero()[0, 0])
            assert torch.equal(asked.target.view(4, 3, -1)[n, row], batch["dry"][n, slot])
    silent = asked.weight == 0
    assert not asked.target[silent].any()
    assert not asked.labels[silent].any()


def test_targets_of_one_class_are_wanted_together() -> None:
    """A separator of one source that is asked for Speech cannot know which of two voices is meant."""
    batch = scenes(1, seconds=0.1, empty=0)
    batch["labels"][0] = torch.tensor([7, 7, 2])
    asked = draw_queries(batch, 18, each=2, negatives=0.0, seed=0)
    row = int(asked.labels[:, 7].argmax())
    torch.testing.assert_close(asked.target[row], batch["dry"][0, 0] + batch["dry"][0, 1])
    assert asked.weight.tolist() == [1, 1]


def test_every_target_is_drawn_equally_often() -> None:
    batch = scenes(1, seconds=0.01, empty=0)
    many = {k: v.expand(3000, *v.shape[1:]) for k, v in batch.items()} | {"position": torch.arange(3000)}
    counts = draw_queries(many, 18, each=1, negatives=0.0, seed=1).labels.sum(0)[batch["labels"][0]]
    assert ((counts - 1000).abs() < 4 * math.sqrt(3000 * 2 / 9)).all()  # four standard deviations


def test_negatives_ask_for_what_is_not_there() -> None:
    """Half of the questions; a scene without targets gets nothing else; the wanted sound is silence."""
    batch = scenes(1, seconds=0.01, empty=0)
    many = {k: v.expand(2000, *v.shape[1:]).clone() for k, v in batch.items()} | {
        "position": torch.arange(2000)
    }
    many["labels"][:500], many["dry"][:500] = SILENCE, 0
    asked = draw_queries(many, 18, each=1, negatives=0.5, seed=1)
    present = torch.zeros(18, dtype=torch.bool)
    present[batch["labels"][0]] = True
    assert asked.absent[:500].sum() == asked.weight[:500].sum()
    share = float(asked.absent.float().mean())
    assert abs(share - 0.5) < 4 * math.sqrt(0.25 / 2000)
    assert not asked.target[asked.absent].any()
    assert not asked.labels[500:][asked.absent[500:]][:, present].any()
    assert asked.labels[500:][~asked.absent[500:]][:, present].sum() == (~asked.absent[500:]).sum()


def test_negatives_and_several_targets_train() -> None:
    task = separator("separator-injection-tiny", "loss.targets_per_mixture=2", "loss.negatives=0.5")
    net = task.build()
    heard = []
    net.sed.register_forward_hook(lambda *_: heard.append(1))
    encode = net.sed.backbone.encode
    net.sed.backbone.encode = lambda x: (heard.append(len(x)), encode(x))[1]
    loss, _ = task.loss(net, scenes(2, seconds=SHORT), step=0, draws=KeyedDraws(0, 0))
    loss.backward()
    assert heard == [2]  # the guide hears each mixture once, not once per question
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


def test_several_questions_at_once_are_the_questions_one_by_one() -> None:
    task = separator("separator-injection-tiny")
    net = task.build().eval()
    mixture = scenes(2, seconds=SHORT)["mixture"]
    labels = torch.eye(18)[[3, 5, 7, 9]][:, None]
    with torch.no_grad():
        together = net(mixture, labels)
        for row in range(4):
            alone = net(mixture[row // 2 : row // 2 + 1], labels[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-3, atol=1e-6)


def test_passes_are_drawn_per_step_equal_on_all_ranks_and_only_the_last_learns() -> None:
    task = separator("separator-iterative-3-tiny")
    net = task.build()
    calls: list[int] = []
    forward = net.separator.forward
    net.separator.forward = lambda *a, **k: (calls.append(k["iterations"]), forward(*a, **k))[1]  # type: ignore[method-assign]
    batch = scenes(1, seconds=SHORT)
    for step in (0, 1, 2, 3, 2):
        _, figures = task.loss(net, batch, step=step, draws=KeyedDraws(0, step))
        assert figures["iterations"] == calls[-1]
    assert calls[4] == calls[2]
    drawn = [task._passes(KeyedDraws(0, step)) for step in range(300)]
    assert {n: drawn.count(n) for n in sorted(set(drawn))}.keys() == {1, 2, 3}
    assert all(abs(drawn.count(n) - 100) < 4 * math.sqrt(300 * 2 / 9) for n in (1, 2, 3))
    fixed = separator("separator-iterative-3-tiny", "loss.random_iterations=false")
    assert {fixed._passes(KeyedDraws(0, step)) for step in range(9)} == {3}


@pytest.mark.parametrize("name", ["separator-timefilm-tiny", "separator-injection-frozen-tiny"])
def test_a_frozen_guide_stays_as_it_is(name: str) -> None:
    task = separator(name)
    net = task.build()
    before = {key: tensor.clone() for key, tensor in net.sed.state_dict().items()}
    assert not any(group["name"].startswith("guide") for group in task.groups(net))
    loss, _ = task.loss(net, scenes(1, seconds=SHORT), step=0, draws=KeyedDraws(0, 0))
    loss.backward()
    assert all(p.grad is None for p in net.sed.parameters())
    assert not net.sed.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.sed.state_dict().items())


@pytest.mark.parametrize(
    "settings",
    [
        "separator-injection-tiny",
        "separator-injection-tiny model.overrides.time_film=none",
        "separator-dprnn-tiny model.guide.name=beats",
        "separator-iterative-4-tiny model.overrides.checkpointed=2",
        "baseline2026-resunetk-tiny",
    ],
)
def test_every_trained_parameter_gets_a_gradient(settings: str) -> None:
    """DDP waits for the gradient of each of them in every step."""
    name, *overrides = settings.split()
    task = separator(name, *overrides)
    net = task.build()
    net.eval()  # in training BEATs leaves out blocks by chance
    loss, _ = task.loss(net, scenes(2, seconds=SHORT), step=0, draws=KeyedDraws(0, 0))
    loss.backward()
    assert not [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None]


def test_weights_come_from_the_runs_before(tmp_path: Path) -> None:
    sed = create_sed("m2d", 18, size="tiny", sample_rate=32000)
    guide = save_model(sed, tmp_path / "guide")
    first = separator("separator-injection-tiny", f"model.guide.weights={guide.parent}").build()
    assert all(torch.equal(first.sed.state_dict()[k], v) for k, v in sed.state_dict().items())
    whole = save_model(first, tmp_path / "first")
    again = separator(
        "separator-injection-tiny", f"model.weights={whole}", "model.guide.weights=/nowhere"
    ).build()
    assert all(torch.equal(again.state_dict()[k], v) for k, v in first.state_dict().items())
    with pytest.raises(SynthError, match=r"model\.guide\.weights.*train it first"):
        separator("separator-injection-tiny", "model.guide.weights=/nowhere").build()
    with pytest.raises(ModelError, match="do not fit"):
        separator("separator-resunet-tiny", f"model.weights={whole}").build()


def test_audioseps_checkpoint_starts_every_separator(tmp_path: Path) -> None:
    """Spread over four microphones, feedback from zero; what AudioSep has not starts fresh, the same every time."""
    small = {"n_fft": 512, "hop": 256, "channels": (8, 8, 8, 8, 16, 16), "condition": 16}
    audiosep = create_separator("audiosep", **small)
    checkpoint = tmp_path / "audiosep.ckpt"
    state = {f"ss_model.{key}": tensor for key, tensor in export(audiosep).items()}
    torch.save({"state_dict": state}, checkpoint)
    for name, feedback in (("separator-audiosep-tiny", 0), ("separator-iterative-2-tiny", 1)):
        task = separator(name, f"model.audiosep={checkpoint}")
        nets = [task.build() for _ in range(2)]
        net = nets[0] if isinstance(nets[0], Separator) else nets[0].separator
        spread = audiosep.net.pre_conv.weight.repeat(1, 4, 1, 1) / 4
        torch.testing.assert_close(net.net.pre_conv.weight[:, :4], spread)
        assert net.net.pre_conv.weight.shape[1] == 4 + feedback
        assert torch.equal(net.net.encoders[2].conv1.weight, audiosep.net.encoders[2].conv1.weight)
        assert all(torch.equal(t, nets[1].state_dict()[k]) for k, t in nets[0].state_dict().items())
        assert net.training
    with pytest.raises(SynthError, match=r"model\.audiosep.*by hand"):
        separator("separator-audiosep-tiny", "model.audiosep=/nowhere.ckpt").build()


@pytest.mark.parametrize(
    ("name", "override", "words"),
    [
        ("separator-resunet-tiny", "loss.kind=masked_snr", r"loss\.kind"),
        ("baseline2025-resunetk-tiny", "loss.kind=snr", r"3 source\(s\) per pass"),
        ("baseline2026-resunetk-tiny", "loss.negatives=0.2", r"loss\.negatives"),
        ("baseline2026-resunetk-tiny", "loss.targets_per_mixture=2", r"loss\.targets_per_mixture"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused_before_anything_is_built(
    name: str, override: str, words: str
) -> None:
    with pytest.raises(SynthError, match=words):
        separator(name, override)


def test_too_many_targets_for_the_slots_are_refused() -> None:
    task = separator("baseline2025-resunetk-tiny")
    with pytest.raises(SynthError, match=r"4 targets, the separator 3 slots"):
        task.loss(task.build(), scenes(1, seconds=SHORT, slots=4), step=0, draws=KeyedDraws(0, 0))


def test_predicted_labels_from_a_file_and_from_a_tagger(tmp_path: Path) -> None:
    batch = scenes(2, seconds=SHORT)
    path = tmp_path / "labels.json"
    path.write_text(json.dumps([[CLASSES[4], CLASSES[2]], []]))
    predicted = (*PREDICTED, f"validation.predictions={path}")
    task = separator("separator-resunet-tiny", *predicted)
    labels = task._labels_of(batch, torch.device("cpu"))
    assert labels.tolist() == [[4, 2, SILENCE], [SILENCE] * 3]
    sums = task.validate(task.build(), [batch])
    assert sums.keys() == {"predicted/ca_sdri", "predicted/capi_sdri", "predicted/label_accuracy"} | (
        {"predicted/snr"} if {2, 4} & set(batch["labels"][0].tolist()) else set()
    )
    tagger = create_sed("atst", 18, size="tiny", sample_rate=32000).eval()
    saved = save_model(tagger, tmp_path / "tagger")
    task = separator("separator-resunet-tiny", *PREDICTED, f"validation.tagger={saved}")
    found = task._labels_of(batch, torch.device("cpu"))
    with torch.no_grad():
        assert found.tolist() == tagger.predict_labels(batch["mixture"]).tolist()
    again = task._labels_of({**batch, "mixture": batch["mixture"] * np.nan}, torch.device("cpu"))
    assert torch.equal(again, found)  # fixed scenes are heard once


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1}', "no list of lists"),
        ('[["Singing"], []]', r"scene 0 has the label 'Singing'"),
        ("[[]]", "none for scene 1"),
        ("[", r"labels\.json"),
    ],
)
def test_a_file_of_predictions_that_does_not_fit(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(content)

    def predict() -> None:
        task = separator("separator-resunet-tiny", *PREDICTED, f"validation.predictions={path}")
        task._labels_of(scenes(2, seconds=SHORT), torch.device("cpu"))

    with pytest.raises(SynthError, match=words):
        predict()


def test_predicted_labels_need_someone_who_predicts() -> None:
    """Told before the first step, not at the first validation."""
    with pytest.raises(SynthError, match=r"validation\.tagger=MODEL"):
        separator("separator-resunet-tiny", *PREDICTED)
    with pytest.raises(SynthError, match=r"oracle/ca_sdri.*predicted/ca_sdri"):
        separator("separator-resunet-tiny", PREDICTED[0])


def test_panels_show_targets_beside_estimates() -> None:
    task = separator("separator-resunet-tiny")
    shown = task.panels(task.build(), scenes(1, seconds=SHORT))
    names = [panel.name for panel in shown]
    assert names[0] == "scene-0/mixture"
    assert len(names) == 1 + 2 * 2  # the first scene has two targets
    assert sum(name.endswith("/estimate") for name in names) == 2


def test_a_trained_separator_opens_by_itself(tmp_path: Path) -> None:
    net = separator("separator-iterative-2-tiny").build()
    again = load_model(save_model(net, tmp_path / "net"))
    mixture, labels = scenes(1, seconds=SHORT)["mixture"], torch.eye(18)[None, [3]]
    net.eval()
    with torch.no_grad():
        assert torch.equal(again(mixture, labels), net(mixture, labels))
