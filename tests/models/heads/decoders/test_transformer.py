"""The transformer against plain loops over places and heads, and its norm against the formula."""

from __future__ import annotations

import statistics

import pytest
import torch
from torch import Tensor, nn

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.blocks.norm import UnbiasedLayerNorm
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.build import build_decoder
from contrastcxr.models.heads.decoders.transformer import TransformerDecoder, sinusoidal_positions
from plain_transformer import (
    encoded,
    feed_forward,
    four_patches,
    norm,
    patch_attention,
    position,
    self_attention,
    word,
)

V, D, HEADS = 11, 8, 2


@pytest.fixture
def decoder() -> TransformerDecoder:
    torch.manual_seed(0)
    decoder = build_decoder("transformer", vocabulary=V, width=D, layers=2, heads=HEADS, feed_forward=6).eval()
    for name, parameter in decoder.named_parameters():
        if name.endswith(("norm.weight", "norm.bias")):
            nn.init.normal_(parameter)  # fresh norms are the identity and would hide a swap
    return decoder


@pytest.fixture
def features() -> VisualFeatures:
    return four_patches(D)


def _reference(decoder: TransformerDecoder, features: VisualFeatures, prefix: list[int]) -> tuple[Tensor, Tensor]:
    """Log-probabilities after `prefix` and the last layer's mean attention over real patches."""
    patches, share = encoded(decoder, features, HEADS), torch.empty(0)
    xs = [word(decoder, token, place) for place, token in enumerate(prefix)]
    for layer in decoder.layers():
        normed = [norm(layer.token_norm, x) for x in xs]
        xs = [x + self_attention(layer.tokens, normed[i], normed[: i + 1], HEADS) for i, x in enumerate(xs)]
        answers = [patch_attention(layer.patches, norm(layer.patch_norm, x), patches, HEADS) for x in xs]
        xs = [x + answer for x, (answer, _) in zip(xs, answers, strict=True)]
        xs = [x + feed_forward(layer.feed_forward, norm(layer.feed_forward_norm, x)) for x in xs]
        share = answers[-1][1]
    logits = decoder.output(norm(decoder.decoder_norm, xs[-1]))
    return logits - torch.logsumexp(logits, 0), share


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
    layer = UnbiasedLayerNorm(4)
    x = torch.tensor([1.0, 2.0, 4.0, 9.0])
    torch.testing.assert_close(layer(x), (x - 4) / (statistics.stdev([1, 2, 4, 9]) + 1e-6))
    assert not torch.allclose(layer(x), nn.functional.layer_norm(x, (4,)), atol=1e-2)


def test_norm_of_an_all_equal_row_is_its_bias_with_a_finite_gradient() -> None:
    layer = UnbiasedLayerNorm(4)
    x = torch.zeros(2, 4, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_positions_are_sines_and_cosines() -> None:
    torch.testing.assert_close(sinusoidal_positions(9, D)[7], position(7, D))
    assert sinusoidal_positions(3, 5).shape == (3, 5)


def test_without_patch_embedding_the_patches_enter_as_they_are() -> None:
    plain = build_decoder("transformer", vocabulary=V, width=D, heads=HEADS, patches_embedded=True)
    assert isinstance(plain.patch_embedding, nn.Identity)


def test_the_cache_grows_past_its_first_room(features: VisualFeatures) -> None:
    decoder = build_decoder("transformer", vocabulary=V, width=D, layers=1, heads=HEADS, feed_forward=6).eval()
    ids = torch.randint(3, V, (1, 71), generator=torch.Generator().manual_seed(0))
    expected, state = decoder(features, ids), decoder.start(features)
    for place in range(70):
        output = decoder.step(ids[:, place], state)
        state = output.state
    torch.testing.assert_close(output.log_probs, expected[:, -1], atol=1e-5, rtol=1e-5)


def test_more_tokens_than_positions_are_refused(decoder: TransformerDecoder, features: VisualFeatures) -> None:
    with pytest.raises(IncompatibleError, match=r"513 tokens in a row; this decoder has 512 positions"):
        decoder(features, torch.zeros(1, 514, dtype=torch.int64))


def test_a_width_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="width 10 cannot be shared among 4 heads"):
        build_decoder("transformer", vocabulary=V, width=10, heads=4)
