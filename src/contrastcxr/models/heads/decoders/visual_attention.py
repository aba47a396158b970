"""Show, Attend and Tell: soft attention before each word (after Xu 2015; paper A, Table 1; `ST` of paper C)."""

from __future__ import annotations

from dataclasses import replace
from typing import Unpack

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.additive_attention import AdditiveAttention
from contrastcxr.models.blocks.split_lstm import SplitLstmCell
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.decoders.base import DecoderOutputs, Targets, taught_words
from contrastcxr.models.heads.decoders.recurrent import (
    AttentionStep,
    LstmOptions,
    RecurrentDecoder,
    RecurrentState,
    coverage,
)


class VisualAttentionDecoder(RecurrentDecoder):
    """`z_t = β_t attn(h_{t-1}; V)`, `h_t = LSTM([E w_{t-1}; z_t])`,
    `p ∝ exp(W_o (E w_{t-1} + W_h h_t + W_z z_t))`.

    `β_t = σ(w_β^T h_{t-1})` is a scalar gate; `h_0 = tanh(W v̂)` and `c_0 = tanh(W' v̂)`. Its attention is kept
    doubly stochastic in training: every patch should be looked at about once (`losses.decoder`).

    Args:
        vocabulary: V.
        width: d of the features.
        options: as of `LstmDecoder`; `hidden` is the width of the attention too.
    """

    def __init__(self, vocabulary: int, width: int = 512, **options: Unpack[LstmOptions]) -> None:
        super().__init__(vocabulary, width, **options)
        embedding, hidden = self.embedding.embedding_dim, self.hidden
        self.first_hidden = nn.Linear(width, hidden)
        self.first_cell = nn.Linear(width, hidden)
        self.attention = AdditiveAttention(hidden, width, hidden)
        self.gate = nn.Linear(hidden, 1)
        self.lstm = SplitLstmCell((embedding, width), hidden)
        self.from_hidden = nn.Linear(hidden, embedding)
        self.from_patches = nn.Linear(width, embedding)
        self.output = nn.Linear(embedding, vocabulary)

    def start(self, features: VisualFeatures) -> RecurrentState:
        """Return the state before BOS, made of `v̂`."""
        first = (torch.tanh(layer(features.pooled)) for layer in (self.first_hidden, self.first_cell))
        return RecurrentState(self.attention.attendable(features), tuple(first))

    def hear(self, words: Tensor) -> Tensor:
        """Return what the words bring to the gates of the LSTM, `[..., 4h]`."""
        return self.lstm.of(0, words)

    def look(self, word: Tensor, heard: Tensor, state: RecurrentState) -> AttentionStep:
        """Look with the state so far, then take in the word and what was seen."""
        hidden, cell = state.vectors
        seen, weights = self.attention(hidden, state.seen)
        seen = torch.sigmoid(self.gate(hidden)) * seen  # [R, d]
        hidden, cell = self.lstm.advance(heard + self.lstm.of(1, seen), (hidden, cell))
        deep = word + self.from_hidden(hidden) + self.from_patches(seen)  # [R, e]
        return AttentionStep(deep, state.after(hidden, cell), weights)

    def teach(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return the real words, and how much attention each patch got over them."""
        log_probs, attention = self._force(features, targets.token_ids, targets.own_words)
        return replace(taught_words(log_probs, targets), attention=coverage(attention, targets, features))
