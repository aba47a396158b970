"""What the decoders share that plan a report sentence by sentence and let a word LSTM write each sentence.

The sentence level never hears which words were chosen, so all topics of a report are known before its first word,
and the sentences of all studies are written together.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from contrastcxr.losses.base import Targets
from contrastcxr.models.blocks.sentences import SentenceTokens, join_sentences, split_sentences
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.decoders.base import ReportDecoder, report_tokens
from contrastcxr.models.heads.decoders.inputs import DecoderInputs
from contrastcxr.models.heads.decoders.options import PlanOptions
from contrastcxr.models.heads.decoders.outputs import DecoderOutputs
from contrastcxr.models.heads.decoders.word_lstm import WordInputs, WordLstm
from contrastcxr.models.heads.writing import GeneratedReports, Search

Look = Callable[[Tensor], tuple[Tensor, Tensor]]
Topic = Callable[[Tensor, Tensor], Tensor]


class Words(NamedTuple):
    """Words that are forced, in one list: `log_probs [M, V]`, `hidden [M, h]`, of the others `[M]`."""

    log_probs: Tensor
    words: Tensor
    study: Tensor
    sentence: Tensor
    hidden: Tensor


@dataclass(frozen=True, eq=False)
class TopicPlan:
    """What a decoder is going to write about.

    Attributes:
        topics: `[B, S, e]`.
        stop: logits `[B, S]` of "this is the last sentence".
        attention: `[B, S, N]` over the patches; None where a decoder looks at no patch.
        abnormal: logits `[B, S]` of "this sentence names an abnormality"; None where nobody asks.
        shift: `[B, e]`, added to every word vector; None for nothing.
        topic_at_words: whether a topic is added to every word vector of its sentence too.
        extra: further tensors to teach with or to show, by name; the first dimension is B.
        normal: the plan on normal pictures, whose words a guided search takes away; None without one.
    """

    topics: Tensor
    stop: Tensor
    attention: Tensor | None = None
    abnormal: Tensor | None = None
    shift: Tensor | None = None
    topic_at_words: bool = False
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    normal: TopicPlan | None = None

    def repeated(self, times: int) -> TopicPlan:
        """Return the plan of each study so many times, one after another."""
        if times == 1:
            return self
        attention, abnormal, shift = (
            None if part is None else part.repeat_interleave(times, dim=0)
            for part in (self.attention, self.abnormal, self.shift)
        )
        return replace(
            self,
            topics=self.topics.repeat_interleave(times, dim=0),
            stop=self.stop.repeat_interleave(times, dim=0),
            attention=attention,
            abnormal=abnormal,
            shift=shift,
            extra={name: part.repeat_interleave(times, dim=0) for name, part in self.extra.items()},
            normal=None if self.normal is None else self.normal.repeated(times),
        )

    def word_inputs(self, study: Tensor, place: Tensor) -> WordInputs:
        """Return what the word LSTM is told of the sentences at `place [K]` of `study [K]`."""
        topics, shift = self.topics[study, place], None if self.shift is None else self.shift[study]
        if self.topic_at_words:
            shift = topics if shift is None else shift + topics
        return WordInputs(topics, shift)


class HierarchicalDecoder(ReportDecoder):
    """A sentence level that plans, and a word level that writes.

    A report is split after each end mark into at most S sentences of at most so many tokens. The stop target is 1
    at the last sentence; when reading, the report ends with the first sentence whose stop probability passes .5.
    The search runs inside each sentence (beams of one sentence never meet those of another).

    Args:
        inputs: what it is built for; its vocabulary has a mark that ends a sentence.
        options: its own.

    Attributes:
        topic_width: e, of a word vector and of a topic.
        hidden: width of the sentence state.
    """

    words: WordLstm
    sentence_end: int

    def __init__(self, inputs: HeadInputs, options: PlanOptions) -> None:
        super().__init__(inputs, options)
        self.topic_width = options.embedding or inputs.width
        self.hidden = self.word_width = options.hidden or inputs.width
        self.word_deviation = options.word_deviation
        self.topic_at_words = options.topic == "every"
        self.inputs = DecoderInputs(options)
        self.sentence_end = inputs.sentence_mark(options.kind)
        self.max_sentences = options.sentences
        self.max_words = options.words

    @property
    def word_embedding(self) -> nn.Embedding | None:
        """The vectors of the word LSTM's words."""
        return self.words.embedding

    @abstractmethod
    def plan(self, features: VisualFeatures, sentences: int) -> TopicPlan:
        """Return the topics of the first `sentences` sentences."""

    def outputs(self, features: VisualFeatures, targets: Targets) -> DecoderOutputs:
        """Return the words of each sentence, and where to stop."""
        sentences, plan = self.planned(features, targets)
        return taught_plan(plan, sentences, forced(self.words, plan, sentences))

    def planned(self, features: VisualFeatures, targets: Targets) -> tuple[SentenceTokens, TopicPlan]:
        """Return the sentences of the reports, and the plan as far as they need it."""
        sentences = self.split(targets)
        count = int(sentences.place.max()) + 1 if len(sentences.place) else 1
        return sentences, self._with_topics(self.plan(features, count))

    def _with_topics(self, plan: TopicPlan) -> TopicPlan:
        """Return the plan that says where its topics enter."""
        return replace(plan, topic_at_words=self.topic_at_words)

    def split(self, targets: Targets) -> SentenceTokens:
        """Return the sentences of the reports."""
        token_ids, mask = report_tokens(targets)
        return split_sentences(
            token_ids,
            mask,
            end=self.sentence_end,
            eos=self.end_of_report,
            sentences=self.max_sentences,
            words=self.max_words,
            sentence=targets.sentence,
        )

    def write(self, features: VisualFeatures, search: Search) -> GeneratedReports:
        """Plan once a study, write all sentences of all reports together, put them one after another.

        Where the search is guided, only the words are: what is planned and where it stops is the picture's alone.
        """
        plan = self._with_topics(self.plan(features, self.max_sentences))
        if search.normals is not None:
            plan = replace(plan, normal=self._with_topics(self.plan(search.normals, self.max_sentences)))
        plan = plan.repeated(search.reports)
        count = planned_sentences(plan.stop)  # [B]
        study, place = _planned(count)
        found = self._with_marks(self.sentences(plan, study, place, search))
        joined = join_sentences(
            found.token_ids, found.lengths, study, studies=len(count), room=search.max_tokens - 1, pad=search.pad
        )
        attention = None
        if plan.attention is not None:
            each = plan.attention[study, place][joined.sentence]  # [B, T, N]
            attention = each * _before(joined.lengths, each.shape[1]).unsqueeze(-1)
        total = torch.zeros(len(count), device=study.device).index_add(0, study, found.log_probs.float())
        whole = torch.zeros_like(count).index_add(0, study, found.lengths) == joined.lengths
        stops = (torch.sigmoid(plan.stop) > 0.5).any(dim=1)
        unfinished = torch.zeros_like(count).index_add(0, study, (~found.ended).to(count.dtype))
        return GeneratedReports(
            token_ids=joined.token_ids,
            lengths=joined.lengths,
            log_probs=total + stop_log_prob(plan.stop, count),
            ended=whole & stops,
            attention=attention,
            plan={
                **shown(plan, count),
                "sentence": place[joined.sentence],
                "open": ~stops,
                "unfinished": unfinished,
            },
        )

    def sentences(self, plan: TopicPlan, study: Tensor, place: Tensor, search: Search) -> GeneratedReports:
        """Return the words of the sentences at `place [K]` of `study [K]`."""
        return self.written(self.words, plan, study, place, search)

    def written(
        self, writer: WordLstm, plan: TopicPlan, study: Tensor, place: Tensor, search: Search
    ) -> GeneratedReports:
        """Return what a writer makes of the sentences at `place [K]` of `study [K]`."""
        return search(
            writer,
            plan.word_inputs(study, place),
            end=self.sentence_end,
            max_tokens=self.max_words,
            study=study,
            normals=None if plan.normal is None else plan.normal.word_inputs(study, place),
        )

    def _with_marks(self, found: GeneratedReports) -> GeneratedReports:
        """Return the sentences with their end marks; one without a word stays without a mark."""
        room = found.token_ids.new_full((len(found.token_ids), 1), self.sentence_end)
        ids = torch.cat([found.token_ids, room], dim=1)
        marked = found.ended & (found.lengths > 0)
        row = marked.nonzero().squeeze(1)
        ids[row, found.lengths[row]] = self.sentence_end
        return replace(found, token_ids=ids, lengths=found.lengths + marked.long())


