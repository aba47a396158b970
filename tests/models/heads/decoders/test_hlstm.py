"""HLSTM and its dual writer against their equations over plain floats: two sentences, their stops and words."""

from __future__ import annotations

import math

import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.hlstm import DualHlstmDecoder, HlstmDecoder
from contrastcxr.models.heads.decoders.outputs import taught_terms
from plain_floats import (
    Vector,
    attend,
    cell,
    close,
    linear,
    one_study,
    plus,
    real_patches,
    relu,
    sentence,
    sigmoid,
    stop_logit,
    tanh,
    zeros,
)

V, WIDTH, EMBEDDING, HIDDEN, STOP = 8, 4, 5, 3, 4
SIZES = {"embedding": EMBEDDING, "hidden": HIDDEN, "sentence_end": STOP, "sentences": 3, "words": 5}
FIRST, SECOND = [5, 6, STOP], [7, STOP]
TARGETS = Targets(torch.tensor([[1, *FIRST, *SECOND, 2, 0]]), torch.tensor([[True] * 6 + [False]]))


@pytest.fixture
def features() -> VisualFeatures:
    return one_study(width=WIDTH)


def _hlstm(pool: str) -> HlstmDecoder:
    torch.manual_seed(0)
    return build_decoder("hlstm", vocabulary=V, width=WIDTH, **SIZES, layers=2, pool=pool).eval()


@pytest.fixture
def dual() -> DualHlstmDecoder:
    torch.manual_seed(0)
    return build_decoder("hlstm_dual", vocabulary=V, width=WIDTH, **SIZES).eval()


def _told(decoder: HlstmDecoder, features: VisualFeatures) -> Vector:
    """`v̂`, or `max_i ReLU(W v_i)`."""
    if decoder.region is None:
        return features.pooled[0].tolist()
    regions = [relu(linear(decoder.region, row)) for row in real_patches(features)]
    return [max(units) for units in zip(*regions, strict=True)]


def _plan(decoder: HlstmDecoder, features: VisualFeatures) -> list[tuple[Vector, float]]:
    """Topic and stop logit of two sentences."""
    word_inputs, memory, planned = _told(decoder, features), zeros(HIDDEN), []
    for _ in range(2):
        memory = cell(decoder.sentence_lstm, word_inputs, memory)
        topic = linear(decoder.topic[2], relu(linear(decoder.topic[0], memory[0])))
        planned.append((topic, linear(decoder.stop, memory[0])[0]))
    return planned


@torch.no_grad()
@pytest.mark.parametrize("pool", ["mean", "max"])
def test_topics_stops_and_words_equal_the_equations(pool: str, features: VisualFeatures) -> None:
    decoder = _hlstm(pool)
    plan, expected = decoder.plan(features, 2), _plan(decoder, features)
    assert plan.attention is None
    close(plan.topics[0].flatten(), [value for topic, _ in expected for value in topic])
    close(plan.stop[0], [stop for _, stop in expected])
    taught = decoder.outputs(features, TARGETS)
    assert taught.log_probs is not None
    embedding, said = decoder.words.embedding, []
    assert embedding is not None
    for (topic, _), ids in zip(expected, (FIRST, SECOND), strict=True):
        said += sentence(decoder.words, topic, [1, *ids[:-1]], embedding)
    close(taught.log_probs.flatten(), [value for log_probs in said for value in log_probs])
    assert taught.words is not None
    assert taught.words.tolist() == [*FIRST, *SECOND]


@torch.no_grad()
def test_the_stop_loss_is_a_sum_over_sentences_beside_the_sum_over_words(features: VisualFeatures) -> None:
    """Both are divided by the five words: go on after the first sentence, stop after the second."""
    decoder = _hlstm("mean")
    (_, first), (_, second) = _plan(decoder, features)
    mean, count = taught_terms(decoder.outputs(features, TARGETS))["stop"]
    close(mean, (-math.log(1 - sigmoid(first)) - math.log(sigmoid(second))) / 5)
    assert count == 5


def _dual_plan(decoder: DualHlstmDecoder, features: VisualFeatures) -> list[tuple[Vector, float, float, Vector]]:
    """Topic, stop logit, logit of an abnormality and attention of two sentences."""
    memory, planned = zeros(HIDDEN), []
    for _ in range(2):
        before = memory[0]
        context, weights = attend(decoder.attention, before, real_patches(features))
        memory = cell(decoder.sentence_lstm, context, memory)
        topic = tanh(plus(linear(decoder.topic_of_hidden, memory[0]), linear(decoder.topic_of_context, context)))
        abnormal = linear(decoder.abnormal[2], tanh(linear(decoder.abnormal[0], topic)))[0]
        planned.append((topic, stop_logit(decoder.stop, before, memory[0]), abnormal, weights))
    return planned


@torch.no_grad()
def test_the_dual_plan_equals_the_equations(dual: DualHlstmDecoder, features: VisualFeatures) -> None:
    plan, expected = dual.plan(features, 2), _dual_plan(dual, features)
    close(plan.topics[0].flatten(), [value for topic, _, _, _ in expected for value in topic])
    close(plan.stop[0], [stop for _, stop, _, _ in expected])
    assert plan.abnormal is not None
    close(plan.abnormal[0], [abnormal for _, _, abnormal, _ in expected])
    assert plan.attention is not None
    close(plan.attention[0].flatten(), [share for *_, weights in expected for share in [*weights, 0.0]])


@torch.no_grad()
@pytest.mark.parametrize("flags", [(False, True), (True, False), (True, True)])
def test_each_sentence_is_forced_through_the_writer_of_its_flag(
    flags: tuple[bool, bool], dual: DualHlstmDecoder, features: VisualFeatures
) -> None:
    targets = Targets(TARGETS.token_ids, TARGETS.mask, abnormal=torch.tensor([[*flags, False]]))
    embedding, total = dual.words.embedding, 0.0
    assert embedding is not None
    planned = _dual_plan(dual, features)
    for (topic, *_), ids, flag in zip(planned, (FIRST, SECOND), flags, strict=True):
        writer = dual.abnormal_words if flag else dual.words
        answers = sentence(writer, topic, [1, *ids[:-1]], embedding)
        total -= sum(log_probs[token] for log_probs, token in zip(answers, ids, strict=True))
    terms = taught_terms(dual.outputs(features, targets))
    close(terms["word"][0], total / 5)
    each = zip(planned, flags, strict=True)
    surprise = -sum(math.log(sigmoid(logit if flag else -logit)) for (*_, logit, _), flag in each)
    close(terms["abnormal"][0], surprise / 5)


def test_the_two_writers_share_one_embedding(dual: DualHlstmDecoder) -> None:
    names = [name for name, _ in dual.named_parameters() if "embedding" in name]
    assert names == ["words.embedding.weight"]
    assert not torch.equal(dual.words.output.weight, dual.abnormal_words.output.weight)


def test_the_dual_writer_without_flags_is_refused(dual: DualHlstmDecoder, features: VisualFeatures) -> None:
    with pytest.raises(IncompatibleError, match="hlstm_dual without sentence flags"):
        dual.outputs(features, TARGETS)
