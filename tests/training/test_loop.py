"""The loop against a few lines of torch; and what happens when a loss is no number, data end, or nothing gets better."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from synth import SynthError, folder_lock
from tests.training.toy import INPUTS, ToyTask, scene, toy_config, toy_feed, toy_scenes
from training.clock import Clock
from training.keyed import KeyedDraws, seeded
from training.loop import FitReport, fit
from training.run import NonFiniteError
from training.task import Batch, Draws, Sums


def train(out: Path, *overrides: str, task: ToyTask | None = None, **faults: Any) -> FitReport:
    config = toy_config(out, *overrides)
    return fit(config, task or ToyTask(), lambda *a: toy_feed(*a, **faults), toy_scenes)


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def by_hand(steps: int, batch_size: int, clip: float | None) -> tuple[list[float], nn.Module]:
    """The same training in plain torch: warm-up of 2, cosine, AdamW, clipping."""
    with seeded(0, 0, 0, "initial weights", torch.device("cpu")):
        net = nn.Linear(INPUTS, 1)
    groups = [{"params": [net.weight], "weight_decay": 0.01, "lr": 0.01}, {"params": [net.bias], "lr": 0.02}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.0)
    losses = []
    for step in range(steps):
        x = torch.stack([scene(p) for p in range(batch_size * step, batch_size * (step + 1))])
        loss = (net(x) - x[:, :1]).square().mean()
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        scale = step / 2 if step < 2 else 0.5 * (1 + math.cos(math.pi * (step - 2) / (steps - 2)))
        optimizer.param_groups[0]["lr"], optimizer.param_groups[1]["lr"] = 0.01 * scale, 0.02 * scale
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return losses, net


@pytest.mark.parametrize("clip", [0.5, None])
def test_equals_plain_torch(clip: float | None, tmp_path: Path) -> None:
    task = ToyTask(plain=True)
    train(tmp_path / "run", f"loop.clip={'null' if clip is None else clip}", "loop.ema=null", task=task)
    losses, net = by_hand(8, 4, clip)
    assert [loss for (loss,) in task.losses.values()] == losses
    weights = load_file(tmp_path / "run" / "last" / "model.safetensors")
    assert torch.equal(weights["0.weight"], net.weight)


def test_parts_of_a_batch_add_up(tmp_path: Path) -> None:
    task = ToyTask(plain=True)
    train(tmp_path / "run", "loop.accumulate=4", "loop.ema=null", task=task)
    losses, net = by_hand(8, 4, 0.5)
    assert [sum(parts) / 4 for parts in task.losses.values()] == pytest.approx(losses, rel=1e-6)
    assert task.seen[1] == [4, 5, 6, 7]
    weights = load_file(tmp_path / "run" / "last" / "model.safetensors")
    torch.testing.assert_close(weights["0.weight"], net.weight)


def test_the_log_holds_means_rates_and_figures(tmp_path: Path) -> None:
    task = ToyTask(plain=True)
    report = train(tmp_path / "run", task=task)
    losses = [loss for (loss,) in task.losses.values()]
    logged = lines(tmp_path / "run")
    assert [line["step"] for line in logged] == [3, 4, 6, 8, 8]
    train_lines = [line for line in logged if "loss" in line]
    assert [line["loss"] for line in train_lines] == pytest.approx(
        [sum(losses[:3]) / 3, sum(losses[3:6]) / 3, sum(losses[6:]) / 2]
    )
    assert train_lines[1]["lr"] == pytest.approx(0.01 * 0.5 * (1 + math.cos(math.pi * 3 / 6)))
    assert {"error", "grad_norm", "clips_per_second", "wait_share"} <= train_lines[0].keys()
    assert report.figures == {"loss": logged[-1]["valid/loss"]}
    assert report.steps == 8
    assert report.best_value == min(line["valid/loss"] for line in logged if "valid/loss" in line)
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert run["data"]["catalog_hash"] == "toy"
    assert run["config_hash"] == toy_config(tmp_path / "run").config_hash
    assert "batch_size: 4" in (tmp_path / "run" / "config.yaml").read_text()


class TestNotFinite:
    """One bad scene must not destroy a week's weights, and must be findable."""

    def test_the_run_stops_before_the_update_and_names_the_scenes(self, tmp_path: Path) -> None:
        task = ToyTask(nan_at=[14])
        with pytest.raises(
            NonFiniteError, match=r"loss and gradient not finite in step 3.*seed 5: 12, 13, 14, 15"
        ):
            train(tmp_path / "run", "data.seed=5", task=task)
        assert task.model is not None
        kept = load_file(tmp_path / "run" / "checkpoints" / "step-000000003" / "model.safetensors")
        for name, parameter in task.model.named_parameters():
            assert torch.equal(parameter, kept[name])
        record = json.loads((tmp_path / "run" / "nonfinite.jsonl").read_text())
        assert record == {
            "step": 3,
            "not_finite": "loss and gradient",
            "seed": 5,
            "positions": [12, 13, 14, 15],
        }

    def test_a_gradient_alone_is_enough(self, tmp_path: Path) -> None:
        class Steep(ToyTask):
            def loss(self, model: nn.Module, batch: Batch, *, step: int, draws: Draws) -> tuple[Tensor, Any]:
                loss, figures = super().loss(model, batch, step=step, draws=draws)
                weight = next(model.parameters())
                zero = (weight - weight.detach()).abs().sqrt().sum()  # its slope has no end
                return loss + zero if step == 2 else loss, figures

        with pytest.raises(NonFiniteError, match="gradient not finite in step 2"):
            train(tmp_path / "run", task=Steep())

    def test_so_many_may_be_left_out(self, tmp_path: Path) -> None:
        """The weights after steps 0-7 without 3 and 5 are those of a run that has no update there."""
        task = ToyTask(nan_at=[14, 20])
        report = train(tmp_path / "run", "loop.skip_nonfinite=2", task=task)
        assert report.skipped == 2
        checkpoints = tmp_path / "run" / "checkpoints"
        for before, after in ((3, 4), (5, 6)):
            one, other = (
                load_file(checkpoints / f"step-{step:09d}" / "model.safetensors") for step in (before, after)
            )
            assert all(torch.equal(one[name], other[name]) for name in one)  # batch norm's averages too
        first, last = (load_file(checkpoints / f"step-{s:09d}" / "model.safetensors") for s in (6, 8))
        assert not torch.equal(first["0.weight"], last["0.weight"])
        assert lines(tmp_path / "run")[-1]["step"] == 8
        assert [line["skipped"] for line in lines(tmp_path / "run") if "skipped" in line] == [0, 2, 2]

    def test_but_no_more(self, tmp_path: Path) -> None:
        with pytest.raises(NonFiniteError, match="20, 21, 22, 23"):
            train(tmp_path / "run", "loop.skip_nonfinite=1", task=ToyTask(nan_at=[14, 20]))


