"""A training run in progress: what `loop.fit` does, one method per deed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from synth import SynthError

from .checkpoint import clear_leftovers, newest_checkpoint, write_checkpoint
from .clock import Clock
from .config import TrainConfig
from .ema import Ema
from .keyed import seeded
from .optim import factor, make_optimizer
from .progress import Display, figures_text, make_display
from .run_folder import RunFolder
from .state import Best, TrainState, versions
from .stopping import StoppedError, StopRequests
from .task import Batch, Task
from .trackers import Trackers
from .update import LossModule, Outcome, Updater, batches_of, scenes_of
from .validating import MetricError, Validation, Validator


class Feed(Protocol):
    """The data of a run: endless batches on the device, with a state (see `training.data`)."""

    def __iter__(self) -> Iterator[Batch]:
        """Begin where the state says."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return, as JSON values, what was handed out, over all ranks."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        ...

    def close(self) -> None:
        """End workers."""
        ...


MakeFeed = Callable[[TrainConfig, int, int, torch.device], Feed]
"""(configuration, rank, number of ranks, device) -> the data of one rank."""

MakeValidation = Callable[[TrainConfig, int, int, torch.device], Iterable[Batch]]
"""(configuration, rank, number of ranks, device) -> one rank's share of the fixed scenes, iterable again and again."""


class NonFiniteError(SynthError):
    """A loss or gradient was not finite; the weights are those before that step."""


