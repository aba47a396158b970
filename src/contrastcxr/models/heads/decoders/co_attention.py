"""Co-attention over patches and predicted tags (after Jing 2018; paper A, Table 1; `HCR` of paper C)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from contrastcxr.losses.base import Targets, needed
from contrastcxr.models.blocks.additive_attention import AdditiveAttention
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.hierarchical import (
    AttendingDecoder,
    StopGate,
    TopicPlan,
    forced,
    taught_plan,
)
from contrastcxr.models.heads.decoders.inputs import raise_forget_gates, word_vectors
from contrastcxr.models.heads.decoders.options import CoAttentionOptions
from contrastcxr.models.heads.decoders.outputs import DecoderOutputs
from contrastcxr.models.heads.decoders.word_lstm import WordLstm

KEPT_TAGS = 10
"""Tags that are attended to, the most probable ones."""


class CoAttentionDecoder(AttendingDecoder):
    """Topics from what is looked at in the picture and among the ten most probable tags.

    Tags: `softmax(W v̂)` over L tags; `a_m` are the embeddings of the most probable. `v_s = attn(h_{s-1}; V)`,
    `u_s = attn(h_{s-1}; {a_m})` with weights of its own, `ctx_s = W [v_s; u_s]`, `h_s = LSTM(ctx_s)`,
    `t_s = tanh(W_h h_s + W_ctx ctx_s)`; stop is `StopGate`. The word LSTM is fed the topic, BOS, words. In
    training both attentions are kept doubly stochastic over the sentences (`taught_terms`).

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: CoAttentionOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = self.topic_width, self.hidden
        self.kept_tags = min(KEPT_TAGS, inputs.tag_count)
        self.tag = nn.Linear(self.width, inputs.tag_count)
        self.tag_embedding = word_vectors(inputs.tag_count, options, width=embedding)
        self.patch_attention = AdditiveAttention(hidden, self.width, hidden)
        self.tag_attention = AdditiveAttention(hidden, embedding, hidden)
        self.context = nn.Linear(self.width + embedding, hidden)
        self.sentence_lstm = nn.LSTMCell(hidden, hidden)
        self.topic_of_hidden = nn.Linear(hidden, embedding)
        self.topic_of_context = nn.Linear(hidden, embedding, bias=False)
        self.stop = StopGate(hidden)
        self.words = WordLstm(self.vocabulary, embedding=embedding, hidden=hidden, options=options)
        raise_forget_gates(self, options.forget_bias)

    def plan(self, features: VisualFeatures, sentences: int) -> TopicPlan:
        """Return topics, each with its look at patches and at tags."""
        features = self.inputs.features(features)
        tags = torch.log_softmax(self.tag(features.pooled).float(), dim=-1)  # [B, L]
        kept = tags.topk(self.kept_tags, dim=-1).indices  # [B, M]
        patches = self.patch_attention.attendable(features)
        named = self.tag_attention.over(self.tag_embedding(kept), torch.ones_like(kept, dtype=torch.bool))
        tag_attention: list[Tensor] = []

        def look(before: Tensor) -> tuple[Tensor, Tensor]:
            seen, at_patches = self.patch_attention(before, patches)
            meant, at_tags = self.tag_attention(before, named)
            tag_attention.append(at_tags)
            return self.context(torch.cat([seen, meant], dim=-1)), at_patches

        plan = self.by_looking(
            features,
            sentences,
            look=look,
            topic=lambda hidden, context: torch.tanh(
                self.topic_of_hidden(hidden) + self.topic_of_context(context)
            ),
        )
        shown = {"tags": tags, "kept_tags": kept, "tag_attention": torch.stack(tag_attention, dim=1)}
        return replace(plan, extra=shown)

    def forced_words(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return what every hierarchical decoder does: its words are the same whatever tags a study has."""
        return super().outputs(features, targets)

    def outputs(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return what every hierarchical decoder does, and the tags, and how much attention everything got.

        Raises:
            IncompatibleError: the studies have no tags.
        """
        tags = needed(
            targets.tags,
            "co_attention without tags: it learns tags beside the words; set decoder.tags to labels that the data "
            "has",
        )
        sentences, plan = self.planned(features, targets)
        written = torch.zeros_like(plan.stop)
        written[sentences.study, sentences.place] = 1.0
        assert plan.attention is not None  # made by `plan`
        over_tags = torch.einsum("bsm,bs->bm", plan.extra["tag_attention"], written)
        return replace(
            taught_plan(plan, sentences, forced(self.words, plan, sentences)),
            tags=(plan.extra["tags"], tags / tags.sum(dim=1, keepdim=True).clamp_min(1.0)),
            attention={
                "patches": (torch.einsum("bsn,bs->bn", plan.attention, written), features.mask),
                "tags": (over_tags, torch.ones_like(over_tags, dtype=torch.bool)),
            },
        )
