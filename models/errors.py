"""The one error that users of the nets see: what is wrong, where, and what to do about it.

The nets know nothing of scenes, so they carry their own error of the same shape.
"""

from __future__ import annotations

from pathlib import Path


class ModelError(Exception):
    """Something a user can mend: an unknown net, a wrong shape, a checkpoint that does not fit.

    Args:
        what: The fault, with the offending value and what was expected.
        where: The file, argument or key that it concerns; None when there is no such thing.
        remedy: What to do about it, as one sentence.
    """

    def __init__(self, what: str, *, where: str | Path | None = None, remedy: str) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.remedy = remedy
        place = "" if self.where is None else f"{self.where}: "
        super().__init__(f"{place}{what} ({remedy})")

    def __reduce__(self) -> tuple[object, ...]:
        """Keep all three parts when the error crosses a process boundary."""
        return _rebuild, (type(self), self.what, self.where, self.remedy)


def _rebuild(kind: type[ModelError], what: str, where: str | None, remedy: str) -> ModelError:
    return kind(what, where=where, remedy=remedy)
