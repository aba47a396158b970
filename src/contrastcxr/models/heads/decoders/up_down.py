"""Up-Down: one LSTM decides where to look, another what to say (after Anderson 2018; paper A, Table 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.additive_attention import AdditiveAttention
from contrastcxr.models.blocks.split_lstm import SplitLstmCell
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.inputs import raise_forget_gates
from contrastcxr.models.heads.decoders.options import UpDownOptions
from contrastcxr.models.heads.decoders.recurrent import AttentionStep, RecurrentDecoder, RecurrentState


class UpDownDecoder(RecurrentDecoder):
    """`h¹_t = LSTM_1([h²_{t-1}; v̂; E w_t])`, `u_t = attn(h¹_t; V)`, `h²_t = LSTM_2([u_t; h¹_t])`,
    `p = softmax(W_o h²_t)`.

    All states start at 0. The patches stand in for Anderson's detected regions, as in paper A.

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: UpDownOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = self.embedding.embedding_dim, self.hidden
        self.attention_lstm = SplitLstmCell((hidden, self.width, embedding), hidden)
        self.attention = AdditiveAttention(hidden, self.width, options.attention or self.width)
        self.language_lstm = nn.LSTMCell(self.width + hidden, hidden)
        self.output = nn.Linear(hidden, self.vocabulary)
        raise_forget_gates(self, options.forget_bias)

    def start(self, features: VisualFeatures) -> RecurrentState:
        """Return zeros, and what `v̂` brings to the first LSTM at every word."""
        features = self.inputs.features(features)
        zeros = features.pooled.new_zeros(features.studies, self.hidden)
        pooled = self.attention_lstm.of(1, features.pooled)
        return RecurrentState(self.attention.attendable(features), (zeros, zeros, zeros, zeros, pooled))

    def hear(self, words: Tensor) -> Tensor:
        """Return what the words bring to the gates of the first LSTM, `[..., 4h]`."""
        return self.attention_lstm.of(2, words)

    def look(self, word: Tensor, heard: Tensor, state: RecurrentState) -> AttentionStep:
        """Take in the word, look, then think of what was seen."""
        del word
        hidden1, cell1, hidden2, cell2, pooled = state.vectors
        inputs = heard + pooled + self.attention_lstm.of(0, hidden2)
        hidden1, cell1 = self.attention_lstm.advance(inputs, (hidden1, cell1))
        seen, weights = self.attention(hidden1, state.seen)
        hidden2, cell2 = self.language_lstm(torch.cat([seen, hidden1], dim=-1), (hidden2, cell2))
        return AttentionStep(hidden2, state.after(hidden1, cell1, hidden2, cell2, pooled), weights)
