"""Licences: what they say about passing sounds on, and who uses which."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from importlib import resources
from typing import Any, Literal, TypeAlias

import yaml

Redistribution: TypeAlias = Literal["allowed", "allowed-non-commercial", "forbidden", "unknown"]
"""Whether sounds under a licence, and mixtures of them, may be passed on."""

UNKNOWN = "unknown"
_SEPARATORS = re.compile(r"[\s_/]+")
_STRICTNESS: tuple[Redistribution, ...] = ("allowed", "allowed-non-commercial", "unknown", "forbidden")


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """How much of a collection, or of a corpus, is under one licence.

    Attributes:
        dataset: Where the sounds are from.
        licence: As the catalog states it.
        count: Files of a catalog; uses of files in a corpus.
        redistribution: What the licence says about passing them on.
    """

    dataset: str
    licence: str
    count: int
    redistribution: Redistribution


@lru_cache(maxsize=4096)
def redistribution_of(licence: str) -> Redistribution:
    """Return what a licence, as somebody wrote it, says about passing on; see `licences.yaml`."""
    plain = _SEPARATORS.sub("-", licence.strip().lower())
    for rule in _rules():
        if any(fnmatchcase(plain, pattern) for pattern in rule["patterns"]):
            verdict: Redistribution = rule["redistribution"]
            return verdict
    return "unknown"


def ledger_of(counts: Mapping[tuple[str, str], int] | Iterable[tuple[str, str]]) -> tuple[LedgerRow, ...]:
    """Return the ledger of (dataset, licence) pairs, sorted, the strictest licences first."""
    rows = [
        LedgerRow(dataset, licence, count, redistribution_of(licence))
        for (dataset, licence), count in Counter(counts).items()
    ]
    return tuple(sorted(rows, key=lambda r: (-_STRICTNESS.index(r.redistribution), r.dataset, r.licence)))


def strictest(ledger: Iterable[LedgerRow]) -> Redistribution:
    """Return what holds for the whole: forbidden before unknown before non-commercial before allowed.

    A ledger without rows says nothing: unknown.
    """
    found = [_STRICTNESS.index(row.redistribution) for row in ledger]
    return _STRICTNESS[max(found)] if found else "unknown"


@cache
def _rules() -> list[dict[str, Any]]:
    text = (resources.files("manifests") / "licences.yaml").read_text(encoding="utf-8")
    rules: list[dict[str, Any]] = yaml.safe_load(text)
    return rules
