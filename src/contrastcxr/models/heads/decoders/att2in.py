"""Att2in: attention enters the cell of the LSTM and nothing else (after Rennie 2017; paper A, Table 1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.additive_attention import AdditiveAttention
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.options import Att2inOptions
from contrastcxr.models.heads.decoders.recurrent import AttentionStep, RecurrentDecoder, RecurrentState


class Att2inDecoder(RecurrentDecoder):
    """`I_t = attn(h_{t-1}; V)`; gates `i, f, o = σ(W x_t + U h_{t-1})` never see the image.

    The cell's input is a maxout of two units, without tanh: `g = max(u_1, u_2)` with
    `[u_1; u_2] = W_c x_t + U_c h_{t-1} + A I_t`; `c_t = f ⊙ c_{t-1} + i ⊙ g`, `h_t = o ⊙ tanh(c_t)`;
    `h_0 = c_0 = 0`; `p = softmax(W_o h_t)`.

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: Att2inOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = self.embedding.embedding_dim, self.hidden
        self.attention = AdditiveAttention(hidden, self.width, hidden)
        self.from_word = nn.Linear(embedding, 5 * hidden)
        self.from_hidden = nn.Linear(hidden, 5 * hidden, bias=False)
        self.from_patches = nn.Linear(self.width, 2 * hidden, bias=False)
        self.output = nn.Linear(hidden, self.vocabulary)
        with torch.no_grad():
            self.from_word.bias[hidden : 2 * hidden] += options.forget_bias

    def start(self, features: VisualFeatures) -> RecurrentState:
        """Return zeros: the image enters with the first look."""
        features = self.inputs.features(features)
        zeros = features.pooled.new_zeros(features.studies, self.hidden)
        return RecurrentState(self.attention.attendable(features), (zeros, zeros))

    def hear(self, words: Tensor) -> Tensor:
        """Return `W x_t` of the gates and `W_c x_t` of the units, `[..., 5h]`."""
        heard: Tensor = self.from_word(words)
        return heard

    def look(self, word: Tensor, heard: Tensor, state: RecurrentState) -> AttentionStep:
        """Look with the state so far, then take in the word; what was seen enters the cell."""
        del word
        hidden, cell = state.vectors
        seen, weights = self.attention(hidden, state.seen)
        taken = heard + self.from_hidden(hidden)
        gates, units = taken.split((3 * self.hidden, 2 * self.hidden), dim=-1)
        enter, forget, show = torch.sigmoid(gates).chunk(3, dim=-1)
        first, second = (units + self.from_patches(seen)).chunk(2, dim=-1)
        cell = forget * cell + enter * torch.maximum(first, second)
        hidden = show * torch.tanh(cell)
        return AttentionStep(hidden, state.after(hidden, cell), weights)
