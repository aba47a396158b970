"""Pieces of the decoders' equations over plain floats: lists and loops, no tensor operation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from contrastcxr.models.blocks.additive_attention import AdditiveAttention
from contrastcxr.models.features import VisualFeatures, masked_mean
from contrastcxr.models.heads.decoders.hierarchical import StopGate
from contrastcxr.models.heads.decoders.word_lstm import WordLstm

Vector = list[float]
Memory = tuple[Vector, Vector]
"""h and c of an LSTM layer."""


def one_study(*, width: int, patches: int = 4, seed: int = 1) -> VisualFeatures:
    """One study whose last patch is masked, and not zero."""
    rows = torch.randn(1, patches, width, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(1, patches, dtype=torch.bool)
    mask[0, -1] = False
    return VisualFeatures(rows, masked_mean(rows, mask), mask)


def real_patches(features: VisualFeatures) -> list[Vector]:
    return [row for row, real in zip(features.patches[0].tolist(), features.mask[0].tolist(), strict=True) if real]


def close(found: Tensor, expected: Sequence[float]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-5, rtol=1e-4)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def dot(x: Vector, y: Vector) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def plus(*vectors: Vector) -> Vector:
    return [sum(parts) for parts in zip(*vectors, strict=True)]


def times(x: Vector, y: Vector) -> Vector:
    return [a * b for a, b in zip(x, y, strict=True)]


def scaled(factor: float, x: Vector) -> Vector:
    return [factor * a for a in x]


def tanh(x: Vector) -> Vector:
    return [math.tanh(a) for a in x]


def relu(x: Vector) -> Vector:
    return [max(a, 0.0) for a in x]


def linear(layer: nn.Module, x: Vector) -> Vector:
    assert isinstance(layer, nn.Linear)
    products = [dot(row, x) for row in layer.weight.tolist()]
    return products if layer.bias is None else plus(products, layer.bias.tolist())


def softmax(scores: Vector) -> Vector:
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def log_softmax(logits: Vector) -> Vector:
    total = math.log(sum(math.exp(logit) for logit in logits))
    return [logit - total for logit in logits]


def mixed(weights: Vector, rows: Sequence[Vector]) -> Vector:
    """`Σ w_i x_i`."""
    return plus(*(scaled(weight, row) for weight, row in zip(weights, rows, strict=True)))


def attend(attention: AdditiveAttention, query: Vector, rows: Sequence[Vector]) -> tuple[Vector, Vector]:
    """`e_i = w^T tanh(W_q q + W_k x_i)`; the mix of the rows, and its weights."""
    asked = linear(attention.query, query)
    scores = [dot(attention.score.weight[0].tolist(), tanh(plus(asked, linear(attention.key, x)))) for x in rows]
    weights = softmax(scores)
    return mixed(weights, rows), weights


def cell(lstm: nn.LSTMCell, x: Vector, memory: Memory) -> Memory:
    """One step of an LSTM cell."""
    return _unit_by_unit((lstm.weight_ih, lstm.weight_hh, lstm.bias_ih, lstm.bias_hh), x, memory)


def stacked(lstm: nn.LSTM, x: Vector, memories: Sequence[Memory]) -> list[Memory]:
    """One step of a stack of LSTM layers, each fed the h of the one below."""
    after: list[Memory] = []
    for layer, memory in enumerate(memories):
        names = (f"{name}_l{layer}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        after.append(_unit_by_unit(tuple(getattr(lstm, name) for name in names), x, memory))
        x = after[-1][0]
    return after


def one_way(lstm: nn.LSTM, xs: Sequence[Vector], *, direction: str = "") -> list[Vector]:
    """h after each of `xs`, by the first layer of one direction (`_reverse` holds the weights of the other)."""
    names = (f"{name}_l0{direction}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    parameters, memory, answers = tuple(getattr(lstm, name) for name in names), zeros(lstm.hidden_size), []
    for x in xs:
        memory = _unit_by_unit(parameters, x, memory)
        answers.append(memory[0])
    return answers


def _unit_by_unit(parameters: tuple[Tensor, ...], x: Vector, memory: Memory) -> Memory:
    """`i, f, g, o` of each unit from its own rows; `c ← f c + i g`, `h ← o tanh(c)`."""
    of_input, of_hidden, bias_input, bias_hidden = (parameter.tolist() for parameter in parameters)
    h, c = memory
    size, new_h, new_c = len(h), [], []
    for unit in range(size):
        rows = [gate * size + unit for gate in range(4)]
        sums = [dot(of_input[r], x) + dot(of_hidden[r], h) + bias_input[r] + bias_hidden[r] for r in rows]
        kept = sigmoid(sums[1]) * c[unit] + sigmoid(sums[0]) * math.tanh(sums[2])
        new_c.append(kept)
        new_h.append(sigmoid(sums[3]) * math.tanh(kept))
    return new_h, new_c


def zeros(size: int) -> Memory:
    return [0.0] * size, [0.0] * size


def stop_logit(gate: StopGate, before: Vector, now: Vector) -> float:
    """`softmax(W_stop tanh(W_1 h_{s-1} + W_2 h_s))` over go on, stop: the log-odds of the second."""
    go_on, stop = softmax(linear(gate.choice, tanh(plus(linear(gate.before, before), linear(gate.now, now)))))
    return math.log(stop / go_on)


def sentence(
    words: WordLstm, topic: Vector, ids: Sequence[int], embedding: nn.Embedding, shift: Vector | None = None
) -> list[Vector]:
    """Log-probabilities after each of `ids`: the topic first, its answer dropped, then the words."""
    memories = [zeros(words.lstm.hidden_size) for _ in range(words.lstm.num_layers)]
    memories, answers = stacked(words.lstm, topic, memories), []
    for token in ids:
        vector = embedding.weight[token].tolist()
        memories = stacked(words.lstm, vector if shift is None else plus(vector, shift), memories)
        answers.append(log_softmax(linear(words.output, memories[-1][0])))
    return answers
