"""Score a system on a set of scenes, as the challenge does, with breakdowns; a run that was cut off goes on.

    scenes = open_scenes(Path("dev_set/test"))
    estimator = SystemEstimator(load_system("system.yaml"), target_classes())
    report = evaluate(scenes, estimator, out=Path("scores"))
    report.figures["ca_sdri"]

For one scene, with its sound: `estimate_scene`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synth import SynthError

from .estimates import Estimator, SceneEstimate
from .metrics import Kind, SceneScore, score_scene, snr_db
from .scenes_to_score import SceneToScore, ScoringSet
from .score_records import Journal, SceneRecord, SourceRecord
from .score_report import EvaluationReport, make_report

__all__ = ["EvaluationReport", "ScoredEstimate", "ScoredScene", "estimate_scene", "evaluate", "score"]


@dataclass(frozen=True, slots=True)
class ScoredEstimate:
    """One source of a scene as a system gave it, or one that it missed.

    Attributes:
        label: The class.
        kind: "hit", "spurious" or "missed".
        waveform: ``(samples,)`` float32; None when missed.
        reference: The dry target ``(samples,)``; None when spurious.
        score: Probability of the label; None where labels were given or missed.
        events: When it sounds, as the system says [s]; None when it does not tell.
        sdr: SNR of the estimate [dB]; nan unless a hit.
        sdri: Its improvement over channel 0 of the mixture [dB]; 0 unless a hit.
    """

    label: str
    kind: Kind
    waveform: np.ndarray | None
    reference: np.ndarray | None
    score: float | None
    events: tuple[tuple[float, float], ...] | None
    sdr: float
    sdri: float


@dataclass(frozen=True, slots=True)
class ScoredScene:
    """One scene with everything that is known of a system's answer.

    Attributes:
        sources: Estimates and missed targets.
        score: The figures of the scene.
        strong: Probability of each class and frame ``(classes, frames)``; None when the system does not tell.
    """

    sources: tuple[ScoredEstimate, ...]
    score: SceneScore
    strong: np.ndarray | None


def estimate_scene(scene: SceneToScore, estimator: Estimator) -> ScoredScene:
    """Run a system on one scene and score each of its sources.

    Args:
        scene: From `open_scenes(...).read(index)`.
        estimator: A `SystemEstimator`, `FolderEstimates` …
    """
    (answer,) = estimator([scene])
    scored = score(scene, answer)
    sources = []
    for match in scored.matches:
        estimate = None if match.estimate is None else answer.sources[match.estimate]
        reference = None if match.reference is None else scene.targets[match.reference].waveform
        sources.append(
            ScoredEstimate(
                label=str(match.label),
                kind=match.kind,
                waveform=None if estimate is None else estimate.waveform,
                reference=reference,
                score=None if estimate is None else estimate.score,
                events=None if estimate is None else estimate.events,
                sdr=match.sdr,
                sdri=match.sdri,
            )
        )
    return ScoredScene(tuple(sources), scored, answer.strong)


def score(scene: SceneToScore, answer: SceneEstimate) -> SceneScore:
    """Return the figures of one scene.

    Raises:
        SynthError: An estimate that holds values that are no numbers.
    """
    for estimate in answer.sources:
        if not np.isfinite(estimate.waveform).all():
            raise SynthError(
                f"the estimate of {estimate.label!r} holds values that are no numbers",
                where=scene.name,
                remedy="run in float32, or look at the model's weights",
            )
    return score_scene(answer.pairs(), scene.references(), scene.mixture)


def evaluate(
    scenes: ScoringSet,
    estimator: Estimator,
    *,
    out: Path | None = None,
    what: str = "",
    batch_size: int = 4,
    threshold: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> EvaluationReport:
    """Score a whole set.

    Args:
        scenes: What to score.
        estimator: What gives the estimates.
        out: Folder of `scenes.jsonl` and `strong/`, written scene by scene; a run that stopped goes on from there.
            `report.json` and `scenes.csv` are written at the end.
        what: Names the system and its settings; a folder holds the results of one such name and one set only.
        batch_size: Scenes put through the system at once; the figures do not depend on it.
        threshold: Of the segment-based F1.
        progress: Called with scenes done and their number.

    Raises:
        SynthError: A scene that cannot be read or scored, or a folder with results of something else.
    """
    if batch_size < 1:
        raise SynthError(f"{batch_size} scenes at once", where="batch_size", remedy="give at least 1")
    total = len(scenes.names)
    with Journal(out, scenes.identity, what, estimator.classes) as journal:
        todo = [n for n, name in enumerate(scenes.names) if name not in journal.records]
        if progress is not None:
            progress(total - len(todo), total)
        for done, batch in _batches(scenes, todo, batch_size):
            for scene, answer in zip(batch, estimator(batch), strict=True):
                journal.add(record_of(scene, score(scene, answer)), answer.strong, scene)
            if progress is not None:
                progress(total - len(todo) + done, total)
        records = [journal.records[name] for name in scenes.names]
        report = make_report(records, year=scenes.year, what=what, sed=journal.sed_scores(threshold))
    if out is not None:
        report.write(out)
    return report


def record_of(scene: SceneToScore, scored: SceneScore) -> SceneRecord:
    """Return what is kept of a scene: figures and facts, no sound."""
    sources = []
    for match in scored.matches:
        target = None if match.reference is None else scene.targets[match.reference]
        start = None if target is None else float(snr_db(scene.mixture[0], target.waveform))
        snr = None if target is None else target.snr_db
        sources.append(SourceRecord(str(match.label), match.kind, match.sdr, match.sdri, snr, start))
    return SceneRecord(scene.name, scored, tuple(sources), scene.overlap)


def _batches(
    scenes: ScoringSet, todo: Sequence[int], batch_size: int
) -> Iterator[tuple[int, list[SceneToScore]]]:
    for start in range(0, len(todo), batch_size):
        chosen = todo[start : start + batch_size]
        yield start + len(chosen), [scenes.read(n) for n in chosen]
