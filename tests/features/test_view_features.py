"""Raw features of single views: what the cache holds is what the encoder makes of them now."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from mini_data import mini_config, mini_study

from contrastcxr.assemble import make_encoder, make_preprocess
from contrastcxr.data.pixels import Picture
from contrastcxr.data.transforms import Preprocess
from contrastcxr.features.cache import encode_views
from contrastcxr.features.view_features import CachedFeatures, EncodedFeatures
from contrastcxr.form import View
from contrastcxr.models.encoders import Encoder

VIEWS = [mini_study(i, split="train").views[0] for i in range(3)]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return make_encoder(mini_config())


@pytest.fixture(scope="module")
def preprocess(encoder: Encoder) -> Preprocess:
    return make_preprocess(mini_config(), encoder)


@pytest.fixture(scope="module")
def cached(encoder: Encoder, preprocess: Preprocess, tmp_path_factory: pytest.TempPathFactory) -> CachedFeatures:
    root: Path = tmp_path_factory.mktemp("cache")
    return CachedFeatures(encode_views(VIEWS, encoder=encoder, preprocess=preprocess, root=root)[0])


def test_cached_and_fresh_features_are_the_same_to_half_precision(
    encoder: Encoder, preprocess: Preprocess, cached: CachedFeatures
) -> None:
    fresh = EncodedFeatures(encoder, preprocess)
    for view in VIEWS:
        torch.testing.assert_close(cached.patches(view), fresh.patches(view), atol=2e-3, rtol=2e-3)
        torch.testing.assert_close(cached.pooled(view), fresh.pooled(view), atol=2e-3, rtol=2e-3)


def test_patches_are_float_rows_and_pooled_is_their_mean(encoder: Encoder, cached: CachedFeatures) -> None:
    patches = cached.patches(VIEWS[0])
    assert patches.dtype == torch.float32
    assert patches.shape == (encoder.grid[0] * encoder.grid[1], encoder.channels)
    rows = patches.tolist()
    means = [sum(row[c] for row in rows) / len(rows) for c in range(encoder.channels)]
    np.testing.assert_allclose(cached.pooled(VIEWS[0]).numpy(), means, atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_an_encoder_that_trains_is_asked_in_eval_mode_and_left_as_it_was(
    preprocess: Preprocess, training: bool
) -> None:
    wanted = {"name": "test_efficientnet", "weights": "random", "trainable": True, "train_norm": True}
    encoder = make_encoder(mini_config(encoder=wanted)).train(training)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    found = EncodedFeatures(encoder, preprocess).patches(VIEWS[1])
    assert encoder.training is training
    assert not found.requires_grad
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    torch.testing.assert_close(found, EncodedFeatures(encoder.eval(), preprocess).patches(VIEWS[1]))


def test_fresh_features_follow_the_pixels_they_are_given(encoder: Encoder, preprocess: Preprocess) -> None:
    def black(_: View) -> Picture:
        return Picture(np.zeros((64, 64), np.float32), (64, 64))

    seen = EncodedFeatures(encoder, preprocess, picture_of=black)
    assert torch.equal(seen.patches(VIEWS[0]), seen.patches(VIEWS[1]))
    assert not torch.equal(seen.patches(VIEWS[0]), EncodedFeatures(encoder, preprocess).patches(VIEWS[0]))


def test_a_view_that_was_never_encoded_is_not_made_up(cached: CachedFeatures) -> None:
    with pytest.raises(KeyError):
        cached.pooled(mini_study(9, split="train").views[0])
