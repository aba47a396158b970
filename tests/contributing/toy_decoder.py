"""A report decoder as CONTRIBUTING.md asks for one: a GRU that starts from the global feature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.base import ForcedWords, TokenDecoder
from contrastcxr.models.heads.decoders.options import DecoderOptions
from contrastcxr.models.heads.writing import StepResult


class ToyDecoderOptions(DecoderOptions):
    """A GRU shown the image once (a toy)."""

    sizes: ClassVar[tuple[str, ...]] = ("hidden",)
    kind: Literal["toy"] = "toy"
    hidden: int = Field(12, ge=2, description="width of the GRU and of a word vector")

    @property
    def looks_at_patches(self) -> bool:
        """Never."""
        return False


@dataclass(frozen=True, eq=False)
class ToyState:
    """The state `[R, h]` of the GRU."""

    hidden: Tensor

    @property
    def rows(self) -> int:
        """Number of rows R."""
        return len(self.hidden)

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        return self.hidden.device

    def select(self, index: Tensor) -> ToyState:
        """Return the rows `index [R']`."""
        return ToyState(self.hidden[index])


class ToyDecoder(TokenDecoder):
    """`h_0 = tanh(W v̂)`, `h_t = GRU(E w_{t-1}, h_{t-1})`, `p = softmax(W_o h_t)`."""

    def __init__(self, inputs: HeadInputs, options: ToyDecoderOptions) -> None:
        super().__init__(inputs, options)
        self.word_width = options.hidden
        self.embedding = nn.Embedding(inputs.vocabulary, options.hidden)
        self.first = nn.Linear(inputs.width, options.hidden)
        self.cell = nn.GRUCell(options.hidden, options.hidden)
        self.output = nn.Linear(options.hidden, inputs.vocabulary)

    def start(self, features: VisualFeatures) -> ToyState:
        """Return the state before BOS."""
        return ToyState(torch.tanh(self.first(features.pooled)))

    def step(self, token_ids: Tensor, state: ToyState) -> StepResult:
        """Take one step on the words `token_ids [R]`."""
        hidden = self.cell(self.embedding(token_ids), state.hidden)
        return StepResult(torch.log_softmax(self.output(hidden).float(), dim=-1), ToyState(hidden))

    def force(self, features: VisualFeatures, token_ids: Tensor, own_words: float = 0.0) -> ForcedWords:
        """Return what it says of `token_ids[:, 1:]`."""
        del own_words
        steps = []
        state = self.start(features)
        for words in token_ids[:, :-1].unbind(1):
            steps.append(self.step(words, state))
            state = steps[-1].state
        hidden = torch.stack([step.state.hidden for step in steps], dim=1)
        return ForcedWords(torch.stack([step.log_probs for step in steps], dim=1), hidden)
