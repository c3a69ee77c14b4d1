"""The nets: front ends, backbones, SED models, taggers, separators and the two-stage system.

Names are resolved on first use, so that ``import models`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {
    "Backbone": "backbones",
    "Encoded": "backbones",
    "ModelError": "errors",
    "SedModel": "sed",
    "SedOutput": "heads",
    "Tagger": "taggers",
    "answer_slots": "system",
    "create_backbone": "backbones",
    "create_frontend": "frontends",
    "create_sed": "sed",
    "create_tagger": "taggers",
    "GuidedSeparator": "separator",
    "Hints": "separator",
    "Origin": "checkpoints",
    "PUBLISHED_WEIGHTS": "checkpoints",
    "S5System": "system",
    "SEPARATORS": "separator",
    "Separator": "separator",
    "WEIGHT_KINDS": "checkpoints",
    "create_separator": "separator",
    "download_weights": "checkpoints",
    "draw_iterations": "separator",
    "export_reference": "checkpoints",
    "export_weights": "checkpoints",
    "from_pretrained": "checkpoints",
    "import_weights": "checkpoints",
    "load_model": "checkpoints",
    "push_to_hub": "checkpoints",
    "save_model": "checkpoints",
    "Separation": "system",
    "Tags": "tagging",
    "decide": "labels",
    "decide_tracks": "labels",
    "load_weights": "weights",
    "separator_settings": "separator",
    "spans": "tagging",
    "tag": "tagging",
    "to_slots": "labels",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
