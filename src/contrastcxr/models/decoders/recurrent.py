"""What the decoders share that look at the patches once a word, from one LSTM state to the next."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.additive_attention import Attendable
from contrastcxr.models.decoders.base import StepOutput, Targets, TokenDecoder
from contrastcxr.models.features import VisualFeatures


@dataclass(frozen=True, eq=False)
class RecurrentState:
    """The patches of each row's study, and the vectors `[R, ·]` that go from one word to the next."""

    seen: Attendable
    vectors: tuple[Tensor, ...]

    @property
    def rows(self) -> int:
        """Number of rows R."""
        return len(self.seen.owner)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.seen.owner.device

    def select(self, index: Tensor) -> RecurrentState:
        """The rows `index [R']`."""
        return RecurrentState(
            self.seen.select(index), tuple(vector.index_select(0, index) for vector in self.vectors)
        )

    def after(self, *vectors: Tensor) -> RecurrentState:
        """The state with other vectors."""
        return replace(self, vectors=vectors)


@dataclass(frozen=True, eq=False)
class Looked:
    """One word's step: what the output layer reads `[R, o]`, the state after, the attention `[R, N]`."""

    answer: Tensor
    state: RecurrentState
    attention: Tensor


class RecurrentDecoder(TokenDecoder):
    """A decoder whose next look at the patches depends on its last state, so that training loops over words.

    Args:
        vocabulary: V.
        width: d of the features.
        embedding: width of a word vector.
        dropout: before the output layer.
    """

    def __init__(self, vocabulary: int, width: int, *, embedding: int, dropout: float) -> None:
        super().__init__(vocabulary, width)
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.dropout = nn.Dropout(dropout)

    @abstractmethod
    def start(self, features: VisualFeatures) -> RecurrentState:
        """The state before BOS, a row per study."""

    @abstractmethod
    def hear(self, words: Tensor) -> Tensor:
        """What the words alone bring, `[..., ·]` of `words [..., e]`; made for all words of a report at once."""

    @abstractmethod
    def look(self, word: Tensor, heard: Tensor, state: RecurrentState) -> Looked:
        """Take in the vector `word [R, e]`, and `heard [R, ·]`, what `hear` made of it."""

    @abstractmethod
    def log_probs(self, answer: Tensor) -> Tensor:
        """Log-probabilities `[..., V]` of the next word from what `look` answered, `[..., o]`."""

    def forward(self, features: VisualFeatures, token_ids: Tensor) -> Tensor:
        """Log-probabilities `[B, T-1, V]` of `token_ids[:, 1:]`."""
        return self._force(features, token_ids)[0]

    def step(self, token_ids: Tensor, state: RecurrentState) -> StepOutput:
        """One word of `token_ids [R]`."""
        word = self.embedding(token_ids)
        looked = self.look(word, self.hear(word), state)
        return StepOutput(self.log_probs(looked.answer), looked.state, looked.attention)

    def _force(self, features: VisualFeatures, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities `[B, T-1, V]` and attention `[B, T-1, N]` by teacher forcing."""
        words = self.embedding(token_ids[:, :-1])  # [B, T-1, e]
        heard = self.hear(words)
        state, answers, attention = self.start(features), [], []
        # Unbound and not indexed: the gradient of an index is as large as the whole sequence, at every word.
        for word, brings in zip(words.unbind(1), heard.unbind(1), strict=True):
            looked = self.look(word, brings, state)
            state = looked.state
            answers.append(looked.answer)
            attention.append(looked.attention)
        return self.log_probs(torch.stack(answers, dim=1)), torch.stack(attention, dim=1)


def coverage(attention: Tensor, targets: Targets, features: VisualFeatures) -> dict[str, tuple[Tensor, Tensor]]:
    """The attention `[B, N]` that each patch got over the real words, from `attention [B, T-1, N]`."""
    total = torch.einsum("btn,bt->bn", attention, targets.mask.to(attention.dtype))
    return {"patches": (total, features.mask)}
