"""Licences as a table on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from synth import LedgerRow, strictest

_STYLES = {"forbidden": "bold red", "unknown": "red", "allowed-non-commercial": "yellow", "allowed": "green"}
_LINES = {
    "forbidden": "a licence among these forbids redistribution, also of mixtures: keep it to yourself",
    "unknown": "the licence of some of these is unknown: find out before anything is passed on",
    "allowed-non-commercial": "redistribution is allowed for purposes that are not commercial",
    "allowed": "redistribution is allowed; name the sources",
}


def licence_table(ledger: Sequence[LedgerRow], counted: str) -> Table:
    """Return the ledger as a table; `counted` says what its counts are of."""
    table = Table(title="Licences", title_justify="left")
    for name in ("data set", "licence", "redistribution"):
        table.add_column(name)
    table.add_column(counted, justify="right")
    for row in ledger:
        verdict = f"[{_STYLES[row.redistribution]}]{row.redistribution}[/]"
        table.add_row(row.dataset, row.licence, verdict, str(row.count))
    return table


def redistribution_line(ledger: Sequence[LedgerRow]) -> str:
    """Say in a line what holds for the whole."""
    return _LINES[strictest(ledger)]
