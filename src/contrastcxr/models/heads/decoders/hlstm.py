"""HLSTM (after Krause 2017, Jing 2018) and its dual writer (after Harzig 2019); paper A, Table 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from contrastcxr.losses.base import Targets, needed
from contrastcxr.models.blocks.additive_attention import AdditiveAttention
from contrastcxr.models.blocks.sentences import SentenceTokens
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.hierarchical import (
    AttendingDecoder,
    HierarchicalDecoder,
    StopGate,
    TopicPlan,
    Words,
    forced,
    merged,
    taught_plan,
)
from contrastcxr.models.heads.decoders.inputs import raise_forget_gates
from contrastcxr.models.heads.decoders.options import HlstmDualOptions, HlstmOptions
from contrastcxr.models.heads.decoders.outputs import DecoderOutputs
from contrastcxr.models.heads.decoders.word_lstm import WordLstm
from contrastcxr.models.heads.writing import GeneratedReports, Search


class HlstmDecoder(HierarchicalDecoder):
    """A sentence LSTM fed `v̂` at every step; `p_stop = σ(w^T h_s)`, topic `t_s = W_2 ReLU(W_1 h_s)`.

    `h = c = 0` at the start. Paper A has no attention here. Krause pools regions, `max_i ReLU(W v_i)`, in place of
    `v̂`: `pool="max"`. The word LSTM is fed the topic, BOS, words.

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: HlstmOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = self.topic_width, self.hidden
        self.region = nn.Linear(self.width, self.width) if options.pool == "max" else None
        self.sentence_lstm = nn.LSTMCell(self.width, hidden)
        self.stop = nn.Linear(hidden, 1)
        self.topic = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, embedding))
        self.words = WordLstm(
            self.vocabulary, embedding=embedding, hidden=hidden, layers=options.layers, options=options
        )
        raise_forget_gates(self, options.forget_bias)

    def plan(self, features: VisualFeatures, sentences: int) -> TopicPlan:
        """Return topics from the global feature alone."""
        features = self.inputs.features(features)
        pooled, state, all_hidden = self._pooled(features), None, []
        for _ in range(sentences):
            state = self.sentence_lstm(pooled, state)
            all_hidden.append(state[0])
        hidden = torch.stack(all_hidden, dim=1)  # [B, S, h]
        return TopicPlan(topics=self.topic(hidden), stop=self.stop(hidden).squeeze(-1))

    def _pooled(self, features: VisualFeatures) -> Tensor:
        if self.region is None:
            return features.pooled
        regions = torch.relu(self.region(features.patches)).masked_fill(~features.mask.unsqueeze(-1), 0.0)
        return regions.amax(dim=1)


class DualHlstmDecoder(AttendingDecoder):
    """Two word LSTMs, one for normal and one for abnormal sentences; attention plans, a flag chooses the writer.

    `c_s = attn(h_{s-1}; V)`, `h_s = LSTM(c_s)`, `t_s = tanh(W_h h_s + W_c c_s)`, `p_abn = σ(w^T tanh(W t_s))`; the
    writers share one embedding and have their own output layers. Training routes each sentence by its true flag,
    reading by `p_abn > .5`. Flags are the labeler's (ours; Harzig used annotated sentences °).

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: HlstmDualOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = self.topic_width, self.hidden
        self.attention = AdditiveAttention(hidden, self.width, hidden)
        self.sentence_lstm = nn.LSTMCell(self.width, hidden)
        self.topic_of_hidden = nn.Linear(hidden, embedding)
        self.topic_of_context = nn.Linear(self.width, embedding, bias=False)
        self.stop = StopGate(hidden)
        self.abnormal = nn.Sequential(nn.Linear(embedding, hidden), nn.Tanh(), nn.Linear(hidden, 1))
        self.words = WordLstm(self.vocabulary, embedding=embedding, hidden=hidden, options=options)
        self.abnormal_words = WordLstm(
            self.vocabulary, embedding=embedding, hidden=hidden, options=options, words=self.words.embedding
        )
        raise_forget_gates(self, options.forget_bias)

    def plan(self, features: VisualFeatures, sentences: int) -> TopicPlan:
        """Return topics, each with its look at the patches and its flag."""
        features = self.inputs.features(features)
        seen = self.attention.attendable(features)
        plan = self.by_looking(
            features,
            sentences,
            look=lambda before: self.attention(before, seen),
            topic=lambda hidden, context: torch.tanh(
                self.topic_of_hidden(hidden) + self.topic_of_context(context)
            ),
        )
        return replace(plan, abnormal=self.abnormal(plan.topics).squeeze(-1))

    def outputs(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return what every hierarchical decoder does, and whether each sentence names an abnormality.

        Raises:
            IncompatibleError: nobody has said which sentences do.
        """
        flags = needed(
            targets.abnormal,
            "hlstm_dual without sentence flags: it learns which sentences name an abnormality; "
            "train it on reports that the labeler can read, or choose hlstm",
        )
        sentences, plan = self.planned(features, targets)
        abnormal = flags[sentences.study, sentences.place]  # [K]
        assert plan.abnormal is not None  # made by `plan`
        said = plan.abnormal[sentences.study, sentences.place]
        taught = taught_plan(plan, sentences, self._routed(plan, sentences, abnormal))
        return replace(taught, abnormal=(said, abnormal.to(said.dtype)))

    def _writers(self, abnormal: Tensor) -> Iterator[tuple[WordLstm, Tensor]]:
        """Yield each writer with the rows that are its own, where `abnormal [K]` says whose each is."""
        for writer, chosen in ((self.words, ~abnormal), (self.abnormal_words, abnormal)):
            row = chosen.nonzero().squeeze(1)
            if len(row):
                yield writer, row

    def _routed(self, plan: TopicPlan, sentences: SentenceTokens, abnormal: Tensor) -> Words:
        """Return the words of all sentences, each forced through the writer of its flag."""
        nothing = (
            plan.topics.new_zeros(0, self.vocabulary),
            sentences.token_ids.new_zeros(0),
            sentences.study.new_zeros(0),
            sentences.place.new_zeros(0),
            plan.topics.new_zeros(0, self.hidden),
        )
        # A batch may be without a sentence.
        parts = [
            nothing,
            *(forced(writer, plan, sentences.select(row)) for writer, row in self._writers(abnormal)),
        ]
        return Words(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def sentences(self, plan: TopicPlan, study: Tensor, place: Tensor, search: Search) -> GeneratedReports:
        """Return the words of each sentence from the writer that its flag chooses."""
        assert plan.abnormal is not None  # made by `plan`
        abnormal = torch.sigmoid(plan.abnormal[study, place]) > 0.5
        parts = [
            (row, self.written(writer, plan, study[row], place[row], search))
            for writer, row in self._writers(abnormal)
        ]
        return merged(parts, rows=len(study), pad=search.pad)
