"""A figure that is not the challenge's makes every comparison with published systems worthless."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from synth import SynthError
from tests.models.filling import noise
from training.metrics import best_pairs, ca_sdri, capi_sdri, casa_sdr, compare_labels, score_scene, snr_db
from training.scoreboard import Mean, Scoreboard

GOLDEN = Path(__file__).parents[1] / "golden" / "scoring"
YEAR25 = json.loads((GOLDEN / "2025.json").read_text())
YEAR26 = json.loads((GOLDEN / "2026.json").read_text())


def signal(name: str, samples: int = 3200) -> np.ndarray:
    return np.concatenate(list(noise(f"metric/{name}", samples))).astype(np.float32)


A, B, C, D, E, F, G = (signal(name) for name in "abcdefg")
Z = np.zeros_like(A)
MIXTURE = A + B + C + np.float32(0.3) * D
E1, E2, E3 = A + np.float32(0.2) * E, B + np.float32(0.5) * F, C + np.float32(0.8) * G
QUIET = ("silence", Z)
REFERENCES = [("Speech", A), ("Cough", B), QUIET]

CASES_2025 = {
    "all_correct_swapped": [("Cough", E2), ("Speech", E1), QUIET],
    "one_fp": [("Cough", E2), ("Speech", E1), ("Pour", G)],
    "one_fn": [("Speech", E1), QUIET, QUIET],
    "one_fp_one_fn": [("Speech", E1), ("Pour", G), QUIET],
    "all_wrong": [("Pour", E1), ("Typing", E2), QUIET],
    "zero_estimate": [("Cough", Z), ("Speech", E1), QUIET],
}
CASES_2026 = {
    "distinct_correct": (CASES_2025["all_correct_swapped"], REFERENCES),
    "same_class_swapped": ([("Speech", E2), ("Speech", E1), QUIET], [("Speech", A), ("Speech", B), QUIET]),
    "same_class_2ref_1est": ([("Speech", E2), QUIET, QUIET], [("Speech", A), ("Speech", B), QUIET]),
    "same_class_1ref_2est": ([("Speech", E2), ("Speech", E1), QUIET], [("Speech", A), QUIET, QUIET]),
    "same_class_3ref_2est_plus_fp": (
        [("Speech", E3), ("Speech", E1), ("Pour", G)],
        [("Speech", A), ("Speech", B), ("Speech", C)],
    ),
    "all_fp": ([("Pour", E1), QUIET, QUIET], [QUIET] * 3),
}
LEVELS = {
    "snr_mix_a": (MIXTURE, A),
    "snr_e1_a": (E1, A),
    "snr_zero_a": (Z, A),
    "snr_perfect": (A, A),
    "snr_zero_target": (E1, Z),
}


@pytest.mark.parametrize("case", LEVELS)
def test_snr_is_the_official_one(case: str) -> None:
    estimate, reference = LEVELS[case]
    assert snr_db(estimate, reference) == pytest.approx(YEAR25[case], abs=1e-5)
    as_tensors = snr_db(torch.from_numpy(estimate)[None], torch.from_numpy(reference)[None])
    assert as_tensors.shape == (1,)
    assert float(as_tensors) == pytest.approx(YEAR25[case], abs=1e-5)


@pytest.mark.parametrize("case", CASES_2025)
def test_ca_sdri_is_the_official_one(case: str) -> None:
    assert ca_sdri(CASES_2025[case], REFERENCES, MIXTURE) == pytest.approx(YEAR25[case], abs=1e-5)


@pytest.mark.parametrize("case", CASES_2026)
def test_capi_sdri_is_the_official_one(case: str) -> None:
    estimates, references = CASES_2026[case]
    assert capi_sdri(estimates, references, MIXTURE) == pytest.approx(YEAR26[case], abs=1e-5)


def test_silence_on_both_sides_is_no_figure_and_is_left_out_of_the_mean() -> None:
    silent = score_scene([QUIET] * 3, [QUIET] * 3, MIXTURE)
    assert math.isnan(silent.ca_sdri)
    assert math.isnan(silent.capi_sdri)
    board = Scoreboard()
    board.add(silent)
    board.add(score_scene(*CASES_2026["distinct_correct"], MIXTURE))
    figures = board.figures()
    assert figures["capi_sdri"] == pytest.approx(YEAR26["distinct_correct"], abs=1e-5)
    assert figures["label_accuracy"] == figures["accuracy_mixture"] == 100.0  # silence, rightly, is right


def test_accuracies_per_mixture_and_source_are_the_official_ones() -> None:
    board = Scoreboard()
    for guessed, wanted in (
        (("Speech", "Speech", "silence"), ("Speech", "Speech", "silence")),
        (("Cough", "Pour", "silence"), ("Cough", "silence", "silence")),
        (("silence",), ("silence",)),
    ):
        sides = [[(label, A) for label in labels] for labels in (guessed, wanted)]
        board.add(score_scene(*sides, MIXTURE))
    assert board.figures()["accuracy_mixture"] == pytest.approx(YEAR26["label_metric"]["accuracy_mix"])
    assert board.figures()["accuracy_source"] == pytest.approx(YEAR26["label_metric"]["accuracy_src"])


def test_the_2025_accuracy_counts_sets_and_the_2026_one_multisets() -> None:
    scored = score_scene([("Speech", A), ("Speech", B)], [("Speech", A)], MIXTURE)
    assert scored.same_set
    assert not scored.same_multiset
    assert (scored.hits, scored.spurious, scored.missed) == (1, 1, 0)


def test_class_indices_and_tensors_do_as_well_as_names_and_arrays() -> None:
    names = ["Speech", "Cough", "silence"]
    estimates, references = CASES_2026["distinct_correct"]
    sides = [[(names.index(n), torch.from_numpy(w)) for n, w in side] for side in (estimates, references)]
    mixture = torch.from_numpy(np.stack([MIXTURE, A, B, C]))
    assert capi_sdri(*sides, mixture, silence=2) == pytest.approx(YEAR26["distinct_correct"], abs=1e-5)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64", "int16", "uint8"])
def test_any_kind_of_number_scores_in_double_precision(kind: str) -> None:
    """16-bit files, half-precision nets: sums and differences neither round nor wrap around."""
    numbers = {"int16": (3e4, 0.0), "uint8": (60.0, 128.0)}
    scale, middle = numbers.get(kind, (1.0, 0.0))
    dtype = getattr(torch, kind)
    tensors = [(torch.from_numpy(x).double() * scale / 4 + middle).to(dtype) for x in (E1, A, MIXTURE)]
    exact = [x.double().numpy() for x in tensors]
    wanted = 10 * math.log10(
        ((exact[1] ** 2).sum() + 1.1920929e-7) / (((exact[1] - exact[0]) ** 2).sum() + 1.1920929e-7)
    )
    assert float(snr_db(*tensors[:2])) == pytest.approx(wanted, abs=1e-9)
    sides = [("Speech", tensors[0])], [("Speech", tensors[1])]
    gain = ca_sdri(*sides, tensors[2])
    start = float(snr_db(exact[2], exact[1]))
    assert gain == pytest.approx(wanted - start, abs=1e-9)
    if kind != "bfloat16":
        arrays = [x.numpy() for x in tensors]
        assert snr_db(*arrays[:2]) == pytest.approx(wanted, abs=1e-9)


def test_strides_and_single_samples_are_no_matter() -> None:
    both = torch.from_numpy(np.stack([E1, A], axis=1)).requires_grad_()
    assert float(snr_db(both[:, 0], both[:, 1]).detach()) == pytest.approx(YEAR25["snr_e1_a"], abs=1e-5)
    assert ca_sdri([("Speech", both[:, 0])], [("Speech", both[:, 1])], MIXTURE) == pytest.approx(
        YEAR25["snr_e1_a"] - YEAR25["snr_mix_a"], abs=1e-5
    )
    backwards = E1[::-1], A[::-1]
    assert snr_db(*backwards) == pytest.approx(YEAR25["snr_e1_a"], abs=1e-5)
    assert snr_db(np.ones(1), np.ones(1)) == pytest.approx(10 * math.log10(1 + 1 / 1.1920929e-7), abs=1e-6)


def test_one_side_silent_counts_nothing_and_zeros_are_defined() -> None:
    some, none = [("Speech", E1), ("Cough", E2)], [QUIET] * 3
    for sides in ((some, none), (none, some), (some, []), ([], some)):
        scored = score_scene(*sides, MIXTURE)
        assert (scored.ca_sdri, scored.capi_sdri, scored.casa_sdr) == (0.0, 0.0, 0.0)
    flat = score_scene([("Speech", Z)], [("Speech", Z)], Z)
    assert (flat.ca_sdri, flat.capi_sdri, flat.casa_sdr) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("estimate", "reference", "mixture", "words"),
    [
        (A[:-1], A, MIXTURE, r"\(3199,\) for a reference of shape \(3200,\)"),
        (A[:1], A, MIXTURE, r"\(1,\) for a reference"),
        (A, A, MIXTURE[:1], r"\(1,\) for a reference"),
        (A, A, MIXTURE[None, None], r"shape \(1, 1, 3200\)"),
        (np.stack([A, B]), A, MIXTURE, r"shape \(2, 3200\)"),
    ],
)
def test_lengths_that_differ_are_named_and_never_stretched(
    estimate: np.ndarray, reference: np.ndarray, mixture: np.ndarray, words: str
) -> None:
    """A sound of one sample would be broadcast, and a wrong figure printed."""
    for as_given in (np.asarray, torch.from_numpy):
        sides = [("Speech", as_given(estimate))], [("Speech", as_given(reference))]
        with pytest.raises(SynthError, match=words):
            score_scene(*sides, as_given(mixture))


def test_levels_of_signals_of_other_lengths_are_refused() -> None:
    for one, other in ((A[:-1], A), (A[:1], A), (np.float32(1), A)):
        with pytest.raises(SynthError, match="reference of shape"):
            snr_db(one, other)
        with pytest.raises(SynthError, match="reference of shape"):
            snr_db(torch.tensor(one), torch.from_numpy(other))


def slow_snr(estimate: np.ndarray, reference: np.ndarray) -> float:
    """The definition, sample by sample."""
    wanted = sum(float(s) ** 2 for s in reference)
    error = sum((float(s) - float(g)) ** 2 for s, g in zip(reference, estimate, strict=True))
    return 10 * math.log((wanted + 1.1920929e-7) / (error + 1.1920929e-7), 10)


def slow_2025(estimates: Any, references: Any, mixture: np.ndarray) -> float:
    """CA-SDRi by walking the union of the labels."""
    guessed, wanted = (
        {n: w for n, w in reversed(side) if n != "silence"} for side in (estimates, references)
    )
    gains = [
        slow_snr(guessed[n], wanted[n]) - slow_snr(mixture, wanted[n])
        if n in guessed and n in wanted
        else 0.0
        for n in guessed.keys() | wanted.keys()
    ]
    return sum(gains) / len(gains) if gains else math.nan


def slow_2026(estimates: Any, references: Any, mixture: np.ndarray) -> float:
    """CAPI-SDRi by trying every assignment of estimates to references, alone ones included."""
    entries: list[float] = []
    for label in {n for n, _ in [*estimates, *references]} - {"silence"}:
        guessed = [w for n, w in estimates if n == label]
        wanted = [w for n, w in references if n == label]
        m = min(len(guessed), len(wanted))
        tried = []
        for choice in product([None, *range(len(guessed))], repeat=len(wanted)):
            used = [g for g in choice if g is not None]
            if len(used) == m == len(set(used)):
                pairs = [(guessed[g], wanted[r]) for r, g in enumerate(choice) if g is not None]
                snrs = [slow_snr(g, w) for g, w in pairs]
                gains = [snr - slow_snr(mixture, w) for snr, (_, w) in zip(snrs, pairs, strict=True)]
                tried.append((sum(snrs), gains))
        entries += max(tried, key=lambda one: one[0])[1] if m else []
        entries += [0.0] * abs(len(guessed) - len(wanted))
    return sum(entries) / len(entries) if entries else math.nan


SHORT = {name: signal(name, 40) for name in "abcdefg"}
sounds = st.sampled_from("abcdefg")
labels = st.sampled_from(["Speech", "Cough", "silence"])
sides = st.lists(st.tuples(labels, sounds, sounds, st.sampled_from([0.0, 0.1, 0.7])), max_size=4)


def made(side: list[tuple[str, str, str, float]]) -> list[tuple[str, np.ndarray]]:
    return [(label, SHORT[one] + np.float32(level) * SHORT[other]) for label, one, other, level in side]


@given(sides, sides)
def test_any_labels_and_duplicates_score_as_the_slow_definition_says(left: Any, right: Any) -> None:
    estimates, references = made(left), made(right)
    mixture = SHORT["a"] + SHORT["b"]
    scored = score_scene(estimates, references, mixture)
    assert scored.capi_sdri == pytest.approx(slow_2026(estimates, references, mixture), abs=1e-5, nan_ok=True)
    assert scored.ca_sdri == pytest.approx(slow_2025(estimates, references, mixture), abs=1e-5, nan_ok=True)
    counts = [Counter(n for n, *_ in side if n != "silence") for side in (left, right)]
    assert scored.same_multiset == (counts[0] == counts[1])
    assert scored.same_set == (counts[0].keys() == counts[1].keys())
    assert scored.hits == sum(min(counts[0][n], counts[1][n]) for n in counts[0])


@given(sides, sides)
def test_no_order_of_the_slots_changes_a_figure(left: Any, right: Any) -> None:
    estimates, references = made(left), made(right)
    mixture = SHORT["c"]
    one = score_scene(estimates, references, mixture)
    other = score_scene(estimates[::-1], references[::-1], mixture)
    for name in ("capi_sdri", "casa_sdr", "hits", "spurious", "missed", "same_set", "same_multiset"):
        if name != "casa_sdr" or not (_ambiguous(left) or _ambiguous(right)):
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9, nan_ok=True)


def _ambiguous(side: Any) -> bool:
    """Two equal sounds under different labels: which is matched is a matter of order."""
    heard = [(one, other if level else "", level) for label, one, other, level in side if label != "silence"]
    return len(set(heard)) < len(heard)


def test_many_sources_are_matched_as_the_full_search_would() -> None:
    rng = np.random.default_rng(0)
    table = rng.normal(size=(9, 9))
    fast = sum(table[e, r] for e, r in best_pairs(table))
    assert fast >= max(table[list(p), range(9)].sum() for p in list(permutations(range(9)))[:20000])
    small = table[:4, :3]
    best = max(small[list(p), range(3)].sum() for p in permutations(range(4), 3))
    assert sum(small[e, r] for e, r in best_pairs(small)) == pytest.approx(best)


THREE = [("Speech", A), ("Cough", B), ("Pour", C)]
AT_10_DB = [w + np.float32(math.sqrt(0.1 * float(w @ w) / float(D @ D))) * D for _, w in THREE]


class TestCasaSdr:
    """Three sources at 10 dB: the figures that the paper (arXiv 2511.07075) is reported to give."""

    def figure(self, *labels: str, **options: Any) -> float:
        estimates = list(zip(labels, AT_10_DB, strict=False))
        return casa_sdr(estimates, THREE, MIXTURE, **options)

    def test_right_labels(self) -> None:
        assert self.figure("Speech", "Cough", "Pour") == pytest.approx(10.0, abs=1e-3)

    def test_one_deletion_or_substitution(self) -> None:
        assert self.figure("Speech", "Cough") == pytest.approx(20 / 3, abs=1e-3)
        assert self.figure("Speech", "Cough", "Typing") == pytest.approx(20 / 3, abs=1e-3)

    def test_two_labels_swapped(self) -> None:
        assert self.figure("Cough", "Speech", "Pour") == pytest.approx(10 / 3, abs=1e-3)

    def test_counting_errors_makes_a_substitution_two(self) -> None:
        assert self.figure("Speech", "Cough", "Typing", count="error") == pytest.approx(20 / 4, abs=1e-3)
        assert self.figure("Cough", "Speech", "Pour", count="error") == pytest.approx(10 / 5, abs=1e-3)
        assert self.figure("Speech", "Cough", count="error") == pytest.approx(20 / 3, abs=1e-3)

    def test_improvement_is_over_the_mixture(self) -> None:
        gain = 10.0 - np.mean([slow_snr(MIXTURE, w) for _, w in THREE])
        assert self.figure("Speech", "Cough", "Pour", improvement=True) == pytest.approx(gain, abs=1e-3)


def test_means_are_exact_over_any_grouping() -> None:
    values = [0.1 * n - 3.3 for n in range(100)] + [1e17, -1e17, math.nan]
    whole = Mean()
    parts = [Mean(), Mean(), Mean()]
    for n, value in enumerate(values):
        whole.add(value)
        parts[n % 3].add(value)
    merged = parts[2].merge(Mean.of_state(json.loads(json.dumps(parts[0].state())))).merge(parts[1])
    assert merged == whole
    assert whole.value == pytest.approx(np.mean([0.1 * n - 3.3 for n in range(100)]) * 100 / 102)


def test_scoreboards_of_ranks_merge_to_the_whole() -> None:
    scores = [score_scene(*CASES_2026[case], MIXTURE) for case in CASES_2026]
    whole, left, right = Scoreboard(), Scoreboard(), Scoreboard()
    for n, score in enumerate(scores):
        whole.add(score)
        (left if n % 2 else right).add(score)
    left.merge(Scoreboard.of_state(json.loads(json.dumps(right.state()))))
    assert left.figures() == whole.figures()
    assert left.scenes == len(scores)


def test_labels_alone_are_compared_as_sets_and_multisets() -> None:
    found = compare_labels(["Speech", "Speech", "silence"], ["Speech", "silence", "Cough"])
    assert (found.same_set, found.same_multiset) == (False, False)
    assert (found.hits, found.spurious, found.missed) == (1, 1, 1)
    assert compare_labels([18, 18, 3], [3, 18], silence=18).same_multiset
