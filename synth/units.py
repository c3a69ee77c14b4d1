"""Units as types: what a bare number means in a signature."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Seconds: TypeAlias = float
Samples: TypeAlias = int
Decibels: TypeAlias = float
Degrees: TypeAlias = float
Metres: TypeAlias = float
Hertz: TypeAlias = int

Audio: TypeAlias = NDArray[np.float32]
"""Sound as float32, full scale 1.0; the docstring says the axes."""

SCENE_RATE: Hertz = 32_000
"""Sampling rate of every scene of the task, in Hz."""

FOA_CHANNELS = 4
"""Channels of first-order Ambisonics: W, Y, Z, X (ACN order)."""
