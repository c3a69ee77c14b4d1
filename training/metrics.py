"""How good a system is: SNR, CA-SDRi (2025), CAPI-SDRi (2026), accuracies, CASA-SDR.

Every figure of one scene comes from one table of SNRs, estimates against references, made once
(`score_scene`). Sources are `(label, waveform)` pairs; the label of silence is dropped wherever it stands.
Means over scenes: `scoreboard`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synth import SynthError

EPSILON = 1.1920929e-7
"""What the official scorers add to both energies: the float32 machine epsilon of torchmetrics."""

SILENCE = "silence"

Labelled = Sequence[tuple[Hashable, Any]]
"""Sources: label and waveform ``(samples,)``, an array or a tensor."""

Kind = Literal["hit", "spurious", "missed"]

_MAX_TRIED = 5040


def snr_db(estimate: Any, reference: Any) -> Any:
    """Return the SNR in dB: ``10 log10((Σ s² + e) / (Σ (s − ŝ)² + e))``, e = 1.1920929e-7, no mean removal.

    The official scorers call this SDR (torchmetrics' ``signal_noise_ratio`` on float32). Energies are summed in
    float64 here, whatever numbers the signals hold; on float32 signals the two agree to 1e-5 dB.

    Args:
        estimate: ``(..., samples)``, an array or a tensor.
        reference: The same axes; leading ones may be broadcast.

    Returns:
        ``(...)`` float64: a tensor for tensors, else an array (a float for one signal).

    Raises:
        SynthError: Signals of different lengths.
    """
    if hasattr(reference, "detach") and hasattr(estimate, "detach"):
        _check_lengths(estimate, reference)
        wanted, error = reference.double(), reference.double() - estimate.double()
        ratio = (wanted.square().sum(-1) + EPSILON) / (error.square().sum(-1) + EPSILON)
        return 10 * ratio.log10()
    wanted, got = (_array(signal).astype(np.float64) for signal in (reference, estimate))
    _check_lengths(got, wanted)
    ratio = (_energy(wanted) + EPSILON) / (_energy(wanted - got) + EPSILON)
    level = 10 * np.log10(ratio)
    return float(level) if np.ndim(level) == 0 else level


def snr_table(estimates_EL: Sequence[Any], references_RL: Sequence[Any]) -> NDArray[np.float64]:
    """Return the SNR of every estimate against every reference, ``(E, R)`` in dB.

    Raises:
        SynthError: Signals of different lengths, or of more than one axis.
    """
    estimates, references = ([_signal(one) for one in side] for side in (estimates_EL, references_RL))
    rows = [[snr_db(one, reference) for reference in references] for one in estimates]
    return np.array(rows, dtype=np.float64).reshape(len(estimates_EL), len(references_RL))


@dataclass(frozen=True, slots=True)
class Match:
    """One entry of a score: an estimate and a reference that belong together, or one left alone.

    Attributes:
        label: The class.
        kind: "hit", "spurious" (an estimate without reference) or "missed" (the other way round).
        estimate: Index among the sounding estimates; None when missed.
        reference: Index among the sounding references; None when spurious.
        sdr: SNR of the estimate [dB]; nan unless a hit.
        sdri: Its improvement over channel 0 of the mixture [dB]; 0 unless a hit.
    """

    label: Hashable
    kind: Kind
    estimate: int | None
    reference: int | None
    sdr: float
    sdri: float


@dataclass(frozen=True, slots=True)
class SceneScore:
    """The figures of one scene.

    Attributes:
        ca_sdri: CA-SDRi [dB]; nan when both sides are silent.
        capi_sdri: CAPI-SDRi [dB]; nan (left out of means) when both sides are silent.
        casa_sdr: CASA-SDR [dB], one entry per source; nan when both sides are silent.
        casa_sdr_errors: CASA-SDR [dB], one entry per error.
        casa_sdri: `casa_sdr` of improvements.
        casa_sdri_errors: `casa_sdr_errors` of improvements.
        same_set: The label sets are equal (accuracy of 2025).
        same_multiset: The label multisets are equal (accuracy per mixture of 2026).
        hits: Labels in common, counted as multisets.
        spurious: Estimated labels too many.
        missed: Reference labels not estimated.
        matches: The entries that CAPI-SDRi averages.
    """

    ca_sdri: float
    capi_sdri: float
    casa_sdr: float
    casa_sdr_errors: float
    casa_sdri: float
    casa_sdri_errors: float
    same_set: bool
    same_multiset: bool
    hits: int
    spurious: int
    missed: int
    matches: tuple[Match, ...]


def score_scene(
    estimates: Labelled, references: Labelled, mixture: Any, *, silence: Hashable = SILENCE
) -> SceneScore:
    """Return every figure of one scene.

    Args:
        estimates: What the system gave.
        references: The dry targets.
        mixture: ``(channels, samples)`` or channel 0 ``(samples,)``.
        silence: The label of empty slots.

    Raises:
        SynthError: Signals of different lengths, or of more than one axis.
    """
    table = _Table.of(estimates, references, mixture, silence)
    matches = _capi_matches(table)
    labels = compare_labels(table.guessed, table.wanted, silence=silence)
    casa = [
        _casa(table, improvement, count) for improvement in (False, True) for count in ("source", "error")
    ]
    return SceneScore(
        ca_sdri=_ca_sdri(table),
        capi_sdri=_mean([match.sdri for match in matches]),
        casa_sdr=casa[0],
        casa_sdr_errors=casa[1],
        casa_sdri=casa[2],
        casa_sdri_errors=casa[3],
        same_set=labels.same_set,
        same_multiset=labels.same_multiset,
        hits=labels.hits,
        spurious=labels.spurious,
        missed=labels.missed,
        matches=tuple(matches),
    )


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """How estimated and true labels of one scene agree; fields as in `SceneScore`."""

    same_set: bool
    same_multiset: bool
    hits: int
    spurious: int
    missed: int


def compare_labels(
    guessed: Iterable[Hashable], wanted: Iterable[Hashable], *, silence: Hashable = SILENCE
) -> LabelCounts:
    """Compare the labels of one scene; those of silence do not count.

    Label accuracy of 2025 is the share of scenes with `same_set`, accuracy per mixture of 2026 that with
    `same_multiset`, accuracy per source of 2026 is hits / (hits + spurious + missed), each summed over all scenes.
    """
    left, right = (Counter(label for label in side if label != silence) for side in (guessed, wanted))
    hits = sum((left & right).values())
    return LabelCounts(
        same_set=set(left) == set(right),
        same_multiset=left == right,
        hits=hits,
        spurious=left.total() - hits,
        missed=right.total() - hits,
    )


def ca_sdri(estimates: Labelled, references: Labelled, mixture: Any, *, silence: Hashable = SILENCE) -> float:
    """Return the class-aware SDR improvement of one mixture in dB (DCASE 2025 Task 4).

    Over label *sets*: SNR(estimate, reference) − SNR(mixture channel 0, reference) for a class on both sides, 0 for
    one that is on one side only; the mean of these. Of equal labels on a side, the first counts. Both sides
    silent: nan.
    """
    return _ca_sdri(_Table.of(estimates, references, mixture, silence))


def capi_sdri(
    estimates: Labelled, references: Labelled, mixture: Any, *, silence: Hashable = SILENCE
) -> float:
    """Return the class-aware permutation-invariant SDR improvement of one mixture in dB (DCASE 2026 Task 4).

    Per class with n estimates and k references, m = min(n, k): of all m-subsets of the references (in order) with
    all m-permutations of the estimates, the one of the largest mean SNR gives its m improvements, and |n − k| zeros
    follow; the mean over all classes' entries. The first of equals is taken. Both sides silent: nan, which means
    that the mixture is left out.
    """
    return _mean([match.sdri for match in _capi_matches(_Table.of(estimates, references, mixture, silence))])


def casa_sdr(
    estimates: Labelled,
    references: Labelled,
    mixture: Any,
    *,
    improvement: bool = False,
    count: Literal["source", "error"] = "source",
    silence: Hashable = SILENCE,
) -> float:
    """Return the class and source-aware SDR of one mixture in dB (Mishra, Magron, Serizel, arXiv 2511.07075).

    First the sources: estimates and references are paired, whatever their labels, for the largest mean SNR. Then the
    labels: a pair with equal labels counts its SNR, a pair with different ones 0, and so does a source left alone.

    The paper names two aggregations. ``source``: a wrongly labelled pair is one entry (one source went wrong), the
    denominator is max(estimates, references). ``error``: it is two, a false positive and a false negative, and the
    denominator is TP + FP + FN as in CA-SDRi. This is our reading of the abstracts of versions 1 to 4 and of the
    figures reported for three sources at 10 dB (one deletion or substitution 6.67 dB, two labels swapped 3.33 dB),
    which are those of ``source``; the paper's equations were not at hand.

    Args:
        estimates: What the system gave.
        references: The dry targets.
        mixture: ``(channels, samples)`` or channel 0 ``(samples,)``.
        improvement: Count SNR(estimate, reference) − SNR(mixture channel 0, reference) instead of the SNR.
        count: The aggregation.
        silence: The label of empty slots.

    Returns:
        nan when both sides are silent.
    """
    return _casa(_Table.of(estimates, references, mixture, silence), improvement, count)


def slots(labels: Iterable[Any], waveforms: Iterable[Any]) -> list[tuple[Hashable, Any]]:
    """Return slots ``(slots,)`` of labels (names, or class indices with `silence` their number) and waveforms
    ``(slots, samples)`` as pairs."""
    numbers = labels.tolist() if hasattr(labels, "tolist") else labels
    return list(zip(numbers, waveforms, strict=True))


@dataclass(frozen=True, slots=True)
class _Table:
    """Labels of both sides without silence, SNRs ``(E, R)``, and the mixture's SNR against each reference."""

    guessed: list[Hashable]
    wanted: list[Hashable]
    snr: NDArray[np.float64]
    start: NDArray[np.float64]

    @classmethod
    def of(cls, estimates: Labelled, references: Labelled, mixture: Any, silence: Hashable) -> _Table:
        sounding = [(label, signal) for label, signal in estimates if label != silence]
        targets = [(label, signal) for label, signal in references if label != silence]
        waveforms = [signal for _, signal in targets]
        first = _array(mixture)
        first = first[0] if first.ndim == 2 and len(first) else first
        return cls(
            [label for label, _ in sounding],
            [label for label, _ in targets],
            snr_table([signal for _, signal in sounding], waveforms),
            snr_table([first], waveforms)[0],
        )


def _ca_sdri(table: _Table) -> float:
    entries = []
    for label in dict.fromkeys([*table.guessed, *table.wanted]):
        if label in table.guessed and label in table.wanted:
            estimate, reference = table.guessed.index(label), table.wanted.index(label)
            entries.append(float(table.snr[estimate, reference] - table.start[reference]))
        else:
            entries.append(0.0)
    return _mean(entries)


def _capi_matches(table: _Table) -> list[Match]:
    matches: list[Match] = []
    for label in dict.fromkeys([*table.wanted, *table.guessed]):
        estimates = [n for n, guess in enumerate(table.guessed) if guess == label]
        references = [n for n, wanted in enumerate(table.wanted) if wanted == label]
        pairs = best_pairs(table.snr[np.ix_(estimates, references)])
        for e, r in pairs:
            snr = float(table.snr[estimates[e], references[r]])
            gain = snr - float(table.start[references[r]])
            matches.append(Match(label, "hit", estimates[e], references[r], snr, gain))
        spare = sorted(set(range(len(estimates))) - {e for e, _ in pairs})
        lost = sorted(set(range(len(references))) - {r for _, r in pairs})
        matches += [Match(label, "spurious", estimates[e], None, math.nan, 0.0) for e in spare]
        matches += [Match(label, "missed", None, references[r], math.nan, 0.0) for r in lost]
    return matches


def _casa(table: _Table, improvement: bool, count: str) -> float:
    entries: list[float] = []
    pairs = best_pairs(table.snr)
    for e, r in pairs:
        if table.guessed[e] == table.wanted[r]:
            entries.append(float(table.snr[e, r] - (table.start[r] if improvement else 0.0)))
        else:
            entries += [0.0] if count == "source" else [0.0, 0.0]
    alone = abs(len(table.guessed) - len(table.wanted))
    return _mean(entries + [0.0] * alone)


def best_pairs(snr_ER: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return the (estimate, reference) pairs, min(E, R) of them, of the largest mean SNR; the first of equals.

    The order tried: subsets of the references as they stand, for each all orders of the estimates.
    """
    E, R = snr_ER.shape
    m = min(E, R)
    if m == 0:
        return []
    if math.comb(R, m) * math.perm(E, m) > _MAX_TRIED:
        from scipy.optimize import linear_sum_assignment

        return list(
            zip(*(axis.tolist() for axis in linear_sum_assignment(snr_ER, maximize=True)), strict=True)
        )
    best, found = -math.inf, [(n, n) for n in range(m)]
    for references in combinations(range(R), m):
        for estimates in permutations(range(E), m):
            level = float(np.mean(snr_ER[estimates, references]))
            if level > best:
                best, found = level, list(zip(estimates, references, strict=True))
    return found


def _mean(entries: Sequence[float]) -> float:
    return math.fsum(entries) / len(entries) if entries else math.nan


def _array(signal: Any) -> NDArray[Any]:
    """Return a signal as an array; tensors as float64, which holds what numpy has no type for (bfloat16)."""
    return np.asarray(signal.detach().cpu().double() if hasattr(signal, "detach") else signal)


def _signal(signal: Any) -> NDArray[Any]:
    array = _array(signal)
    if array.ndim != 1:
        raise SynthError(
            f"a signal of shape {array.shape}",
            where="metrics",
            remedy="give one waveform (samples,) per source, and the mixture as (channels, samples)",
        )
    return array


def _check_lengths(estimate: Any, reference: Any) -> None:
    """Refuse signals that numpy would stretch to each other's length, or fail on with its own words.

    Raises:
        SynthError: Naming both shapes.
    """
    shapes = tuple(estimate.shape), tuple(reference.shape)
    if not all(shapes) or shapes[0][-1] != shapes[1][-1]:
        raise SynthError(
            f"an estimate of shape {shapes[0]} for a reference of shape {shapes[1]}",
            where="metrics",
            remedy="give signals (samples,) of one length: estimates, references and mixture",
        )


def _energy(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    energy: NDArray[np.float64] = np.einsum("...l,...l->...", signal, signal)
    return energy
