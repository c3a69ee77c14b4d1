"""The training loop: one for all tasks, from a configuration to trained weights.

    config = load_config("sed-m2d-tiny", ["out=runs/first"])
    report = fit(config, SedTask(config, scene_facts(config)), make_feed, make_validation)

Everything that a step computes is a function of (configuration, step, rank): data come by their position,
draws and dropout by (seed, step). So a run that was cut anywhere is continued to the bit by running it again;
with another number of ranks the scenes and their order stay, the sums are rounded differently and dropout
differs.

SIGTERM and Ctrl-C, on any rank, end the run after the step in progress with a checkpoint and `StoppedError`,
whose `exit_code` is 143 or 130 (a launcher around it reports its own).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState

from synth import SynthError, folder_lock

from .config import TrainConfig
from .run import MakeFeed, MakeValidation, Run
from .run_folder import RunFolder
from .stopping import StopRequests
from .task import Task

_PRECISION = {"fp32": "no", "fp16": "fp16", "bf16": "bf16"}


@dataclass(frozen=True, slots=True)
class FitReport:
    """What a run came to.

    Attributes:
        path: Its folder.
        steps: Optimiser steps done in all.
        skipped: Of them left out because something was not finite.
        metric: What chose the best weights.
        best_step: When they were measured; None without a validation.
        best_value: Their figure.
        figures: Of the last validation.
        seconds: This process' time in the loop, without the first batch's wait.
        clips_per_second: Scenes learnt from per second in that time, all ranks together, validation included.
        wait_share: Share of the steps' time spent waiting for data.
        ended: "done", or "patience" when validation stopped getting better.
    """

    path: Path
    steps: int
    skipped: int
    metric: str
    best_step: int | None
    best_value: float | None
    figures: dict[str, float]
    seconds: float
    clips_per_second: float
    wait_share: float
    ended: str


def fit(config: TrainConfig, task: Task, make_feed: MakeFeed, make_validation: MakeValidation) -> FitReport:
    """Train, or go on where the run in `config.out` was interrupted.

    Args:
        config: The run.
        task: What is learnt.
        make_feed: Makes the data of a rank.
        make_validation: Makes a rank's share of the validation scenes.

    Raises:
        StoppedError: A signal came; everything is saved.
        NonFiniteError: A loss or gradient was not finite; the scenes are named.
        SynthError: The data, the disk or the configuration is at fault. What was saved stays.
        ModelError: Weights do not fit the net.
    """
    accelerator = start_accelerate(config, task)
    folder = RunFolder(config.out, main=accelerator.is_main_process)
    with ExitStack() as closing:
        stop = closing.enter_context(StopRequests())
        if accelerator.is_main_process:
            closing.enter_context(folder_lock(folder.path))
        run = Run(config, task, accelerator, folder, stop, closing)
        run.resume()
        run.open(make_feed, make_validation)
        with run.saved_on_errors():
            if run.validation_is_due:  # a stop prevented it
                run.validate()
                run.save()
                run.stop_if_asked()
            while not run.ended:
                run.step()
                if run.due(config.loop.log_every):
                    run.log()
                if run.validation_is_due:
                    run.validate()
                if run.due(config.checkpoint.every):
                    run.save()
                run.stop_if_asked()
        return _report(run)


def start_accelerate(config: TrainConfig, task: Task) -> Accelerator:
    """Return Accelerate for a run; processes are those that `accelerate launch` started.

    Raises:
        SynthError: The device cannot do the precision.
    """
    cpu = config.loop.device == "cpu" or not torch.cuda.is_available()
    if cpu and config.loop.precision == "fp16":
        raise SynthError(
            "fp16 needs a GPU", where="loop.precision", remedy="choose bf16 or fp32, or run it on a GPU"
        )
    torch.set_float32_matmul_precision("high" if config.loop.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = config.loop.tf32
    AcceleratorState._reset_state()  # an earlier run in this process may have had another precision
    ddp = DistributedDataParallelKwargs(
        find_unused_parameters=task.unused_parameters, gradient_as_bucket_view=True
    )
    return Accelerator(cpu=cpu, mixed_precision=_PRECISION[config.loop.precision], kwargs_handlers=[ddp])


def _report(run: Run) -> FitReport:
    counters, clock = run.state.counters, run.clock
    best = counters.best
    seconds = max(clock.total(), 1e-9)
    return FitReport(
        path=run.folder.path,
        steps=counters.step,
        skipped=counters.skipped,
        metric=run.config.validation.metric,
        best_step=None if best is None else best.step,
        best_value=None if best is None else best.value,
        figures=run.figures,
        seconds=seconds,
        clips_per_second=clock.steps * run.config.loop.batch_size / seconds,
        wait_share=clock.share(),
        ended="patience" if run.out_of_patience else "done",
    )
