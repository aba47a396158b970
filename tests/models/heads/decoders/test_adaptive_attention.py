"""Spatial and adaptive attention against their equations over plain floats."""

from __future__ import annotations

import math

import pytest
import torch

from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.adaptive_attention import AdaptiveAttentionDecoder, SpatialAttentionDecoder
from plain_floats import (
    Memory,
    Vector,
    cell,
    close,
    dot,
    linear,
    log_softmax,
    mixed,
    one_study,
    plus,
    real_patches,
    relu,
    scaled,
    sigmoid,
    softmax,
    tanh,
    times,
    zeros,
)

V, WIDTH, EMBEDDING, HIDDEN = 7, 4, 5, 3
IDS = [1, 4, 6]
Step = tuple[Vector, Vector]


@pytest.fixture
def features() -> VisualFeatures:
    return one_study(width=WIDTH)


def _built(kind: str) -> SpatialAttentionDecoder:
    torch.manual_seed(0)
    return build_decoder(kind, vocabulary=V, width=WIDTH, embedding=EMBEDDING, hidden=HIDDEN).eval()


def _score(decoder: SpatialAttentionDecoder, key: Vector, hidden: Vector) -> float:
    """`w_h^T tanh(key + W_g h_t)`."""
    return dot(decoder.score.weight[0].tolist(), tanh(plus(key, linear(decoder.query, hidden))))


def _sentinel(decoder: AdaptiveAttentionDecoder, inputs: Vector, before: Vector, memory: Memory) -> Vector:
    """`s_t = σ(W_x x_t + W_h h_{t-1}) ⊙ tanh(m_t)`."""
    gate = plus(linear(decoder.gate_of_input, inputs), linear(decoder.gate_of_hidden, before))
    return times([sigmoid(g) for g in gate], tanh(memory[1]))


def _reference(decoder: SpatialAttentionDecoder, features: VisualFeatures) -> list[Step]:
    """Log-probabilities and attention over the patches after each word of `IDS`."""
    rows = [relu(linear(decoder.patch, row)) for row in real_patches(features)]
    everywhere = relu(linear(decoder.pooled, features.pooled[0].tolist()))
    memory, answers = zeros(HIDDEN), []
    for token in IDS:
        inputs, before = decoder.embedding.weight[token].tolist() + everywhere, memory[0]
        memory = cell(decoder.lstm, inputs, memory)
        scores = [_score(decoder, linear(decoder.key, row), memory[0]) for row in rows]
        context = mixed(softmax(scores), rows)
        if isinstance(decoder, AdaptiveAttentionDecoder):
            sentinel = _sentinel(decoder, inputs, before, memory)
            own = _score(decoder, linear(decoder.sentinel_key, sentinel), memory[0])
            beta = math.exp(own) / sum(math.exp(score) for score in [*scores, own])
            context = plus(scaled(beta, sentinel), scaled(1 - beta, context))
        answers.append((log_softmax(linear(decoder.output, plus(context, memory[0]))), softmax(scores)))
    return answers


@torch.no_grad()
@pytest.mark.parametrize("kind", ["spatial_attention", "adaptive_attention"])
def test_each_step_equals_the_equations(kind: str, features: VisualFeatures) -> None:
    decoder = _built(kind)
    state, forced = decoder.start(features), decoder(features, torch.tensor([[*IDS, 2]]))
    for place, (log_probs, weights) in enumerate(_reference(decoder, features)):
        output = decoder.step(torch.tensor(IDS[place : place + 1]), state)
        state = output.state
        close(output.log_probs[0], log_probs)
        close(forced[0, place], log_probs)
        assert output.attention is not None
        close(output.attention[0], [*weights, 0.0])


@torch.no_grad()
def test_the_sentinel_is_what_tells_the_two_apart(features: VisualFeatures) -> None:
    adaptive, spatial = _built("adaptive_attention"), _built("spatial_attention")
    spatial.load_state_dict(adaptive.state_dict(), strict=False)
    ids = torch.tensor([[1, 4, 2]])
    assert not torch.allclose(adaptive(features, ids), spatial(features, ids), atol=1e-3)
    one, other = (decoder.step(ids[:, 0], decoder.start(features)) for decoder in (adaptive, spatial))
    assert torch.equal(one.attention, other.attention)
