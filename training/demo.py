"""What `make demo` learns: both stages from nothing on the embedded sounds, scored on scenes held out.

The nets are small and the time is short; the figures show that the whole chain works, and how much better
than nothing it is, not what the task's systems reach.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from synth import Catalog, load_recipe, target_classes, write_corpus, write_text

from .config import Config, load_config
from .estimates import SystemEstimator
from .evaluate import evaluate
from .launch import training_failed
from .scenes_to_score import open_scenes
from .score_records import SceneRecord
from .start import program_of
from .systems import ModelFiles, SeparatorFiles, SystemFile, load_system, write_system

STAGES = ("demo-sed", "demo-separator")
NUM_SCENES = 60
SCENES_SEED = 1
_POLL_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class DemoFigures:
    """How good the demonstration's system is on held-out scenes.

    Attributes:
        scenes: Number of scenes.
        label_accuracy: Share of scenes whose set of labels is right, in percent.
        chance: The same of the best constant answer: always the one class that is most often alone, in percent.
        ca_sdri: CA-SDRi [dB]; the mixture's is 0.
        oracle_ca_sdri: The same with the true labels given [dB].
        seconds: Time that training took.
    """

    scenes: int
    label_accuracy: float
    chance: float
    ca_sdri: float
    oracle_ca_sdri: float
    seconds: float


def learn(
    catalog: Path, out: Path, *, progress: Callable[[str, int, int], None] = lambda stage, done, total: None
) -> DemoFigures:
    """Train both stages at the same time, put them together, and score the system.

    Training that was interrupted goes on. Written are `out/demo-sed`, `out/demo-separator` (runs), `system.yaml`,
    `heldout` (the scenes), `scores`, `scores-oracle` and `figures.json`.

    Args:
        catalog: The embedded sounds.
        out: A folder.
        progress: Called with a stage, its steps done and their number.

    Raises:
        SynthError: A training failed; its log is named.
    """
    out.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    configs = [_config(stage, catalog, out) for stage in STAGES]
    _train(configs, out, progress)
    seconds = time.monotonic() - begin
    system = _system(out)
    recipe = load_recipe(configs[0].data.recipe, [*configs[0].data.set, "split=valid"])
    write_corpus(recipe, Catalog.load(catalog), out / "heldout", num_scenes=NUM_SCENES, seed=SCENES_SEED)
    scenes = open_scenes(out / "heldout")
    net = load_system(system)
    reports = {}
    for labels, folder in (("predicted", "scores"), ("oracle", "scores-oracle")):
        estimator = SystemEstimator(net, target_classes(), "oracle" if labels == "oracle" else "predicted")
        reports[labels] = evaluate(scenes, estimator, out=out / folder, what=f"{system}, {labels} labels")
    figures = DemoFigures(
        scenes=reports["predicted"].scenes,
        label_accuracy=reports["predicted"].figures["label_accuracy"],
        chance=best_constant(reports["predicted"].records),
        ca_sdri=reports["predicted"].figures["ca_sdri"],
        oracle_ca_sdri=reports["oracle"].figures["ca_sdri"],
        seconds=seconds,
    )
    write_text(out / "figures.json", json.dumps(asdict(figures), indent=1) + "\n")
    return figures


def best_constant(records: Sequence[SceneRecord]) -> float:
    """Return the label accuracy of the best answer that does not listen, in percent."""
    sets = Counter(frozenset(record.targets) for record in records)
    return 100.0 * max(sets.values()) / len(records)


def _config(stage: str, catalog: Path, out: Path) -> Config:
    return load_config(stage, _changes(stage, catalog, out))


def _changes(stage: str, catalog: Path, out: Path) -> list[str]:
    return [f"data.catalog={json.dumps(str(catalog))}", f"out={json.dumps(str(out / stage))}"]


def _train(configs: Sequence[Config], out: Path, progress: Callable[[str, int, int], None]) -> None:
    """Run all trainings at the same time, each with its share of the cores; the first fault ends all."""
    threads = max((os.cpu_count() or 1) // (2 * len(configs)), 1)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for config in configs:
            changes = _changes(config.name, config.data.catalog or Path(), out)
            command = [sys.executable, "-m", program_of(config), "--config", config.name, *changes]
            with (out / f"{config.name}.log").open("ab") as log:
                running[config.name] = subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, env=environment
                )
        while running:
            time.sleep(_POLL_SECONDS)
            for config in configs:
                process = running.get(config.name)
                if process is None:
                    continue
                status = process.poll()
                progress(config.name, _steps_done(config.out), config.loop.steps)
                if status is not None:
                    del running[config.name]
                if status:
                    raise training_failed(config.name, status, out / f"{config.name}.log")
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()


def _steps_done(run: Path) -> int:
    """Return the last step that a run's log tells."""
    try:
        lines = (run / "metrics.jsonl").read_text().splitlines()
        return max((int(json.loads(line).get("step", 0)) for line in lines if line.endswith("}")), default=0)
    except (OSError, ValueError):
        return 0


def _system(out: Path) -> Path:
    """Write the system file of the two trained nets."""
    weights = {stage: f"{stage}/best/model.safetensors" for stage in STAGES}
    file = SystemFile(
        name="demo",
        about="small nets trained by `s5kit demo run` on synthetic sounds",
        year=2026,
        taggers=(ModelFiles(weights=weights["demo-sed"]),),
        separators=(SeparatorFiles(weights=weights["demo-separator"]),),
        slots=2,
    )
    write_system(out / "system.yaml", file, home=out)
    return out / "system.yaml"
