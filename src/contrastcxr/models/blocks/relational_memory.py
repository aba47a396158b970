"""The relational memory of R2Gen: what has been written so far, in a few slots (Chen 2020, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.models.blocks.attention import SelfAttention


class RelationalMemory(nn.Module):
    """Slots `M [S, d]` that attend to themselves and to each new word, and keep what two gates let through.

    `Z = M + MHA(q = M, k = v = [M; y])`; `M̃ = Z + MLP(Z)`, MLP = Linear-ReLU-Linear-ReLU;
    `[G_i; G_f] = W y + U tanh(M)`, `W y` shared by the slots; `M' = σ(G_i) ⊙ tanh(M̃) + σ(G_f) ⊙ M` (code).
    `M_0` is the first S rows of the identity.

    Args:
        width: d.
        slots: S.
        heads: of the attention.
        dropout: of the attention (code: 0.1 whatever the layers have; here theirs).
    """

    def __init__(self, width: int, slots: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.slots = slots
        self.width = width
        self.attention = SelfAttention(width, heads, dropout)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.of_word = nn.Linear(width, 2 * width)
        self.of_memory = nn.Linear(width, 2 * width)
        for layer in (self.mlp[0], self.mlp[2], self.of_word, self.of_memory):
            nn.init.xavier_uniform_(layer.weight)  # type: ignore[arg-type]

    def start(self, rows: int) -> Tensor:
        """Return `M_0 [R, S, d]` of `rows` reports."""
        weight = self.of_word.weight
        first = torch.eye(self.slots, self.width, dtype=weight.dtype, device=weight.device)
        return first.expand(rows, -1, -1)

    def forward(self, words: Tensor) -> Tensor:
        """Return the memories `[B, T, S, d]` after each of the embedded `words [B, T, d]`.

        All that does not hang on the memory before is computed for every word at once; the loop over time is the
        recurrence and nothing else.
        """
        gates, keys_values = self._of_words(words)
        memory, memories = self.start(len(words)), []
        for gate, key_value in zip(gates.unbind(1), keys_values.unbind(1), strict=True):
            memory = self._next(memory, gate, key_value)
            memories.append(memory)
        return torch.stack(memories, dim=1)

    def step(self, word: Tensor, memory: Tensor) -> Tensor:
        """Return the memory `[R, S, d]` after one more embedded `word [R, d]`."""
        return self._next(memory, *self._of_words(word))

    def _of_words(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """Return what words `[..., d]` bring whatever the memory is.

        They bring a part to the gates, and a part as keys and values, each `[..., 2d]`.
        """
        of_all = self.attention.query_key_value
        return self.of_word(words), F.linear(words, of_all.weight[self.width :], of_all.bias[self.width :])

    def _next(self, memory: Tensor, gate: Tensor, key_value: Tensor) -> Tensor:
        mixed = memory + self._attend(memory, key_value)
        mixed = mixed + self.mlp(mixed)
        gates = gate.unsqueeze(1) + self.of_memory(torch.tanh(memory))  # [R, S, 2d]
        enter, keep = torch.sigmoid(gates).chunk(2, dim=-1)
        return enter * torch.tanh(mixed) + keep * memory

    def _attend(self, memory: Tensor, key_value: Tensor) -> Tensor:
        """Return the attention of slots `[R, S, d]` over themselves and over the word.

        The keys and values of the word are `[R, 2d]`.
        """
        attention = self.attention
        query, own = attention.query_key_value(memory).split((self.width, 2 * self.width), dim=-1)
        key, value = torch.cat([own, key_value.unsqueeze(1)], dim=1).chunk(2, dim=-1)  # [R, S+1, d]
        parts = (attention.split(part) for part in (query, key, value))
        return attention.attend(*parts, bias=None, causal=False)
