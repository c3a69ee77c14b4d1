"""Score what a cell of an ablation has trained: a program of its own, which runs where the training ran.

`python -m training.ablation_score SCENES FOLDER sed=WEIGHTS separator=WEIGHTS` writes FOLDER/scores and
FOLDER/figures.json. One stage alone is scored with the other left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from models import ModelError
from synth import SynthError, target_classes, write_text

from .ablation_table import figure_of
from .evaluate import evaluate
from .leash import LEASH, wear_leash
from .scenes_to_score import open_scenes

if TYPE_CHECKING:
    from .estimates import Estimator

FIGURES = "figures.json"
_STAGES = {"taggers": "sed", "separators": "separator"}


def score_cell(scenes: Path, folder: Path, weights: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Return every scene's figures, and write them; scenes scored by a run that stopped are kept.

    Args:
        scenes: A corpus.
        folder: Of the cell.
        weights: Trained nets: sed, separator or both.

    Raises:
        SynthError: A scene cannot be scored.
        ModelError: Nets that do not fit together.
    """
    estimator, what = _estimator(weights, folder)
    report = evaluate(open_scenes(scenes), estimator, out=folder / "scores", what=what)
    figures = {record.name: figure_of(record.score) for record in report.records}
    write_text(folder / FIGURES, json.dumps(figures))
    return figures


def _estimator(weights: dict[str, Path], folder: Path) -> tuple[Estimator, str]:
    """Return what gives a cell's estimates: both stages, or the trained one with the other left out."""
    import torch

    from models import load_model

    from .estimates import SystemEstimator
    from .lone_stages import LabelsAlone, SeparationAlone
    from .systems import Part, SystemFile, load_separator, load_system, write_system

    device = "cuda" if torch.cuda.is_available() else "cpu"
    if "separator" not in weights:
        return LabelsAlone([load_model(weights["sed"]).to(device)], target_classes()), "labels alone"
    if "sed" not in weights:
        separator = load_separator(Part(weights["separator"])).to(device)
        return SeparationAlone([separator], target_classes()), "separation with true labels"
    stages = {stage: ({"weights": str(weights[part])},) for stage, part in _STAGES.items()}
    write_system(folder / "system.yaml", SystemFile.model_validate({"name": "cell", **stages}), home=folder)
    system = load_system(folder / "system.yaml", device)
    return SystemEstimator(system, target_classes()), "both stages"


def main(arguments: list[str] | None = None) -> None:
    """Run the program; user errors end with one message."""
    parser = argparse.ArgumentParser(description="Score what a cell of an ablation has trained.")
    parser.add_argument("scenes", type=Path, help="a corpus")
    parser.add_argument("folder", type=Path, help="of the cell")
    parser.add_argument("weights", nargs="+", metavar="PART=WEIGHTS", help="sed=FILE, separator=FILE")
    parser.add_argument(LEASH, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.leash:
        wear_leash()
    weights = dict(text.split("=", 1) for text in given.weights)
    try:
        score_cell(given.scenes, given.folder, {part: Path(path) for part, path in weights.items()})
    except (SynthError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
