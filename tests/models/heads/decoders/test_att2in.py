"""Att2in against its equations over plain floats."""

from __future__ import annotations

import math

import torch

from contrastcxr.losses.base import Targets
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.att2in import Att2inDecoder
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
    return build_decoder("att2in", vocabulary=V, width=WIDTH, embedding=EMBEDDING, hidden=HIDDEN).eval()


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


def _taught(decoder: Att2inDecoder, own_words: float) -> torch.Tensor:
    ids = torch.tensor([[1, 4, 6, 5, 2]])
    targets = Targets(ids, torch.ones(1, 4, dtype=torch.bool), own_words=own_words)
    taught = decoder.outputs(one_study(width=WIDTH), targets).log_probs
    assert taught is not None
    return taught


@torch.no_grad()
def test_scheduled_sampling_feeds_what_the_decoder_has_just_said() -> None:
    """A decoder that always says word 3 goes on as if the report had said so; at share 0 it hears the report."""
    decoder = _decoder()
    decoder.output.bias.copy_(torch.tensor([0.0, 0, 0, 200, 0, 0, 0]))
    features = one_study(width=WIDTH)
    assert torch.equal(_taught(decoder, own_words=0.0), decoder(features, torch.tensor([[1, 4, 6, 5, 2]]))[0])
    assert torch.allclose(_taught(decoder, own_words=1.0), decoder(features, torch.tensor([[1, 3, 3, 3, 2]]))[0])


@torch.no_grad()
def test_scheduled_sampling_draws_anew_for_each_report_and_place() -> None:
    decoder, words, heard = _decoder(), 40, []
    decoder.output.bias.copy_(torch.tensor([0.0, 0, 0, 200, 0, 0, 0]))
    look = decoder.look
    decoder.look = lambda word, *rest: (heard.append(word), look(word, *rest))[1]  # type: ignore[method-assign,assignment]
    ids = torch.full((1, words), 4)
    torch.manual_seed(0)
    targets = Targets(ids, torch.ones(1, words - 1, dtype=torch.bool), own_words=0.25)
    decoder.outputs(one_study(width=WIDTH), targets)
    own = [torch.equal(word[0], decoder.embedding.weight[3]) for word in heard]
    assert not own[0]
    assert 3 <= sum(own) <= 18  # about a quarter of 38
