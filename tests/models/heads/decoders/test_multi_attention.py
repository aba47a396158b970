"""Multi-Attention against its equations over plain floats: channels, places, two sentences and the indication."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.multi_attention import MultiAttentionDecoder
from plain_floats import (
    Vector,
    attend,
    cell,
    close,
    linear,
    one_study,
    one_way,
    plus,
    real_patches,
    relu,
    scaled,
    sentence,
    sigmoid,
    stop_logit,
    tanh,
    times,
    zeros,
)

V, WIDTH, EMBEDDING, HIDDEN, STOP, PAD = 9, 4, 6, 3, 4, 0
INDICATION = [5, 8, 7]
FIRST, SECOND = [5, 6, STOP], [7, STOP]
TARGETS = Targets(torch.tensor([[1, *FIRST, *SECOND, 2]]), torch.ones(1, 6, dtype=torch.bool))


@dataclass(frozen=True)
class Planned:
    topic: Vector
    stop: float
    weights: Vector


def _decoder(**options: str) -> MultiAttentionDecoder:
    torch.manual_seed(0)
    sizes = {"embedding": EMBEDDING, "hidden": HIDDEN, "sentence_end": STOP, "sentences": 3, "words": 5}
    return build_decoder("multi_attention", vocabulary=V, width=WIDTH, **sizes, **options).eval()


@pytest.fixture
def decoder() -> MultiAttentionDecoder:
    return _decoder()


@pytest.fixture
def features() -> VisualFeatures:
    """One study with an indication of three words and one place of padding."""
    ids = torch.tensor([[*INDICATION, PAD]])
    return one_study(width=WIDTH).replace(indication=ids, indication_mask=ids != PAD)


def _plan(decoder: MultiAttentionDecoder, features: VisualFeatures) -> list[Planned]:
    pooled, memory, planned = features.pooled[0].tolist(), zeros(HIDDEN), []
    for _ in range(2):
        before = memory[0]
        inner = tanh(plus(linear(decoder.channel_of_pooled, pooled), linear(decoder.channel_of_hidden, before)))
        channel = [sigmoid(value) for value in linear(decoder.channel, inner)]
        rows = [times(channel, row) for row in real_patches(features)]
        context, weights = attend(decoder.attention, before, rows)
        memory = cell(decoder.sentence_lstm, context, memory)
        topic = tanh(linear(decoder.topic, memory[0] + context))
        planned.append(Planned(topic, stop_logit(decoder.stop, before, memory[0]), weights))
    return planned


def _background(decoder: MultiAttentionDecoder, ids: list[int]) -> Vector:
    """The indication read forwards and backwards, the mean over its words, two layers."""
    assert decoder.background is not None
    assert decoder.words.embedding is not None
    words, lstm = [decoder.words.embedding.weight[token].tolist() for token in ids], decoder.background.lstm
    forwards = one_way(lstm, words)
    backwards = one_way(lstm, words[::-1], direction="_reverse")[::-1]
    each = [ahead + back for ahead, back in zip(forwards, backwards, strict=True)]
    mean = scaled(1 / len(ids), plus(*each))
    return linear(decoder.background.reduce[2], relu(linear(decoder.background.reduce[0], mean)))


def _words(decoder: MultiAttentionDecoder, features: VisualFeatures, shift: Vector | None) -> Vector:
    """Log-probabilities of all words of both sentences, one after another."""
    assert decoder.words.embedding is not None
    said = []
    for each, ids in zip(_plan(decoder, features), (FIRST, SECOND), strict=True):
        said += sentence(decoder.words, each.topic, [1, *ids[:-1]], decoder.words.embedding, shift)
    return [value for log_probs in said for value in log_probs]


@torch.no_grad()
def test_the_plan_equals_the_equations(decoder: MultiAttentionDecoder, features: VisualFeatures) -> None:
    plan, expected = decoder.plan(features, 2), _plan(decoder, features)
    close(plan.topics[0].flatten(), [value for each in expected for value in each.topic])
    close(plan.stop[0], [each.stop for each in expected])
    assert plan.attention is not None
    close(plan.attention[0].flatten(), [share for each in expected for share in [*each.weights, 0.0]])
    assert plan.shift is not None
    close(plan.shift[0], _background(decoder, INDICATION))


@torch.no_grad()
def test_the_indication_is_added_to_every_word(decoder: MultiAttentionDecoder, features: VisualFeatures) -> None:
    taught = decoder.outputs(features, TARGETS)
    assert taught.log_probs is not None
    close(taught.log_probs.flatten(), _words(decoder, features, _background(decoder, INDICATION)))


@torch.no_grad()
def test_a_study_without_indication_has_nothing_added(
    decoder: MultiAttentionDecoder, features: VisualFeatures
) -> None:
    nothing = features.replace(indication_mask=torch.zeros(1, 4, dtype=torch.bool))
    for silent in (nothing, features.replace(indication=None, indication_mask=None)):
        taught = decoder.outputs(silent, TARGETS)
        assert taught.log_probs is not None
        close(taught.log_probs.flatten(), _words(decoder, silent, None))


@torch.no_grad()
def test_the_padding_of_an_indication_changes_nothing(
    decoder: MultiAttentionDecoder, features: VisualFeatures
) -> None:
    ids = torch.tensor([[*INDICATION, 6, 6]])
    longer = features.replace(indication=ids, indication_mask=torch.tensor([[True] * 3 + [False] * 2]))
    one, other = decoder.plan(features, 1).shift, decoder.plan(longer, 1).shift
    assert one is not None
    assert other is not None
    torch.testing.assert_close(one, other)


def test_without_background_no_indication_is_read(features: VisualFeatures) -> None:
    decoder = _decoder(background="none")
    assert not decoder.reads_indication
    assert decoder.plan(features, 1).shift is None
