"""Run an ablation: every cell trained and scored by the code that does it by hand, and then compared.

A cell is a folder with the runs of its parts (`training.start.train` in a process of its own), its scores
(`training.evaluate`) and a `result.json`. A run that stopped goes on: finished cells are kept, a begun one is
continued where its training was.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth import (
    Catalog,
    Engine,
    LocalEngine,
    SynthError,
    Watch,
    folder_lock,
    load_json,
    load_recipe,
    read_bounded,
    target_classes,
    write_corpus,
    write_text,
)

from .ablation_plan import AblationPlan, Cell, load_ablation, to_yaml
from .ablation_table import Outcome, Table, compare, draw, figure_of
from .device_slot import device_slot
from .evaluate import evaluate
from .launch import training_failed
from .scenes_to_score import open_scenes

if TYPE_CHECKING:
    from .estimates import Estimator

_STAGES = {"tagger": "sed", "separator": "separator"}
_MAX_RESULT = 64 << 20


@dataclass(frozen=True, slots=True)
class AblationReport:
    """What an ablation came to.

    Attributes:
        path: Its folder.
        table: Means, intervals and differences.
        csv: The table as a file.
        figure: The picture of it.
    """

    path: Path
    table: Table
    csv: Path
    figure: Path


def run_ablation(
    plan: AblationPlan,
    out: Path,
    *,
    engine: Engine | None = None,
    devices: tuple[str, ...] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> AblationReport:
    """Train, score and compare all cells; cells that are finished are kept.

    Args:
        plan: What is compared.
        out: The folder of everything.
        engine: Who runs the cells; None: this process, one after the other.
        devices: GPUs that cells share out, as in CUDA_VISIBLE_DEVICES; empty: every cell sees them all.
        progress: Called with cells finished and their number.

    Raises:
        SynthError: The folder holds another plan, or a cell failed (its log is named). Finished cells stay.
    """
    out = out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    with folder_lock(out):
        _keep_plan(plan, out)
        cells = plan.cells()
        scenes = _scored_scenes(plan, out)
        work = _CellWork(plan, out, scenes, devices)
        outcomes: dict[int, Outcome] = {}
        watch = Watch(name=lambda n: str(out / "cells" / cells[n].name))
        progress(0, len(cells))
        with closing((engine or LocalEngine()).run(work, range(len(cells)), watch)) as results:
            for number, outcome in results:
                outcomes[number] = outcome
                progress(len(outcomes), len(cells))
        table = compare(plan, [outcomes[n] for n in range(len(cells))])
        write_text(out / "table.csv", table.to_csv())
        draw(table, out / "figure.png")
    return AblationReport(out, table, out / "table.csv", out / "figure.png")


def _keep_plan(plan: AblationPlan, out: Path) -> None:
    """Write the plan into its folder, or refuse a folder whose cells would be others."""
    path, text = out / "plan.yaml", to_yaml(plan)
    if path.exists():
        before = load_ablation(path)
        if (before.scenes, before.parts, before.score) != (plan.scenes, plan.parts, plan.score):
            raise SynthError(
                "it holds an ablation of other scenes, parts or scoring",
                where=path,
                remedy="choose another folder; axes, levels and seeds may be added to this one",
            )
    write_text(path, text)


def _scored_scenes(plan: AblationPlan, out: Path) -> Path:
    """Make the scenes that all cells are scored on, once."""
    score, scenes = plan.score, plan.scenes
    changes = [*(scenes.set if score.recipe is None else ()), *score.set, f"split={score.split}"]
    write_corpus(
        load_recipe(score.recipe or scenes.recipe, changes),
        Catalog.load(score.catalog or scenes.catalog),
        out / "scenes",
        num_scenes=score.num_scenes,
        seed=score.seed,
    )
    return out / "scenes"


@dataclass(frozen=True, slots=True)
class _CellWork:
    """What a worker does with the number of a cell."""

    plan: AblationPlan
    out: Path
    scenes: Path
    devices: tuple[str, ...]

    def __call__(self, task: int, on_step: Callable[[], None]) -> Outcome:
        cell = self.plan.cells()[task]
        folder = self.out / "cells" / cell.name
        identity = cell.identity(self.plan)
        if (kept := _read_result(folder / "result.json", identity)) is not None:
            return kept
        folder.mkdir(parents=True, exist_ok=True)
        with device_slot(self.out / "devices", self.devices) as environment:
            trained = self._train(cell, folder, environment, on_step)
        outcome = Outcome(cell.levels, cell.seed, self._score(trained, folder))
        write_text(folder / "result.json", json.dumps({"identity": identity, **asdict(outcome)}, indent=1))
        return outcome

    def _train(
        self, cell: Cell, folder: Path, environment: dict[str, str] | None, on_step: Callable[[], None]
    ) -> dict[str, Path]:
        """Train the parts; return their best weights."""
        data = self._data(cell, folder)
        trained: dict[str, Path] = {}
        for name, part in self.plan.parts.items():
            run = folder / name
            own = [change.replace("{sed}", str(trained.get("sed", ""))) for change in part.set]
            changes = [
                *data,
                f"data.seed={cell.seed}",
                f"loop.seed={cell.seed}",
                *own,
                *cell.train,
                f"out={json.dumps(str(run))}",
            ]
            _run_training(name, part.preset, changes, folder / f"{name}.log", environment)
            trained[name] = run / "best" / "model.safetensors"
            on_step()
        return trained

    def _data(self, cell: Cell, folder: Path) -> list[str]:
        scenes = self.plan.scenes
        changes = [
            f"data.source={scenes.source}",
            f"data.recipe={json.dumps(scenes.recipe)}",
            f"data.set={json.dumps(cell.recipe)}",
            f"data.catalog={json.dumps(str(scenes.catalog))}",
        ]
        if scenes.source != "corpus":
            return changes
        assert scenes.num_scenes is not None
        recipe, catalog = load_recipe(scenes.recipe, cell.recipe), Catalog.load(scenes.catalog)
        write_corpus(recipe, catalog, folder / "corpus", num_scenes=scenes.num_scenes, seed=cell.seed)
        return [*changes, f"data.corpus={json.dumps(str(folder / 'corpus'))}"]

    def _score(self, trained: dict[str, Path], folder: Path) -> dict[str, dict[str, float]]:
        """Return every scene's figures; those kept from a run that stopped are not made again."""
        scenes = open_scenes(self.scenes)
        estimator, what = _estimator(trained, folder)
        report = evaluate(scenes, estimator, out=folder / "scores", what=what)
        return {record.name: figure_of(record.score) for record in report.records}


