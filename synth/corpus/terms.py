"""Under which licences the sounds of a scene are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..assets.licences import LedgerRow, ledger_of
from ..scenes.spec import SceneSpec

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..assets.catalog import Catalog


class Terms:
    """Looks up data set and licence of the files of scenes; small beside the catalog itself.

    Args:
        catalog: The files; scenes must be planned with it.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._sounds = (_Table(catalog.events), _Table(catalog.interferers))
        self._noises, self._places = _Table(catalog.noises), _Table(catalog.places)

    def of_scene(self, spec: SceneSpec) -> dict[str, int]:
        """Return how often files of each "dataset<TAB>licence" are used in a scene, the room included."""
        used = [self._sound(event.path) for event in (*spec.targets, *spec.interferers)]
        used.append(self._places.find(spec.place))
        if spec.noise is not None:
            used.append(self._noises.find(spec.noise.path))
        return dict(Counter(key or "unknown\tunknown" for key in used))

    def _sound(self, path: str) -> str | None:
        return next((key for table in self._sounds if (key := table.find(path)) is not None), None)


def ledger(uses: dict[str, int]) -> tuple[LedgerRow, ...]:
    """Return the ledger of uses by "dataset<TAB>licence"."""
    pairs: dict[tuple[str, str], int] = {}
    for key, count in uses.items():
        dataset, _, licence = key.partition("\t")
        pairs[dataset, licence] = count
    return ledger_of(pairs)


class _Table:
    """Finds rows of a table by path, through hashes of the paths."""

    def __init__(self, table: DataFrame) -> None:
        self._paths: Sequence[str] = table["path"].array
        hashes = np.fromiter(map(hash, self._paths), np.int64, len(table))
        self._order: NDArray[np.intp] = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]
        pairs = zip(table["dataset"].tolist(), table["licence"].tolist(), strict=True)
        codes: dict[tuple[str, str], int] = {}
        self._codes = np.fromiter((codes.setdefault(p, len(codes)) for p in pairs), np.int32, len(table))
        self._keys: list[str] = [f"{dataset}\t{licence}" for dataset, licence in codes]

    def find(self, path: str) -> str | None:
        wanted = hash(path)
        first = int(np.searchsorted(self._hashes, wanted))
        while first < len(self._hashes) and self._hashes[first] == wanted:
            row = int(self._order[first])
            if str(self._paths[row]) == path:
                return self._keys[int(self._codes[row])]
            first += 1
        return None
