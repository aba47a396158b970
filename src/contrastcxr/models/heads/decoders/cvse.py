"""CVSE: a report put together from sentences of training reports (after Ni 2020; paper C, Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.losses.base import Targets, needed
from contrastcxr.models.blocks.additive_attention import AdditiveAttention
from contrastcxr.models.blocks.masked_softmax import masked_softmax
from contrastcxr.models.blocks.sentences import join_sentences, split_sentences
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.base import ReportDecoder, report_tokens
from contrastcxr.models.heads.decoders.inputs import DecoderInputs, word_vectors
from contrastcxr.models.heads.decoders.options import CvseOptions
from contrastcxr.models.heads.decoders.outputs import DecoderOutputs
from contrastcxr.models.heads.writing import GeneratedReports, Search

_AT_ONCE = 64
"""Sentences that are compared with all studies of a batch at once."""

CANDIDATES = 21
"""Quantiles of the validation scores that are tried as a threshold."""


class CvseDecoder(ReportDecoder):
    """Images and sentences in one space, an image seen through the sentence it is compared with (equations ours).

    Sentence `t = l2(W_t GRU(words))`; image conditioned on it `x(t) = l2(W_x attn(t; V))`; score `x(t)·t`. Taught
    by a hinge over the abnormal sentences of a batch (`losses.ranking`). The report: of each group its best
    sentence, those above the library's threshold by descending score, at least one and at most `sentences`. It
    has no probability of a word, so `GeneratedReports.log_probs` is NaN.

    Args:
        inputs: what it is built for: a vocabulary with a mark that ends a sentence, a library of what can be said.
        options: its own.

    Raises:
        IncompatibleError: there is no library.
    """

    sentence_end: int

    def __init__(self, inputs: HeadInputs, options: CvseOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = options.embedding or inputs.width, options.hidden or inputs.width
        self.sentence_end = inputs.sentence_mark(options.kind)
        self.max_sentences = options.sentences
        self.negatives = options.negatives
        self.library = needed(
            inputs.sentence_library, "decoder.kind cvse without a sentence library: it has nothing to say"
        )
        self.inputs = DecoderInputs(options)
        self.embedding = word_vectors(self.vocabulary, options, width=embedding)
        self.dropout = nn.Dropout(options.dropout)
        self.gru = nn.GRU(embedding, hidden, batch_first=True)
        self.of_sentence = nn.Linear(hidden, hidden)
        self.attention = AdditiveAttention(hidden, self.width, hidden)
        self.of_image = nn.Linear(self.width, hidden)

    def embed(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        """Return `t [K, h]` of the sentences `token_ids [K, T]` (BOS first).

        The tokens `token_ids[:, 1:]` are real where `mask [K, T-1]` is True.
        """
        words = self.dropout(self.inputs(self.embedding(token_ids[:, 1:])))
        with torch.autocast(words.device.type, enabled=False):
            states, _ = self.gru(words.to(next(self.gru.parameters()).dtype))  # [K, T-1, h]
        last = (mask.sum(dim=1) - 1).clamp_min(0)
        answer = states[torch.arange(len(states), device=states.device), last]
        return F.normalize(self.of_sentence(answer), dim=-1)

    def scores(self, features: VisualFeatures, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores `[B, K]` of each study with each of `sentences [K, h]`, and attention `[B, K, N]`."""
        features = self.inputs.features(features)
        keys = self.attention.key(features.patches)  # [B, N, a]
        parts = [self._scores(features, keys, part) for part in torch.split(sentences, _AT_ONCE)]
        return torch.cat([score for score, _ in parts], dim=1), torch.cat([seen for _, seen in parts], dim=1)

    def _scores(self, features: VisualFeatures, keys: Tensor, sentences: Tensor) -> tuple[Tensor, Tensor]:
        query = self.attention.query(sentences)  # [K, a]
        inner = torch.tanh(query[None, :, None] + keys[:, None])  # [B, K, N, a]
        weights = masked_softmax(self.attention.score(inner).squeeze(-1), features.mask.unsqueeze(1))
        seen = weights.to(features.patches.dtype) @ features.patches  # [B, K, d]
        images = F.normalize(self.of_image(seen), dim=-1)
        return (images * sentences).sum(dim=-1), weights

    def outputs(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return every abnormal sentence of the batch against every study of it.

        No study and sentence stand against each other where the study says that sentence somewhere.

        Raises:
            IncompatibleError: nobody has said which sentences are abnormal.
        """
        abnormal = needed(
            targets.abnormal,
            "cvse without sentence flags: it learns from abnormal sentences; train it on reports that the labeler "
            "can read",
        )
        token_ids, real = report_tokens(targets)
        sentences = split_sentences(
            token_ids,
            real,
            end=self.sentence_end,
            eos=self.end_of_report,
            sentences=abnormal.shape[1],
            words=token_ids.shape[1],
        )
        row = abnormal[sentences.study, sentences.place].nonzero().squeeze(1)
        study, ids, mask = sentences.study[row], sentences.token_ids[row], sentences.mask[row]
        scores, _ = self.scores(features, self.embed(ids, mask))
        alike = (ids[:, None] == ids[None]).all(dim=-1).float()
        own = (study[:, None] == study[None]).float()
        said = own @ alike > 0  # [K, K]: the study of row i says sentence j
        return DecoderOutputs(ranking=(scores[study].float(), ~said), negatives=self.negatives)

    def write(self, features: VisualFeatures, search: Search) -> GeneratedReports:
        """Return the best sentences of the library, one after another, as many as there is room for as a whole."""
        library = self.library
        chosen, values, attention = self.candidates(features)
        lengths, room = library.lengths[chosen], search.max_tokens - 1  # [B, S]
        wanted = values > library.threshold
        said = wanted & (lengths.cumsum(dim=1) <= room)
        wanted[:, 0] = said[:, 0] = True
        study, place = said.nonzero().unbind(dim=1)
        sentence = chosen[study, place]
        joined = join_sentences(
            library.token_ids[sentence, 1:],
            library.lengths[sentence],
            study,
            studies=features.studies,
            room=room,
            pad=search.pad,
        )
        real = torch.arange(joined.token_ids.shape[1], device=values.device) < joined.lengths.unsqueeze(1)
        return GeneratedReports(
            token_ids=joined.token_ids,
            lengths=joined.lengths,
            log_probs=torch.full_like(values[:, 0], torch.nan),
            ended=(lengths * wanted).sum(dim=1) == joined.lengths,
            attention=attention[study, sentence][joined.sentence] * real.unsqueeze(-1),
            plan={
                "sentences": said.sum(dim=1),
                "sentence": place[joined.sentence],
                "retrieved": chosen,
                "scores": values,
            },
        )

    @property
    def sources(self) -> Sequence[Sequence[str]]:  # type: ignore[override]
        """The training studies that say each sentence of the library."""
        return self.library.sources

    @property
    def threshold(self) -> LibraryThreshold:
        """The score from which on a sentence is said."""
        return LibraryThreshold(self)

    def candidates(self, features: VisualFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """Return each group's best sentence, best first: numbers and scores `[B, S]`.

        Attention `[B, Q, N]` of all.
        """
        scores, attention = self.scores(features, self.embed(self.library.token_ids, self.library.mask))
        return *self._chosen(scores.float()), attention

    def _chosen(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best sentence of each group, best group first: their numbers and scores `[B, S]`."""
        group = self.library.group
        groups = int(group.max()) + 1
        best = scores.new_full((len(scores), groups), -torch.inf)
        best = best.scatter_reduce(1, group.expand_as(scores), scores, reduce="amax")
        values, order = best.topk(min(self.max_sentences, groups), dim=1)  # [B, S]
        holds = (group[None, None] == order.unsqueeze(-1)) & (scores.unsqueeze(1) == values.unsqueeze(-1))
        return holds.long().argmax(dim=-1), values


@dataclass(frozen=True, eq=False)
class LibraryThreshold:
    """From which score on a sentence is said: of quantiles of the validation scores the one with the best BLEU-4.

    The quantiles reach from the lowest score to the highest, so from every sentence allowed to one a report.
    """

    decoder: CvseDecoder
    score: str = "bleu4"

    @torch.no_grad()
    def candidates(self, features: Sequence[VisualFeatures]) -> Sequence[float]:
        """Return quantiles of the scores of the sentences that a report may be made of."""
        scores = [self.decoder.candidates(each)[1].flatten().cpu().numpy() for each in features]
        found: list[float] = np.quantile(np.concatenate(scores), np.linspace(0, 1, CANDIDATES)).tolist()
        return found

    def set(self, value: float) -> None:
        """Keep the score."""
        self.decoder.library.threshold.fill_(value)
