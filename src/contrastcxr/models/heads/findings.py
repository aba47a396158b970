"""The finding head: what is on the radiograph, as probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError


class FindingHead(nn.Module):
    """One logistic regression per finding on the (contrasted) global feature (ours).

    It is a linear map after dropout, so that what it knows is what `v̂'` knows and a gain of Contrastive
    Attention shows. `temperature` (one number for all findings, fitted on validation) divides the logits in
    `probabilities` only: the loss sees the plain logits.

    Attributes:
        findings: canonical names, in the order of the outputs.
    """

    temperature: Tensor

    def __init__(
        self, width: int, findings: Sequence[str], temperature: float = 1.0, *, dropout: float = 0.1
    ) -> None:
        super().__init__()
        if not findings or len(set(findings)) != len(findings):
            raise IncompatibleError("a finding head needs at least one finding and no name twice")
        self.findings = tuple(findings)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, len(self.findings))
        self.register_buffer("temperature", torch.tensor(1.0))
        self.set_temperature(temperature)

    def set_temperature(self, temperature: float) -> None:
        """Keep the temperature fitted on validation; it must be above 0."""
        if not temperature > 0:
            raise ValueError(f"temperature {temperature}; it must be above 0")
        self.temperature.fill_(temperature)

    def forward(self, pooled: Tensor) -> Tensor:
        """Return logits `[B, L]` of `pooled [B, d]`."""
        logits: Tensor = self.linear(self.dropout(pooled))
        return logits

    def probabilities(self, pooled: Tensor) -> Tensor:
        """Return the temperature-scaled probabilities `[B, L]` in float32."""
        return torch.sigmoid(self.forward(pooled).float() / self.temperature.float())