def _run_training(
    part: str, preset: str, changes: list[str], log: Path, environment: dict[str, str] | None
) -> None:
    """Run one training in a process of its own.

    Raises:
        SynthError: It failed; the end of its log is told.
    """
    program = "training.sed" if part == "sed" else "training.separator"
    command = [sys.executable, "-m", program, "--config", preset, *changes]
    with log.open("ab") as out:
        status = subprocess.run(
            command, stdout=out, stderr=subprocess.STDOUT, env=environment, check=False
        ).returncode
    if status:
        raise training_failed(part, status, log)


def _estimator(trained: dict[str, Path], folder: Path) -> tuple[Estimator, str]:
    """Return what gives a cell's estimates: both stages, or the trained one with the other left out."""
    from .estimates import SystemEstimator
    from .lone_stages import LabelsAlone, SeparationAlone
    from .systems import Part, SystemFile, load_separator, load_system, write_system

    if "separator" not in trained:
        from models import load_model

        return LabelsAlone([load_model(trained["sed"])], target_classes()), "labels alone"
    if "sed" not in trained:
        separator = load_separator(Part(trained["separator"]))
        return SeparationAlone([separator], target_classes()), "separation with true labels"
    stages = {f"{stage}s": ({"weights": str(trained[part])},) for stage, part in _STAGES.items()}
    file = SystemFile.model_validate({"name": folder.name.replace("+", "."), **stages})
    write_system(folder / "system.yaml", file, home=folder)
    return SystemEstimator(load_system(folder / "system.yaml"), target_classes()), "both stages"


def _read_result(path: Path, identity: str) -> Outcome | None:
    """Return what a finished cell came to; None if it is not finished, or the plan has changed since."""
    if not path.exists():
        return None
    content: dict[str, Any] = load_json(read_bounded(path, _MAX_RESULT), where=path, limit=_MAX_RESULT)
    if content.pop("identity", None) != identity:
        return None
    try:
        return Outcome(tuple(content["levels"]), int(content["seed"]), dict(content["scenes"]))
    except (KeyError, TypeError, ValueError) as error:
        raise SynthError("is damaged", where=path, remedy="remove it: the cell is scored again") from error
