"""Pictures aligned on their way to the encoder: affines, the mask, laterals, and the cache."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from contrastcxr.data.pixels import Picture, original
from contrastcxr.data.transforms import Preprocess
from contrastcxr.features.batch import Batch, collate, prepare, rows_of
from contrastcxr.features.cache import FeatureCache, cache_folder, encode_views
from contrastcxr.features.extraction import aligned_batch, batch_features, raw_features, views_to_align
from contrastcxr.features.pictures import KeptPictures
from contrastcxr.features.samples import FromCache
from contrastcxr.features.view_features import CachedFeatures, EncodedFeatures
from contrastcxr.form import Study, View
from contrastcxr.models.align.pose import cells_inside, compose
from contrastcxr.models.features import GridPlaces
from contrastcxr.models.system import System
from tiny_aligner import with_pose
from tiny_system import tiny_checkpoint, tiny_config, tiny_study

ALIGN = {"kind": "affine", "network": "small", "size": 64, "weights": "runs/align"}
POSE = (0.3, -0.2, 0.4, 0.3, 0.3)
PREPROCESS = Preprocess(size=64)


def aligning_system(pose: Sequence[float] = POSE) -> System:
    system = tiny_checkpoint(tiny_config(align=ALIGN)).build()
    assert system.aligner is not None
    with_pose(system.aligner, tuple(pose))
    return system


@pytest.fixture(scope="module")
def system() -> System:
    return aligning_system()


def studies() -> list[Study]:
    return [tiny_study("one", views=2, patient="p1"), tiny_study("two", seed=1, patient="p2")]


def batch_of(system: System) -> Batch:
    assert system.encoder is not None
    preprocess = Preprocess(size=64, mean=system.encoder.mean, std=system.encoder.std)
    return collate([prepare(study, preprocess) for study in studies()])


@torch.no_grad()
def test_affines_lead_from_the_aligned_picture_and_laterals_stay(system: System) -> None:
    batch = batch_of(system)
    assert views_to_align(batch).tolist() == [[True, False], [True, False]]
    found = aligned_batch(system, batch)
    assert found.poses is not None
    torch.testing.assert_close(found.poses[0], torch.tensor([POSE, (0.0,) * 5]))
    torch.testing.assert_close(found.affines[0, 0], compose(batch.affines[0, 0], torch.tensor(POSE), 64))
    assert torch.equal(found.affines[0, 1], batch.affines[0, 1])
    assert batch.images is not None
    assert found.images is not None
    assert torch.equal(found.images[0, 1], batch.images[0, 1])
    assert not torch.equal(found.images[0, 0], batch.images[0, 0])
    assert aligned_batch(system, found) is found  # only once


@torch.no_grad()
def test_cells_outside_of_the_picture_are_masked_and_count_for_nothing(system: System) -> None:
    batch = batch_of(system)
    assert system.places is not None
    inside = cells_inside(torch.tensor([POSE, (0.0,) * 5]), system.places).flatten()
    assert not inside.all()
    found = batch_features(replace_contrast(system), batch)
    assert torch.equal(found.mask[0], inside)
    assert torch.equal(found.patches[0][~inside], torch.zeros_like(found.patches[0][~inside]))
    torch.testing.assert_close(found.pooled[0], found.patches[0][inside].mean(0))


def replace_contrast(system: System) -> System:
    """The same system without contrast, which changes what patches are."""
    plain = system.without_decoder()
    plain._modules = {**plain._modules, "contrast": None, "pool": None}
    return plain


def test_a_system_that_aligns_nothing_leaves_a_batch_alone() -> None:
    system = tiny_checkpoint(tiny_config()).build()
    batch = batch_of(system)
    assert aligned_batch(system, batch) is batch


@torch.no_grad()
def test_the_cache_gives_what_pixels_give(system: System, tmp_path: Path) -> None:
    assert system.encoder is not None
    preprocess = Preprocess(size=64, mean=system.encoder.mean, std=system.encoder.std)
    views = [view for study in studies() for view in study.views]
    kept, _ = encode_views(
        views, encoder=system.encoder, preprocess=preprocess, root=tmp_path, aligner=system.aligner
    )
    load = FromCache(FeatureCache(kept.folder), 2)  # opened anew
    cached = collate([load(study, n) for n, study in enumerate(studies())])
    fresh = aligned_batch(system, batch_of(system))
    assert cached.poses is not None
    assert fresh.poses is not None
    torch.testing.assert_close(cached.poses, fresh.poses)
    torch.testing.assert_close(cached.affines, fresh.affines)
    one, other = batch_features(system, cached), batch_features(system, fresh)
    assert torch.equal(one.mask, other.mask)
    torch.testing.assert_close(one.patches, other.patches, atol=5e-3, rtol=5e-3)
    torch.testing.assert_close(
        raw_features(system, cached).float(), raw_features(system, fresh), atol=5e-3, rtol=5e-3
    )


def test_rows_of_a_batch_keep_their_poses(system: System) -> None:
    found = aligned_batch(system, batch_of(system))
    assert found.poses is not None
    part = rows_of(found, [1])
    assert part.poses is not None
    assert torch.equal(part.poses, found.poses[1:, :1])


def test_each_aligner_has_a_folder_of_its_own_and_none_the_old_one(system: System, tmp_path: Path) -> None:
    encoder, other = system.encoder, aligning_system((0.0,) * 5)
    assert encoder is not None
    folders = [
        cache_folder(tmp_path, encoder=encoder, preprocess=PREPROCESS, aligner=aligner)
        for aligner in (None, system.aligner, other.aligner)
    ]
    assert len(set(folders)) == 3
    assert folders[0] == cache_folder(tmp_path, encoder=encoder, preprocess=PREPROCESS)


def test_shards_without_poses_are_read_as_before(system: System, tmp_path: Path) -> None:
    assert system.encoder is not None
    view = studies()[0].views[0]
    kept, _ = encode_views([view], encoder=system.encoder, preprocess=PREPROCESS, root=tmp_path)
    (index,) = kept.folder.glob("*.json")
    assert "poses" not in json.loads(index.read_text())
    assert FromCache(kept, 1)(studies()[0], 0).poses is None


def test_pictures_that_cannot_be_aligned_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lost = aligning_system((0.0, 0.0, 1.0, 0.0, 0.0))
    assert lost.encoder is not None
    caplog.set_level(logging.WARNING, logger="contrastcxr")
    views = [study.views[0] for study in studies()]
    kept, _ = encode_views(views, encoder=lost.encoder, preprocess=PREPROCESS, root=tmp_path, aligner=lost.aligner)
    assert "align: 2 of 2 pictures are not aligned" in caplog.text
    found = FromCache(kept, 1)(studies()[0], 0)
    plain, _ = encode_views(views, encoder=lost.encoder, preprocess=PREPROCESS, root=tmp_path)
    torch.testing.assert_close(found.affines, FromCache(plain, 1)(studies()[0], 0).affines)


def test_a_pooled_view_is_the_mean_over_cells_inside(system: System, tmp_path: Path) -> None:
    encoder, view = system.encoder, studies()[0].views[0]
    assert encoder is not None
    places = GridPlaces(*encoder.grid)
    fresh = EncodedFeatures(encoder, PREPROCESS, aligner=system.aligner)
    kept, _ = encode_views([view], encoder=encoder, preprocess=PREPROCESS, root=tmp_path, aligner=system.aligner)
    wanted = fresh.patches(view)[cells_inside(torch.tensor(POSE), places)].mean(0)
    torch.testing.assert_close(fresh.pooled(view), wanted)
    torch.testing.assert_close(CachedFeatures(kept, places).pooled(view), wanted, atol=5e-3, rtol=5e-3)


def test_kept_pictures_are_read_once_and_resized() -> None:
    asked: list[str] = []

    def read(view: View) -> Picture:
        asked.append(view.view_id)
        return original(view)

    kept, views = KeptPictures(read, 32), [study.views[0] for study in studies()]
    first = [kept(view) for view in (*views, *views)]
    assert asked == ["one-0", "two-0"]
    assert first[0].pixels.shape == (32, 32)
    assert first[0].shape == (90, 120)
    assert np.array_equal(first[0].pixels, first[2].pixels)


def test_beyond_the_memory_they_are_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contrastcxr.features.pictures.MOST_BYTES", 32 * 32 * 4)
    kept, views = KeptPictures(original, 32), [study.views[0] for study in studies()]
    assert kept(views[0]) is kept(views[0])
    assert kept(views[1]) is not kept(views[1])
