"""How a net learns and how good it is: configurations, tasks, the loop, metrics.

Names are imported when they are first used, so that `import training` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "fit": "loop",
    "FitReport": "loop",
    "NonFiniteError": "run",
    "StoppedError": "stopping",
    "Task": "task",
    "Panel": "panels",
    "SystemEstimator": "estimates",
    "ca_sdri": "metrics",
    "capi_sdri": "metrics",
    "casa_sdr": "metrics",
    "compare_labels": "metrics",
    "estimate_scene": "evaluate",
    "load_system": "systems",
    "open_scenes": "scenes_to_score",
    "score_scene": "metrics",
    "sed_scores": "sed_metrics",
    "snr_db": "metrics",
    "SedConfig": "config",
    "SeparatorConfig": "config",
    "TrainConfig": "config",
    "load_config": "config",
    "parse_config": "config",
    "launch_command": "launch",
    "list_presets": "presets",
    "run_command": "launch",
    "config_text": "show",
    "summary": "show",
    "train": "start",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
