from __future__ import annotations

import json
import logging
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from mini_data import mini_config, mini_study
from PIL import Image

from contrastcxr.assemble import make_encoder, make_preprocess
from contrastcxr.data.pixels import load_pixels
from contrastcxr.errors import OutputError
from contrastcxr.features import cache as cached
from contrastcxr.features.batch import collate
from contrastcxr.features.cache import FeatureCache, NoFeatures, cache_folder, encode_views
from contrastcxr.features.pictures import whole_picture
from contrastcxr.features.samples import FromCache
from contrastcxr.form import View
from contrastcxr.models.contrast.bank import thumbnails
from contrastcxr.models.encoders import Encoder
from contrastcxr.store.keys import view_key


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return make_encoder(mini_config())


def views(count: int = 5) -> list[View]:
    return [mini_study(i, split="train").views[0] for i in range(count)]


def picture(path: Path, *, seed: int = 0) -> View:
    pixels = np.random.default_rng(seed).integers(0, 255, size=(80, 70), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return View(view_id=path.stem, locator=str(path))


def test_cached_features_are_the_encoders(encoder: Encoder, cache: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    made, failed = encode_views(views(), encoder=encoder, preprocess=preprocess, root=cache)
    assert not failed
    for view in views():
        image, affine = whole_picture(preprocess, load_pixels(view))
        with torch.no_grad():
            expected = encoder(image.unsqueeze(0))[0]
        found = made[view_key(view)]
        assert found.features.dtype == np.float16
        assert np.allclose(found.features, expected.numpy(), atol=2e-3, rtol=2e-3)
        assert np.allclose(found.affine, affine)


def test_a_second_call_encodes_only_what_is_missing(
    encoder: Encoder, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    caplog.set_level(logging.INFO, logger="contrastcxr")
    encode_views(views(3), encoder=encoder, preprocess=preprocess, root=cache)
    encode_views(views(5), encoder=encoder, preprocess=preprocess, root=cache)
    made, _ = encode_views(views(5), encoder=encoder, preprocess=preprocess, root=cache)
    assert [line.split(" to encode")[0] for line in caplog.messages if "to encode" in line] == [
        "features: 3 pictures",
        "features: 2 pictures",
    ]
    assert len(made) == 5


def test_the_size_is_said_before_the_work(encoder: Encoder, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="contrastcxr")
    preprocess = make_preprocess(mini_config(), encoder)
    encode_views(views(1), encoder=encoder, preprocess=preprocess, root=cache)
    assert "pictures to encode" in caplog.messages[0]
    assert "MB in" in caplog.messages[0]


def test_a_shard_without_its_index_is_encoded_again(encoder: Encoder, cache: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(views(2), encoder=encoder, preprocess=preprocess, root=cache)
    for index in made.folder.glob("*.json"):
        index.unlink()  # as if stopped between the two files
    again, _ = encode_views(views(2), encoder=encoder, preprocess=preprocess, root=cache)
    assert len(again) == 2


def test_other_weights_and_other_transforms_have_other_folders(encoder: Encoder, tmp_path: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    other = make_encoder(mini_config(), seed=1)
    larger = preprocess.model_copy(update={"size": 96})
    folders = {
        cache_folder(tmp_path, encoder=e, preprocess=p)
        for e, p in ((encoder, preprocess), (other, preprocess), (encoder, larger))
    }
    assert len(folders) == 3


def test_an_unreadable_picture_is_named_and_the_others_are_encoded(
    encoder: Encoder, cache: Path, tmp_path: Path
) -> None:
    good = picture(tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    bad = View(view_id="bad", locator=str(tmp_path / "bad.png"))
    gone = View(view_id="gone", locator=str(tmp_path / "gone.png"))
    preprocess = make_preprocess(mini_config(), encoder)
    made, failed = encode_views([gone, bad, good], encoder=encoder, preprocess=preprocess, root=cache)
    assert {f.view_id for f in failed} == {"bad", "gone"}
    assert "gone.png" in next(f.message for f in failed if f.view_id == "gone")
    assert view_key(good) in made


def test_worker_processes_give_the_same_features(encoder: Encoder, tmp_path: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    alone, _ = encode_views(views(3), encoder=encoder, preprocess=preprocess, root=tmp_path / "a")
    helped, _ = encode_views(views(3), encoder=encoder, preprocess=preprocess, root=tmp_path / "b", workers=1)
    for view in views(3):
        assert np.array_equal(alone[view_key(view)].features, helped[view_key(view)].features)


def test_a_full_disk_is_refused_before_the_work(
    encoder: Encoder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cached, "free_bytes", lambda _: 10)
    preprocess = make_preprocess(mini_config(), encoder)
    with pytest.raises(OutputError, match="0 MB free; free some space or choose another folder with --cache"):
        encode_views(views(2), encoder=encoder, preprocess=preprocess, root=cache)
    assert len(FeatureCache(cache_folder(cache, encoder=encoder, preprocess=preprocess))) == 0


def test_another_process_opens_the_same_rows(encoder: Encoder, cache: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(views(3), encoder=encoder, preprocess=preprocess, root=cache)
    again = pickle.loads(pickle.dumps(made))
    assert len(again) == 3
    for view in views(3):
        np.testing.assert_array_equal(again[view_key(view)].features, made[view_key(view)].features)
        np.testing.assert_array_equal(again[view_key(view)].affine, made[view_key(view)].affine)


def test_only_keys_that_were_encoded_are_in_a_cache(encoder: Encoder, cache: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(views(2), encoder=encoder, preprocess=preprocess, root=cache)
    known, other = view_key(views(2)[0]), view_key(views(3)[2])
    assert known in made
    assert other not in made
    assert 7 not in made
    with pytest.raises(KeyError, match=other):
        made[other]


def test_a_view_that_is_named_twice_is_encoded_once(encoder: Encoder, cache: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(iter(views(2) * 3), encoder=encoder, preprocess=preprocess, root=cache)
    [shard] = made.folder.glob("*.npy")
    assert np.load(shard).shape[0] == len(made) == 2


def test_a_cut_array_is_seen_as_absent_and_encoded_again(encoder: Encoder, cache: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(views(2), encoder=encoder, preprocess=preprocess, root=cache)
    expected = made[view_key(views(1)[0])].features
    [shard] = made.folder.glob("*.npy")
    shard.write_bytes(shard.read_bytes()[:-2])
    assert len(FeatureCache(made.folder)) == 0
    again, _ = encode_views(views(2), encoder=encoder, preprocess=preprocess, root=cache)
    np.testing.assert_array_equal(again[view_key(views(1)[0])].features, expected)


def test_many_pictures_fill_several_shards(encoder: Encoder, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "SHARD_ROWS", 2)
    monkeypatch.setattr(cached, "ENCODE_BATCH", 2)
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(views(5), encoder=encoder, preprocess=preprocess, root=cache)
    assert sorted(len(np.load(path)) for path in made.folder.glob("*.npy")) == [1, 2, 2]
    whole, _ = encode_views(views(5), encoder=encoder, preprocess=preprocess, root=cache / "whole")
    for view in views(5):
        np.testing.assert_allclose(made[view_key(view)].features, whole[view_key(view)].features, atol=2e-3)


def test_features_beyond_half_precision_are_its_largest_number(
    encoder: Encoder, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Encoder, "forward", lambda _, images: images.flatten(2).transpose(1, 2) * 1e9)
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(views(1), encoder=encoder, preprocess=preprocess, root=cache)
    found = made[view_key(views(1)[0])].features
    assert np.isfinite(found).all()
    assert abs(found).max() == np.finfo(np.float16).max


def test_a_thumbnail_of_what_the_encoder_saw_is_kept_beside_the_features(encoder: Encoder, cache: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(views(3), encoder=encoder, preprocess=preprocess, root=cache)
    bare, _ = encode_views(views(3), encoder=NoFeatures(), preprocess=preprocess, root=cache)
    assert made.folder != bare.folder
    for view in views(3):
        image, _ = whole_picture(preprocess, load_pixels(view))
        wanted = thumbnails(image.unsqueeze(0), mean=preprocess.mean, std=preprocess.std)[0].numpy()
        for kept in (made, bare, FeatureCache(made.folder), FeatureCache(bare.folder)):
            assert np.array_equal(kept.thumbnail(view_key(view)), wanted)
        assert np.array_equal(made[view_key(view)].thumbnail, wanted)
    with pytest.raises(KeyError):
        made.thumbnail("0" * 32)


def test_what_an_earlier_version_kept_without_thumbnails_is_encoded_again_when_they_are_asked_for(
    encoder: Encoder, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(views(3), encoder=encoder, preprocess=preprocess, root=cache)
    [index] = made.folder.glob("*.json")
    said = json.loads(index.read_text(encoding="utf-8"))
    said.pop("thumbnails")
    index.write_text(json.dumps(said), encoding="utf-8")
    caplog.set_level(logging.INFO, logger="contrastcxr")
    caplog.clear()
    old, _ = encode_views(views(3), encoder=encoder, preprocess=preprocess, root=cache)
    assert not caplog.messages  # nobody asks for thumbnails, and the features are there
    assert old[view_key(views(1)[0])].thumbnail is None
    again, _ = encode_views(views(4), encoder=encoder, preprocess=preprocess, root=cache, with_thumbnails=True)
    assert "4 pictures to encode" in caplog.messages[0]
    assert again.has_thumbnail(view_key(views(1)[0]))


def test_features_with_and_without_thumbnails_make_a_batch_without(encoder: Encoder, cache: Path) -> None:
    preprocess = make_preprocess(mini_config(), encoder)
    made, _ = encode_views(views(2), encoder=encoder, preprocess=preprocess, root=cache)
    samples = [FromCache(made, 1)(mini_study(i, split="train"), i) for i in range(2)]
    assert collate(samples).thumbnails.shape == (2, 1, 256)
    assert collate([samples[0], replace(samples[1], thumbnails=None)]).thumbnails is None


@pytest.mark.parametrize("kind", ["xpu", "cuda"])
def test_threads_read_beside_a_gpu_what_one_process_reads(
    kind: str, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pinned: list[torch.Size] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor.shape) or tensor)
    monkeypatch.setattr(cached, "ENCODE_BATCH", 2)
    gone = View(view_id="gone", locator=str(tmp_path / "gone.png"))
    named = [(f"{place}", view) for place, view in enumerate([*views(4), gone])]
    pictures = cached._Pictures(named, make_preprocess(mini_config(), encoder), cached.original)
    plain, beside = (list(cached._loader(pictures, 0, torch.device(device))) for device in ("cpu", kind))
    assert len(pinned) == (3 if kind == "cuda" else 0)
    for (read, images), (again, seen) in zip(plain, beside, strict=True):
        assert [vars(picture) for picture in read] == [vars(picture) for picture in again]
        assert torch.equal(images, seen)
    assert [len(images) for _, images in plain] == [2, 2, 0]
    assert plain[2][0][0].error is not None
