"""What every decoder does that plans sentences: where it stops, how sentences become a report, what is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from operator import mul
from typing import Any

import pytest
import torch
from torch import Tensor

from contrastcxr.decode.report import ReportSearch
from contrastcxr.decode.settings import GenerationSettings
from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.hierarchical import (
    HierarchicalDecoder,
    TopicPlan,
    merged,
    planned_sentences,
    stop_log_prob,
    topic_cosine,
)
from contrastcxr.models.heads.decoders.options import HlstmOptions
from contrastcxr.models.heads.decoders.outputs import taught_terms
from contrastcxr.models.heads.decoders.word_lstm import WordInputs
from contrastcxr.models.heads.writing import GeneratedReports, StepResult
from plain_floats import close, one_study, sigmoid

PAD, BOS, EOS, UNK, END = 0, 1, 2, 3, 4
V, WIDTH, N = 9, 4, 3
SENTENCES = {"embedding": 5, "hidden": 3, "sentence_end": END, "sentences": 3, "words": 5}
KINDS: dict[str, dict[str, Any]] = {
    "hlstm": SENTENCES,
    "hlstm_dual": SENTENCES,
    "co_attention": {**SENTENCES, "tag_count": 4},
    "multi_attention": SENTENCES,
}


@dataclass(frozen=True)
class _ScriptState:
    """What is left to say of each row, as numbers in the topic, and how much of it has been said."""

    script: Tensor  # [R, 4]
    said: int = 0

    @property
    def rows(self) -> int:
        return len(self.script)

    @property
    def device(self) -> torch.device:
        return self.script.device

    def select(self, index: Tensor) -> _ScriptState:
        return _ScriptState(self.script[index], self.said)


class _Script:
    """Says the words that stand in the topic, each with probability .9."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def start(self, word_inputs: WordInputs) -> _ScriptState:
        return _ScriptState(word_inputs.first.long())

    def step(self, token_ids: Tensor, state: _ScriptState) -> StepResult:
        self.asked.append(len(token_ids))
        share = torch.full((len(token_ids), V), 0.1 / (V - 1))
        share.scatter_(1, state.script[:, state.said : state.said + 1], 0.9)
        return StepResult(share.log(), _ScriptState(state.script, state.said + 1))


class _Scripted(HierarchicalDecoder):
    """A plan that is written down, and words that follow it."""

    def __init__(self, topics: list[list[list[int]]], stop: list[list[float]], **options: int) -> None:
        inputs = HeadInputs(width=WIDTH, vocabulary=V, sentence_end=END, end_of_report=EOS)
        super().__init__(inputs, HlstmOptions(**{"words": 4, **options}))
        self.topics, self.logits = torch.tensor(topics).float(), torch.tensor(stop)
        self.words = _Script()  # type: ignore[assignment]

    def plan(self, features: VisualFeatures, sentences: int) -> TopicPlan:
        del features
        looks = torch.eye(N)[:sentences].expand(len(self.topics), -1, -1)  # sentence s looks at patch s
        return TopicPlan(self.topics[:, :sentences], self.logits[:, :sentences], attention=looks)


def _features(studies: int = 2) -> VisualFeatures:
    patches, mask = torch.zeros(studies, N, WIDTH), torch.ones(studies, N, dtype=torch.bool)
    return VisualFeatures(patches, masked_mean(patches, mask), mask)


def _written(
    decoder: HierarchicalDecoder, features: VisualFeatures, *, max_tokens: int = 20, **options: Any
) -> GeneratedReports:
    settings = GenerationSettings(max_tokens=max_tokens, **options)
    return decoder.write(features, ReportSearch(settings, bos=BOS, eos=EOS, pad=PAD))


A, B, C = [5, 6, END, PAD], [7, END, PAD, PAD], [8, 8, 8, 8]  # C never ends
TOPICS = [[A, B, A], [B, C, B]]


def test_a_report_ends_with_the_first_sentence_whose_stop_passes_a_half() -> None:
    stop = torch.tensor([[-1.0, 2.0, 3.0], [4.0, -1.0, 1.0], [-1.0, -2.0, -3.0]])
    assert planned_sentences(stop).tolist() == [2, 1, 3]
    expected = [
        math.log(sigmoid(1.0) * sigmoid(2.0)),
        math.log(sigmoid(4.0)),
        math.log(sigmoid(1.0) * sigmoid(2.0) * sigmoid(-3.0)),
    ]
    close(stop_log_prob(stop, planned_sentences(stop)), expected)


def test_sentences_are_put_one_after_another_with_their_marks() -> None:
    """Study 1 stops after two sentences, study 2 after one."""
    found = _written(_Scripted(TOPICS, [[-1.0, 2.0, 0.0], [2.0, 0.0, 0.0]], sentences=3), _features())
    assert found.token_ids.tolist() == [[5, 6, END, 7, END], [7, END, PAD, PAD, PAD]]
    assert found.lengths.tolist() == [5, 2]
    assert found.ended.tolist() == [True, True]
    stops = [math.log(sigmoid(1.0) * sigmoid(2.0)), math.log(sigmoid(2.0))]
    close(found.log_probs, [5 * math.log(0.9) + stops[0], 2 * math.log(0.9) + stops[1]])


