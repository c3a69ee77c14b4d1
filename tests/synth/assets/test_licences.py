"""Licences: nobody passes on by accident what he may not."""

from __future__ import annotations

import pytest

from synth.assets.licences import LedgerRow, ledger_of, redistribution_of, strictest


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC0-1.0", "allowed"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "allowed"),
        ("CC-BY-4.0", "allowed"),
        ("CC BY 4.0 (me)", "allowed"),
        ("http://creativecommons.org/licenses/by/3.0/", "allowed"),
        ("CC-BY-SA-4.0", "allowed"),
        ("Attribution", "allowed"),
        ("Apache-2.0", "allowed"),
        ("CC BY-NC 4.0", "allowed-non-commercial"),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/", "allowed-non-commercial"),
        ("Attribution NonCommercial", "allowed-non-commercial"),
        ("CC-BY-ND-4.0", "forbidden"),
        ("CC BY-NC-ND 4.0", "forbidden"),
        ("http://creativecommons.org/licenses/by-nd/4.0/", "forbidden"),
        ("NTT evaluation agreement: no redistribution, no modification", "forbidden"),
        ("LicenseRef-NTT-FOA-MEIR-evaluation (no redistribution)", "forbidden"),
        ("All rights reserved", "forbidden"),
        ("research only", "forbidden"),
        ("unknown", "unknown"),
        ("ask Bob", "unknown"),
        ("permission pending, see CC-BY mail", "unknown"),
        ("not CC0", "unknown"),
    ],
)
def test_what_licences_say(licence: str, expected: str) -> None:
    assert redistribution_of(licence) == expected


def test_the_ledger_counts_and_puts_the_strictest_first() -> None:
    pairs = [
        ("a", "CC0-1.0"),
        ("b", "ask Bob"),
        ("a", "CC0-1.0"),
        ("c", "CC-BY-NC-ND-4.0"),
        ("a", "CC-BY-NC-4.0"),
    ]
    assert ledger_of(pairs) == (
        LedgerRow("c", "CC-BY-NC-ND-4.0", 1, "forbidden"),
        LedgerRow("b", "ask Bob", 1, "unknown"),
        LedgerRow("a", "CC-BY-NC-4.0", 1, "allowed-non-commercial"),
        LedgerRow("a", "CC0-1.0", 2, "allowed"),
    )


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        ([], "unknown"),
        (["CC0-1.0"], "allowed"),
        (["CC0-1.0", "CC-BY-NC-4.0"], "allowed-non-commercial"),
        (["CC-BY-NC-4.0", "ask Bob"], "unknown"),
        (["ask Bob", "CC-BY-ND-4.0", "CC0-1.0"], "forbidden"),
    ],
)
def test_the_whole_is_as_strict_as_its_strictest_part(licences: list[str], expected: str) -> None:
    assert strictest(ledger_of(("x", licence) for licence in licences)) == expected
