"""The five transformers: M2D, ATST-Frame, BEATs, Frame-PaSST and ASiT."""

from __future__ import annotations

from typing import Any

from ..errors import ModelError
from .asit import Asit
from .atst import AtstFrame
from .base import Backbone, Encoded
from .beats import Beats
from .fpasst import FramePasst
from .m2d import M2d

__all__ = ["BACKBONES", "SIZES", "Backbone", "Encoded", "create_backbone"]

BACKBONES: dict[str, type[Backbone]] = {net.name: net for net in (M2d, AtstFrame, Beats, FramePasst, Asit)}

SIZES: dict[str, dict[str, int]] = {
    "base": {"dim": 768, "depth": 12, "heads": 12},
    "small": {"dim": 96, "depth": 3, "heads": 4},
    "tiny": {"dim": 48, "depth": 2, "heads": 3},
}


def create_backbone(name: str, *, size: str = "base", **options: Any) -> Backbone:
    """Return a freshly initialised backbone.

    Args:
        name: "m2d", "atst", "beats", "fpasst" or "asit".
        size: "base", that of the released weights; "small", which learns on a CPU; "tiny" for tests and dry runs.
        **options: Anything that the backbone's class takes, such as ``batch_floor`` (atst) or
            ``mel_rate`` (m2d).

    Raises:
        ModelError: Unknown name, size or option.
    """
    for value, known, what in ((name, BACKBONES, "backbone"), (size, SIZES, "size")):
        if value not in known:
            choices = ", ".join(known)
            raise ModelError(
                f"no {what} {value!r}", where="create_backbone", remedy=f"choose one of {choices}"
            )
    try:
        net = BACKBONES[name](**{**SIZES[size], **options})
    except TypeError as error:
        raise ModelError(
            f"{name} does not take these options: {error}",
            where="create_backbone",
            remedy="see the arguments of the backbone's class",
        ) from error
    net.config = {"name": name, "size": size, **options}
    return net
