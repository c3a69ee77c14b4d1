"""How a training program begins: read the configuration, make the task, run the loop; and how it is launched."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from models import ModelError
from synth import SynthError

from .config import Config, SedConfig, load_config
from .data import make_feed, make_validation, scene_facts
from .leash import LEASH, wear_leash
from .loop import FitReport, fit
from .sed import SedTask
from .separator import SeparatorTask


def train(config: Config) -> FitReport:
    """Train, or go on with what is in the run's folder.

    Raises:
        SynthError: Data, weights, disk or configuration are at fault, or the run was stopped; what was saved stays.
        ModelError: Weights do not fit the net.
    """
    facts = scene_facts(config)
    task = SedTask(config, facts) if isinstance(config, SedConfig) else SeparatorTask(config, facts)
    return fit(config, task, make_feed, make_validation)


def main_of(tasks: Sequence[str], arguments: Sequence[str] | None = None) -> None:
    """Run a training program: `--config NAME_OR_FILE [KEY=VALUE …]`; user errors end with one message.

    What all ranks find wrong is told by the first of every machine; what a rank met in its share of the data, by it.

    Args:
        tasks: What this program trains.
        arguments: The command line; None: this process's.
    """
    parser = argparse.ArgumentParser(description=f"Train a {' or '.join(tasks)}.")
    parser.add_argument("--config", required=True, help="a preset of `s5kit train list`, or a YAML file")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="changes to it")
    parser.add_argument(LEASH, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.leash:
        wear_leash()
    try:
        config = load_config(given.config, given.overrides)
        if config.task not in tasks:
            raise SynthError(
                f"it trains a {config.task}, this program a {' or '.join(tasks)}",
                where=given.config,
                remedy=f"run `python -m {program_of(config)}`, or `s5kit train`",
            )
        train(config)
    except (SynthError, ModelError) as error:
        own = getattr(error, "__notes__", [])
        if own or os.environ.get("LOCAL_RANK", "0") == "0":
            print(f"error: {' '.join([str(error), *own])}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 1))


def program_of(config: Config) -> str:
    """Return the module that trains a configuration."""
    return "training.sed" if isinstance(config, SedConfig) else "training.separator"
