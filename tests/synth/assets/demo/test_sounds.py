"""The procedural sounds: bounds, variety, and that the classes are different things."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest

from synth.assets.classes import target_classes
from synth.assets.demo.backgrounds import COLOURS, background
from synth.assets.demo.kinds import EVENTS, INTERFERERS, Kind, file_name, sound

RATE = 32_000
TAKES = (("train", 0), ("train", 1), ("train", 3), ("train", 4), ("valid", 0), ("valid", 1))
BY_LABEL = {kind.label: kind for kind in EVENTS + INTERFERERS}


@pytest.fixture(scope="module")
def sounds() -> dict[str, list[np.ndarray]]:
    return {
        kind.label: [sound(kind, split, n) for split, n in (TAKES if kind in EVENTS else TAKES[2:5])]
        for kind in EVENTS + INTERFERERS
    }


def test_all_classes_are_there_and_interferers_are_others() -> None:
    """A recipe that asks for a class finds it; an interferer is never a target."""
    assert [kind.label for kind in EVENTS] == list(target_classes())
    assert len(INTERFERERS) >= 8
    assert not {kind.label for kind in INTERFERERS} & set(target_classes())


def test_every_sound_is_within_bounds(sounds: dict[str, list[np.ndarray]]) -> None:
    """Clipping, DC, silence before the onset (labels would begin too early), clicks at the ends."""
    for label, takes in sounds.items():
        for x in takes:
            fault = bounds_fault(x)
            assert fault is None, f"{label}: {fault}"


def bounds_fault(x: np.ndarray) -> str | None:
    size = np.abs(x)
    if not np.isfinite(x).all() or not 0.3 <= size.max() <= 0.9:
        return f"peak {size.max()}"
    if not 0.3 * RATE <= x.size <= 12 * RATE:
        return f"{x.size / RATE} s long"
    if abs(x.mean()) > 2e-3 * size.max():
        return f"DC {x.mean()}"
    if np.argmax(size > 0.01 * size.max()) > 0.05 * RATE:
        return "silence at the start"
    if size[0] > 1e-3 or size[-1] > 1e-3:
        return "no fade"
    return None


def test_no_two_sounds_are_alike(sounds: dict[str, list[np.ndarray]]) -> None:
    """Variety that is none, or a valid file that is in train: content differs, and so do durations."""
    digests = [hashlib.sha256(x.tobytes()).digest() for takes in sounds.values() for x in takes]
    assert len(set(digests)) == len(digests)
    for label, takes in sounds.items():
        assert len({x.size for x in takes}) >= len(takes) - 1, label


def test_durations_reach_beyond_a_scene() -> None:
    """The rules for long files would never be used: one file in ten of the long kinds is over 10 s."""
    for label in ("FootSteps", "Clapping"):
        kind = BY_LABEL[label]
        x = sound(kind, "train", 2)
        assert (x.size > 10 * RATE) == (kind.longest >= 8.0)
    assert sum(kind.longest >= 8.0 for kind in EVENTS) >= 8


def test_one_speaker_has_two_files_in_one_folder() -> None:
    """Not twice the same speaker: the source identity of a file is its folder."""
    assert file_name(BY_LABEL["Speech"], "train", 4).split("/")[0] == "object_train_02"
    assert file_name(BY_LABEL["Speech"], "train", 5).split("/")[0] == "object_train_02"
    assert "/" not in file_name(BY_LABEL["Cough"], "train", 4)
    assert all(file_name(k, "valid", 0).split("/")[-1].startswith("synthetic_") for k in EVENTS + INTERFERERS)


def test_classes_can_be_told_apart(sounds: dict[str, list[np.ndarray]]) -> None:
    """A class that is a clone of another: nearest class mean, each file held out in turn.

    Over 70 % of the files must be recognised from means and spreads of log-mel spectra alone, and
    no class may be taken for one other class most of the time.
    """
    labels = [kind.label for kind in EVENTS]
    features = np.array([[statistics(x) for x in sounds[label]] for label in labels])
    classes, takes, _ = features.shape
    scaled = (features - features.mean((0, 1))) / features.std((0, 1))
    means = scaled.mean(1)
    confused: Counter[tuple[str, str]] = Counter()
    for k in range(classes):
        for n in range(takes):
            centres = means.copy()
            centres[k] = (means[k] * takes - scaled[k, n]) / (takes - 1)
            nearest = int(((centres - scaled[k, n]) ** 2).sum(1).argmin())
            confused[labels[k], labels[nearest]] += 1
    right = sum(count for (a, b), count in confused.items() if a == b) / (classes * takes)
    wrong = {pair: count for pair, count in confused.items() if pair[0] != pair[1]}
    assert right > 0.7, f"{right:.2f}, {wrong}"
    assert all(count <= takes // 2 for count in wrong.values()), wrong


def statistics(x: np.ndarray) -> np.ndarray:
    """Mean, spread, flux and 90th percentile of 40 log-mel bands, and spectral flatness per octave."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(x, (0, 1_024)), 1_024)[::320] * np.hanning(1_024)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = power @ _mel().T
    level = 10 * np.log10(mel + 1e-6 * mel.max())
    level -= level.max()
    total = power.mean(0) + 1e-12 * power.max()
    edges = [2, 4, 8, 16, 32, 64, 128, 256, 512]
    bands = [total[a:b] for a, b in itertools.pairwise(edges)]
    flatness = [np.log(b).mean() - np.log(b.mean()) for b in bands]
    flux = np.abs(np.diff(level, axis=0)).mean(0)
    return np.concatenate(
        [level.mean(0), level.std(0), flux, np.percentile(level, 90, axis=0), 5 * np.array(flatness)]
    )


def _mel(bands: int = 40) -> np.ndarray:
    f = np.linspace(0, RATE / 2, 513)
    top = 2_595 * np.log10(1 + RATE / 2 / 700)
    low, mid, high = (
        700 * (10 ** (np.linspace(60, top, bands + 2)[k : bands + k, None] / 2_595) - 1) for k in range(3)
    )
    return np.maximum(0, np.minimum((f - low) / (mid - low), (high - f) / (high - mid)))


def test_the_same_file_again_has_the_same_samples() -> None:
    """Content hashes that change from run to run."""
    kind: Kind = BY_LABEL["Percussion"]
    assert np.array_equal(sound(kind, "train", 1), sound(kind, "train", 1))


def test_backgrounds_are_diffuse_and_of_several_colours() -> None:
    """Noise from one side, or six times the same: SN3D thirds, no correlation, different spectra."""
    slopes = []
    for number in range(len(COLOURS)):
        x = background("train", number, 4.0)
        assert x.shape == (4, 4 * RATE)
        assert np.abs(x).max() < 1.0
        spectrum = np.fft.rfft(x)[:, 4 * 300 : 4 * 2_000]
        covariance = (spectrum @ spectrum.conj().T).real
        power = np.diag(covariance)
        np.testing.assert_allclose(power[1:] / power[0], 1 / 3, rtol=0.2)
        correlation = covariance / np.sqrt(np.outer(power, power))
        assert np.abs(correlation - np.eye(4)).max() < 0.1
        psd = np.abs(np.fft.rfft(x[0])) ** 2
        slopes.append(10 * np.log10(psd[4 * 60 : 4 * 400].mean() / psd[4 * 3_000 : 4 * 9_000].mean()))
    assert np.ptp(slopes) > 20
    assert not np.array_equal(background("train", 0, 0.5), background("valid", 0, 0.5))
