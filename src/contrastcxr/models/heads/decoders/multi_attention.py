"""Multi-Attention: channels, places, and the indication under every word (after Huang 2019; paper A)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from contrastcxr.models.blocks.additive_attention import AdditiveAttention
from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.hierarchical import AttendingDecoder, StopGate, TopicPlan
from contrastcxr.models.heads.decoders.inputs import raise_forget_gates
from contrastcxr.models.heads.decoders.options import MultiAttentionOptions
from contrastcxr.models.heads.decoders.word_lstm import WordLstm


class MultiAttentionDecoder(AttendingDecoder):
    """Each topic from channels and places at once; the study's background shifts every word vector.

    The abstract of the original names the parts; the equations are ours. Channel:
    `β_s = σ(W tanh(W_c v̂ + W_h h_{s-1}))`, `V^s = β_s ⊙ V`; space: `c_s = attn(h_{s-1}; V^s)`;
    `h_s = LSTM(c_s)`; `t_s = tanh(W [h_s; c_s])`; stop is `StopGate`. Background: the indication through a
    two-way LSTM, mean over its real words, two layers, `b`; the word LSTM is fed `E w + b`. A study without
    indication has `b = 0`.

    Args:
        inputs: what it is built for.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: MultiAttentionOptions) -> None:
        super().__init__(inputs, options)
        embedding, hidden = self.topic_width, self.hidden
        self.channel_of_pooled = nn.Linear(self.width, hidden)
        self.channel_of_hidden = nn.Linear(hidden, hidden, bias=False)
        self.channel = nn.Linear(hidden, self.width)
        self.attention = AdditiveAttention(hidden, self.width, hidden)
        self.sentence_lstm = nn.LSTMCell(self.width, hidden)
        self.topic = nn.Linear(hidden + self.width, embedding)
        self.stop = StopGate(hidden)
        self.words = WordLstm(self.vocabulary, embedding=embedding, hidden=hidden, options=options)
        self.background = Background(embedding) if options.needs.indication else None
        self.reads_indication = self.background is not None
        raise_forget_gates(self, options.forget_bias)

    def plan(self, features: VisualFeatures, sentences: int) -> TopicPlan:
        """Return topics, each with its look at the patches, and the shift of the words."""
        features = self.inputs.features(features)
        pooled = self.channel_of_pooled(features.pooled)

        def look(before: Tensor) -> tuple[Tensor, Tensor]:
            channel = torch.sigmoid(self.channel(torch.tanh(pooled + self.channel_of_hidden(before))))
            rows = features.patches * channel.unsqueeze(1)  # [B, N, d]
            context, weights = self.attention(before, self.attention.over(rows, features.mask))
            return context, weights

        plan = self.by_looking(
            features,
            sentences,
            look=look,
            topic=lambda hidden, context: torch.tanh(self.topic(torch.cat([hidden, context], dim=-1))),
        )
        return replace(plan, shift=self._shift(features))

    def _shift(self, features: VisualFeatures) -> Tensor | None:
        if self.background is None or features.indication is None:
            return None
        assert features.indication_mask is not None  # given together
        shift: Tensor = self.background(self.words.vectors(features.indication), features.indication_mask)
        return shift


class Background(nn.Module):
    """Words of an indication to one vector: two-way LSTM, mean over real words, two layers.

    Args:
        width: of a word vector and of the answer; the LSTM has half of it each way.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.lstm = nn.LSTM(width, width // 2, batch_first=True, bidirectional=True)
        self.reduce = nn.Sequential(nn.Linear(width // 2 * 2, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return `b [B, e]` of `words [B, T, e]` where `mask [B, T]`; 0 for a study without a word."""
        has_words = mask.any(dim=1)  # [B]
        answer = torch.zeros(len(words), self.width, dtype=words.dtype, device=words.device)
        if not has_words.any():
            return answer
        with torch.autocast(words.device.type, enabled=False):
            lengths = mask[has_words].sum(dim=1)
            packed = pack_padded_sequence(
                words[has_words].to(next(self.lstm.parameters()).dtype),
                lengths.cpu(),
                batch_first=True,
                enforce_sorted=False,
            )
            each, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=words.shape[1])
        reduced: Tensor = self.reduce(masked_mean(each, mask[has_words]))
        return answer.to(reduced.dtype).index_put((has_words.nonzero().squeeze(1),), reduced)
