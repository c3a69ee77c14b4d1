"""Writing 16-bit WAV files, with the same bytes every time."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...units import SCENE_RATE


def write_wav(path: Path, sound: NDArray[np.float64]) -> None:
    """Write `(samples,)` or `(channels, samples)` at 32 kHz, full scale 1.0, in place."""
    rows = np.atleast_2d(sound)
    if not np.isfinite(rows).all() or np.abs(rows).max() >= 1.0:
        raise ValueError(f"{path.name} would clip")
    with path.open("wb") as file, wave.open(file, "wb") as wav:
        wav.setnchannels(len(rows))
        wav.setsampwidth(2)
        wav.setframerate(SCENE_RATE)
        wav.writeframes(np.round(rows.T * 32_767).astype("<i2").tobytes())