class TestPrecision:
    def test_bf16_learns_with_a_float32_loss(self, tmp_path: Path) -> None:
        seen = []

        class Watching(ToyTask):
            def loss(self, model: nn.Module, batch: Batch, *, step: int, draws: Draws) -> tuple[Tensor, Any]:
                seen.append(model(batch["x"]).dtype)
                loss, figures = super().loss(model, batch, step=step, draws=draws)
                assert loss.dtype == torch.float32
                return loss, figures

        train(tmp_path / "run", "loop.precision=bf16", task=Watching())
        assert set(seen) == {torch.bfloat16}
        weights = load_file(tmp_path / "run" / "last" / "model.safetensors")
        assert weights["0.weight"].dtype == torch.float32

    def test_fp16_needs_a_gpu(self, tmp_path: Path) -> None:
        with pytest.raises(SynthError, match=r"loop.precision: fp16 needs a GPU"):
            train(tmp_path / "run", "loop.precision=fp16")

    def test_compiled_gives_the_same_losses(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The switch compiles the net in place: its keys in checkpoints stay."""
        calls = []
        monkeypatch.setattr(nn.Module, "compile", lambda self: calls.append(type(self)))
        train(tmp_path / "run", "loop.compile=true", "loop.channels_last=true", "loop.steps=3")
        assert calls == [nn.Sequential]


class TestData:
    def test_waiting_is_measured(self, tmp_path: Path) -> None:
        assert train(tmp_path / "slow", "loop.steps=4", slow=0.1).wait_share > 0.5

    def test_the_share_is_that_of_the_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By hand: first wait of 5 s (workers start) out; then 2 of 10 s waiting, validation's 20 s apart."""
        now = 0.0
        monkeypatch.setattr("training.clock.time.perf_counter", lambda: now)
        clock = Clock()
        clock.start()
        now = 5.0
        clock.waited(5.0)
        clock.steps = 4
        now = 35.0
        clock.waited(2.0)
        clock.paused(20.0)
        assert clock.lap(8) == {"clips_per_second": 3.2, "wait_share": 0.2}
        assert clock.share() == 0.2
        assert clock.total() == 30.0

    def test_an_end_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(SynthError, match=r"data: the data ended before the run .*epochs"):
            train(tmp_path / "run", length=12)

    def test_the_feed_is_closed(self, tmp_path: Path) -> None:
        feeds = []

        def make(*arguments: Any) -> Any:
            feeds.append(toy_feed(*arguments, fail_at=9))
            return feeds[-1]

        with pytest.raises(SynthError, match="a worker died"):
            fit(toy_config(tmp_path / "run"), ToyTask(), make, toy_scenes)
        assert [feed.closed for feed in feeds] == [True]

    def test_one_run_per_folder(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        with (
            folder_lock(tmp_path / "run"),
            pytest.raises(SynthError, match="another run writes into this folder"),
        ):
            train(tmp_path / "run")


class Scripted(ToyTask):
    """Validates to given figures."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.values = list(values)
        self.weights: list[Tensor] = []

    def validate(self, model: nn.Module, batches: Iterable[Batch]) -> Sums:
        self.weights.append(next(model.parameters()).detach().clone())
        return {"loss": (2 * self.values[min(len(self.weights), len(self.values)) - 1], 2)}


class TestValidation:
    def test_the_best_is_kept(self, tmp_path: Path) -> None:
        task = Scripted(3, 1, 2, float("nan"))
        report = train(tmp_path / "run", "validation.every=2", "loop.ema=null", task=task)
        assert (report.best_step, report.best_value) == (4, 1)
        best, last = (load_file(tmp_path / "run" / name / "model.safetensors") for name in ("best", "last"))
        assert torch.equal(best["0.weight"], task.weights[1])
        assert torch.equal(last["0.weight"], task.weights[3])

    def test_more_can_be_better(self, tmp_path: Path) -> None:
        task = Scripted(1, 3, 2, 3)
        report = train(tmp_path / "run", "validation.every=2", "validation.mode=max", task=task)
        assert (report.best_step, report.best_value) == (4, 3)

    def test_patience_ends_the_run_and_stays_ended(self, tmp_path: Path) -> None:
        patient = ("validation.every=2", "validation.patience=2")
        report = train(tmp_path / "run", *patient, task=Scripted(1, 2, 2, 0))
        assert (report.steps, report.ended, report.best_step) == (6, "patience", 2)
        task = Scripted(0)
        assert train(tmp_path / "run", *patient, task=task).steps == 6
        assert task.losses == {}

    @pytest.mark.parametrize("which", ["ema", "raw", "both"])
    def test_which_weights_are_measured(self, which: str, tmp_path: Path) -> None:
        task = Scripted(1)
        chosen = ("loop.steps=3", f"validation.weights={which}", "validation.every=3")
        report = train(tmp_path / "run", *chosen, task=task)
        folder = tmp_path / "run" / "checkpoints" / "step-000000003"
        raw, ema = (load_file(folder / f"{name}.safetensors")["0.weight"] for name in ("model", "ema"))
        measured = {"ema": [ema], "raw": [raw], "both": [ema, raw]}[which]
        assert all(torch.equal(a, b) for a, b in zip(task.weights, measured, strict=True))
        assert set(report.figures) == ({"loss", "raw/loss"} if which == "both" else {"loss"})
        best = load_file(tmp_path / "run" / "best" / "model.safetensors")
        assert torch.equal(best["0.weight"], measured[0])

    def test_a_figure_that_does_not_exist_costs_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(SynthError, match=r"validation.metric: 'f1' is not among the figures: loss"):
            train(tmp_path / "run", "validation.metric=f1", "checkpoint.every=100")
        task = ToyTask()
        train(tmp_path / "run", "validation.metric=loss", "checkpoint.every=100", task=task)
        assert min(task.losses) == 4

    def test_panels_reach_the_log(self, tmp_path: Path) -> None:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        train(tmp_path / "run", "trackers=[tensorboard]")
        events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
        events.Reload()
        assert events.Tags()["images"] == ["scene-0"]
        assert events.Tags()["audio"] == ["scene-0"]
        assert [event.step for event in events.Scalars("valid/loss")] == [4, 8]
        assert [event.step for event in events.Scalars("train/loss")] == [3, 6, 8]


@pytest.mark.parametrize("place", ["metrics.jsonl", "config.yaml", "best"])
def test_a_file_that_cannot_be_written_is_named(place: str, tmp_path: Path) -> None:
    """A folder stands where the file goes: as with a full disk, the system refuses."""
    (tmp_path / "run").mkdir()
    if place == "best":
        (tmp_path / "run" / "best" / "model.safetensors" / "x").mkdir(parents=True)
    else:
        (tmp_path / "run" / place / "x").mkdir(parents=True)
    with pytest.raises(SynthError, match=rf"run/{place}: it cannot be written.*run the same command again"):
        train(tmp_path / "run", "validation.every=2")


class TestDraws:
    def test_are_functions_of_seed_step_part_and_purpose(self) -> None:
        def first(*key: int, purpose: str = "mixup") -> float:
            return float(torch.rand(1, generator=KeyedDraws(*key)(purpose)))

        assert first(1, 2, 3) == first(1, 2, 3)
        others = {
            first(0, 2, 3),
            first(1, 0, 3),
            first(1, 2, 0),
            first(1, 2, 3, purpose="noise"),
            first(1, 2, 3),
        }
        assert len(others) == 5

    def test_leave_torch_as_it_was(self) -> None:
        before = torch.random.get_rng_state()
        with seeded(0, 0, 0, "x", torch.device("cpu")):
            inside = torch.rand(3)
        with seeded(0, 0, 0, "x", torch.device("cpu")):
            assert torch.equal(torch.rand(3), inside)
        assert torch.equal(torch.random.get_rng_state(), before)
