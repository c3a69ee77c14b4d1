"""The one error that users of s5kit see: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class SynthError(Exception):
    """Something a user can mend: bad input, bad configuration, a full disk.

    Args:
        what: The fault, with the offending value and what was expected.
        where: The file, field or key that it concerns; None when there is no such thing.
        remedy: What to do about it, as one sentence.

    Attributes:
        exit_code: What a command line ends with.
    """

    exit_code: int = 1

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.remedy = remedy
        place = "" if self.where is None else f"{self.where}: "
        super().__init__(f"{place}{what} ({remedy})")

    def __reduce__(self) -> tuple[object, ...]:
        """Keep all three parts when the error crosses a process boundary."""
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(kind: type[SynthError], what: str, where: str | None, remedy: str) -> SynthError:
    return kind(what, where=where, remedy=remedy)


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault among several that a check reports together."""

    where: str
    what: str
    remedy: str

    def error(self) -> SynthError:
        """Return the same fault as an exception."""
        return SynthError(self.what, where=self.where, remedy=self.remedy)


class ProblemsError(SynthError):
    """Several faults found by one check, reported at once.

    Args:
        problems: At least one fault.
        remedy: What to do about all of them.
    """

    def __init__(self, problems: Sequence[Problem], *, remedy: str) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {p.where}: {p.what} ({p.remedy})" for p in self.problems)
        super().__init__(f"{len(self.problems)} problem(s) found:\n{lines}\n", remedy=remedy)

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the list of problems when the error crosses a process boundary."""
        return _rebuild_problems, (self.problems, self.remedy)


def _rebuild_problems(problems: tuple[Problem, ...], remedy: str) -> ProblemsError:
    return ProblemsError(problems, remedy=remedy)
