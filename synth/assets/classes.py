"""The target classes, as `manifests/classes.yaml` lists them."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def target_classes() -> tuple[str, ...]:
    """Return the 18 target classes in the order of the official label vectors."""
    return tuple(_manifest()["classes"])


@cache
def silence_label() -> str:
    """Return the word for an empty slot."""
    return str(_manifest()["silence"])


@cache
def _manifest() -> dict[str, Any]:
    text = resources.files("manifests").joinpath("classes.yaml").read_text("utf-8")
    manifest: dict[str, Any] = yaml.safe_load(text)
    return manifest
