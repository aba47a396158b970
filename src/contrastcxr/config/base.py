"""The base of every part of a configuration: frozen, typed, and an unknown key is an error."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of a configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True)
