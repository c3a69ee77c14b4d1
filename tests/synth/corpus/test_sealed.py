"""An index that was changed and is believed sends readers to the wrong bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synth.corpus.sealed import seal, unseal
from synth.errors import SynthError

CONTENT = {"name": "Straße", "sizes": [1, 2], "nested": {"b": 1.5, "a": None}}


def opened(data: bytes) -> dict[str, Any]:
    return unseal(data, where=Path("index.json"), remedy="make it again")


def test_round_trip() -> None:
    assert opened(seal(CONTENT)) == CONTENT


def test_order_of_keys_does_not_matter() -> None:
    assert seal({"a": 1, "b": 2}) == seal({"b": 2, "a": 1})


def test_every_flipped_bit_is_noticed() -> None:
    data = seal(CONTENT)
    for position in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[position] ^= 1 << bit
            with pytest.raises(SynthError, match=r"index\.json"):
                opened(bytes(changed))


def test_every_truncation_and_any_addition_is_noticed() -> None:
    data = seal(CONTENT)
    for length in range(len(data)):
        with pytest.raises(SynthError, match=r"index\.json"):
            opened(data[:length])
    for changed in (data + b"\n", b" " + data, data + data):
        with pytest.raises(SynthError, match=r"index\.json"):
            opened(changed)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_has_not_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        seal({"value": value})
