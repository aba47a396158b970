"""How reports are searched for; in a module of its own, so that a configuration is read without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Method = Literal["greedy", "beam", "nucleus", "votes"]

MEANT_FOR: Mapping[str, tuple[Method, ...]] = {
    "beams": ("beam",),
    "length_penalty": ("beam",),
    "top_p": ("nucleus",),
    "temperature": ("nucleus", "votes"),
    "samples": ("votes",),
    "threshold": ("votes",),
}
"""The options that mean something with some methods only, and with which; the others mean something with all."""


class GenerationSettings(BaseModel):
    """How reports are searched for; default beam 3 for every decoder (C; ours for A)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = Field(
        "beam", description="how the next words are chosen; of votes, the report that most samples support"
    )
    beams: int = Field(3, ge=1, description="beam search only")
    max_tokens: int = Field(60, ge=1, description="tokens chosen at most, the end token included")
    min_tokens: int = Field(0, ge=0, description="words before the end token is allowed")
    length_penalty: float = Field(0.0, ge=0, description="a finished beam scores log p / tokens ** penalty")
    block_trigrams: bool = Field(False, description="never write the same three words twice")
    top_p: float = Field(0.9, gt=0, le=1, description="nucleus only; votes draw from all words")
    temperature: float = Field(1.0, gt=0, description="nucleus and votes; at 1 a decoder's own belief")
    samples: int = Field(20, ge=1, description="votes only: reports drawn for each study")
    threshold: float = Field(
        0.4, gt=0, le=1, description="votes only: a finding is said from this share of the samples on"
    )
    guidance: float = Field(
        0.0, ge=0, description="λ: how much of log p(word) on normal pictures is taken from that on these; 0: none"
    )

    @model_validator(mode="after")
    def _room_to_end(self) -> Self:
        if self.min_tokens >= self.max_tokens:
            raise ValueError(f"min_tokens {self.min_tokens} must be below max_tokens {self.max_tokens}")
        return self

    @property
    def width(self) -> int:
        """Beams that advance together per study."""
        return self.beams if self.method == "beam" else 1

    @property
    def draws(self) -> bool:
        """Whether words are drawn, from random numbers, and not chosen by their probability."""
        return self.method in ("nucleus", "votes")

    @property
    def reports(self) -> int:
        """Reports that are written for each study."""
        return self.samples if self.method == "votes" else 1

    @property
    def nucleus(self) -> float:
        """The share of the probability that words are drawn from; votes draw from all of it."""
        return self.top_p if self.method == "nucleus" else 1.0

    @property
    def idle(self) -> tuple[str, ...]:
        """Options away from their default that mean nothing with this method."""
        fields = type(self).model_fields
        return tuple(
            name
            for name, methods in MEANT_FOR.items()
            if self.method not in methods and getattr(self, name) != fields[name].default
        )
