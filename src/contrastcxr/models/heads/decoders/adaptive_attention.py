"""Spatial and adaptive attention: look once the LSTM has heard the word (after Lu 2017; paper A, Table 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.additive_attention import AttentionKeys
from contrastcxr.models.blocks.masked_softmax import masked_softmax
from contrastcxr.models.blocks.split_lstm import SplitLstmCell
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.base import ForcedWords
from contrastcxr.models.heads.decoders.inputs import raise_forget_gates
from contrastcxr.models.heads.decoders.options import AdaptiveAttentionOptions, LstmOptions
from contrastcxr.models.heads.decoders.recurrent import LstmDecoder, RecurrentState
from contrastcxr.models.heads.writing import StepResult


@dataclass(frozen=True, eq=False)
class LstmTrace:
    """What an LSTM made of words, `[B, T, ·]` each: the inputs x_t, h_{t-1}, h_t and the cells m_t."""

    inputs: Tensor
    before: Tensor
    hidden: Tensor
    cell: Tensor


class SpatialAttentionDecoder(LstmDecoder):
    """`x_t = [E w_t; v^g]`, `h_t = LSTM(x_t)`, `z_t = w_h^T tanh(W_v V + W_g h_t)`,
    `p = softmax(W_p (c_t + h_t))`.

    `v_i ← ReLU(W_a v_i)` and `v^g = ReLU(W_b v̂)`; `c_t = Σ α_i v_i` with `α = softmax(z_t)`; `h_0 = m_0 = 0`.
    The attention follows the LSTM, so training loops over words for the LSTM alone.

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: LstmOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = self.embedding.embedding_dim, self.hidden
        self.patch = nn.Linear(self.width, hidden)
        self.pooled = nn.Linear(self.width, embedding)
        self.lstm = SplitLstmCell((2 * embedding,), hidden)
        self.key = nn.Linear(hidden, hidden, bias=False)
        self.query = nn.Linear(hidden, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.output = nn.Linear(hidden, self.vocabulary)
        raise_forget_gates(self, options.forget_bias)

    def force(self, features: VisualFeatures, token_ids: Tensor, own_words: float = 0.0) -> ForcedWords:
        """Return what it says of `token_ids[:, 1:]`."""
        del own_words  # all words are fed at once
        state = self.start(features)
        heard, _ = self._hear(token_ids[:, :-1], state)
        log_probs, attention = self._answer(heard, state.seen)
        return ForcedWords(log_probs, heard.hidden, attention=attention)

    def start(self, features: VisualFeatures) -> RecurrentState:
        """Return zeros, and `v^g`, which the LSTM hears with every word."""
        features = self.inputs.features(features)
        patches = torch.relu(self.patch(features.patches))
        zeros = features.pooled.new_zeros(features.studies, self.hidden)
        pooled = torch.relu(self.pooled(features.pooled))
        return RecurrentState(AttentionKeys.of(patches, self.key(patches), features.mask), (zeros, zeros, pooled))

    def step(self, token_ids: Tensor, state: RecurrentState) -> StepResult:
        """Take one step on the words `token_ids [R]`."""
        heard, state = self._hear(token_ids.unsqueeze(1), state)
        log_probs, attention = self._answer(heard, state.seen)
        return StepResult(log_probs.squeeze(1), state, attention.squeeze(1))

    def _hear(self, token_ids: Tensor, state: RecurrentState) -> tuple[LstmTrace, RecurrentState]:
        """Return what the LSTM makes of `token_ids [B, T]`, and the state after the last."""
        hidden, cell, pooled = state.vectors
        words = self.word_inputs(token_ids)  # [B, T, e]
        inputs = torch.cat([words, pooled.unsqueeze(1).expand(-1, words.shape[1], -1)], dim=-1)
        all_hidden, all_cells = [hidden], []
        for brings in self.lstm.of(0, inputs).unbind(1):
            hidden, cell = self.lstm.advance(brings, (hidden, cell))
            all_hidden.append(hidden)
            all_cells.append(cell)
        steps = torch.stack(all_hidden, dim=1)  # [B, T+1, h]
        heard = LstmTrace(inputs, steps[:, :-1], steps[:, 1:], torch.stack(all_cells, dim=1))
        return heard, state.after(hidden, cell, pooled)

    def _answer(self, heard: LstmTrace, seen: AttentionKeys) -> tuple[Tensor, Tensor]:
        """Return log-probabilities `[B, T, V]` and attention `[B, T, N]`."""
        scores = self._scores(heard, seen)
        attention = masked_softmax(scores, seen.mask.unsqueeze(1))
        context = self._context(heard, scores, attention.to(seen.values.dtype) @ seen.values, seen.mask)
        return self.log_probs(context + heard.hidden), attention

    def _scores(self, heard: LstmTrace, seen: AttentionKeys) -> Tensor:
        """Return `z_t`, `[B, T, N]`."""
        inner = torch.tanh(self.query(heard.hidden).unsqueeze(2) + seen.keys.unsqueeze(1))  # [B, T, N, h]
        scores: Tensor = self.score(inner).squeeze(-1)
        return scores

    def _context(self, heard: LstmTrace, scores: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """Return what of `context [B, T, h]`, the patches looked at, the words are chosen by."""
        del heard, scores, mask
        return context


class AdaptiveAttentionDecoder(SpatialAttentionDecoder):
    """Spatial attention with a visual sentinel: `ĉ_t = β_t s_t + (1 − β_t) c_t`, `p = softmax(W_p (ĉ_t + h_t))`.

    `s_t = σ(W_x x_t + W_h h_{t-1}) ⊙ tanh(m_t)`; `β_t` is the last entry of
    `softmax([z_t; w_h^T tanh(W_s s_t + W_g h_t)])`: how far the decoder relies on what it has said and not on
    what it sees. Arguments as of `SpatialAttentionDecoder`.
    """

    def __init__(self, inputs: HeadInputs, options: AdaptiveAttentionOptions) -> None:
        super().__init__(inputs, options)
        self.gate_of_input = nn.Linear(2 * self.embedding.embedding_dim, self.hidden)
        self.gate_of_hidden = nn.Linear(self.hidden, self.hidden, bias=False)
        self.sentinel_key = nn.Linear(self.hidden, self.hidden)  # its bias is not that of the patches' keys

    def _context(self, heard: LstmTrace, scores: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate_of_input(heard.inputs) + self.gate_of_hidden(heard.before))
        sentinel = gate * torch.tanh(heard.cell)  # [B, T, h]
        own = self.score(torch.tanh(self.sentinel_key(sentinel) + self.query(heard.hidden)))  # [B, T, 1]
        real = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1).unsqueeze(1)  # [B, 1, N+1]
        beta = masked_softmax(torch.cat([scores, own], dim=-1), real)[..., -1:].to(context.dtype)
        return beta * sentinel + (1 - beta) * context
