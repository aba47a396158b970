"""What every report decoder answers to: it is taught by forcing, and writes with the one search it is handed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

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
class Targets:
    """What a batch of training studies asks of a decoder.

    Attributes:
        token_ids: `[B, T]`, BOS … EOS, padded at the end.
        mask: `[B, T-1]` bool, True where `token_ids[:, 1:]` is real, EOS included.
        abnormal: `[B, S]` bool, whether each sentence of the report names an abnormality; None where nobody says
            so.
        tags: `[B, L]`, 1 for each tag of the study, else 0; None where there are none.
        sentence: `[B, T-1]`, which sentence of a plan each of `token_ids[:, 1:]` belongs to; None splits the
            report after each end mark.
        own_words: probability that a word fed after BOS is not the report's but one the decoder draws from what it
            has just said (scheduled sampling, Bengio 2015); 0 is teacher forcing.
    """

    token_ids: Tensor
    mask: Tensor
    abnormal: Tensor | None = None
    tags: Tensor | None = None
    sentence: Tensor | None = None
    own_words: float = 0.0


@dataclass(frozen=True, eq=False)
class DecoderOutputs:
    """What a decoder says of its targets; `losses.decoder` turns each part into a named term.

    Attributes:
        log_probs: `[M, V]` of the words that were to be chosen, all in one list; None for a decoder without words.
        words: `[M]`, those words.
        study: `[M]`, the study each of them is of.
        attention: `[B, N]`, the attention each patch got over all real steps, for doubly stochastic
            regularisation; one per attention of the decoder, with the mask of what could be attended to.
        stop: logits `[K]` of "this is the last sentence" and their targets `[K]`.
        abnormal: logits `[K]` of "this sentence names an abnormality" and their targets `[K]`.
        tags: log-probabilities `[B, L]` of tags and the targets `[B, L]`, each row summing to 1 or 0.
        ranking: similarities `[K, K]` of images and sentences, own pairs on the diagonal, and a mask `[K, K]`,
            True where image i and sentence j may stand against each other.
    """

    log_probs: Tensor | None = None
    words: Tensor | None = None
    study: Tensor | None = None
    attention: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    stop: tuple[Tensor, Tensor] | None = None
    abnormal: tuple[Tensor, Tensor] | None = None
    tags: tuple[Tensor, Tensor] | None = None
    ranking: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, eq=False)
class GeneratedReports:
    """The report found for each study.

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


class Search(Protocol):
    """The one search, as a decoder is handed it: settings, special tokens and random numbers are already in it.

    Attributes:
        max_tokens: the most tokens a report may have, its end included.
        pad: id of the padding.
    """

    @property
    def max_tokens(self) -> int:
        """The most tokens a report may have, its end included."""

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
    ) -> GeneratedReports:
        """Return the best sequence of each row that `decoder.start(features)` begins.

        Args:
            decoder: anything with `start` and `step`.
            features: what its `start` takes.
            end: id of the token that ends a row; None takes EOS.
            max_tokens: None takes the report's.
            study: `[R]`, ascending, the study of each row, when a study has several or none; None for a row each.
        """


class ReportDecoder(nn.Module, ABC):
    """Base of everything that writes a report from visual features.

    Attributes:
        vocabulary: V.
        width: d of the features it takes.
        reads_indication: whether `VisualFeatures.indication` changes what it writes.
    """

    reads_indication: bool = False

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.width = width

    @abstractmethod
    def teach(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return what the decoder says of the reports of a batch."""

    @abstractmethod
    def write(self, features: VisualFeatures, search: Search) -> GeneratedReports:
        """Return the report of each study."""


class TokenDecoder(ReportDecoder):
    """Base of the decoders that write a report token by token."""

    @abstractmethod
    def forward(self, features: VisualFeatures, token_ids: Tensor) -> Tensor:
        """Return log-probabilities `[B, T-1, V]` of `token_ids[:, 1:]` by teacher forcing.

        `token_ids [B, T]` starts with BOS and is padded at the end; what stands at padded places means nothing.
        """

    @abstractmethod
    def start(self, features: VisualFeatures) -> Any:
        """Return the state before BOS, a row per study."""

    @abstractmethod
    def step(self, token_ids: Tensor, state: Any) -> StepResult:
        """Feed `token_ids [R]` (BOS first) and get the distribution of the tokens that follow."""

    def teach(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return the log-probabilities of the real tokens."""
        return taught_words(self(features, targets.token_ids), targets)

    def write(self, features: VisualFeatures, search: Search) -> GeneratedReports:
        """Return the best report of each study that the search finds."""
        return search(self, features)


def taught_words(log_probs: Tensor, targets: Targets) -> DecoderOutputs:
    """Return the real words of `log_probs [B, T-1, V]`."""
    return DecoderOutputs(
        log_probs=log_probs[targets.mask],
        words=targets.token_ids[:, 1:][targets.mask],
        study=targets.mask.nonzero()[:, 0],
    )
