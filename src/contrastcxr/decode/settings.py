"""How reports are searched for; in a module of its own, so that a configuration is read without PyTorch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class GenerationSettings(BaseModel):
    """How reports are searched for; default beam 3 for every decoder (C; ours for A)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["greedy", "beam", "nucleus"] = Field("beam", description="how the next words are chosen")
    beams: int = Field(3, ge=1, description="beam search only")
    max_tokens: int = Field(60, ge=1, description="tokens chosen at most, the end token included")
    min_tokens: int = Field(0, ge=0, description="words before the end token is allowed")
    length_penalty: float = Field(0.0, ge=0, description="a finished beam scores log p / tokens ** penalty")
    block_trigrams: bool = Field(False, description="never write the same three words twice")
    top_p: float = Field(0.9, gt=0, le=1, description="nucleus only")
    temperature: float = Field(1.0, gt=0, description="nucleus only")

    @model_validator(mode="after")
    def _room_to_end(self) -> Self:
        if self.min_tokens >= self.max_tokens:
            raise ValueError(f"min_tokens {self.min_tokens} must be below max_tokens {self.max_tokens}")
        return self

    @property
    def width(self) -> int:
        """Beams that advance together per study."""
        return self.beams if self.method == "beam" else 1
