"""Small scenes whose sound is known in closed form: plane waves, a second long."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth.report.view import SceneView, Source
from synth.scenes.spec import EventSpec, SceneSpec

RATE = 32_000
SAMPLES = RATE
HOSTILE = "<img src=x onerror=alert(1)>\"'&</script><script>alert(2)</script>"


def plane_wave(sound: NDArray[np.floating[Any]], azimuth: float, elevation: float) -> NDArray[np.float32]:
    """W Y Z X in SN3D of a sound from a direction in degrees, `(4, samples)`."""
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    gains = np.array([1.0, np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
    return (gains[:, None] * sound).astype(np.float32)


def clicks(seed: int, start: int = 4_000, end: int = 28_000, level: float = 0.1) -> NDArray[np.float32]:
    """Decaying bursts of noise between two samples, `(SAMPLES,)`."""
    rng = np.random.default_rng(seed)
    out = np.zeros(SAMPLES, np.float32)
    for at in range(start, end, 4_000):
        length = min(3_000, end - at)
        out[at : at + length] = level * rng.standard_normal(length) * np.exp(-np.arange(length) / 600)
    return out


def target(label: str, seed: int, azimuth: float = 0.0, elevation: float = 0.0, **changes: Any) -> Source:
    """A target that sounds from 0.125 s to 0.875 s."""
    dry = clicks(seed)
    fields: dict[str, Any] = {
        "extents": ((4_000, 28_000),),
        "snr_db": 10.0,
        "azimuth": azimuth,
        "elevation": elevation,
        "distance": 1.5,
        "path": f"sound_event/{label}/a.wav",
        "dry": dry,
        "wet": plane_wave(dry, azimuth, elevation),
    }
    return Source(label, "target", **{**fields, **changes})


def scene(name: str = "scene-0", *targets: Source, **changes: Any) -> SceneView:
    """A scene of targets, by default Speech from the left and Cough from the front, over faint noise."""
    targets = targets or (target("Speech", 1, 90.0), target("Cough", 2, 0.0, 20.0))
    noise = (1e-3 * np.random.default_rng(0).standard_normal((4, SAMPLES))).astype(np.float32)
    mixture = noise + sum(t.wet for t in targets if t.wet is not None)
    fields: dict[str, Any] = {"targets": targets, "noise": noise, "place": "room_ir/train/hall.sofa"}
    return SceneView(name, mixture.astype(np.float32), RATE, **{**fields, **changes})


def event(
    label: str, onset: int, duration: int, snr_db: float = 10.0, x: float = 1.0, y: float = 0.0
) -> EventSpec:
    """An event on paper."""
    return EventSpec(
        label=label,
        path=f"{label}/a.wav",
        start=0,
        duration=duration,
        onset=onset,
        position=0,
        xyz=(x, y, 0.0),
        snr_db=snr_db,
    )


def paper(*events: EventSpec, interferers: tuple[EventSpec, ...] = ()) -> SceneSpec:
    """A scene of one second on paper."""
    return SceneSpec(
        rules="s5kit2025",
        duration=SAMPLES,
        ref_db=-50,
        place="room_ir/hall.sofa",
        targets=events,
        interferers=interferers,
    )
