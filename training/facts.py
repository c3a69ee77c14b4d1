"""What a task must know of the scenes before the first one is made: classes, slots, frames, length."""

from __future__ import annotations

from dataclasses import dataclass

from synth import SynthError


@dataclass(frozen=True, slots=True)
class SceneFacts:
    """The shape of the samples.

    Attributes:
        classes: Names of the K classes; K is the index of silence.
        slots: S, targets that a sample has room for.
        frames: F, label frames of a scene.
        samples: T, length of a scene.
        sample_rate: Rate in Hz.
    """

    classes: tuple[str, ...]
    slots: int = 3
    frames: int = 250
    samples: int = 320_000
    sample_rate: int = 32_000

    @property
    def silence(self) -> int:
        """Return the index of an empty slot."""
        return len(self.classes)


def need_classes(facts: SceneFacts, count: int, what: str) -> None:
    """Refuse data with another number of classes than a net has.

    Raises:
        SynthError: Naming both numbers.
    """
    if len(facts.classes) != count:
        raise SynthError(
            f"{what} has {count} classes, the scenes have {len(facts.classes)}",
            where="data.classes",
            remedy="train on scenes of the task's 18 classes, or choose another net",
        )
