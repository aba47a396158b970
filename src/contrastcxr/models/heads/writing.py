"""Between a head that writes and the search: what a step gives, what a search takes, and the reports it finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
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

    @property
    def device(self) -> torch.device:
        """Where the rows are."""

    def select(self, index: Tensor) -> State:
        """Return the rows `index [R']`, int64, in that order; a row may come twice or never."""


@dataclass(frozen=True, eq=False)
class StepResult:
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
        """Return the state before the first token, a row per study."""

    def step(self, token_ids: Tensor, state: Any) -> StepResult:
        """Feed `token_ids [R]` (BOS first) and get the distribution of the tokens that follow."""


@dataclass(frozen=True, eq=False)
class GeneratedReports:
    """The reports found for the studies: one each, or as many as the search asks for, study by study.

    Attributes:
        token_ids: `[B, T]`, the words: no BOS, no end token, padded to the longest.
        lengths: `[B]`, words in each.
        log_probs: `[B]`, sum over the words and the end token, as the decoder gave them; of planned sentences over
            all that was planned, what `max_tokens` cut off included.
        ended: `[B]` bool; False where the report was cut at `max_tokens` or at the most sentences it may have.
        attention: `[B, T, N]`, what was looked at when each word was chosen, 0 after the end; None where the
            decoder looks at no patch.
        plan: named tensors on the report as a whole, whose first dimension is B: sentences, tags, what was
            retrieved.
    """

    token_ids: Tensor
    lengths: Tensor
    log_probs: Tensor
    ended: Tensor
    attention: Tensor | None
    plan: Mapping[str, Tensor] = field(default_factory=dict)

    def select(self, index: Tensor) -> GeneratedReports:
        """Return the reports `index [B']`, in that order."""
        return GeneratedReports(
            self.token_ids[index],
            self.lengths[index],
            self.log_probs[index],
            self.ended[index],
            None if self.attention is None else self.attention[index],
            {name: values[index] for name, values in self.plan.items()},
        )


class Search(Protocol):
    """The one search, as a decoder is handed it: settings, special tokens and random numbers are already in it.

    Attributes:
        max_tokens: the most tokens a report may have, its end included.
        reports: how many reports to write for each study.
        normals: features of normal pictures, a row per study, whose words are taken from those of the study's own
            (guided decoding); None leaves that out.
        pad: id of the padding.
    """

    @property
    def max_tokens(self) -> int:
        """The most tokens a report may have, its end included."""

    @property
    def reports(self) -> int:
        """How many reports to write for each study."""

    @property
    def normals(self) -> VisualFeatures | None:
        """Features of normal pictures, a row per study; None of a search that is not guided."""

    @property
    def pad(self) -> int:
        """Id of the padding."""

    def __call__(
        self,
        decoder: StepDecoder,
        features: Any,
        *,
        end: int | None = None,
        max_tokens: int | None = None,
        study: Tensor | None = None,
        normals: Any = None,
    ) -> GeneratedReports:
        """Return the best sequence of each row that `decoder.start(features)` begins.

        Where rows are studies each of them gets `reports` sequences, one after another.

        Args:
            decoder: anything with `start` and `step`.
            features: what its `start` takes.
            end: id of the token that ends a row; None takes EOS.
            max_tokens: None takes the report's.
            study: `[R]`, ascending, the report that each row is a part of, counted study by study; None where rows
                are studies.
            normals: what `decoder.start` takes of normal pictures, row by row; given where the search has any.
        """
