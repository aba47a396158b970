"""What the decoders share that look at the patches once a word, from one LSTM state to the next."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.base import ForcedWords, TokenDecoder
from contrastcxr.models.heads.decoders.inputs import DecoderInputs, word_vectors
from contrastcxr.models.heads.decoders.options import RecurrentOptions
from contrastcxr.models.heads.writing import StepResult

if TYPE_CHECKING:
    from contrastcxr.models.blocks.additive_attention import AttentionKeys


@dataclass(frozen=True, eq=False)
class RecurrentState:
    """The patches of each row's study, and the vectors `[R, ·]` that go from one word to the next."""

    seen: AttentionKeys
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
        """Return the rows `index [R']`."""
        return RecurrentState(
            self.seen.select(index), tuple(vector.index_select(0, index) for vector in self.vectors)
        )

    def after(self, *vectors: Tensor) -> RecurrentState:
        """Return the state with other vectors."""
        return replace(self, vectors=vectors)


@dataclass(frozen=True, eq=False)
class AttentionStep:
    """One word's step: what the output layer reads `[R, o]`, the state after, the attention `[R, N]`."""

    answer: Tensor
    state: RecurrentState
    attention: Tensor


class LstmDecoder(TokenDecoder):
    """A decoder whose LSTM takes in a word after the other and looks at the patches.

    Each decoder makes its own output layer, `output`, for the width of what it answers.

    Args:
        inputs: what it is built for.
        options: its own.
    """

    output: nn.Linear

    def __init__(self, inputs: HeadInputs, options: RecurrentOptions) -> None:
        super().__init__(inputs, options)
        self.hidden = self.word_width = options.hidden or inputs.width
        self.inputs = DecoderInputs(options)
        self.embedding = word_vectors(inputs.vocabulary, options, width=options.embedding or inputs.width)
        self.dropout = nn.Dropout(options.dropout)

    def word_inputs(self, token_ids: Tensor) -> Tensor:
        """Return `E w [..., e]` of `token_ids [...]` as it comes in."""
        words: Tensor = self.inputs(self.embedding(token_ids))
        return words

    def log_probs(self, answer: Tensor) -> Tensor:
        """Return log-probabilities `[..., V]` of the next word from an answer `[..., o]`."""
        return torch.log_softmax(self.output(self.dropout(answer)).float(), dim=-1)


class RecurrentDecoder(LstmDecoder):
    """A decoder whose next look at the patches depends on its last state, so that training loops over words."""

    @abstractmethod
    def start(self, features: VisualFeatures) -> RecurrentState:
        """Return the state before BOS, a row per study."""

    @abstractmethod
    def hear(self, words: Tensor) -> Tensor:
        """Return what the words alone bring, `[..., ·]` of `words [..., e]`.

        Made for all words of a report at once.
        """

    @abstractmethod
    def look(self, word: Tensor, heard: Tensor, state: RecurrentState) -> AttentionStep:
        """Take in the vector `word [R, e]`, and `heard [R, ·]`, what `hear` made of it."""

    def step(self, token_ids: Tensor, state: RecurrentState) -> StepResult:
        """Take one step on the words `token_ids [R]`."""
        word = self.word_inputs(token_ids)
        looked = self.look(word, self.hear(word), state)
        return StepResult(self.log_probs(looked.answer), looked.state, looked.attention)

    def hidden_state(self, step: AttentionStep) -> Tensor:
        """Return the word-level state `[R, h]` after a step: what the output layer reads."""
        return step.answer

    def force(self, features: VisualFeatures, token_ids: Tensor, own_words: float = 0.0) -> ForcedWords:
        """Return what it says of `token_ids[:, 1:]` by teacher forcing, `own_words` of them its own."""
        words = self.word_inputs(token_ids[:, :-1])  # [B, T-1, e]
        heard = self.hear(words)
        state = self.start(features)
        answers, hidden, attention = list[Tensor](), list[Tensor](), list[Tensor]()
        # Unbound and not indexed: the gradient of an index is as large as the whole sequence, at every word.
        for word, brings in zip(words.unbind(1), heard.unbind(1), strict=True):
            if own_words and answers:
                word, brings = self._at_times_own(word, brings, said=answers[-1], share=own_words)
            looked = self.look(word, brings, state)
            state = looked.state
            answers.append(looked.answer)
            hidden.append(self.hidden_state(looked))
            attention.append(looked.attention)
        said = torch.stack(answers, dim=1)
        states = said if self.options.words_of_states else torch.stack(hidden, dim=1)
        return ForcedWords(self.log_probs(said), states, attention=torch.stack(attention, dim=1))

    def _at_times_own(self, word: Tensor, brings: Tensor, *, said: Tensor, share: float) -> tuple[Tensor, Tensor]:
        """Return `word [B, e]` and what it brings, at random places replaced.

        The replacements are those of a word drawn from what was `said [B, o]`.
        """
        with torch.no_grad():
            drawn = torch.multinomial(self.log_probs(said).exp(), 1).squeeze(1)
        own = self.word_inputs(drawn)
        chosen = torch.rand(len(word), 1, device=word.device) < share
        return torch.where(chosen, own, word), torch.where(chosen, self.hear(own), brings)


def coverage(attention: Tensor, mask: Tensor, features: VisualFeatures) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the attention `[B, N]` that each patch got over the real words, from `attention [B, T-1, N]`."""
    total = torch.einsum("btn,bt->bn", attention, mask.to(attention.dtype))
    return {"patches": (total, features.mask)}