class AttendingDecoder(HierarchicalDecoder):
    """A sentence level that looks before each sentence: `h_s = LSTM(c_s)`, `c_s` being what it saw."""

    sentence_lstm: nn.LSTMCell
    stop: StopGate

    def by_looking(self, features: VisualFeatures, sentences: int, look: Look, topic: Topic) -> TopicPlan:
        """Return topics, stops and attention of `sentences` sentences, from `h_0 = c_0 = 0`.

        Args:
            features: say how many studies there are.
            sentences: S.
            look: `h_{s-1} [B, h]` to the context `[B, c]` and the attention over patches `[B, N]`.
            topic: `h_s [B, h]` and the context to the topic `[B, e]`.
        """
        hidden = features.pooled.new_zeros(features.studies, self.hidden)
        cell, topics, stops, attention = hidden, [], [], []
        for _ in range(sentences):
            before = hidden
            context, weights = look(before)
            hidden, cell = self.sentence_lstm(context, (hidden, cell))
            topics.append(topic(hidden, context))
            stops.append(self.stop(before, hidden))
            attention.append(weights)
        return TopicPlan(torch.stack(topics, dim=1), torch.stack(stops, dim=1), torch.stack(attention, dim=1))


def forced(writer: WordLstm, plan: TopicPlan, sentences: SentenceTokens) -> Words:
    """Return the words of sentences by teacher forcing."""
    inputs = plan.word_inputs(sentences.study, sentences.place)
    hidden = writer.real_hidden(inputs, sentences.token_ids, sentences.mask)
    words = sentences.token_ids[:, 1:][sentences.mask]
    row = sentences.row_of_words
    return Words(writer.log_probs(hidden), words, sentences.study[row], sentences.place[row], hidden)


