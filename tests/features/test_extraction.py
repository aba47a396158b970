"""What a system makes of a batch, of pixels and of what was kept of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from contrastcxr.data.transforms import Preprocess
from contrastcxr.features.batch import Batch, collate, prepare
from contrastcxr.features.extraction import batch_features, raw_features
from contrastcxr.models.system import System
from contrastcxr.reading.reader import Reader
from tiny_system import save_tiny, tiny_study


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    return Reader.from_checkpoint(save_tiny(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def system(reader: Reader) -> System:
    return reader.system


@pytest.fixture(scope="module")
def preprocess(reader: Reader) -> Preprocess:
    return reader.preprocess


@pytest.fixture(scope="module")
def batch(preprocess: Preprocess) -> Batch:
    studies = [tiny_study("one", views=2, patient="p1"), tiny_study("two", seed=1, patient="patient0")]
    return collate([prepare(study, preprocess) for study in studies])


@torch.no_grad()
def test_raw_features_are_the_encoders_view_by_view(system: System, batch: Batch) -> None:
    raw = raw_features(system, batch)
    assert batch.images is not None
    assert system.encoder is not None
    for row in range(2):
        for view in range(2):
            expected = system.encoder(batch.images[row, view][None])[0]
            torch.testing.assert_close(raw[row, view], expected, atol=1e-5, rtol=1e-5)


def test_what_was_kept_is_taken_as_it_is(system: System, batch: Batch) -> None:
    kept = torch.rand(2, 2, 4, 8)
    assert raw_features(system, replace(batch, images=None, features=kept)) is kept


@torch.no_grad()
def test_pixels_take_the_type_of_the_systems_weights(reader: Reader, batch: Batch) -> None:
    system = reader.system
    try:
        found = raw_features(system.double(), batch)
    finally:
        system.float()
    assert found.dtype == torch.float64


@torch.no_grad()
def test_features_of_pixels_kept_features_and_given_ones_are_equal(system: System, batch: Batch) -> None:
    raw = raw_features(system, batch)
    from_pixels = batch_features(system, batch)
    from_kept = batch_features(system, replace(batch, images=None, features=raw))
    given = batch_features(system, batch, raw=raw)
    for other in (from_kept, given):
        assert torch.equal(from_pixels.patches, other.patches)
        assert torch.equal(from_pixels.pooled, other.pooled)
        assert torch.equal(from_pixels.mask, other.mask)


@torch.no_grad()
def test_absent_views_have_no_part_in_the_features(system: System, batch: Batch) -> None:
    features = batch_features(system, batch)
    per_view = features.mask.shape[1] // 2
    assert features.mask[0].all()
    assert features.mask[1].tolist() == [True] * per_view + [False] * per_view
    assert not features.patches[1, per_view:].any()


@torch.no_grad()
def test_a_patient_of_the_pool_is_left_out_for_their_own_study(system: System, batch: Batch) -> None:
    own = batch_features(system, batch)
    stranger = batch_features(system, replace(batch, patient_ids=("p1", None)))
    assert torch.equal(own.pooled[0], stranger.pooled[0])
    assert not torch.equal(own.pooled[1], stranger.pooled[1])


@torch.no_grad()
def test_the_indication_goes_along(system: System, batch: Batch) -> None:
    ids, mask = torch.tensor([[4, 5], [6, 0]]), torch.tensor([[True, True], [True, False]])
    features = batch_features(system, replace(batch, indication_ids=ids, indication_mask=mask))
    assert features.indication is ids
    assert features.indication_mask is mask
    assert batch_features(system, batch).indication is None
