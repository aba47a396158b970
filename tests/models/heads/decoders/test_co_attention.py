"""Co-attention against its equations over plain floats: tags, two sentences, where they stop, their words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.co_attention import CoAttentionDecoder
from contrastcxr.models.heads.decoders.outputs import taught_terms
from plain_floats import (
    Vector,
    attend,
    cell,
    close,
    linear,
    log_softmax,
    one_study,
    plus,
    real_patches,
    sentence,
    sigmoid,
    stop_logit,
    tanh,
    zeros,
)

V, WIDTH, EMBEDDING, HIDDEN, STOP, TAGS, KEPT = 8, 4, 5, 3, 4, 5, 2
FIRST, SECOND = [5, 6, STOP], [7, STOP]
TARGETS = Targets(
    torch.tensor([[1, *FIRST, *SECOND, 2]]),
    torch.ones(1, 6, dtype=torch.bool),
    tags=torch.tensor([[1.0, 0.0, 0.0, 1.0, 0.0]]),
)


@dataclass(frozen=True)
class Planned:
    topic: Vector
    stop: float
    at_patches: Vector
    at_tags: Vector


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> CoAttentionDecoder:
    monkeypatch.setattr("contrastcxr.models.heads.decoders.co_attention.KEPT_TAGS", KEPT)
    torch.manual_seed(0)
    sizes = {"embedding": EMBEDDING, "hidden": HIDDEN, "sentence_end": STOP, "sentences": 3, "words": 5}
    return build_decoder("co_attention", vocabulary=V, width=WIDTH, **sizes, tag_count=TAGS).eval()


@pytest.fixture
def features() -> VisualFeatures:
    return one_study(width=WIDTH)


def _tags(decoder: CoAttentionDecoder, features: VisualFeatures) -> tuple[Vector, list[int]]:
    """`log softmax(W v̂)` and the most probable tags, best first."""
    shares = log_softmax(linear(decoder.tag, features.pooled[0].tolist()))
    return shares, sorted(range(TAGS), key=lambda tag: -shares[tag])[:KEPT]


def _plan(decoder: CoAttentionDecoder, features: VisualFeatures) -> list[Planned]:
    named = [decoder.tag_embedding.weight[tag].tolist() for tag in _tags(decoder, features)[1]]
    memory, planned = zeros(HIDDEN), []
    for _ in range(2):
        before = memory[0]
        seen, at_patches = attend(decoder.patch_attention, before, real_patches(features))
        meant, at_tags = attend(decoder.tag_attention, before, named)
        context = linear(decoder.context, seen + meant)
        memory = cell(decoder.sentence_lstm, context, memory)
        topic = tanh(plus(linear(decoder.topic_of_hidden, memory[0]), linear(decoder.topic_of_context, context)))
        planned.append(Planned(topic, stop_logit(decoder.stop, before, memory[0]), at_patches, at_tags))
    return planned


@torch.no_grad()
def test_the_plan_equals_the_equations(decoder: CoAttentionDecoder, features: VisualFeatures) -> None:
    plan, expected = decoder.plan(features, 2), _plan(decoder, features)
    tags, kept = _tags(decoder, features)
    close(plan.extra["tags"][0], tags)
    assert plan.extra["kept_tags"][0].tolist() == kept
    close(plan.topics[0].flatten(), [value for each in expected for value in each.topic])
    close(plan.stop[0], [each.stop for each in expected])
    assert plan.attention is not None
    close(plan.attention[0].flatten(), [share for each in expected for share in [*each.at_patches, 0.0]])
    close(plan.extra["tag_attention"][0].flatten(), [share for each in expected for share in each.at_tags])


@torch.no_grad()
def test_the_words_equal_the_equations(decoder: CoAttentionDecoder, features: VisualFeatures) -> None:
    taught, said = decoder.outputs(features, TARGETS), []
    assert decoder.words.embedding is not None
    for each, ids in zip(_plan(decoder, features), (FIRST, SECOND), strict=True):
        said += sentence(decoder.words, each.topic, [1, *ids[:-1]], decoder.words.embedding)
    assert taught.log_probs is not None
    close(taught.log_probs.flatten(), [value for log_probs in said for value in log_probs])


@torch.no_grad()
def test_the_losses_equal_the_equations(decoder: CoAttentionDecoder, features: VisualFeatures) -> None:
    """Tags against the multi-hot divided by its sum; both attentions should come to 1; all beside five words."""
    first, second = _plan(decoder, features)
    shares, _ = _tags(decoder, features)
    terms = {name: mean for name, (mean, _) in taught_terms(decoder.outputs(features, TARGETS)).items()}
    close(terms["tag"], -(shares[0] + shares[3]) / 2 / 5)
    close(terms["stop"], -(math.log(1 - sigmoid(first.stop)) + math.log(sigmoid(second.stop))) / 5)
    looks = [*plus(first.at_patches, second.at_patches), *plus(first.at_tags, second.at_tags)]
    close(terms["coverage"], sum((1 - total) ** 2 for total in looks) / 5)


@torch.no_grad()
def test_a_study_without_a_tag_teaches_no_tag(decoder: CoAttentionDecoder, features: VisualFeatures) -> None:
    targets = Targets(TARGETS.token_ids, TARGETS.mask, tags=torch.zeros(1, TAGS))
    assert taught_terms(decoder.outputs(features, targets))["tag"][0] == 0


def test_studies_without_tags_are_refused(decoder: CoAttentionDecoder, features: VisualFeatures) -> None:
    with pytest.raises(IncompatibleError, match=r"co_attention without tags.*set decoder\.tags"):
        decoder.outputs(features, Targets(TARGETS.token_ids, TARGETS.mask))


def test_no_more_tags_are_kept_than_there_are() -> None:
    assert build_decoder("co_attention", vocabulary=V, width=WIDTH, sentence_end=STOP, tag_count=3).kept_tags == 3
