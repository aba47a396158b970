"""What a loss of the whole system states before it is built; needs no PyTorch."""

from __future__ import annotations

from pydantic import Field

from contrastcxr.options import Options


class SystemLossOptions(Options):
    """What every loss of the whole system states."""

    kind: str
    weight: float = Field(1.0, ge=0, description="of its term")

    @property
    def term_weights(self) -> dict[str, float]:
        """What each of its terms weighs, by name: one, called as the loss is."""
        return {self.kind: self.weight}
