"""The two-stage system: labels, times and waveforms, for many scenes, by many models, for long recordings."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.checkpoints import load_model, save_model
from models.errors import ModelError
from models.heads import SedOutput
from models.sed import SedModel, create_sed
from models.separator import GuidedSeparator, Hints, Separator, create_separator
from models.system import SAMPLE_RATE, S5System
from models.taggers import create_tagger
from models.tagging import spans, tag
from models.windows import in_windows, join, plan_windows

CLASSES = 18


class Says(torch.nn.Module):
    """A first stage that says what it is told."""

    def __init__(self, *outputs: object) -> None:
        super().__init__()
        self.outputs = list(outputs)

    def forward(self, mixture: torch.Tensor) -> object:
        return self.outputs[0] if len(self.outputs) == 1 else self.outputs.pop(0)


class Marks(Separator):
    """A separator whose estimate is the mixture times (class + 1), so that every answer tells its question."""

    def forward(self, mixture_BML, labels, hints=None, *, iterations=None):  # type: ignore[no-untyped-def]
        slots = labels.reshape(len(labels), self.config.sources, self.config.classes)
        self.asked.append(len(labels))
        weight = slots @ torch.arange(1.0, 1 + self.config.classes)
        return mixture_BML[:, :1] * weight[..., None]


def marks(name: str = "baseline_resunet") -> Marks:
    model = Marks(create_separator(f"{name}-tiny").config)
    model.asked = []  # type: ignore[assignment]
    return model


def sets(*active: tuple[int, ...], frames: int = 10) -> SedOutput:
    weak = torch.full((len(active), CLASSES), 0.1)
    strong = torch.full((len(active), CLASSES, frames), 0.1)
    for item, labels in enumerate(active):
        for label in labels:
            weak[item, label] = 0.9
            strong[item, label, 2:5] = 0.8
    return SedOutput(weak, strong)


def tracks(*rows: tuple[int, ...]) -> torch.Tensor:
    return 4.0 * torch.nn.functional.one_hot(torch.tensor(rows), CLASSES + 1).float()


@pytest.fixture(scope="module")
def sed() -> SedModel:
    torch.manual_seed(0)
    return create_sed("m2d", size="tiny", sample_rate=SAMPLE_RATE).eval()


@pytest.fixture(scope="module")
def guided(sed: SedModel) -> GuidedSeparator:
    torch.manual_seed(1)
    maps = {"features": sed.backbone.feature_maps, "feature_width": sed.backbone.feature_dim}
    return GuidedSeparator(create_separator("cpjku_iterative-tiny", **maps), sed).eval()


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 0.1


def test_labels_times_and_waveforms_of_a_batch() -> None:
    separator = marks()
    system = S5System(Says(sets((2, 15), (7,))), separator)
    mixture = noise(2, 4, 32000)
    found = system(mixture)
    assert found.labels.tolist() == [[2, 15, 18], [7, 18, 18]]
    torch.testing.assert_close(found.scores, torch.tensor([[0.9, 0.9, 0.0], [0.9, 0.0, 0.0]]))
    for scene, slot, weight in ((0, 0, 3), (0, 1, 16), (0, 2, 0), (1, 0, 8), (1, 1, 0), (1, 2, 0)):
        torch.testing.assert_close(found.waveforms[scene, slot], weight * mixture[scene, 0])
    assert separator.asked == [3]  # the silent slots cost nothing
    assert found.events is not None
    assert found.events[0][0] == ((pytest.approx(0.2), pytest.approx(0.5)),)
    assert found.events[1][1] == ()


def test_many_questions_are_asked_in_portions() -> None:
    separator = marks()
    whole = S5System(Says(sets((2, 15), (7,))), marks())(noise(2, 4, 8000))
    parts = S5System(Says(sets((2, 15), (7,))), separator, queries=2)(noise(2, 4, 8000))
    assert separator.asked == [2, 1]
    assert torch.equal(whole.waveforms, parts.waveforms)


def test_all_sources_at_once_when_the_separator_can() -> None:
    separator = marks("baseline_resunetk")
    mixture = noise(2, 4, 8000)
    found = S5System(Says(sets((2, 15), (7,))), separator)(mixture)
    assert separator.asked == [2]
    torch.testing.assert_close(found.waveforms[0, 1], 16 * mixture[0, 0])
    fewer = S5System(Says(sets((2, 15), (7,))), marks("baseline_resunetk"), slots=2)(mixture)
    assert torch.equal(fewer.waveforms, found.waveforms[:, :2])
    with pytest.raises(ModelError, match="4 labels for 3 sources"):
        S5System(Says(sets((1, 2, 3, 4))), separator, slots=4)(mixture[:1])


def test_a_batch_of_two_equals_two_singles(sed: SedModel, guided: GuidedSeparator) -> None:
    system = S5System(sed, guided, threshold=0.0)
    mixture = noise(2, 4, 16000)
    both = system(mixture)
    for item in range(2):
        alone = system(mixture[item : item + 1])
        assert torch.equal(alone.labels[0], both.labels[item])
        torch.testing.assert_close(alone.waveforms[0], both.waveforms[item], atol=1e-5, rtol=1e-4)


def test_guided_separation_is_what_one_would_do_by_hand(sed: SedModel, guided: GuidedSeparator) -> None:
    mixture = noise(1, 4, 16000)
    found = S5System(sed, guided)(mixture, iterations=3)
    label = int(found.labels[0, 0])
    with torch.no_grad():
        heard = sed(mixture)
        maps = torch.stack(sed.backbone.encode(sed.mono(mixture)).features, dim=1)
        hints = Hints(heard.strong_logits, maps)
        expected = guided.separator(mixture, torch.eye(CLASSES)[label][None, None], hints, iterations=3)
    torch.testing.assert_close(found.waveforms[:, :1], expected, atol=1e-6, rtol=1e-5)


def test_ensembles_average_probabilities_and_waveforms() -> None:
    one, two = sets((2,)), sets((2,))
    one.weak[0, 5], two.weak[0, 5] = 0.8, 0.3  # 0.55 on average: kept
    one.weak[0, 6], two.weak[0, 6] = 0.8, 0.1  # 0.45: not
    mixture = noise(1, 4, 8000)
    found = S5System([Says(one), Says(two)], [marks(), marks()])(mixture)
    assert found.labels.tolist() == [[2, 5, 18]]
    torch.testing.assert_close(found.scores[0, 1], torch.tensor(0.55))
    torch.testing.assert_close(found.waveforms[0, 0], 3 * mixture[0, 0])

    class Half(Marks):
        def forward(self, *inputs, **options):  # type: ignore[no-untyped-def]
            return 0.5 * super().forward(*inputs, **options)

    quiet = Half(marks().config)
    quiet.asked = []  # type: ignore[assignment]
    mixed = S5System(Says(one), [marks(), quiet])(mixture)
    torch.testing.assert_close(mixed.waveforms[0, 0], 0.75 * 3 * mixture[0, 0])


def test_tracks_are_brought_into_one_order_before_averaging() -> None:
    first, second = tracks((4, 4, 18)), tracks((18, 4, 4))
    tags = tag([Says(first), Says(second)], noise(1, 4, 100))
    assert tags.labels.tolist() == [[4, 4, 18]]
    probability = first.softmax(-1)[0, 0, 4]
    torch.testing.assert_close(tags.scores, torch.tensor([[probability, probability, 0.0]]))
    assert tags.strong is None
    assert tags.vectors()[0].sum(dim=1).tolist() == [1, 1, 0]


def test_outputs_that_cannot_be_averaged_are_refused() -> None:
    mixture = noise(1, 4, 100)
    for outputs in (
        (sets((1,)), tracks((1, 2, 3))),
        (tracks((1, 2, 3)), tracks((1, 2))),
        (sets((1,)), sets((1,), frames=20)),
    ):
        with pytest.raises(ModelError, match="cannot average"):
            tag([Says(output) for output in outputs], mixture)


def test_stages_that_do_not_fit_are_refused(sed: SedModel) -> None:
    for tagger, separator, named in (
        ([], marks(), "tagger"),
        (sed, [], "separator"),
        (create_sed("m2d", size="tiny"), marks(), "tagger"),
        (sed, create_separator("cpjku_iterative-tiny"), "separator"),
        (sed, create_separator("audiosep-tiny"), "separator"),
        (sed, torch.nn.Linear(1, 1), "separator"),
    ):
        with pytest.raises(ModelError) as raised:
            S5System(tagger, separator)  # type: ignore[arg-type]
        assert raised.value.where == named


def test_the_2026_tagger_and_three_sources_work_together() -> None:
    torch.manual_seed(0)
    system = S5System(
        create_tagger("baseline2026_4c", size="tiny"), create_separator("baseline_resunetk-tiny")
    )
    found = system(noise(2, 4, 16000))
    assert found.labels.shape == (2, 3)
    assert found.waveforms.shape == (2, 3, 16000)
    assert ((found.waveforms.abs().amax(dim=2) > 0) == (found.labels < CLASSES)).all()
    assert found.events is None


def test_a_system_is_saved_whole(sed: SedModel, guided: GuidedSeparator, tmp_path: Path) -> None:
    system = S5System([sed, sed], [guided], threshold=0.4)
    again = load_model(save_model(system, tmp_path / "system.safetensors"))
    assert isinstance(again, S5System)
    assert again.settings() == system.settings()
    mixture = noise(1, 4, 16000)
    assert torch.equal(again(mixture).waveforms, system(mixture).waveforms)


def test_times_of_a_class() -> None:
    strong = torch.tensor([0.6, 0.6, 0.1, 0.1, 0.7, 0.1, 0.1, 0.1, 0.1, 0.9])
    assert spans(strong, 10.0) == ((0.0, 2.0), (4.0, 5.0), (9.0, 10.0))
    assert spans(strong * 0.1, 10.0) == ((9.0, 10.0),)  # nowhere sure: where it is likeliest


@settings(max_examples=60)
@given(
    samples=st.integers(1, 500),
    length=st.integers(2, 80),
    overlap=st.integers(0, 79),
    fade=st.integers(0, 79),
    shift=st.booleans(),
)
def test_windows_cover_everything_and_join_without_a_seam(
    samples: int, length: int, overlap: int, fade: int, shift: bool
) -> None:
    overlap, fade = min(overlap, length - 1) // 2 * 2, min(fade, min(overlap, length - 1)) // 2 * 2
    fade = min(fade, overlap, length - overlap)
    fade -= fade % 2
    windows = plan_windows(samples, length, overlap, shift_last=shift)
    assert windows[0].start == 0
    assert windows[-1].stop == samples
    assert all(one.stop - one.start <= length for one in windows)
    assert all(later.seam > earlier.seam for earlier, later in pairwise(windows))
    if shift and samples >= length:
        assert all(one.stop - one.start == length for one in windows)
    signal = torch.arange(float(samples))[None]
    stretches = list(join(windows, (signal[:, w.start : w.stop] for w in windows), fade))
    assert [start for start, _ in stretches] == [0, *np.cumsum([s.shape[1] for _, s in stretches])[:-1]]
    torch.testing.assert_close(torch.cat([s for _, s in stretches], dim=1), signal, atol=1e-3, rtol=1e-6)


def test_two_windows_fade_into_each_other() -> None:
    windows = plan_windows(30, 20, 10)
    parts = iter([torch.zeros(1, 20), torch.ones(1, 20)])
    joined = torch.cat([s for _, s in join(windows, parts, 4)], dim=1)[0]
    assert joined[:13].tolist() == [0.0] * 13
    torch.testing.assert_close(joined[13:17], torch.tensor([0.125, 0.375, 0.625, 0.875]))
    assert joined[17:].tolist() == [1.0] * 13


def test_an_impossible_plan_is_refused() -> None:
    for arguments in ((0, 10, 2), (100, 10, 10), (100, 10, -1)):
        with pytest.raises(ModelError):
            plan_windows(*arguments)


def test_a_net_without_memory_does_not_notice_the_windows() -> None:
    mixture = noise(2, 1, 5000)
    joined = in_windows(lambda cut: 2 * cut, mixture, length=1600, overlap=640, fade=100)
    torch.testing.assert_close(joined, 2 * mixture)


class Hears(torch.nn.Module):
    """Hears class 3 wherever channel 0 is loud, frame by frame."""

    def forward(self, mixture: torch.Tensor) -> SedOutput:
        frames = mixture[:, 0].unfold(1, 1280, 1280).abs().amax(dim=2)
        strong = torch.zeros(len(mixture), CLASSES, frames.shape[1])
        strong[:, 3] = 0.9 * (frames > 0.5)
        weak = torch.zeros(len(mixture), CLASSES)
        weak[:, 3] = strong[:, 3].amax(dim=1)
        weak[:, 9] = 0.6 * (weak[:, 3] == 0)
        return SedOutput(weak, strong)


def test_a_long_recording_is_taken_apart_in_windows() -> None:
    """Loud from 2.4 to 3.2 s and from 7.2 to 7.6 s of 10 s, heard in windows of 2.56 s."""
    recording = np.full((4, 320000), 0.01, dtype=np.float32)
    for onset, offset in ((2.4, 3.2), (7.2, 7.6)):
        recording[:, round(onset * 32000) : round(offset * 32000)] = 0.9
    system = S5System(Hears(), marks())
    options = {"window": 2.56, "overlap": 0.64, "fade": 0.32}
    stretches = list(system.stream(recording, **options))
    assert [s.start for s in stretches] == [0, *np.cumsum([s.waveforms.shape[1] for s in stretches])[:-1]]
    assert sum(s.strong.shape[1] for s in stretches if s.strong is not None) == 250
    assert max(s.waveforms.shape[1] for s in stretches) <= 2.56 * 32000
    found = system.separate_recording(recording, **options)
    assert found.waveforms.keys() == {3, 9}
    assert found.events is not None
    assert found.events[3] == (
        (pytest.approx(2.4), pytest.approx(3.2)),
        (pytest.approx(7.2), pytest.approx(7.6)),
    )
    loud = slice(round(2.5 * 32000), round(3.1 * 32000))
    torch.testing.assert_close(found.waveforms[3][loud], torch.full((19200,), 4 * 0.9))
    with pytest.raises(ModelError, match="fade"):
        next(system.stream(recording, overlap=1.0, fade=2.0))


def test_equal_labels_are_not_counted_twice_in_a_recording() -> None:
    mixture = noise(4, 8000)
    single, _ = S5System(Says(tracks((4, 4, 18))), marks()).by_class(mixture)
    torch.testing.assert_close(single[4], 5 * mixture[0])
    double, _ = S5System(Says(tracks((4, 4, 18))), marks("baseline_resunetk")).by_class(mixture)
    torch.testing.assert_close(double[4], 2 * 5 * mixture[0])  # two sources, two estimates
