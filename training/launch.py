"""Start a training program in as many processes as asked for, and pass signals on to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from synth import SynthError

from .config import SedConfig, load_config

_LAUNCHER = ("-m", "accelerate.commands.launch", "--num_machines", "1", "--mixed_precision", "no")
_PLAIN = ("--dynamo_backend", "no", "--main_process_port", "0")
_LOG_END_BYTES, _LOG_END_LINES = 16_384, 12


def launch_command(
    name_or_path: str | Path, overrides: Sequence[str] = (), *, num_processes: int = 1, gpus: int = 0
) -> list[str]:
    """Return the command that trains a configuration.

    One process needs no launcher. Several are started by `accelerate launch --multi_gpu`, without GPUs too: then
    they talk over gloo (`--cpu --num_processes 2` of Accelerate 1.15 starts only one).

    Args:
        name_or_path: A preset or a file.
        overrides: `key.path=value`.
        num_processes: One per GPU, or any number without.
        gpus: How many GPUs there are.

    Raises:
        SynthError: The configuration is wrong.
    """
    config = load_config(name_or_path, overrides)
    program = "training.sed" if isinstance(config, SedConfig) else "training.separator"
    overrides = list(overrides)
    if num_processes > 1 and gpus < num_processes and config.loop.device != "cpu":
        overrides.append("loop.device=cpu")
    own = ["-m", program, "--config", str(name_or_path), *overrides]
    if num_processes == 1:
        return [sys.executable, *own]
    many = ("--multi_gpu", "--num_processes", str(num_processes))
    return [sys.executable, *_LAUNCHER, *many, *_PLAIN, *own]


def run_command(command: Sequence[str], *, threads: int | None = None) -> int:
    """Run a command in a session of its own, passing SIGTERM and SIGINT on to all its processes.

    Args:
        command: What to run.
        threads: For computing on a CPU, per process; None: as this process has it.

    Returns:
        Its exit status; 128 + n when signal n ended it.
    """
    environment = None if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    process = subprocess.Popen(command, start_new_session=True, env=environment)

    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def training_failed(stage: str, status: int, log: Path) -> SynthError:
    """Return what to tell of a training that ended with an error: the end of its log."""
    with log.open("rb") as file:
        file.seek(max(log.stat().st_size - _LOG_END_BYTES, 0))
        lines = file.read().decode(errors="replace").strip().splitlines()
    end = "\n  ".join(lines[-_LOG_END_LINES:])
    return SynthError(
        f"training {stage} ended with status {status}:\n  {end}\n",
        where=log,
        remedy="mend that and run the same command again: training goes on where it was",
    )
