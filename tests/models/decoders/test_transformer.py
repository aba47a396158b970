"""The transformer against plain loops over places and heads, and its norm against the formula."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.blocks.attention import PatchAttention, SelfAttention
from contrastcxr.models.blocks.norm import UnbiasedLayerNorm
from contrastcxr.models.decoders.transformer import TransformerDecoder, sinusoidal_positions
from contrastcxr.models.features import VisualFeatures, masked_mean

V, D, HEADS, N = 11, 8, 2, 4


@pytest.fixture
def decoder() -> TransformerDecoder:
    torch.manual_seed(0)
    decoder = TransformerDecoder(V, D, layers=2, heads=HEADS, feed_forward=6, max_positions=16).eval()
    for name, parameter in decoder.named_parameters():
        if name.endswith(("norm.weight", "norm.bias")):
            nn.init.normal_(parameter)  # fresh norms are the identity and would hide a swap
    return decoder


@pytest.fixture
def features() -> VisualFeatures:
    patches = torch.randn(1, N, D, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[True, True, True, False]])
    return VisualFeatures(patches, masked_mean(patches, mask), mask)


def _norm(layer: UnbiasedLayerNorm, x: Tensor) -> Tensor:
    mean, std = statistics.fmean(x.tolist()), statistics.stdev(x.tolist())
    return layer.weight * (x - mean) / (std + 1e-6) + layer.bias


def _heads(query: Tensor, keys: list[Tensor], values: list[Tensor], out: nn.Linear) -> tuple[Tensor, list[Tensor]]:
    """Each head: softmax of scaled products, weighted sum of values; joined and mapped."""
    size, joined, shares = D // HEADS, [], []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        scores = torch.stack([query[part] @ key[part] / math.sqrt(size) for key in keys])
        weights = torch.softmax(scores, dim=0)
        shares.append(weights)
        joined.append(sum((w * v[part] for w, v in zip(weights, values, strict=True)), torch.zeros(size)))
    return out(torch.cat(joined)), shares


def _self(attention: SelfAttention, xs: list[Tensor], place: int, seen: list[int]) -> Tensor:
    weight, bias = attention.query_key_value.weight, attention.query_key_value.bias
    maps = [(weight[i * D : (i + 1) * D], bias[i * D : (i + 1) * D]) for i in range(3)]
    query, keys, values = ([w @ x + b for x in xs] for w, b in maps)
    return _heads(query[place], [keys[i] for i in seen], [values[i] for i in seen], attention.out)[0]


def _cross(attention: PatchAttention, x: Tensor, memory: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    weight, bias = attention.key_value.weight, attention.key_value.bias
    keys = [weight[:D] @ m + bias[:D] for m in memory]
    values = [weight[D:] @ m + bias[D:] for m in memory]
    return _heads(attention.query(x), keys, values, attention.out)


def _feed_forward(layers: nn.Sequential, x: Tensor) -> Tensor:
    widen, narrow = layers[0], layers[3]
    return narrow.weight @ torch.clamp(widen.weight @ x + widen.bias, min=0) + narrow.bias  # type: ignore[operator]


def _encode(decoder: TransformerDecoder, features: VisualFeatures) -> list[Tensor]:
    real = features.mask[0].nonzero().flatten().tolist()
    linear = decoder.patch_embedding[0]  # type: ignore[index]
    xs = [torch.clamp(linear(features.patches[0, i]), min=0) for i in real]
    for layer in decoder.encoder:
        normed = [_norm(layer.attention_norm, x) for x in xs]
        xs = [x + _self(layer.attention, normed, i, list(range(len(xs)))) for i, x in enumerate(xs)]
        xs = [x + _feed_forward(layer.feed_forward, _norm(layer.feed_forward_norm, x)) for x in xs]
    return [_norm(decoder.encoder_norm, x) for x in xs]


def _reference(decoder: TransformerDecoder, features: VisualFeatures, prefix: list[int]) -> tuple[Tensor, Tensor]:
    """Log-probabilities after `prefix` and the last layer's mean attention over real patches."""
    memory, shares = _encode(decoder, features), []
    xs = [decoder.embedding.weight[w] * math.sqrt(D) + _position(place) for place, w in enumerate(prefix)]
    for layer in decoder.decoder:
        normed = [_norm(layer.token_norm, x) for x in xs]
        xs = [x + _self(layer.tokens, normed, i, list(range(i + 1))) for i, x in enumerate(xs)]
        answers = [_cross(layer.patches, _norm(layer.patch_norm, x), memory) for x in xs]
        xs = [x + answer for x, (answer, _) in zip(xs, answers, strict=True)]
        xs = [x + _feed_forward(layer.feed_forward, _norm(layer.feed_forward_norm, x)) for x in xs]
        shares = answers[-1][1]
    logits = decoder.output(_norm(decoder.decoder_norm, xs[-1]))
    return logits - torch.logsumexp(logits, 0), torch.stack(shares).mean(dim=0)


