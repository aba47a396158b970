"""NIC: an LSTM that sees the image once (after Vinyals 2015; paper A, Table 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contrastcxr.models.decoders.base import ReportDecoder, StepOutput
from contrastcxr.models.features import VisualFeatures


@dataclass(frozen=True, eq=False)
class LstmState:
    """Hidden state and cell of a stack of LSTM layers, each `[layers, R, hidden]`."""

    hidden: Tensor
    cell: Tensor

    @property
    def rows(self) -> int:
        """Number of rows R."""
        return self.hidden.shape[1]

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.hidden.device

    def select(self, index: Tensor) -> LstmState:
        """The rows `index [R']`."""
        return LstmState(self.hidden.index_select(1, index), self.cell.index_select(1, index))


class NicDecoder(ReportDecoder):
    """`x_{-1} = W v̂`, `x_t = E w_t`, `h_t = LSTM(x_t)`, `p = softmax(W_o h_t)`; `h = c = 0` at the start.

    The image is fed once, before BOS, and what is answered to it is not scored. Only `v̂` is looked at, so
    there is no attention and patches do not matter.

    Args:
        vocabulary: V.
        width: d of the features.
        embedding: width of a word vector.
        hidden: width of the LSTM.
        dropout: before the output layer.
    """

    def __init__(
        self, vocabulary: int, width: int = 512, *, embedding: int = 512, hidden: int = 512, dropout: float = 0.5
    ) -> None:
        super().__init__(vocabulary, width)
        self.image = nn.Linear(width, embedding)
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden, vocabulary)

    def forward(self, features: VisualFeatures, token_ids: Tensor) -> Tensor:
        """Log-probabilities `[B, T-1, V]` of `token_ids[:, 1:]`."""
        words = self.embedding(token_ids[:, :-1])  # [B, T-1, e]
        inputs = torch.cat([self.image(features.pooled).unsqueeze(1), words], dim=1)  # [B, T, e]
        hidden, _ = self._run(inputs)
        return self._log_probs(hidden[:, 1:])

    def start(self, features: VisualFeatures) -> LstmState:
        """The state after the image."""
        _, (hidden, cell) = self._run(self.image(features.pooled).unsqueeze(1))
        return LstmState(hidden, cell)

    def step(self, token_ids: Tensor, state: LstmState) -> StepOutput:
        """One LSTM step on `token_ids [R]`."""
        answer, (hidden, cell) = self._run(self.embedding(token_ids).unsqueeze(1), (state.hidden, state.cell))
        return StepOutput(self._log_probs(answer.squeeze(1)), LstmState(hidden, cell))

    def _run(
        self, inputs: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The LSTM in the precision of its weights: CPUs without bfloat16 units have no LSTM under autocast."""
        with torch.autocast(inputs.device.type, enabled=False):
            inputs = inputs.to(next(self.lstm.parameters()).dtype)
            answer: tuple[Tensor, tuple[Tensor, Tensor]] = self.lstm(inputs, state)
        return answer

    def _log_probs(self, hidden: Tensor) -> Tensor:
        logits = self.output(self.dropout(hidden))
        return torch.log_softmax(logits.float(), dim=-1)
