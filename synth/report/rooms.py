"""How long the places of a collection reverberate."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

import numpy as np

from ..assets.catalog import Catalog
from ..assets.room_acoustics import reverberation_time
from ..rendering.sounds import open_sounds
from ..units import Hertz, Seconds

_RESPONSES = 6


def reverberation_times(catalog: Catalog, places: Iterable[str], rate: Hertz) -> dict[str, Seconds]:
    """Return the RT60 of places in seconds: the median of six of their responses, evenly spaced.

    Places whose responses do not allow to tell are left out.

    Raises:
        SynthError: The catalog has no such place.
    """
    sounds = open_sounds(catalog)
    counts = dict(zip(catalog.places["path"].tolist(), catalog.places["positions"].tolist(), strict=True))
    found: dict[str, Seconds] = {}
    for place in sorted(places):
        positions = int(counts.get(place, 1))
        kept = min(_RESPONSES, positions)
        rows = [n * positions // kept for n in range(kept)]
        responses = [sounds.rir(place, row, "s5kit2026", rate).taps[0] for row in rows]
        times = [reverberation_time(np.asarray(w, dtype=np.float64), rate) for w in responses]
        if known := [time for time in times if time == time]:
            found[place] = median(known)
    return found
