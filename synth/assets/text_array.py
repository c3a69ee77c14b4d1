"""A pandas column of text that lies in a file: rows cost nothing until they are looked at."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, SupportsIndex

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray, ExtensionDtype, take

_CHUNK = 8192


class TextDtype(ExtensionDtype):
    """The type of a `TextArray`."""

    name = "s5kit-text"
    type = str
    kind = "O"
    na_value = None

    @classmethod
    def construct_array_type(cls) -> builtins.type[TextArray]:
        """Return the array that has this type."""
        return TextArray


class TextArray(ExtensionArray):  # type: ignore[misc, unused-ignore]
    """Texts one after the other in a (mapped) array of bytes, each followed by a zero byte.

    Choosing rows copies row numbers, not texts. There are no missing values.

    Args:
        blob: UTF-8 bytes, (bytes,).
        ends: Where each text ends, its zero byte included, (texts,).
        rows: Which texts these are; None: all of them.
    """

    mapped = True

    def __init__(
        self, blob: NDArray[np.uint8], ends: NDArray[np.int64], rows: NDArray[np.int64] | None = None
    ) -> None:
        self._blob, self._ends, self._rows = blob, ends, rows

    @classmethod
    def _from_sequence(cls, scalars: Iterable[Any], *, dtype: Any = None, copy: bool = False) -> TextArray:
        del dtype, copy
        data = "".join(f"{text}\0" for text in scalars).encode()
        blob = np.frombuffer(data, np.uint8)
        return cls(blob, np.flatnonzero(blob == 0).astype(np.int64) + 1)

    @classmethod
    def _from_factorized(cls, values: Any, original: Any) -> TextArray:
        del original
        return cls._from_sequence(values)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[TextArray]) -> TextArray:
        return cls._from_sequence(text for part in to_concat for text in part)

    @property
    def dtype(self) -> TextDtype:
        """Return the type of the column."""
        return TextDtype()

    @property
    def nbytes(self) -> int:
        """Return the bytes that the column stands for."""
        return self._blob.nbytes + self._ends.nbytes

    def __len__(self) -> int:
        return len(self._ends if self._rows is None else self._rows)

    def __getitem__(self, item: Any) -> Any:
        """Return one text, or some as a `TextArray`."""
        if isinstance(item, int | np.integer):
            return self._text(range(len(self))[item])
        item = pd.api.indexers.check_array_indexer(self, item)
        return TextArray(self._blob, self._ends, self._numbers()[item])

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _CHUNK):
            rows = self._numbers(first, first + _CHUNK)
            if (np.diff(rows) == 1).all():
                start, end = self._start(int(rows[0])), int(self._ends[rows[-1]])
                yield from self._blob[start : end - 1].tobytes().decode().split("\0")
            else:
                yield from (self._at(row) for row in rows.tolist())

    def __eq__(self, other: object) -> Any:
        values = [other] * len(self) if isinstance(other, str) else other
        if not isinstance(values, Iterable):
            return NotImplemented
        return np.fromiter((a == b for a, b in zip(self, values, strict=True)), bool, len(self))

    def isna(self) -> NDArray[np.bool_]:
        """Return that no text is missing."""
        return np.zeros(len(self), dtype=bool)

    def take(
        self, indices: Sequence[SupportsIndex] | Any, *, allow_fill: bool = False, fill_value: Any = None
    ) -> TextArray:
        """Return the texts of some rows; with `allow_fill`, -1 (a missing one) is refused."""
        del fill_value
        numbers = np.asarray(indices, dtype=np.int64)
        if allow_fill and (numbers < 0).any():
            raise ValueError("a column of texts has no missing values")
        return TextArray(self._blob, self._ends, np.asarray(take(self._numbers(), numbers), dtype=np.int64))

    def copy(self) -> TextArray:
        """Return the same texts: they cannot be changed."""
        return TextArray(self._blob, self._ends, self._rows)

    def _numbers(self, first: int = 0, end: int | None = None) -> NDArray[np.int64]:
        if self._rows is not None:
            return self._rows[first:end]
        return np.arange(first, len(self) if end is None else min(end, len(self)), dtype=np.int64)

    def _text(self, n: int) -> str:
        return self._at(n if self._rows is None else int(self._rows[n]))

    def _at(self, row: int) -> str:
        return self._blob[self._start(row) : int(self._ends[row]) - 1].tobytes().decode()

    def _start(self, row: int) -> int:
        return int(self._ends[row - 1]) if row else 0
