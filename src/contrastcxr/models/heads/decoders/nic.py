"""NIC: an LSTM that sees the image once (after Vinyals 2015; paper A, Table 1)."""

from __future__ import annotations

from torch import Tensor, nn

from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.base import ForcedWords, TokenDecoder
from contrastcxr.models.heads.decoders.inputs import raise_forget_gates
from contrastcxr.models.heads.decoders.options import NicOptions
from contrastcxr.models.heads.decoders.word_lstm import LstmState, WordInputs, WordLstm
from contrastcxr.models.heads.writing import StepResult


class NicDecoder(TokenDecoder):
    """`x_{-1} = W v̂`, `x_t = E w_t`, `h_t = LSTM(x_t)`, `p = softmax(W_o h_t)`; `h = c = 0` at the start.

    The image is fed once, before BOS, and what is answered to it is not scored. Only `v̂` is looked at, so
    there is no attention and patches do not matter.

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: NicOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = options.embedding or inputs.width, options.hidden or inputs.width
        self.word_width = hidden
        self.image = nn.Linear(inputs.width, embedding)
        self.words = WordLstm(inputs.vocabulary, embedding=embedding, hidden=hidden, options=options)
        raise_forget_gates(self, options.forget_bias)

    def force(self, features: VisualFeatures, token_ids: Tensor, own_words: float = 0.0) -> ForcedWords:
        """Return what it says of `token_ids[:, 1:]`."""
        del own_words  # all words are fed at once
        hidden = self.words.hidden(self._inputs(features), token_ids)
        return ForcedWords(self.words.log_probs(hidden), hidden)

    def start(self, features: VisualFeatures) -> LstmState:
        """Return the state after the image."""
        return self.words.start(self._inputs(features))

    def step(self, token_ids: Tensor, state: LstmState) -> StepResult:
        """Take one LSTM step on `token_ids [R]`."""
        return self.words.step(token_ids, state)

    def _inputs(self, features: VisualFeatures) -> WordInputs:
        return WordInputs(self.image(self.words.inputs(features.pooled)))
