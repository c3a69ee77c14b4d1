"""What a report shows: scenes with their sources, and what a system made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ..scenes.spec import SceneSpec
from ..units import Audio, Decibels, Degrees, Hertz, Metres, Samples

Role = Literal["target", "interferer"]
Extent = tuple[Samples, Samples]


@dataclass(frozen=True, slots=True)
class Source:
    """One sound of a scene; what is not known is None.

    Attributes:
        label: Its class.
        role: A target, or an interferer, which a system has to ignore.
        extents: First sample and one past the last, of every stretch in which it sounds.
        snr_db: Level of the wet sound over the scene's reference level.
        azimuth: Degrees, counter-clockwise from the front.
        elevation: Degrees.
        distance: Metres.
        path: The recording.
        dry: (T,) float32.
        wet: (4, T) float32, W Y Z X.
    """

    label: str
    role: Role
    extents: tuple[Extent, ...]
    snr_db: Decibels | None = None
    azimuth: Degrees | None = None
    elevation: Degrees | None = None
    distance: Metres | None = None
    path: str | None = None
    dry: Audio | None = None
    wet: Audio | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a system gave for one source.

    Attributes:
        label: The class it named.
        waveform: (T,) float32.
        target: Which target of the scene it answers (an index); None: none, a false alarm.
        sdr: dB against that target's dry sound.
        sdri: dB by which it is better than the mixture.
        score: The system's confidence, 0 to 1.
        events: Stretches in which the system heard the class.
    """

    label: str
    waveform: Audio
    target: int | None = None
    sdr: Decibels | None = None
    sdri: Decibels | None = None
    score: float | None = None
    events: tuple[Extent, ...] = ()


@dataclass(frozen=True, slots=True)
class SceneView:
    """One scene, ready to be looked at and listened to.

    Attributes:
        name: What it is called.
        mixture: (channels, T) float32; four channels are W Y Z X.
        rate: Hz.
        targets: In order of the slots.
        interferers: The other sounds.
        interference: (4, T), all interferers.
        noise: (4, T), the background.
        place: The room.
        spec: The scene on paper.
        estimates: What a system found; None: no system was asked.
        score: What the system's work on this scene is worth, dB; the lowest is shown first. None:
            the mean SDR improvement, with 0 for every missed target and false alarm.
    """

    name: str
    mixture: Audio
    rate: Hertz
    targets: tuple[Source, ...] = ()
    interferers: tuple[Source, ...] = ()
    interference: Audio | None = None
    noise: Audio | None = None
    place: str | None = None
    spec: SceneSpec | None = None
    estimates: tuple[Estimate, ...] | None = None
    score: Decibels | None = None

    @property
    def samples(self) -> Samples:
        """Return the length of the scene."""
        return int(self.mixture.shape[-1])

    @property
    def missed(self) -> tuple[int, ...]:
        """Return the targets that no estimate answers; empty when no system was asked."""
        if self.estimates is None:
            return ()
        answered = {estimate.target for estimate in self.estimates}
        return tuple(n for n in range(len(self.targets)) if n not in answered)

    @property
    def worth(self) -> Decibels | None:
        """Return `score`, or the mean SDR improvement; None when neither is known."""
        if self.score is not None or self.estimates is None:
            return None if self.score is None or math.isnan(self.score) else self.score
        values = [0.0 if e.target is None else e.sdri for e in self.estimates]
        known = [value for value in (*values, *(0.0 for _ in self.missed)) if value is not None]
        return sum(known) / len(known) if known else None
