"""The rules of each year, as one table: what a SceneSpec's `rules` means to the renderer.

`dcase2025` and `dcase2026` are for official scene files, with every quirk of their generator.
`s5kit2025` and `s5kit2026` are what our own plans say: the same targets and levels, without
the defects (see `docs` in the README: noise stretched by sample repetition, RIR rate ignored,
last sample lost to rounding). `spatialscaper` is for what a Scaper of that package has drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .spec import Rules


@dataclass(frozen=True, slots=True)
class RuleSet:
    """How one year cuts, windows and fills.

    Attributes:
        absolute_peak: The direct path is the largest |h| of the dry channel; False: the largest h.
        early_end_inclusive: The last tap of the early window counts (1793 taps), or not (1792).
        rir_resampled: RIRs are brought to the scene rate; False: their stated rate is ignored.
        short_noise: A noise shorter than the scene is tiled, or each sample is repeated.
        cut_after_resampling: A file segment is cut to int(duration * rate) after resampling.
        silent_event: A silent event is an error, or gives a zero target under its label.
        interferers_sorted: Interferers are mixed in onset order, or in the order drawn.
        level: What an SNR is about: the mean power of the whole wet signal, or the mean magnitude of
            what is kept of it.
        tails: What rings on after the end of an event is kept.
        mono_noise: The background is averaged to one channel, which all four get.
    """

    absolute_peak: bool
    early_end_inclusive: bool
    rir_resampled: bool
    short_noise: Literal["tile", "repeat"]
    cut_after_resampling: bool
    silent_event: Literal["error", "zero"]
    interferers_sorted: bool
    level: Literal["power", "magnitude"] = "power"
    tails: bool = True
    mono_noise: bool = False


RULES: dict[Rules, RuleSet] = {
    "dcase2025": RuleSet(False, False, False, "repeat", True, "zero", False),
    "dcase2026": RuleSet(True, True, True, "tile", False, "zero", True),
    "s5kit2025": RuleSet(False, False, True, "tile", False, "error", True),
    "s5kit2026": RuleSet(True, True, True, "tile", False, "error", True),
    "spatialscaper": RuleSet(True, True, True, "tile", False, "error", True, "magnitude", False, True),
}
