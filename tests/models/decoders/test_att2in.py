"""Att2in against its equations over plain floats."""

from __future__ import annotations

import math

import torch

from contrastcxr.models.decoders.att2in import Att2inDecoder
from contrastcxr.models.features import VisualFeatures
from plain_floats import (
    Vector,
    attend,
    close,
    dot,
    linear,
    log_softmax,
    one_study,
    plus,
    real_patches,
    sigmoid,
    zeros,
)

V, WIDTH, EMBEDDING, HIDDEN = 7, 4, 5, 3
IDS = [1, 4, 6]


def _decoder() -> Att2inDecoder:
    torch.manual_seed(0)
    return Att2inDecoder(V, WIDTH, embedding=EMBEDDING, hidden=HIDDEN).eval()


def _reference(decoder: Att2inDecoder, features: VisualFeatures) -> list[tuple[Vector, Vector]]:
    """Log-probabilities and attention after each word of `IDS`; five sums a unit, two of which see the image."""
    (h, c), rows, answers = zeros(HIDDEN), real_patches(features), []
    from_patches = decoder.from_patches.weight.tolist()
    for token in IDS:
        seen, weights = attend(decoder.attention, h, rows)
        heard = plus(
            linear(decoder.from_word, decoder.embedding.weight[token].tolist()), linear(decoder.from_hidden, h)
        )
        new_h, new_c = [], []
        for unit in range(HIDDEN):
            enter, forget, show = (sigmoid(heard[gate * HIDDEN + unit]) for gate in range(3))
            first = heard[3 * HIDDEN + unit] + dot(from_patches[unit], seen)
            second = heard[4 * HIDDEN + unit] + dot(from_patches[HIDDEN + unit], seen)
            new_c.append(forget * c[unit] + enter * max(first, second))
            new_h.append(show * math.tanh(new_c[-1]))
        h, c = new_h, new_c
        answers.append((log_softmax(linear(decoder.output, h)), weights))
    return answers


@torch.no_grad()
def test_each_step_equals_the_equations() -> None:
    decoder, features = _decoder(), one_study(width=WIDTH)
    state, forced = decoder.start(features), decoder(features, torch.tensor([[*IDS, 2]]))
    for place, (log_probs, weights) in enumerate(_reference(decoder, features)):
        output = decoder.step(torch.tensor(IDS[place : place + 1]), state)
        state = output.state
        close(output.log_probs[0], log_probs)
        close(forced[0, place], log_probs)
        assert output.attention is not None
        close(output.attention[0], [*weights, 0.0])


@torch.no_grad()
def test_the_gates_never_see_the_image() -> None:
    """With the way into the cell shut, no picture changes a word."""
    decoder, ids = _decoder(), torch.tensor([[1, 4, 6, 2]])
    decoder.from_patches.weight.zero_()
    assert torch.equal(decoder(one_study(width=WIDTH), ids), decoder(one_study(width=WIDTH, seed=2), ids))