def test_each_word_shows_where_its_sentence_looked_and_what_follows_the_end_shows_nothing() -> None:
    found = _written(_Scripted(TOPICS, [[-1.0, 2.0, 0.0], [2.0, 0.0, 0.0]], sentences=3), _features())
    assert found.attention is not None
    looks = found.attention.argmax(dim=-1).tolist()
    assert looks[0] == [0, 0, 0, 1, 1]
    assert found.attention[1].sum(dim=-1).tolist() == [1, 1, 0, 0, 0]


def test_a_sentence_that_never_ends_is_cut_without_a_mark() -> None:
    found = _written(_Scripted(TOPICS, [[2.0] * 3, [-1.0, 2.0, 0.0]], sentences=3), _features())
    assert found.token_ids[1].tolist() == [7, END, 8, 8, 8, 8]
    assert found.plan["unfinished"].tolist() == [0, 1]
    assert found.plan["open"].tolist() == [False, False]


def test_a_report_without_room_for_its_sentences_has_not_ended() -> None:
    """Six tokens at most, the end of the report counted: five of the six words fit."""
    decoder = _Scripted(TOPICS, [[2.0] * 3, [-1.0, 2.0, 0.0]], sentences=3)
    found = _written(decoder, _features(), max_tokens=6)
    assert found.lengths.tolist() == [3, 5]
    assert found.ended.tolist() == [True, False]


def test_a_report_that_never_wants_to_stop_has_not_ended() -> None:
    found = _written(_Scripted(TOPICS, [[-1.0] * 3, [2.0] * 3], sentences=3), _features())
    assert found.plan["sentences"].tolist() == [3, 1]
    assert found.ended.tolist() == [False, True]


def test_a_finished_sentence_and_one_that_is_not_planned_cost_nothing() -> None:
    """Of five planned sentences with 3, 2, 2, 4 and 2 tokens, each is asked for as long as it goes on."""
    decoder = _Scripted(TOPICS, [[-1.0, 2.0, 0.0], [-1.0, -1.0, 2.0]], sentences=3)
    found = _written(decoder, _features(), method="greedy")
    assert found.plan["sentences"].tolist() == [2, 3]
    assert isinstance(decoder.words, _Script)
    assert decoder.words.asked == [5, 5, 2, 1]


def test_a_sentence_without_a_word_leaves_no_mark() -> None:
    empty = [END, PAD, PAD, PAD]
    found = _written(_Scripted([[A, empty, B]], [[-1.0, -1.0, 2.0]], sentences=3), _features(1))
    assert found.token_ids.tolist() == [[5, 6, END, 7, END]]
    assert found.plan["sentence"].tolist() == [[0, 0, 0, 2, 2]]


def _cosines(topics: list[list[int]]) -> list[float]:
    """Of each topic with the one before, from the second on."""
    pairs = pairwise(topics)
    return [sum(map(mul, a, b)) / math.hypot(*a) / math.hypot(*b) for a, b in pairs]


def test_the_plan_shows_how_much_a_topic_repeats_the_one_before() -> None:
    topics = [[[1, 0, 0, 0], [2, 0, 0, 0], [0, 3, 0, 0], [0, -1, 0, 0]]]
    found = topic_cosine(torch.tensor(topics).float())
    close(found[0], [0.0, 1.0, 0.0, -1.0])
    written = _written(_Scripted(TOPICS, [[-1.0] * 3] * 2, sentences=3), _features())
    close(written.plan["topic_cosine"][1], [0.0, *_cosines(TOPICS[1])])


def test_answers_of_some_rows_each_become_one() -> None:
    one = GeneratedReports(
        torch.tensor([[5, 6]]), torch.tensor([2]), torch.tensor([-1.0]), torch.tensor([True]), attention=None
    )
    two = GeneratedReports(
        torch.tensor([[7], [8]]), torch.tensor([1, 1]), torch.tensor([-2.0, -3.0]), torch.zeros(2).bool(), None
    )
    found = merged([(torch.tensor([1]), one), (torch.tensor([2, 0]), two)], rows=3, pad=PAD)
    assert found.token_ids.tolist() == [[8, PAD], [5, 6], [7, PAD]]
    assert found.lengths.tolist() == [1, 2, 1]
    assert found.log_probs.tolist() == [-3.0, -1.0, -2.0]
    assert found.ended.tolist() == [False, True, False]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_batch_of_empty_reports_can_be_taught(name: str) -> None:
    decoder = build_decoder(name, vocabulary=V, width=WIDTH, **KINDS[name])
    targets = Targets(
        torch.tensor([[BOS, EOS]]),
        torch.ones(1, 1, dtype=torch.bool),
        abnormal=torch.zeros(1, 3, dtype=torch.bool),
        tags=torch.ones(1, 4),
    )
    terms = taught_terms(decoder.outputs(one_study(width=WIDTH), targets))
    total = torch.stack([mean for mean, _ in terms.values()]).sum()
    total.backward()
    assert total.isfinite()
    assert terms["word"][0] == 0
