"""The file names of the challenge: `<mixture>_<Label>.wav` (2025), `<mixture>_<n>_<Label>.wav` (2026)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from synth import SynthError

Year = Literal[2025, 2026]

SOUND = ".wav"
_NUMBERED = re.compile(r"(?P<number>\d+)_(?P<label>.+)")


@dataclass(frozen=True, slots=True)
class SourceName:
    """What the name of a target or an estimate says.

    Attributes:
        mixture: Stem of the mixture's file.
        number: Position among the sources, from the name; None in 2025.
        label: The class.
    """

    mixture: str
    number: int | None
    label: str

    @property
    def file(self) -> str:
        """The file name."""
        number = "" if self.number is None else f"{self.number}_"
        return f"{self.mixture}_{number}{self.label}{SOUND}"


def assign(
    files: Iterable[str], mixtures: Collection[str], *, year: Year | None, where: str
) -> dict[str, list[SourceName]]:
    """Sort source files to their mixtures, by string prefix as the official scorers do.

    Args:
        files: File names.
        mixtures: Stems of the mixtures' files.
        year: Form of the names; None: what the files have.
        where: What holds the files.

    Returns:
        Per mixture its sources, in the order of their numbers, else of their labels.

    Raises:
        SynthError: A file of no mixture or of two, or names of another year's form.
    """
    found: dict[str, list[SourceName]] = {mixture: [] for mixture in mixtures}
    known = set(mixtures)
    for file in sorted(files):
        stem = file.removesuffix(SOUND)
        ends = [n for n, letter in enumerate(stem) if letter == "_" and stem[:n] in known]
        owners = [stem[:n] for n in ends if stem[n + 1 :]]
        if len(owners) != 1:
            of = f"of {owners[0]!r} and of {owners[1]!r}" if owners else "of no mixture"
            raise SynthError(
                f"{file!r} is a source {of}",
                where=where,
                remedy="name sources <mixture>_<Label>.wav or <mixture>_<n>_<Label>.wav, and no mixture like the "
                "beginning of another",
            )
        found[owners[0]].append(_parse(owners[0], stem[len(owners[0]) + 1 :], year))
    every = [source for sources in found.values() for source in sources]
    _check_forms(every, year, where)
    for sources in found.values():
        sources.sort(key=lambda source: (-1 if source.number is None else source.number, source.label))
    return found


def year_of(sources: Iterable[SourceName]) -> Year | None:
    """Return the year whose form the names have; None without names."""
    for source in sources:
        return 2025 if source.number is None else 2026
    return None


def _parse(mixture: str, rest: str, year: Year | None) -> SourceName:
    numbered = _NUMBERED.fullmatch(rest)
    if year != 2025 and numbered is not None:
        return SourceName(mixture, int(numbered["number"]), numbered["label"])
    return SourceName(mixture, None, rest)


def _check_forms(sources: list[SourceName], year: Year | None, where: str) -> None:
    plain = [source for source in sources if source.number is None]
    mixed = year is None and 0 < len(plain) < len(sources)
    if mixed or (year == 2026 and plain):
        raise SynthError(
            f"{plain[0].file!r} has no number, as names of 2026 have",
            where=where,
            remedy="name all sources in one form, or say which by --year",
        )
    twice = {(s.mixture, s.number) for s in sources if s.number is not None}
    if len(twice) < len(sources) - len(plain):
        seen: set[tuple[str, int | None]] = set()
        for source in sources:
            if (source.mixture, source.number) in seen:
                raise SynthError(
                    f"{source.file!r} has the number of another source",
                    where=where,
                    remedy="number the sources of a mixture 0, 1, 2 …",
                )
            seen.add((source.mixture, source.number))