class Run:
    """A run in progress; `fit` tells its story."""

    def __init__(
        self,
        config: TrainConfig,
        task: Task,
        accelerator: Accelerator,
        folder: RunFolder,
        stop: StopRequests,
        closing: ExitStack,
    ) -> None:
        self.config, self.task, self.accelerator, self.folder = config, task, accelerator, folder
        self._stop, self._closing = stop, closing
        self._stop_agreed = False
        self._saved: tuple[int, int] | None = None
        self._between_steps = True
        self.figures: dict[str, float] = {}
        self.clock = Clock()
        self._build()

    def _build(self) -> None:
        """Make net, optimiser and average; Accelerate wraps net and optimiser, never the data."""
        loop = self.config.loop
        with seeded(loop.seed, 0, 0, "initial weights", self.accelerator.device):
            model = self.task.build()
        if loop.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if loop.compile:
            model.compile()
        optimizer = make_optimizer(self.task.groups(model), self.config.optim)  # type: ignore[attr-defined]
        self._rates = [group["lr"] for group in optimizer.param_groups]
        module, prepared = self.accelerator.prepare(LossModule(model, self.task), optimizer)
        ema = None if loop.ema is None else Ema(model, loop.ema)
        self.state = TrainState(self.config, model, optimizer, ema, self.accelerator.scaler)
        self._module = module
        self._updater = Updater(
            self.accelerator,
            module,
            prepared,
            seed=loop.seed,
            accumulate=loop.accumulate,
            clip=loop.clip,
            protect=loop.skip_nonfinite > 0,
        )

    def resume(self) -> None:
        """Take up the newest valid checkpoint, on all ranks the same."""
        found: list[Any] = [None]
        main = self.accelerator.is_main_process
        if main:
            clear_leftovers(self.folder.checkpoints)
            found = [newest_checkpoint(self.folder.checkpoints)]
        (newest,) = broadcast_object_list(found)
        self._notes = [f"checkpoint skipped: {reason}" for reason in newest.skipped]
        if newest.path is not None:
            self.state.read(newest.path)
            self._saved = self._now
            self._notes.append(f"continued from step {newest.step} ({newest.path})")
        self.folder.forget_after(newest.step, self.state.counters.validated)

    def open(self, make_feed: MakeFeed, make_validation: MakeValidation) -> None:
        """Open the data, the log and the display; what is opened is closed when `fit` ends."""
        config, counters = self.config, self.state.counters
        ranks = (self.accelerator.process_index, self.accelerator.num_processes, self.accelerator.device)
        self._feed = make_feed(config, *ranks)
        self._closing.callback(self._feed.close)
        if counters.feed:
            self._feed.load_state_dict(counters.feed)
        counters.feed = self._feed.state_dict()
        self._batches = batches_of(iter(self._feed), "data")
        scenes = make_validation(config, *ranks)
        if hasattr(scenes, "close"):
            self._closing.callback(scenes.close)
        self._validator = Validator(
            self.accelerator,
            self.task,
            self.state.model,
            self.state.ema,
            config.validation,
            scenes,
            lambda: self._stop.requested,
        )
        data = {name: value for name, value in counters.feed.items() if name != "position"}
        self.folder.write_config(config, {"data": data, "versions": versions()})
        self._display = self._open_display()
        self._trackers = Trackers(
            config.trackers if self.accelerator.is_main_process else (),
            run=config.name,
            folder=self.folder.path,
            step=counters.step,
            config=config.model_dump(mode="json"),
            say=self._display.say,
        )
        self._closing.callback(self._trackers.close)
        self.clock.start()

    def _open_display(self) -> Display:
        display = make_display(
            self.config.name,
            self.state.counters.step,
            self.config.loop.steps,
            main=self.accelerator.is_main_process,
        )
        self._closing.callback(display.close)
        for note in self._notes:
            display.say(f"{self.config.name}: {note}")
        return display

    @property
    def _now(self) -> tuple[int, int]:
        """What tells one checkpoint from the next: steps done, and the last one validated."""
        return self.state.counters.step, self.state.counters.validated

    @property
    def ended(self) -> bool:
        """Say whether there is nothing more to do."""
        return self.state.counters.step >= self.config.loop.steps or self.out_of_patience

    @property
    def out_of_patience(self) -> bool:
        """Say whether validation has stopped getting better."""
        patience = self.config.validation.patience
        return patience is not None and self.state.counters.since_best >= patience

    def due(self, every: int) -> bool:
        """Say whether something is due after the step just done."""
        step = self.state.counters.step
        return step % every == 0 or self.ended

    @property
    def validation_is_due(self) -> bool:
        """Say whether this step is to be validated: after it was done, or after a resume when a stop prevented it."""
        counters = self.state.counters
        return counters.validated != counters.step and self.due(self.config.validation.every)

    def step(self) -> None:
        """Do one optimiser step."""
        counters, loop = self.state.counters, self.config.loop
        rate = factor(counters.step, self.config.schedule, loop.steps)
        for group, base in zip(self.state.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = base * rate
        outcome = self._updater.step(counters.step, self._next_batch, lambda: self._stop.requested)
        if outcome.fault is not None:
            self._leave_out(outcome)
        elif outcome.updated:
            if self.state.ema is not None:
                self.state.ema.update(counters.updates)
            counters.updates += 1
        counters.step += 1
        counters.feed = dict(self._feed.state_dict())
        counters.remember(outcome.figures)
        self._stop_agreed |= outcome.stop
        self._between_steps = True
        self.clock.steps += 1
        self._display.advance(counters.step)

    def _next_batch(self) -> Batch:
        begin = time.perf_counter()
        batch = self._batches()
        self.clock.waited(time.perf_counter() - begin)
        self._between_steps = False
        return batch

    def _leave_out(self, outcome: Outcome) -> None:
        """Write down the scenes of a step that was left out; stop unless the configuration allows it.

        Raises:
            NonFiniteError: It does not.
        """
        counters, loop = self.state.counters, self.config.loop
        scenes = scenes_of(self.accelerator, self._updater.positions)
        seed = self.config.data.seed
        record = {"step": counters.step, "not_finite": outcome.fault, "seed": seed, "positions": scenes}
        self.folder.log_nonfinite(record)
        if counters.skipped >= loop.skip_nonfinite:
            raise NonFiniteError(
                f"{outcome.fault} not finite in step {counters.step} (counted from 0), before the update: the weights "
                f"are as they were. Scenes of its batch, seed {seed}: {', '.join(map(str, scenes))}",
                where=self.folder.path / "nonfinite.jsonl",
                remedy="look at these scenes (`s5kit plan`, `s5kit render`), lower the learning rate, or allow some "
                "such steps to be left out with loop.skip_nonfinite",
            )
        counters.skipped += 1
        self._display.say(f"{self.config.name}: step {counters.step} left out: {outcome.fault} not finite")

    def log(self) -> None:
        """Write the means since the last line."""
        counters = self.state.counters
        means = counters.means()
        rates = self.clock.lap(self.config.loop.batch_size)
        lr = self.state.optimizer.param_groups[0]["lr"]
        figures = {**means, "lr": lr, "skipped": float(counters.skipped), **rates}
        self.folder.log({"step": counters.step, **figures})
        self._trackers.log({f"train/{name}": value for name, value in figures.items()}, counters.step)
        self._display.show(
            counters.step, means.get("loss", float("nan")), rates["clips_per_second"], rates["wait_share"]
        )

    def validate(self) -> None:
        """Measure the weights on the fixed scenes; keep them if they are the best so far."""
        counters = self.state.counters
        begin = time.perf_counter()
        validation = self._validator.run(self.config.loop.seed, counters.step)
        self.clock.paused(time.perf_counter() - begin)
        if validation is None:
            self._stop_agreed = True
            return
        self.figures = validation.figures
        shown = {f"valid/{name}": value for name, value in validation.figures.items()}
        self.folder.log({"step": counters.step, **shown})
        self._trackers.log(shown, counters.step)
        self._trackers.show(validation.panels, counters.step)
        self._judge(validation)
        counters.validated = counters.step

    def _judge(self, validation: Validation) -> None:
        counters = self.state.counters
        better = self._validator.better(
            validation.value, None if counters.best is None else counters.best.value
        )
        if better:
            with self._validator.best_weights():
                self.folder.save_weights("best", self.state.model, counters.step, validation.figures)
            counters.best = Best(step=counters.step, value=validation.value)
            counters.since_best = 0
        else:
            counters.since_best += 1
        mark = " (best)" if better else ""
        text = figures_text(validation.figures)
        self._display.say(f"{self.config.name}: step {counters.step} validation{mark}: {text}")

    def save(self) -> None:
        """Write a checkpoint and the last weights."""
        step = self.state.counters.step
        if self._saved == self._now:
            return
        begin = time.perf_counter()
        if self.accelerator.is_main_process:
            keep = self.config.checkpoint.keep
            write_checkpoint(self.folder.checkpoints, step, self.state.write, keep=keep)
            with self._validator.best_weights():
                self.folder.save_weights("last", self.state.model, step, self.figures)
        self._saved = self._now
        self.clock.paused(time.perf_counter() - begin)

    def stop_if_asked(self) -> None:
        """Save and stop if any rank has had a signal.

        Raises:
            StoppedError: It has.
        """
        if self._stop_agreed:
            self.save()
            raise self._stop.error(f"step {self.state.counters.step} is saved in {self.folder.checkpoints}")

    @contextmanager
    def saved_on_errors(self) -> Iterator[None]:
        """Save what is done when the data or a figure fails between two steps."""
        try:
            yield
        except (StoppedError, NonFiniteError):
            raise
        except SynthError as error:
            if self.accelerator.num_processes > 1 and not isinstance(error, MetricError):
                error.add_note(f"(rank {self.accelerator.process_index})")
            if self._between_steps and self.state.counters.step > 0:
                with suppress(SynthError):  # the first error is the one to tell
                    self.save()
            raise
        except RuntimeError as error:
            if self.accelerator.num_processes > 1 and _lost_touch(error):
                raise SynthError(
                    f"rank {self.accelerator.process_index} lost touch with the others: "
                    f"{str(error).partition(chr(10))[0]}",
                    where=self.folder.path,
                    remedy="see what the rank that ended first says, then run the same command again: it continues "
                    "from the newest checkpoint",
                ) from error
            raise


def _lost_touch(error: RuntimeError) -> bool:
    """Say whether an error came from the exchange between ranks; gloo has no type of its own for it."""
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
