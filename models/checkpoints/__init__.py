"""Published weights into our nets, our nets into files, and both onto the Hub."""

from __future__ import annotations

from .download import PUBLISHED_WEIGHTS, Published, download_weights
from .hub import from_pretrained, push_to_hub
from .importing import WEIGHT_KINDS, Imported, export_reference, export_weights, import_weights
from .report import Translation
from .saving import Origin, load_model, load_unused, save_model

__all__ = [
    "PUBLISHED_WEIGHTS",
    "WEIGHT_KINDS",
    "Imported",
    "Origin",
    "Published",
    "Translation",
    "download_weights",
    "export_reference",
    "export_weights",
    "from_pretrained",
    "import_weights",
    "load_model",
    "load_unused",
    "push_to_hub",
    "save_model",
]
