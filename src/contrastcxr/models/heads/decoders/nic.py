"""NIC: an LSTM that sees the image once (after Vinyals 2015; paper A, Table 1)."""

from __future__ import annotations

from torch import Tensor, nn

from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.decoders.base import StepResult, TokenDecoder
from contrastcxr.models.heads.decoders.word_lstm import LstmState, WordInputs, WordLstm


class NicDecoder(TokenDecoder):
    """`x_{-1} = W v̂`, `x_t = E w_t`, `h_t = LSTM(x_t)`, `p = softmax(W_o h_t)`; `h = c = 0` at the start.

    The image is fed once, before BOS, and what is answered to it is not scored. Only `v̂` is looked at, so
    there is no attention and patches do not matter.

    Args:
        vocabulary: V.
        width: d of the features.
        embedding: width of a word vector; None takes d.
        hidden: width of the LSTM; None takes d.
        dropout: before the output layer.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int = 512,
        *,
        embedding: int | None = None,
        hidden: int | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(vocabulary, width)
        embedding = embedding or width
        self.image = nn.Linear(width, embedding)
        self.words = WordLstm(vocabulary, embedding=embedding, hidden=hidden or width, dropout=dropout)

    def forward(self, features: VisualFeatures, token_ids: Tensor) -> Tensor:
        """Return log-probabilities `[B, T-1, V]` of `token_ids[:, 1:]`."""
        log_probs: Tensor = self.words(self._inputs(features), token_ids)
        return log_probs

    def start(self, features: VisualFeatures) -> LstmState:
        """Return the state after the image."""
        return self.words.start(self._inputs(features))

    def step(self, token_ids: Tensor, state: LstmState) -> StepResult:
        """Take one LSTM step on `token_ids [R]`."""
        return self.words.step(token_ids, state)

    def _inputs(self, features: VisualFeatures) -> WordInputs:
        return WordInputs(self.image(features.pooled))
