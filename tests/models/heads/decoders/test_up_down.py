"""Up-Down against its equations over plain floats."""

from __future__ import annotations

import torch

from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.up_down import UpDownDecoder
from plain_floats import Vector, attend, cell, close, linear, log_softmax, one_study, real_patches, zeros

V, WIDTH, EMBEDDING, HIDDEN, ATTENTION = 7, 4, 5, 3, 6
IDS = [1, 4, 6]


def _reference(decoder: UpDownDecoder, features: VisualFeatures) -> list[tuple[Vector, Vector]]:
    """Log-probabilities and attention after each word of `IDS`."""
    pooled, rows = features.pooled[0].tolist(), real_patches(features)
    looking, speaking, answers = zeros(HIDDEN), zeros(HIDDEN), []
    for token in IDS:
        word = decoder.embedding.weight[token].tolist()
        looking = cell(decoder.attention_lstm, speaking[0] + pooled + word, looking)
        seen, weights = attend(decoder.attention, looking[0], rows)
        speaking = cell(decoder.language_lstm, seen + looking[0], speaking)
        answers.append((log_softmax(linear(decoder.output, speaking[0])), weights))
    return answers


@torch.no_grad()
def test_each_step_equals_the_equations() -> None:
    torch.manual_seed(0)
    decoder = build_decoder(
        "up_down", vocabulary=V, width=WIDTH, embedding=EMBEDDING, hidden=HIDDEN, attention=ATTENTION
    ).eval()
    features = one_study(width=WIDTH)
    state, forced = decoder.start(features), decoder(features, torch.tensor([[*IDS, 2]]))
    for place, (log_probs, weights) in enumerate(_reference(decoder, features)):
        output = decoder.step(torch.tensor(IDS[place : place + 1]), state)
        state = output.state
        close(output.log_probs[0], log_probs)
        close(forced[0, place], log_probs)
        assert output.attention is not None
        close(output.attention[0], [*weights, 0.0])
