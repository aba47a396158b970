from __future__ import annotations

import numpy as np
import pytest
import torch

from contrastcxr.data.transforms import Preprocess
from contrastcxr.data.views import choose_views
from contrastcxr.features.batch import Sample, collate, prepare
from contrastcxr.form import Position, Study, View


def study(name: str, *positions: Position) -> Study:
    rng = np.random.default_rng(len(positions))
    views = tuple(
        View(view_id=f"{name}-{i}", pixels=rng.random((40, 50), dtype=np.float32), position=p)
        for i, p in enumerate(positions)
    )
    return Study(study_id=name, patient_id=f"p-{name}", views=views)


SMALL = Preprocess(size=16)


def test_frontal_views_come_first_and_keep_their_place_in_the_study() -> None:
    assert choose_views(study("a", "LATERAL", "AP", "unknown"), 2) == (1, 2)
    assert choose_views(study("a", "LATERAL", "AP"), 3) == (1, 0)


def test_studies_of_different_view_counts_stack_with_masked_zeros() -> None:
    batch = collate([prepare(study("a", "PA", "LATERAL"), SMALL), prepare(study("b", "AP"), SMALL)])
    assert batch.images is not None
    assert batch.images.shape == (2, 2, 3, 16, 16)
    assert batch.view_mask.tolist() == [[True, True], [True, False]]
    assert batch.images[1, 1].abs().sum() == 0
    assert torch.equal(batch.affines[1, 1], torch.eye(2, 3))
    assert batch.affines[0, 0, 0, 0] == pytest.approx(50 / 16)
    assert (batch.positions, batch.view_index) == ((("PA", "LATERAL"), ("AP",)), ((0, 1), (0,)))
    assert (batch.study_ids, batch.patient_ids, len(batch)) == (("a", "b"), ("p-a", "p-b"), 2)


def test_a_study_is_prepared_alike_alone_and_in_a_batch() -> None:
    alone = collate([prepare(study("b", "AP"), SMALL)])
    together = collate([prepare(study("a", "PA", "LATERAL"), SMALL), prepare(study("b", "AP"), SMALL)])
    assert alone.images is not None
    assert together.images is not None
    assert torch.equal(alone.images[0, 0], together.images[1, 0])


def sample(**fields: torch.Tensor) -> Sample:
    return Sample("s", None, torch.eye(2, 3)[None], ("PA",), (0,), **fields)


def test_tokens_are_padded_with_pad_and_targets_are_stacked() -> None:
    batch = collate(
        [
            sample(token_ids=torch.tensor([1, 5, 2]), finding_targets=torch.ones(4)),
            sample(token_ids=torch.tensor([1, 2]), finding_targets=torch.zeros(4)),
        ],
        pad=9,
    )
    assert batch.token_ids is not None
    assert batch.token_ids.tolist() == [[1, 5, 2], [1, 2, 9]]
    assert batch.finding_targets is not None
    assert batch.finding_targets.shape == (2, 4)
    assert batch.images is None
    assert batch.finding_mask is None


def test_a_field_that_only_some_samples_have_is_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 samples have no token_ids"):
        collate([sample(token_ids=torch.tensor([1])), sample()])


def test_an_empty_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        collate([])


def test_moving_a_batch_moves_every_tensor_and_keeps_the_rest() -> None:
    batch = collate([prepare(study("a", "PA"), SMALL)]).to("meta")
    assert batch.images is not None
    assert {batch.images.device.type, batch.view_mask.device.type, batch.affines.device.type} == {"meta"}
    assert batch.study_ids == ("a",)


def test_with_a_generator_a_study_is_prepared_as_a_random_crop() -> None:
    crop = prepare(study("a", "PA"), SMALL, generator=torch.Generator().manual_seed(0))
    assert crop.affines[0, 0, 0] == pytest.approx(50 / 18)