def _position(place: int) -> Tensor:
    angles = [place / 10000 ** (2 * (column // 2) / D) for column in range(D)]
    return torch.tensor([math.cos(a) if column % 2 else math.sin(a) for column, a in enumerate(angles)])


@torch.no_grad()
def test_each_step_equals_plain_loops(decoder: TransformerDecoder, features: VisualFeatures) -> None:
    ids, state = [1, 5, 3, 8], decoder.start(features)
    for place, token in enumerate(ids):
        output = decoder.step(torch.tensor([token]), state)
        state = output.state
        log_probs, attention = _reference(decoder, features, ids[: place + 1])
        torch.testing.assert_close(output.log_probs[0], log_probs, atol=1e-5, rtol=1e-5)
        assert output.attention is not None
        torch.testing.assert_close(output.attention[0, :3], attention, atol=1e-5, rtol=1e-5)
        assert output.attention[0, 3] == 0


@torch.no_grad()
def test_teacher_forcing_equals_plain_loops(decoder: TransformerDecoder, features: VisualFeatures) -> None:
    ids = [1, 5, 3, 8, 2]
    found = decoder(features, torch.tensor([ids]))
    for place in range(4):
        expected, _ = _reference(decoder, features, ids[: place + 1])
        torch.testing.assert_close(found[0, place], expected, atol=1e-5, rtol=1e-5)


def test_norm_uses_the_unbiased_deviation_with_eps_added_to_it() -> None:
    norm = UnbiasedLayerNorm(4)
    x = torch.tensor([1.0, 2.0, 4.0, 9.0])
    torch.testing.assert_close(norm(x), (x - 4) / (statistics.stdev([1, 2, 4, 9]) + 1e-6))
    assert not torch.allclose(norm(x), nn.functional.layer_norm(x, (4,)), atol=1e-2)


def test_norm_of_an_all_equal_row_is_its_bias_with_a_finite_gradient() -> None:
    norm = UnbiasedLayerNorm(4)
    x = torch.zeros(2, 4, requires_grad=True)
    norm(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_positions_are_sines_and_cosines() -> None:
    torch.testing.assert_close(sinusoidal_positions(9, D)[7], _position(7))
    assert sinusoidal_positions(3, 5).shape == (3, 5)


def test_without_patch_embedding_the_patches_enter_as_they_are() -> None:
    plain = TransformerDecoder(V, D, heads=HEADS, patch_embedding=False)
    assert isinstance(plain.patch_embedding, nn.Identity)


def test_the_cache_grows_past_its_first_room(features: VisualFeatures) -> None:
    decoder = TransformerDecoder(V, D, layers=1, heads=HEADS, feed_forward=6).eval()
    ids = torch.randint(3, V, (1, 71), generator=torch.Generator().manual_seed(0))
    expected, state = decoder(features, ids), decoder.start(features)
    for place in range(70):
        output = decoder.step(ids[:, place], state)
        state = output.state
    torch.testing.assert_close(output.log_probs, expected[:, -1], atol=1e-5, rtol=1e-5)


def test_more_tokens_than_positions_are_refused(decoder: TransformerDecoder, features: VisualFeatures) -> None:
    with pytest.raises(IncompatibleError, match=r"17 tokens in a row; this decoder has 16 positions"):
        decoder(features, torch.zeros(1, 18, dtype=torch.int64))


def test_a_width_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="width 10 cannot be shared among 4 heads"):
        TransformerDecoder(V, 10, heads=4)
