"""Show, Attend and Tell against its equations over plain floats."""

from __future__ import annotations

import pytest
import torch

from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.outputs import taught_terms
from contrastcxr.models.heads.decoders.visual_attention import VisualAttentionDecoder
from plain_floats import (
    Vector,
    attend,
    cell,
    close,
    dot,
    linear,
    log_softmax,
    one_study,
    plus,
    real_patches,
    scaled,
    sigmoid,
    tanh,
)

V, WIDTH, EMBEDDING, HIDDEN = 7, 4, 5, 3
IDS = [1, 4, 6, 5]


@pytest.fixture
def decoder() -> VisualAttentionDecoder:
    torch.manual_seed(0)
    return build_decoder("visual_attention", vocabulary=V, width=WIDTH, embedding=EMBEDDING, hidden=HIDDEN).eval()


def _reference(decoder: VisualAttentionDecoder, features: VisualFeatures) -> list[tuple[Vector, Vector]]:
    """Log-probabilities and attention after each word of `IDS`."""
    pooled, rows = features.pooled[0].tolist(), real_patches(features)
    memory = tanh(linear(decoder.first_hidden, pooled)), tanh(linear(decoder.first_cell, pooled))
    answers = []
    for token in IDS:
        word = decoder.embedding.weight[token].tolist()
        seen, weights = attend(decoder.attention, memory[0], rows)
        gate = sigmoid(dot(decoder.gate.weight[0].tolist(), memory[0]) + decoder.gate.bias.item())
        seen = scaled(gate, seen)
        memory = cell(decoder.lstm, word + seen, memory)
        deep = plus(word, linear(decoder.from_hidden, memory[0]), linear(decoder.from_patches, seen))
        answers.append((log_softmax(linear(decoder.output, deep)), weights))
    return answers


@torch.no_grad()
def test_each_step_equals_the_equations(decoder: VisualAttentionDecoder) -> None:
    features = one_study(width=WIDTH)
    state, forced = decoder.start(features), decoder(features, torch.tensor([[*IDS, 2]]))
    for place, (log_probs, weights) in enumerate(_reference(decoder, features)):
        output = decoder.step(torch.tensor(IDS[place : place + 1]), state)
        state = output.state
        close(output.log_probs[0], log_probs)
        close(forced[0, place], log_probs)
        assert output.attention is not None
        close(output.attention[0], [*weights, 0.0])


@torch.no_grad()
def test_coverage_sums_the_attention_of_real_words_only(decoder: VisualAttentionDecoder) -> None:
    """The last of four words is padding; the masked patch is in no sum."""
    features = one_study(width=WIDTH)
    ids = torch.tensor([[*IDS, 0]])
    taught = decoder.outputs(features, Targets(ids, torch.tensor([[True, True, True, False]])))
    totals = plus(*(weights for _, weights in _reference(decoder, features)[:3]))
    close(taught.attention["patches"][0][0], [*totals, 0.0])
    mean, count = taught_terms(taught)["coverage"]
    close(mean, sum((1 - total) ** 2 for total in totals) / 3)
    assert count == 1
