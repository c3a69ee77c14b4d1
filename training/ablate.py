"""Run an ablation: every cell trained and scored by the code that does it by hand, and then compared.

A cell is a folder of its own (`training.ablation_cell`). A run that stopped goes on: finished cells are kept, a
begun one is continued where its training was.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from synth import (
    Catalog,
    Engine,
    LocalEngine,
    Recipe,
    SynthError,
    Watch,
    check_plannable,
    folder_lock,
    load_recipe,
    write_corpus,
    write_text,
)

from .ablation_cell import CellWork, cell_folder, refuse_another
from .ablation_plan import AblationPlan, Cell, to_yaml
from .ablation_table import Outcome, Table, compare, draw
from .config import load_config
from .stopping import StopRequests


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
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> AblationReport:
    """Train, score and compare all cells; cells that are finished are kept.

    Args:
        plan: What is compared.
        out: The folder of everything.
        engine: Who runs the cells; None: this process, one after the other.
        devices: GPUs that cells share out, as in CUDA_VISIBLE_DEVICES; empty: every cell sees them all.
        threads: For computing on a CPU, per cell; None: as the environment has it.
        progress: Called with cells finished and their number.

    Raises:
        StoppedError: SIGINT or SIGTERM came; trainings in progress save what they did.
        SynthError: The plan asks for what is not there, the folder holds other cells of the same names, or a cell
            failed (its log is named). Finished cells stay.
    """
    out = out.absolute()
    cells = plan.cells()
    check_plan(plan)
    _check_sounds(plan, cells)
    out.mkdir(parents=True, exist_ok=True)
    with folder_lock(out), StopRequests() as stop:
        for cell in cells:
            refuse_another(cell_folder(out, cell), cell, plan)
        write_text(out / "plan.yaml", to_yaml(plan))
        work = CellWork(plan, out, _scored_scenes(plan, out), devices, threads)
        outcomes: dict[int, Outcome] = {}

        def check() -> None:
            if stop.requested:
                raise stop.error(f"{len(outcomes)} of {len(cells)} cells are finished")

        watch = Watch(name=lambda n: str(cell_folder(out, cells[n])), check=check)
        progress(0, len(cells))
        with closing((engine or LocalEngine()).run(work, range(len(cells)), watch)) as results:
            for number, outcome in results:
                outcomes[number] = outcome
                progress(len(outcomes), len(cells))
        table = compare(plan, [outcomes[n] for n in range(len(cells))])
        write_text(out / "table.csv", table.to_csv())
        draw(table, out / "figure.png")
    return AblationReport(out, table, out / "table.csv", out / "figure.png")


def check_plan(plan: AblationPlan) -> None:
    """Check what a plan says of recipes and trainings, before the first of them runs.

    Raises:
        SynthError: A preset, key or value is wrong; the cell is named.
    """
    if plan.score.recipe is None and not any(text.startswith("effects.") for text in plan.score.set):
        recipe, changes = plan.scored_recipe
        if load_recipe(recipe, changes).effects != Recipe.model_fields["effects"].default:
            raise SynthError(
                "scores would be of augmented scenes",
                where=f"{plan.name}: score.recipe",
                remedy="name the recipe without effects here, or move the effects to a level",
            )
    checked: set[tuple[str, ...]] = set()
    for cell in plan.cells():
        if cell.levels in checked:
            continue
        checked.add(cell.levels)
        try:
            load_recipe(plan.scenes.recipe, cell.recipe)
            for name, part in plan.parts.items():
                load_config(part.preset, cell.changes(plan, name, sed="sed.safetensors"))
        except SynthError as error:
            raise SynthError(
                f"{error.what} (cell {cell.name})", where=error.where, remedy=error.remedy
            ) from error


def _check_sounds(plan: AblationPlan, cells: list[Cell]) -> None:
    """Check that the catalogs have what every cell learns from, and what the best weights are chosen on."""
    catalog = Catalog.load(plan.scenes.catalog)
    for changes in dict.fromkeys(cell.recipe for cell in cells):
        check_plannable(load_recipe(plan.scenes.recipe, changes), catalog)
    recipe, changes = plan.scored_recipe
    other = catalog if plan.score.catalog is None else Catalog.load(plan.score.catalog)
    check_plannable(load_recipe(recipe, [*changes, "split=valid"]), other)


def _scored_scenes(plan: AblationPlan, out: Path) -> Path:
    """Make the scenes that all cells are scored on, once."""
    score = plan.score
    recipe, changes = plan.scored_recipe
    write_corpus(
        load_recipe(recipe, [*changes, f"split={score.split}"]),
        Catalog.load(score.catalog or plan.scenes.catalog),
        out / "scenes",
        num_scenes=score.num_scenes,
        seed=score.seed,
    )
    return out / "scenes"
