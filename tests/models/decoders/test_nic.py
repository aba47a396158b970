"""NIC against the LSTM equations, unit by unit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from contrastcxr.models.decoders.nic import NicDecoder
from contrastcxr.models.features import VisualFeatures, masked_mean

V, WIDTH, HIDDEN = 7, 4, 3


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _lstm(decoder: NicDecoder, x: list[float], h: list[float], c: list[float]) -> tuple[list[float], list[float]]:
    """`i, f, g, o` of each unit from its own rows of the two weight matrices."""
    lstm = decoder.words.lstm
    new_h, new_c = [], []
    for unit in range(HIDDEN):
        gates = []
        for gate in range(4):
            row = gate * HIDDEN + unit
            total = lstm.bias_ih_l0[row].item() + lstm.bias_hh_l0[row].item()
            total += sum(w * v for w, v in zip(lstm.weight_ih_l0[row].tolist(), x, strict=True))
            total += sum(w * v for w, v in zip(lstm.weight_hh_l0[row].tolist(), h, strict=True))
            gates.append(total)
        cell = _sigmoid(gates[1]) * c[unit] + _sigmoid(gates[0]) * math.tanh(gates[2])
        new_c.append(cell)
        new_h.append(_sigmoid(gates[3]) * math.tanh(cell))
    return new_h, new_c


def _linear(layer: torch.nn.Linear, x: list[float]) -> list[float]:
    rows = zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
    return [b + sum(w * v for w, v in zip(row, x, strict=True)) for row, b in rows]


def _reference(decoder: NicDecoder, pooled: Tensor, prefix: list[int]) -> list[float]:
    """Log-probabilities after `prefix`: the image first, then the words."""
    h, c = [0.0] * HIDDEN, [0.0] * HIDDEN
    for x in (
        _linear(decoder.image, pooled.tolist()),
        *(decoder.words.embedding.weight[w].tolist() for w in prefix),
    ):
        h, c = _lstm(decoder, x, h, c)
    logits = _linear(decoder.words.output, h)
    total = math.log(sum(math.exp(v) for v in logits))
    return [v - total for v in logits]


def test_each_step_equals_the_equations() -> None:
    torch.manual_seed(0)
    decoder = NicDecoder(V, WIDTH, embedding=5, hidden=HIDDEN).eval()
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
    decoder = NicDecoder(V, WIDTH, embedding=5, hidden=HIDDEN).eval()
    mask = torch.ones(1, 3, dtype=torch.bool)
    pooled, ids = torch.randn(1, WIDTH), torch.tensor([[1, 4]])
    one = VisualFeatures(torch.randn(1, 3, WIDTH), pooled, mask)
    other = one.replace(patches=torch.randn(1, 3, WIDTH))
    assert torch.equal(decoder(one, ids), decoder(other, ids))
    assert decoder.step(torch.tensor([1]), decoder.start(one)).attention is None
