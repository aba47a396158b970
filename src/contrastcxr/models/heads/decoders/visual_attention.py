"""Show, Attend and Tell: soft attention before each word (after Xu 2015; paper A, Table 1; `ST` of paper C)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from contrastcxr.losses.base import Targets
from contrastcxr.models.blocks.additive_attention import AdditiveAttention
from contrastcxr.models.blocks.split_lstm import SplitLstmCell
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.base import report_tokens
from contrastcxr.models.heads.decoders.inputs import raise_forget_gates
from contrastcxr.models.heads.decoders.options import VisualAttentionOptions
from contrastcxr.models.heads.decoders.outputs import DecoderOutputs
from contrastcxr.models.heads.decoders.recurrent import (
    AttentionStep,
    RecurrentDecoder,
    RecurrentState,
    coverage,
)


class VisualAttentionDecoder(RecurrentDecoder):
    """`z_t = β_t attn(h_{t-1}; V)`, `h_t = LSTM([E w_{t-1}; z_t])`,
    `p ∝ exp(W_o (E w_{t-1} + W_h h_t + W_z z_t))`.

    `β_t = σ(w_β^T h_{t-1})` is a scalar gate; `h_0 = tanh(W v̂)` and `c_0 = tanh(W' v̂)`. Its attention is kept
    doubly stochastic in training: every patch should be looked at about once (`taught_terms`).

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: VisualAttentionOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = self.embedding.embedding_dim, self.hidden
        self.first_hidden = nn.Linear(self.width, hidden)
        self.first_cell = nn.Linear(self.width, hidden)
        self.attention = AdditiveAttention(hidden, self.width, hidden)
        self.gate = nn.Linear(hidden, 1)
        self.lstm = SplitLstmCell((embedding, self.width), hidden)
        self.from_hidden = nn.Linear(hidden, embedding)
        self.from_patches = nn.Linear(self.width, embedding)
        self.output = nn.Linear(embedding, self.vocabulary)
        raise_forget_gates(self, options.forget_bias)

    def start(self, features: VisualFeatures) -> RecurrentState:
        """Return the state before BOS, made of `v̂`."""
        features = self.inputs.features(features)
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

    def hidden_state(self, step: AttentionStep) -> Tensor:
        """Return `h_t`: the output layer reads the word and the patches beside it."""
        return step.state.vectors[0]

    def outputs(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return the real words, and how much attention each patch got over them."""
        token_ids, mask = report_tokens(targets)
        forced = self.force(features, token_ids, targets.own_words)
        assert forced.attention is not None  # it looks at the patches
        return replace(
            self.taught_words(forced, token_ids, mask), attention=coverage(forced.attention, mask, features)
        )
