"""A renderer in float64, one convolution per event and channel, written from the documented formulas.

Slow and plain on purpose: it shares no code with the renderer it checks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from synth.assets.rirs import Rir, make_rir
from synth.scenes.spec import EventSpec, NoiseSpec, SceneSpec

F64 = NDArray[np.float64]


@dataclass
class MemorySounds:
    """Sounds held in dictionaries, by path."""

    events: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    noises: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    rirs: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def event(self, event: EventSpec, rules: str, scene_rate: int) -> NDArray[np.float32]:
        return self.events[event.path][event.start : event.start + event.duration]

    def noise(self, noise: NoiseSpec, rules: str, scene_rate: int) -> NDArray[np.float32]:
        return self.noises[noise.path][:, noise.start : noise.start + noise.duration]

    def rir(self, place: str, position: int, rules: str, scene_rate: int) -> Rir:
        return make_rir(self.rirs[place][position])


def render64(spec: SceneSpec, sounds: MemorySounds) -> dict[str, F64]:
    """Return mixture, dry, wet, interference and noise in float64."""
    T = spec.duration
    official = spec.rules.startswith("dcase")
    signed = spec.rules.endswith("2025")
    wet, dry = [], []
    for event in spec.targets:
        full, gain, h, x = image(spec, event, sounds)
        wet.append(placed(full, event.onset, T))
        reference = h[spec.dry.channel]
        peak = int(np.argmax(reference if signed else np.abs(reference)))
        before = int(spec.dry.before_ms * spec.sample_rate / 1000)
        after = int(spec.dry.after_ms * spec.sample_rate / 1000)
        window = np.zeros(len(reference))
        for k in range(max(peak - before, 0), min(peak + after + (0 if signed else 1), len(reference))):
            window[k] = reference[k]
        dry.append(placed(gain * scipy.signal.fftconvolve(x, window)[None], event.onset, T)[0])
    interference = np.zeros((4, T))
    for event in spec.interferers:
        interference += placed(image(spec, event, sounds)[0], event.onset, T)
    noise = np.zeros((4, T))
    if spec.noise is not None:
        n = sounds.noise(spec.noise, spec.rules, spec.sample_rate).astype(np.float64)
        times = -(-T // n.shape[1])
        stretched = official and signed
        n = (np.repeat(n, times, axis=1) if stretched else np.concatenate([n] * times, axis=1))[:, :T]
        noise = n * 10 ** ((spec.ref_db + spec.noise.snr_db - 10 * np.log10(np.mean(n**2))) / 20)
    wets = np.array(wet).reshape(-1, 4, T)
    return {
        "mixture": wets.sum(axis=0) + interference + noise,
        "dry": np.array(dry).reshape(-1, T),
        "wet": wets,
        "interference": interference,
        "noise": noise,
    }


def image(spec: SceneSpec, event: EventSpec, sounds: MemorySounds) -> tuple[F64, float, F64, F64]:
    """Return the scaled wet signal (4, n + L - 1), its gain, the RIR and the event."""
    x = sounds.event(event, spec.rules, spec.sample_rate).astype(np.float64)
    h = sounds.rir(spec.place, event.position, spec.rules, spec.sample_rate).taps.astype(np.float64)
    y = np.array([scipy.signal.fftconvolve(x, h[c]) for c in range(len(h))])
    power = np.mean(y**2)
    gain = 10 ** ((spec.ref_db + event.snr_db - 10 * np.log10(power)) / 20) if power > 0 else 1.0
    return gain * y, float(gain), h, x


def placed(signal: F64, onset: int, T: int) -> F64:
    """Put (channels, n) at an onset into silence of T samples; what lies beyond is lost."""
    out = np.zeros((len(signal), T))
    room = min(signal.shape[1], T - onset)
    out[:, onset : onset + room] = signal[:, :room]
    return out


def relative_error(a: NDArray[np.floating], b: F64) -> float:
    """Return |a - b| / |b| (L2), or |a| when b is zero."""
    norm = float(np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / (norm or 1.0)
