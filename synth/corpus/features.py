"""The columns of a corpus, in the form of Hugging Face `datasets.Features.to_dict()`.

`load_dataset("webdataset", ..., features=Features.from_dict(...))` then needs neither inference nor
an audio decoder: sounds arrive as the bytes of their FLAC files.
"""

from __future__ import annotations

from typing import Any

from .identity import CorpusIdentity


def features(identity: CorpusIdentity) -> dict[str, Any]:
    """Return the columns of a corpus's samples."""
    columns: dict[str, Any] = {
        name: _value("binary") for name in identity.member_suffixes() if name.endswith(".flac")
    }
    columns["json"] = _RECORD
    return {**columns, "__key__": _value("string"), "__url__": _value("string")}


def _value(dtype: str) -> dict[str, str]:
    return {"dtype": dtype, "_type": "Value"}


_SLOT = {
    "slot": _value("int64"),
    "label": _value("string"),
    "onset": _value("int64"),
    "offset": _value("int64"),
    "azimuth": _value("float64"),
    "elevation": _value("float64"),
    "distance": _value("float64"),
    "snr_db": _value("float64"),
}
_RECORD: dict[str, Any] = {
    "key": _value("string"),
    "index": _value("int64"),
    "recipe": _value("string"),
    "split": _value("string"),
    "seed": _value("string"),
    "synthetic": _value("bool"),
    "sample_rate": _value("int64"),
    "duration": _value("int64"),
    "place": _value("string"),
    "num_targets": _value("int64"),
    "num_interferers": _value("int64"),
    "targets": [_SLOT],
    "clipped": _value("int64"),
    "labels": _value("string"),
    "spec": _value("string"),
}
