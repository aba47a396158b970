"""What every report decoder answers to: teacher forcing in training, one step at a time in search."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from contrastcxr.models.features import VisualFeatures


class State(Protocol):
    """What a decoder remembers between two steps: caches, hidden states, memories, sentence topics; `R` rows
    of them.

    A state is a value: `select` and `step` give another one and leave this one as it was, so two continuations
    of one prefix may be tried.
    """

    @property
    def rows(self) -> int:
        """Number of rows R, one per prefix being continued."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the rows are."""
        ...

    def select(self, index: Tensor) -> State:
        """The rows `index [R']`, int64, in that order; a row may come twice or never."""
        ...


@dataclass(frozen=True, eq=False)
class StepOutput:
    """One step of a decoder.

    Attributes:
        log_probs: `[R, V]` of the next token.
        state: after the step.
        attention: `[R, N]` over the patches, 0 on masked ones; None where a decoder looks at no patch.
    """

    log_probs: Tensor
    state: Any
    attention: Tensor | None = None


class StepDecoder(Protocol):
    """What the search needs of a decoder. `features` is whatever the decoder starts from."""

    def start(self, features: Any) -> Any:
        """The state before the first token, a row per study."""
        ...

    def step(self, token_ids: Tensor, state: Any) -> StepOutput:
        """Feed `token_ids [R]` (BOS first) and get the distribution of the tokens that follow."""
        ...


class ReportDecoder(nn.Module, ABC):
    """Base of the decoders that write a report token by token.

    Attributes:
        vocabulary: V.
        width: d of the features it takes.
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.width = width

    @abstractmethod
    def forward(self, features: VisualFeatures, token_ids: Tensor) -> Tensor:
        """Log-probabilities `[B, T-1, V]` of `token_ids[:, 1:]` by teacher forcing.

        `token_ids [B, T]` starts with BOS and is padded at the end; what stands at padded places means nothing.
        """

    @abstractmethod
    def start(self, features: VisualFeatures) -> Any:
        """The state before BOS, a row per study."""

    @abstractmethod
    def step(self, token_ids: Tensor, state: Any) -> StepOutput:
        """Feed `token_ids [R]` (BOS first) and get the distribution of the tokens that follow."""
