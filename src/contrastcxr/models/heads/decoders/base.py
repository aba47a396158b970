"""What every report decoder answers to: it is taught by forcing, and writes with the one search it is handed."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from contrastcxr.losses.base import States, Targets, needed
from contrastcxr.models.blocks.sentences import sentence_of_words
from contrastcxr.models.heads.base import Head, HeadInputs, Lesson, PartialReading
from contrastcxr.models.heads.decoders.options import DecoderOptions
from contrastcxr.models.heads.decoders.outputs import DecoderOutputs, taught_terms
from contrastcxr.models.heads.writing import GeneratedReports, Search, StepResult

if TYPE_CHECKING:
    from contrastcxr.models.features import VisualFeatures


@dataclass(frozen=True, eq=False)
class ForcedWords:
    """What a decoder says word after word when it is fed the report.

    Attributes:
        log_probs: `[B, T-1, V]`.
        hidden: `[B, T-1, h]`, the states behind them.
        patches: `[B, N, ·]`, the patches as it attends to them; None for those of the features.
        attention: `[B, T-1, N]`; None where it looks at no patch.
    """

    log_probs: Tensor
    hidden: Tensor
    patches: Tensor | None = None
    attention: Tensor | None = None


class ReportDecoder(Head):
    """Base of everything that writes a report from visual features.

    Args:
        inputs: what it is built for.
        options: its own.

    Attributes:
        options: its own.
        vocabulary: V.
        width: d of the features it takes.
        sentence_end: id of the mark that ends a sentence; None where the vocabulary has none.
        end_of_report: id of EOS.
        word_width: h, of its word-level states; None for one that has none.
        word_deviation: of its word vectors at the start.
        sources: per sentence that it can retrieve, the training studies that say it; empty for one that writes.
    """

    options: DecoderOptions
    word_width: int | None = None
    word_deviation: float = 1.0
    sources: Sequence[Sequence[str]] = ()

    def __init__(self, inputs: HeadInputs, options: DecoderOptions) -> None:
        super().__init__(options, options.kind)
        self.vocabulary = inputs.vocabulary
        self.width = inputs.width
        self.sentence_end = inputs.sentence_end
        self.end_of_report = inputs.end_of_report

    @property
    def word_embedding(self) -> nn.Embedding | None:
        """The vectors of its words, where they may start from others; None where they may not."""
        return None

    @abstractmethod
    def outputs(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return what the decoder says of the reports of a batch.

        Raises:
            IncompatibleError: the studies lack what it learns from.
        """

    def forced_words(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return `outputs` as far as words go; of the studies, reports and sentence flags alone need be known."""
        return self.outputs(features, targets)

    @abstractmethod
    def write(self, features: VisualFeatures, search: Search) -> GeneratedReports:
        """Return the reports of each study, as many as the search asks for, study by study."""

    def teach(self, features: VisualFeatures, targets: Targets, *, states: bool = False) -> Lesson:
        """Return the terms of its loss, and its states where it has a state for each word."""
        outputs = self.outputs(features, targets)
        return Lesson(taught_terms(outputs), self._states(features, outputs) if states else None)

    def answer(self, features: VisualFeatures, *, search: Search | None = None) -> PartialReading:
        """Return the report of each study."""
        assert search is not None  # whoever reads with a decoder has one
        return PartialReading(reports=self.write(features, search))

    def states(self, features: VisualFeatures, targets: Targets) -> States | None:
        """Return its states on the reports of a batch, by teacher forcing; None where it has none of each word."""
        return self._states(features, self.forced_words(features, targets))

    def _states(self, features: VisualFeatures, outputs: DecoderOutputs) -> States | None:
        if outputs.hidden is None or outputs.study is None:
            return None
        patches = features.patches if outputs.patches is None else outputs.patches
        found = States(patches, features.mask, outputs.hidden, outputs.study)
        if not self.options.words_of_states:
            return found
        read, real = (outputs.hidden, None) if outputs.all_hidden is None else outputs.all_hidden
        return replace(found, said=outputs.chosen(), read=read, real=real)


def report_tokens(targets: Targets) -> tuple[Tensor, Tensor]:
    """Return the token ids `[B, T]` of the reports and the mask `[B, T-1]` of what follows BOS.

    Raises:
        IncompatibleError: there are none.
    """
    missing = "a training batch needs reports; choose data whose studies have readings"
    return needed(targets.token_ids, missing), needed(targets.mask, missing)


class TokenDecoder(ReportDecoder):
    """Base of the decoders that write a report token by token."""

    @abstractmethod
    def force(self, features: VisualFeatures, token_ids: Tensor, own_words: float = 0.0) -> ForcedWords:
        """Return what it says of `token_ids[:, 1:]` by teacher forcing.

        `token_ids [B, T]` starts with BOS and is padded at the end; what stands at padded places means nothing.
        With `own_words` some words fed are its own (see `Targets`), in a decoder whose options say that it can.
        """

    @abstractmethod
    def start(self, features: VisualFeatures) -> Any:
        """Return the state before BOS, a row per study."""

    @abstractmethod
    def step(self, token_ids: Tensor, state: Any) -> StepResult:
        """Feed `token_ids [R]` (BOS first) and get the distribution of the tokens that follow."""

    def forward(self, features: VisualFeatures, token_ids: Tensor) -> Tensor:
        """Return log-probabilities `[B, T-1, V]` of `token_ids[:, 1:]` by teacher forcing."""
        return self.force(features, token_ids).log_probs

    def outputs(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return the log-probabilities of the real tokens, and the states behind them."""
        token_ids, mask = report_tokens(targets)
        return self.taught_words(self.force(features, token_ids, targets.own_words), token_ids, mask)

    def taught_words(self, forced: ForcedWords, token_ids: Tensor, mask: Tensor) -> DecoderOutputs:
        """Return the real words of `forced`, those of `token_ids[:, 1:]` where `mask [B, T-1]` is True."""
        sentence = sentence_of_words(token_ids, mask, end=self.sentence_end, eos=self.end_of_report)
        return DecoderOutputs(
            log_probs=forced.log_probs[mask],
            words=token_ids[:, 1:][mask],
            study=mask.nonzero()[:, 0],
            sentence=sentence[mask],
            hidden=forced.hidden[mask],
            all_hidden=(forced.hidden, mask),
            patches=forced.patches,
        )

    def write(self, features: VisualFeatures, search: Search) -> GeneratedReports:
        """Return the reports of each study that the search finds."""
        return search(self, features, normals=search.normals)
