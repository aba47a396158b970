"""NIC against the LSTM equations, unit by unit."""

from __future__ import annotations

import torch
from torch import Tensor

from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.nic import NicDecoder
from plain_floats import linear, log_softmax, one_way

V, WIDTH, HIDDEN = 7, 4, 3


def _reference(decoder: NicDecoder, pooled: Tensor, prefix: list[int]) -> list[float]:
    """Log-probabilities after `prefix`: the image first, then the words."""
    image = linear(decoder.image, pooled.tolist())
    *_, last = one_way(decoder.words.lstm, [image, *(decoder.words.embedding.weight[w].tolist() for w in prefix)])
    return log_softmax(linear(decoder.words.output, last))


def test_each_step_equals_the_equations() -> None:
    torch.manual_seed(0)
    decoder = build_decoder("nic", vocabulary=V, width=WIDTH, embedding=5, hidden=HIDDEN).eval()
    patches = torch.randn(1, 3, WIDTH)
    mask = torch.ones(1, 3, dtype=torch.bool)
    features = VisualFeatures(patches, masked_mean(patches, mask), mask)
    ids = torch.tensor([[1, 4, 6, 2]])
    with torch.no_grad():
        found = decoder(features, ids)
        for place in range(3):
            expected = _reference(decoder, features.pooled[0], ids[0, : place + 1].tolist())
            torch.testing.assert_close(found[0, place], torch.tensor(expected))


def test_only_the_global_feature_is_looked_at() -> None:
    decoder = build_decoder("nic", vocabulary=V, width=WIDTH, embedding=5, hidden=HIDDEN).eval()
    mask = torch.ones(1, 3, dtype=torch.bool)
    pooled, ids = torch.randn(1, WIDTH), torch.tensor([[1, 4]])
    one = VisualFeatures(torch.randn(1, 3, WIDTH), pooled, mask)
    other = one.replace(patches=torch.randn(1, 3, WIDTH))
    assert torch.equal(decoder(one, ids), decoder(other, ids))
    assert decoder.step(torch.tensor([1]), decoder.start(one)).attention is None
