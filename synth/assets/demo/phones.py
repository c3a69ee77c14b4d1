"""The alphabet of the speech-like voice: vowels, consonants, and syllables made of them.

Vowel formants: means for men of G. E. Peterson and H. L. Barney, Control methods used in a
study of the vowels, JASA 24 (1952), table II.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .draws import Draw, chance

Formants = tuple[float, float, float]

VOWELS: tuple[Formants, ...] = (
    (270, 2_290, 3_010),
    (390, 1_990, 2_550),
    (530, 1_840, 2_480),
    (660, 1_720, 2_410),
    (730, 1_090, 2_440),
    (570, 840, 2_410),
    (440, 1_020, 2_240),
    (300, 870, 2_240),
    (640, 1_190, 2_390),
    (490, 1_350, 1_690),
)


@dataclass(frozen=True, slots=True)
class Phone:
    """One stretch of sound.

    Attributes:
        seconds: Duration.
        formants: Target of the first three formants in Hz, reached in the middle.
        voice: Strength of the glottal source, 0 to 1.
        breath: Strength of aspiration through the tract, 0 to 1.
        hiss: Centre and width in Hz and level of turbulence in front of the tract.
        burst: Whether the turbulence is a short release.
        stress: Accent of the syllable that it belongs to, 0 to 1.
    """

    seconds: float
    formants: Formants
    voice: float = 0.0
    breath: float = 0.0
    hiss: tuple[float, float, float] | None = None
    burst: bool = False
    stress: float = 0.0


_GLIDES: tuple[Formants, ...] = (
    (300, 610, 2_200),
    (260, 2_070, 3_020),
    (360, 1_300, 2_700),
    (310, 1_060, 1_380),
)
_NASALS: tuple[Formants, ...] = ((250, 1_000, 2_200), (250, 1_600, 2_600))
_HISSES = ((6_800, 4_500, 0.55), (3_400, 2_600, 0.6), (6_000, 9_000, 0.12), (5_500, 8_000, 0.10))
_BURSTS = (
    ((300, 800, 2_200), (900, 1_400, 0.5)),
    ((300, 1_750, 2_700), (4_300, 4_000, 0.5)),
    ((300, 1_950, 2_300), (2_000, 1_500, 0.55)),
)


def phrase(take: Draw, pace: float, seconds: float) -> list[Phone]:
    """Return syllables that last about `seconds`; `pace` above one is slow."""
    phones: list[Phone] = []
    total = 0.0
    while total < seconds or not phones:
        stress = 1.0 if chance(take, 0.35) else 0.0
        syllable = [replace(p, seconds=p.seconds * pace, stress=stress) for p in _syllable(take, stress)]
        phones += syllable
        total += sum(p.seconds for p in syllable)
    return phones


def _syllable(take: Draw, stress: float) -> list[Phone]:
    vowel = VOWELS[int(take.integers(len(VOWELS)))]
    loud = take.uniform(0.6, 0.85) + 0.15 * stress
    long = take.uniform(0.07, 0.14) * (1.45 if stress else 1.0)
    core = [Phone(long, vowel, voice=loud)]
    if chance(take, 0.15):  # a diphthong
        core.append(Phone(0.6 * long, VOWELS[int(take.choice([0, 7]))], voice=0.9 * loud))
    onset = _consonant(take, vowel) if chance(take, 0.85) else []
    coda = _consonant(take, vowel, coda=True) if chance(take, 0.35) else []
    return onset + core + coda


def _consonant(take: Draw, vowel: Formants, *, coda: bool = False) -> list[Phone]:
    kind = take.choice(["stop", "hiss", "nasal", "glide", "breath"], p=[0.34, 0.26, 0.18, 0.17, 0.05])
    if kind == "stop":
        where, burst = _BURSTS[int(take.integers(3))]
        hard = chance(take, 0.55)
        closed = Phone(take.uniform(0.04, 0.075), where, voice=0.0 if hard else 0.12)
        release = Phone(take.uniform(0.012, 0.02), where, hiss=burst, burst=True)
        if not hard or coda:
            return [closed, release]
        return [closed, release, Phone(take.uniform(0.02, 0.05), vowel, breath=0.7)]
    if kind == "hiss":
        centre, width, level = _HISSES[int(take.choice(4, p=[0.45, 0.25, 0.2, 0.1]))]
        where = (320, 1_500, 2_500)
        voice = 0.25 if chance(take, 0.3) else 0.0
        return [Phone(take.uniform(0.07, 0.14), where, voice=voice, hiss=(centre, width, level))]
    if kind == "nasal":
        return [Phone(take.uniform(0.05, 0.09), _NASALS[int(take.integers(2))], voice=0.35)]
    if kind == "glide":
        return [Phone(take.uniform(0.05, 0.08), _GLIDES[int(take.integers(4))], voice=0.6)]
    return [Phone(take.uniform(0.05, 0.09), vowel, breath=0.9)]
