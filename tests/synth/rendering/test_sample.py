"""A label in the wrong slot, or a shape that changes from scene to scene, teaches a net nonsense."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from synth import (
    Catalog,
    EventSpec,
    SampleFormat,
    Scene,
    SceneSpec,
    SynthError,
    default_classes,
    scene_sample,
)
from synth.assets.classes import target_classes
from synth.scenes.labels import strong_labels

CLASSES = ("Cough", "Dishes", "Speech")
T = 8_000


def event(label: str, onset: int, duration: int) -> EventSpec:
    return EventSpec(
        label=label, path="a.wav", start=0, duration=duration, onset=onset, position=0, xyz=(1, 0, 0), snr_db=5
    )  # fmt: skip


def scene(*events: EventSpec, wet: bool = False) -> Scene:
    spec = SceneSpec(
        rules="s5kit2025", sample_rate=8_000, duration=T, ref_db=-50, place="r.sofa", targets=events
    )
    count = len(events)
    ramp = np.arange(count * T, dtype=np.float32)
    return Scene(
        spec=spec,
        mixture=np.ones((4, T), np.float32),
        dry=ramp.reshape(count, T),
        wet=np.ones((count, 4, T), np.float32) if wet else None,
        labels=strong_labels(spec),
    )


def test_targets_keep_their_order_and_empty_slots_are_silent() -> None:
    """Slot n of the dry sounds is the class of label n."""
    made = scene(event("Speech", 0, 2_000), event("Cough", 4_000, 2_000), wet=True)
    sample = scene_sample(made, CLASSES, slots=4, frame=0.1, position=9)
    assert sample["position"] == 9
    assert sample["labels"].tolist() == [2, 0, 3, 3]
    assert sample["weak"].tolist() == [1, 0, 1]
    assert made.dry is not None
    np.testing.assert_array_equal(sample["dry"][:2], made.dry)
    assert sample["dry"].shape == (4, T)
    assert sample["wet"].shape == (4, 4, T)
    assert not sample["dry"][2:].any()
    assert not sample["wet"][2:].any()
    # 1 s in ten frames: Speech in the first 0.25 s, Cough from 0.5 to 0.75 s.
    wanted = np.zeros((3, 10))
    wanted[2, 0:2] = wanted[0, 5:8] = 1
    np.testing.assert_array_equal(sample["strong"], wanted)
    assert {name: array.dtype.name for name, array in sample.items()} == {
        "position": "int64", "labels": "int64", "strong": "float32", "weak": "float32", "mixture": "float32",
        "dry": "float32", "wet": "float32",
    }  # fmt: skip


def test_a_scene_without_targets_has_the_same_shapes() -> None:
    """Batches hold scenes with and without targets."""
    empty = scene_sample(scene(), CLASSES, slots=2)
    full = scene_sample(scene(event("Cough", 0, 10), event("Cough", 500, 10)), CLASSES, slots=2)
    assert {name: array.shape for name, array in empty.items()} == {
        name: array.shape for name, array in full.items()
    }
    assert empty["labels"].tolist() == [3, 3]
    assert not empty["weak"].any()
    assert full["labels"].tolist() == [0, 0]
    assert full["weak"].tolist() == [1, 0, 0]


def test_what_does_not_fit_is_refused() -> None:
    """A target left out would be taught to be silence."""
    with pytest.raises(SynthError, match="the scene has 2 targets, a sample has 1 slots"):
        scene_sample(scene(event("Cough", 0, 9), event("Speech", 0, 9)), CLASSES, slots=1)
    with pytest.raises(SynthError, match="target 0 is 'Rain', none of the 3 classes"):
        scene_sample(scene(event("Rain", 0, 9)), CLASSES, slots=1)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"classes": ()}, "classes"),
        ({"classes": ("A", "A")}, "classes"),
        ({"slots": -1}, "slots"),
        ({"frame": 0.0}, "frame"),
        ({"stems": ()}, "stems"),
        ({"stems": ("mixture", "early")}, "stems"),
    ],
)
def test_formats_that_cannot_be_are_refused(fields: dict[str, object], where: str) -> None:
    with pytest.raises(SynthError) as error:
        SampleFormat(**{"classes": CLASSES, "slots": 3, **fields})  # type: ignore[arg-type]
    assert error.value.where == where


class _Events:
    def __init__(self, *labels: str) -> None:
        self.events = pd.DataFrame({"label": list(labels)})


def test_classes_are_those_of_the_task_unless_the_catalog_has_others() -> None:
    """Checkpoints of one task have one order of classes, whatever part of the sounds is at hand."""

    def classes(*labels: str) -> tuple[str, ...]:
        catalog: Catalog = _Events(*labels)  # type: ignore[assignment]
        return default_classes(catalog)

    assert classes("Speech", "Cough") == target_classes()
    assert len(target_classes()) == 18
    assert classes("Speech", "Whistle", "Cough", "Speech") == ("Cough", "Speech", "Whistle")
