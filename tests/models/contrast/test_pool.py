"""The normality pool: who is in it, who is left out, and its two controls."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from contrastcxr.errors import IncompatibleError, UnknownNameError
from contrastcxr.models.contrast.pool import (
    NormalityPool,
    PatchPlaces,
    PoolRows,
    PoolUnit,
    draw_pool,
    views_name,
)

COUNT = 12


def _rows() -> PoolRows:
    return PoolRows(
        image_ids=tuple(f"i{n}" for n in range(COUNT)),
        study_ids=tuple(f"s{n // 2}" for n in range(COUNT)),
        patient_ids=(None, *(f"p{n // 3}" for n in range(1, COUNT))),
        positions=("PA", "LATERAL") * (COUNT // 2 - 1) + ("AP", "unknown"),
        locators=(None,) * COUNT,
    )


@pytest.fixture
def raw() -> torch.Tensor:
    return torch.randn(COUNT, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def pool(raw: torch.Tensor) -> NormalityPool:
    return NormalityPool(raw, _rows())


def test_every_row_of_the_patient_being_read_is_left_out(pool: NormalityPool) -> None:
    mask = pool.exclude_mask(["p1", "stranger", None])
    assert [pool.rows.patient_ids[n] for n in mask[0].nonzero().flatten()] == ["p1"] * 3
    assert not mask[1].any()
    assert not mask[2].any()  # an unknown patient is not the pool's unknown patient


def test_only_rows_of_the_views_of_the_study_are_kept(pool: NormalityPool) -> None:
    mask = pool.match_mask([["PA"], ["PA", "LATERAL"], ["AP"]])
    kept = [{pool.rows.positions[n] for n in (~row).nonzero().flatten()} for row in mask]
    assert kept == [{"PA", "unknown"}, {"PA", "LATERAL", "unknown"}, {"AP", "unknown"}]


@pytest.mark.parametrize("views", [["unknown"], ["PA", "unknown"], ["LL"], []])
def test_a_view_that_is_unknown_or_not_in_the_pool_matches_all(pool: NormalityPool, views: list[str]) -> None:
    assert not pool.match_mask([views]).any()


def test_rows_that_are_studies_match_studies_with_the_same_views(raw: torch.Tensor) -> None:
    rows = replace(_rows(), positions=("PA", "LATERAL+PA", "AP", "LATERAL+PA", "unknown", "PA") * 2)
    pool = NormalityPool(raw, rows, unit="study")
    mask = pool.match_mask([["PA", "LATERAL"], ["PA"], ["PA", "unknown"], ["AP", "LATERAL"]])
    kept = [{pool.rows.positions[n] for n in (~row).nonzero().flatten()} for row in mask]
    assert kept[:2] == [{"LATERAL+PA", "unknown"}, {"PA", "unknown"}]
    assert not mask[2:].any()  # not known, and not in the pool: the whole pool


def test_views_have_one_name_whatever_their_order() -> None:
    assert views_name(["PA", "LATERAL"]) == views_name(["LATERAL", "PA", "PA"]) == "LATERAL+PA"
    assert views_name(["PA"]) == "PA"
    assert views_name(["PA", "unknown"]) == "unknown"


def test_a_pool_is_drawn_from_normals_only_and_the_seed_decides() -> None:
    normal = [n % 3 != 0 for n in range(COUNT)]
    drawn = draw_pool(_rows(), normal=normal, size=4, seed=1)
    assert len(set(drawn)) == 4
    assert drawn == sorted(drawn)
    assert all(normal[n] for n in drawn)
    assert drawn == draw_pool(_rows(), normal=normal, size=4, seed=1)
    assert len({tuple(draw_pool(_rows(), normal=normal, size=4, seed=seed)) for seed in range(8)}) > 1


def test_too_few_normals_are_all_taken_and_the_summary_says_so(raw: torch.Tensor) -> None:
    drawn = draw_pool(_rows(), normal=[n < 3 for n in range(COUNT)], size=1000)
    pool = NormalityPool(raw[drawn], _rows().select(drawn), wanted=1000)
    assert pool.summary() == {
        "kind": "normal",
        "size": 3,
        "wanted": 1000,
        "patients": 2,
        "views": {"LATERAL": 1, "PA": 2},
    }


def test_patches_are_drawn_by_the_seed_and_none_twice() -> None:
    found = PatchPlaces.draw(5, 4, size=12, seed=1)
    pairs = list(zip(found.images, found.places, strict=True))
    assert len(set(pairs)) == 12
    assert pairs == sorted(pairs)
    assert set(found.images) <= set(range(5))
    assert set(found.places) <= set(range(4))
    assert PatchPlaces.draw(5, 4, size=12, seed=1) == found != PatchPlaces.draw(5, 4, size=12, seed=2)
    assert len(PatchPlaces.draw(2, 4, size=100, seed=1).images) == 8


def test_the_random_control_draws_from_all_images() -> None:
    assert len(draw_pool(_rows(), normal=[n == 0 for n in range(COUNT)], size=6, kind="random")) == 6


def test_the_zeros_control_has_the_rows_of_the_normal_pool_without_their_features(raw: torch.Tensor) -> None:
    normal = [n % 2 == 0 for n in range(COUNT)]
    drawn = draw_pool(_rows(), normal=normal, size=5, seed=3)
    assert drawn == draw_pool(_rows(), normal=normal, size=5, seed=3, kind="zeros")
    zeros = NormalityPool(raw, _rows(), kind="zeros")
    assert zeros.raw.eq(0).all()
    zeros.refresh(raw)
    assert zeros.raw.eq(0).all()


def test_a_refresh_replaces_the_features_of_the_same_images(pool: NormalityPool, raw: torch.Tensor) -> None:
    pool.refresh(raw + 1)
    assert torch.equal(pool.raw, raw + 1)
    with pytest.raises(IncompatibleError, match=r"stays \(12, 4\); found \(3, 4\)"):
        pool.refresh(raw[:3])


@pytest.mark.parametrize("unit", ["image", "study"])
def test_metadata_goes_through_json_and_back(raw: torch.Tensor, unit: PoolUnit) -> None:
    pool = NormalityPool(raw, _rows(), unit=unit)
    back = NormalityPool.from_metadata(json.loads(json.dumps(pool.metadata())), pool.raw)
    assert back.rows == pool.rows
    assert (back.kind, back.wanted, back.unit) == (pool.kind, pool.wanted, pool.unit)


def test_features_travel_in_the_state_dict_without_being_trained(pool: NormalityPool) -> None:
    assert list(pool.state_dict()) == ["raw"]
    assert list(pool.parameters()) == []


def test_no_normal_image_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="no training image is normal"):
        draw_pool(_rows(), normal=[False] * COUNT)


def test_an_unknown_kind_is_refused(raw: torch.Tensor) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'normal'"):
        NormalityPool(raw, _rows(), kind="normals")  # type: ignore[arg-type]


def test_rows_that_differ_in_number_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="'study_ids': 1"):
        replace(_rows(), study_ids=("s",))