def taught_plan(plan: TopicPlan, sentences: SentenceTokens, words: Words) -> DecoderOutputs:
    """Return what a plan says of the words of its sentences, and of where to stop."""
    stop = (plan.stop[sentences.study, sentences.place], sentences.last.to(plan.stop.dtype))
    return DecoderOutputs(stop=stop, **words._asdict())


def merged(parts: Sequence[tuple[Tensor, GeneratedReports]], *, rows: int, pad: int) -> GeneratedReports:
    """Return one answer of `rows` rows from the answers of some of them each, with the rows they are."""
    longest = max(found.token_ids.shape[1] for _, found in parts)
    ids = parts[0][1].token_ids.new_full((rows, longest), pad)
    lengths = parts[0][1].lengths.new_zeros(rows)
    log_probs = parts[0][1].log_probs.new_zeros(rows)
    ended = parts[0][1].ended.new_zeros(rows)
    for row, found in parts:
        ids[row, : found.token_ids.shape[1]] = found.token_ids
        lengths[row], log_probs[row], ended[row] = found.lengths, found.log_probs, found.ended
    return GeneratedReports(ids, lengths, log_probs, ended, attention=None)


def planned_sentences(stop: Tensor) -> Tensor:
    """Return how many sentences `[B]` are written: up to the first whose stop probability passes .5, or all S."""
    ends = torch.sigmoid(stop) > 0.5  # [B, S]
    first = ends.long().argmax(dim=1) + 1
    return torch.where(ends.any(dim=1), first, stop.shape[1])


def stop_log_prob(stop: Tensor, count: Tensor) -> Tensor:
    """Return `[B]`: log-probability of going on up to sentence `count [B]` and of stopping there."""
    place = torch.arange(stop.shape[1], device=stop.device).expand_as(stop)
    here = count.unsqueeze(1) - 1
    each = torch.where(place == here, nn.functional.logsigmoid(stop), nn.functional.logsigmoid(-stop))
    return each.masked_fill(place > here, 0.0).float().sum(dim=1)


def shown(plan: TopicPlan, count: Tensor) -> dict[str, Tensor]:
    """Return what a reading shows of a plan.

    It shows the sentences, where the plan would have stopped, how much each topic repeats the one before, whether
    each sentence is normal, and the rest.
    """
    shares = {"stop": torch.sigmoid(plan.stop.float()), "topic_cosine": topic_cosine(plan.topics)}
    if plan.abnormal is not None:
        shares["abnormal"] = torch.sigmoid(plan.abnormal.float())
    return {"sentences": count, **shares, **plan.extra}


def topic_cosine(topics: Tensor) -> Tensor:
    """Return `[B, S]`: cosine between each of `topics [B, S, e]` and the one before it; 0 for the first."""
    topics = topics.float()
    before = nn.functional.pad(topics[:, :-1], (0, 0, 1, 0))  # [B, S, e], zeros before the first
    return nn.functional.cosine_similarity(topics, before, dim=-1).clamp(-1.0, 1.0)


def _planned(count: Tensor) -> tuple[Tensor, Tensor]:
    """Return the study and place `[K]` of each planned sentence, study by study."""
    steps = torch.arange(int(count.max()), device=count.device)
    study, place = (steps < count.unsqueeze(1)).nonzero().unbind(dim=1)
    return study, place


def _before(lengths: Tensor, T: int) -> Tensor:
    return torch.arange(T, device=lengths.device) < lengths.unsqueeze(1)


class StopGate(nn.Module):
    """`softmax(W_stop tanh(W_1 h_{s-1} + W_2 h_s))`, two-way (after Jing 2018), as one logit: their difference.

    Args:
        hidden: width of the sentence state.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.before = nn.Linear(hidden, hidden)
        self.now = nn.Linear(hidden, hidden, bias=False)
        self.choice = nn.Linear(hidden, 2)

    def forward(self, before: Tensor, now: Tensor) -> Tensor:
        """Return the logit `[B]` of stopping, from `h_{s-1}` and `h_s`, `[B, h]` each."""
        go, stop = self.choice(torch.tanh(self.before(before) + self.now(now))).unbind(dim=-1)
        logit: Tensor = stop - go
        return logit
