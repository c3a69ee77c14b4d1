"""What everything stored in a scene is made of: frozen models without unknown keys, finite numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Plain(BaseModel):
    """Plain immutable data."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)
