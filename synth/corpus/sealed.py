"""JSON documents that notice a changed byte: their last field is the SHA-256 of all before it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import SynthError
from ..scenes.bounded import load_json

MAX_SEALED_BYTES = 64 << 20

_TAIL = re.compile(rb',\n "seal": "([0-9a-f]{64})"\n\}\n')
_TAIL_BYTES = len(b',\n "seal": ""\n}\n') + 64


def seal(content: Mapping[str, Any]) -> bytes:
    """Return a JSON document with its seal.

    Args:
        content: At least one field, JSON types only, none called "seal".
    """
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    body = text.removesuffix("\n}").encode()
    return body + b',\n "seal": "%s"\n}\n' % hashlib.sha256(body).hexdigest().encode()


def unseal(data: bytes, *, where: str | Path, remedy: str) -> dict[str, Any]:
    """Return the content of a sealed document, without the seal.

    Args:
        data: The bytes of the document.
        where: What errors name.
        remedy: What errors propose.

    Raises:
        SynthError: A byte was changed, lost or added, or the document was never sealed.
    """
    tail = _TAIL.fullmatch(data[-_TAIL_BYTES:])
    body = data[:-_TAIL_BYTES]
    if tail is None or hashlib.sha256(body).hexdigest().encode() != tail.group(1):
        raise SynthError("its content does not match its seal: it was changed", where=where, remedy=remedy)
    content = load_json(data, where=where, limit=MAX_SEALED_BYTES)
    if not isinstance(content, dict):
        raise SynthError("it holds no JSON object", where=where, remedy=remedy)
    del content["seal"]
    return content
