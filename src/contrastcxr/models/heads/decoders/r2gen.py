"""R2Gen: a transformer whose decoder norms a relational memory steers (Chen 2020; A Table 2, C Table 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from contrastcxr.models.blocks.conditional_norm import ConditionedNorm, MemoryConditions
from contrastcxr.models.blocks.relational_memory import RelationalMemory
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.base import ForcedWords, TokenDecoder
from contrastcxr.models.heads.decoders.options import R2GenOptions
from contrastcxr.models.heads.decoders.transformer import TransformerDecoder, TransformerState
from contrastcxr.models.heads.writing import StepResult


@dataclass(frozen=True, eq=False)
class R2GenState:
    """What the transformer keeps, and the memory `[R, slots, d]` of each prefix."""

    transformer: TransformerState
    memory: Tensor

    @property
    def rows(self) -> int:
        """Number of rows R."""
        return self.transformer.rows

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.transformer.device

    def select(self, index: Tensor) -> R2GenState:
        """Return the rows `index [R']`."""
        return R2GenState(self.transformer.select(index), self.memory.index_select(0, index))


class R2GenDecoder(TokenDecoder):
    """The memory-driven transformer ("MDT" in paper C), after R2Gen's code.

    `transformer` is `TransformerDecoder`; `RelationalMemory` follows the words; the three norms of each of its
    decoder layers get scale and shift from `MemoryConditions`, those of position t from the memory after token t.
    The encoder's norms and the decoder's last one are plain. In training the memory sees the embedded words under
    a dropout of its own (code).

    Args:
        inputs: what it is built for.
        options: its own; `dropout` is in the memory's attention too.
    """

    def __init__(self, inputs: HeadInputs, options: R2GenOptions) -> None:
        super().__init__(inputs, options)
        self.transformer = TransformerDecoder(inputs, options)
        self.word_width = self.width
        slots, width = options.memory_slots, self.width
        self.memory = RelationalMemory(width, slots, options.memory_heads, options.dropout)
        self.conditions = MemoryConditions(slots * width, width, norms=3 * options.layers)

    def encode(self, features: VisualFeatures) -> Tensor:
        """Return the patches `[B, N, d]` after the encoder stack and its norm; `H_X` of paper C."""
        return self.transformer.encode(features)

    def hidden(self, memory: Tensor, mask: Tensor, token_ids: Tensor) -> Tensor:
        """Return the last decoder layer before its norm, `[B, T, d]`, for input `token_ids [B, T]`.

        `H_Y` of paper C.
        """
        words = self.transformer.embed(token_ids, start=0)
        remembered = self.memory(self.transformer.embed(token_ids, start=0) if self.training else words)
        return self.transformer.through(words, memory, mask, self._norms(remembered))

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log-probabilities `[..., V]` of the token after each `hidden [..., d]`."""
        return self.transformer.log_probs(hidden)

    def force(self, features: VisualFeatures, token_ids: Tensor, own_words: float = 0.0) -> ForcedWords:
        """Return what it says of `token_ids[:, 1:]`."""
        del own_words  # all words are fed at once
        patches = self.encode(features)
        hidden = self.hidden(patches, features.mask, token_ids[:, :-1])
        return ForcedWords(self.log_probs(hidden), hidden, patches)

    def start(self, features: VisualFeatures) -> R2GenState:
        """Return the keys and values of the encoded patches, and the first memory."""
        return R2GenState(self.transformer.start(features), self.memory.start(features.studies))

    def step(self, token_ids: Tensor, state: R2GenState) -> StepResult:
        """Take in one token: the memory takes it in, then the transformer; attention as the transformer's."""
        word = self.transformer.embed_next(token_ids, state.transformer)  # [R, d]
        memory = self.memory.step(word, state.memory)
        output = self.transformer.advance(word, state.transformer, self._norms(memory))
        return StepResult(output.log_probs, R2GenState(output.state, memory), output.attention)

    def _norms(self, memory: Tensor) -> list[list[ConditionedNorm]]:
        """Return three norms a layer, as `memory [..., S, d]` has them."""
        own = [norm for layer in self.transformer.layers() for norm in layer.norms]
        bound = self.conditions.bind(memory.flatten(-2), own)
        return [bound[start : start + 3] for start in range(0, len(bound), 3)]
