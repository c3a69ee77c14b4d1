"""One cell of an ablation: its parts trained and scored by the programs that do it by hand, each in a process of its own.

A cell is a folder: `cell.json` (what it is), the runs of its parts with their logs, `scores/`, `result.json`.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from synth import Catalog, SynthError, load_json, load_recipe, read_bounded, write_corpus, write_text

from .ablation_plan import AblationPlan, Cell
from .ablation_score import FIGURES
from .ablation_table import Outcome
from .device_slot import device_slot
from .launch import training_failed
from .leash import run_leashed

_MAX_RESULT = 64 << 20


@dataclass(frozen=True, slots=True)
class CellWork:
    """What a worker does with the number of a cell.

    Attributes:
        plan: The ablation.
        out: Its folder.
        scenes: The corpus that all cells are scored on.
        devices: GPUs that the cells of one machine share out.
        threads: For computing on a CPU, per cell; None: as the environment has it.
    """

    plan: AblationPlan
    out: Path
    scenes: Path
    devices: tuple[str, ...] = ()
    threads: int | None = None

    def __call__(self, task: int, on_step: Callable[[], None]) -> Outcome:
        """Train and score a cell, unless that is done."""
        cell = self.plan.cells()[task]
        folder = cell_folder(self.out, cell)
        refuse_another(folder, cell, self.plan)
        if (kept := _read_result(folder / "result.json")) is not None:
            return kept
        folder.mkdir(parents=True, exist_ok=True)
        write_text(
            folder / "cell.json",
            json.dumps({"identity": cell.identity(self.plan), **asdict(cell)}, indent=1),
        )
        with device_slot(
            self.out / "devices" / platform.node(), self.devices, threads=self.threads, on_poll=on_step
        ) as environment:
            run = _Programs(environment, on_step)
            self._train(cell, folder, run)
            figures = self._score(folder, run)
        outcome = Outcome(cell.levels, cell.seed, figures)
        write_text(folder / "result.json", json.dumps(asdict(outcome), indent=1))
        return outcome

    def _train(self, cell: Cell, folder: Path, run: _Programs) -> None:
        corpus = self._corpus(cell, folder)
        for name, part in self.plan.parts.items():
            changes = [
                *cell.changes(self.plan, name, sed=str(_weights(folder, "sed"))),
                *corpus,
                f"out={json.dumps(str(folder / name))}",
            ]
            program = "training.sed" if name == "sed" else "training.separator"
            run(program, ["--config", part.preset, *changes], folder / f"{name}.log")

    def _corpus(self, cell: Cell, folder: Path) -> list[str]:
        """Make the cell's corpus, where its plan wants one; return what its trainings are told of it."""
        scenes = self.plan.scenes
        if scenes.source != "corpus":
            return []
        assert scenes.num_scenes is not None
        recipe, catalog = load_recipe(scenes.recipe, cell.recipe), Catalog.load(scenes.catalog)
        write_corpus(recipe, catalog, folder / "corpus", num_scenes=scenes.num_scenes, seed=cell.seed)
        return [f"data.corpus={json.dumps(str(folder / 'corpus'))}"]

    def _score(self, folder: Path, run: _Programs) -> dict[str, dict[str, float]]:
        """Return every scene's figures; those kept from a run that stopped are not made again."""
        stages = [f"{name}={_weights(folder, name)}" for name in self.plan.parts]
        run("training.ablation_score", [str(self.scenes), str(folder), *stages], folder / "score.log")
        path = folder / FIGURES
        figures: dict[str, dict[str, float]] = load_json(
            read_bounded(path, _MAX_RESULT), where=path, limit=_MAX_RESULT
        )
        return figures


@dataclass(frozen=True, slots=True)
class _Programs:
    """Runs the programs of a cell.

    Attributes:
        environment: Which device they see, and how many threads they take.
        on_poll: Called while they run; it raises when the ablation is to end.
    """

    environment: dict[str, str] | None
    on_poll: Callable[[], None]

    def __call__(self, module: str, arguments: list[str], log: Path) -> None:
        """Run a program.

        Raises:
            SynthError: It failed; the end of its log is told.
        """
        status = run_leashed(module, arguments, log, environment=self.environment, on_poll=self.on_poll)
        if status:
            raise training_failed(log.stem, status, log)


def cell_folder(out: Path, cell: Cell) -> Path:
    """Return where a cell lies."""
    return out / "cells" / cell.name


def refuse_another(folder: Path, cell: Cell, plan: AblationPlan) -> None:
    """Refuse to go on with what was begun as another cell of the same name.

    Raises:
        SynthError: The folder holds such a one.
    """
    path = folder / "cell.json"
    if path.exists() and load_json(read_bounded(path), where=path).get("identity") != cell.identity(plan):
        raise SynthError(
            "this cell was begun with other scenes, parts, changes or scoring",
            where=path,
            remedy="give the level that changed another name, choose another folder, or remove this cell; axes, "
            "levels, seeds and metrics may be added",
        )


def _weights(folder: Path, part: str) -> Path:
    return folder / part / "best" / "model.safetensors"


def _read_result(path: Path) -> Outcome | None:
    """Return what a finished cell came to; None if it is not finished."""
    if not path.exists():
        return None
    content: dict[str, Any] = load_json(read_bounded(path, _MAX_RESULT), where=path, limit=_MAX_RESULT)
    try:
        return Outcome(tuple(content["levels"]), int(content["seed"]), dict(content["scenes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SynthError("is damaged", where=path, remedy="remove it: the cell is scored again") from error
