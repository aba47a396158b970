from __future__ import annotations

import pytest
import torch
from mini_data import mini_study

from contrastcxr.errors import IncompatibleError
from contrastcxr.form import Study, View
from contrastcxr.models.contrast.options import PoolOptions
from contrastcxr.training.pool import TrainingPool, make_pool


def studies(count: int = 12) -> list[Study]:
    return [mini_study(i, split="train") for i in range(count)]


def pooled(view: View) -> torch.Tensor:
    assert view.pixels is not None
    return torch.full((3,), float(view.pixels.mean()))


def made(**values: object) -> TrainingPool:
    return make_pool(PoolOptions.model_validate(values), studies(), max_views=1, pooled=pooled, seed=0)


def test_a_normal_pool_holds_normal_images_only_and_says_so() -> None:
    pool = made()
    assert len(pool.pool) == 6
    assert pool.purity == 1.0
    assert all(int(study_id[-3:]) % 2 == 0 for study_id in pool.pool.rows.study_ids)
    summary = pool.summary()
    assert (summary["wanted"], summary["size"], summary["purity"]) == (1000, 6, 1.0)
    assert sum(summary["views"].values()) == 6


@pytest.mark.parametrize("kind", ["random", "zeros"])
def test_a_control_has_the_size_of_the_normal_pool(kind: str) -> None:
    assert len(made(kind=kind).pool) == len(made().pool)


def test_a_random_pool_holds_abnormal_images_too() -> None:
    assert made(kind="random").purity < 1.0


def test_a_pool_of_zeros_is_zero() -> None:
    assert not made(kind="zeros").pool.raw.any()


def test_rows_and_views_of_a_pool_belong_together() -> None:
    pool = made(kind="random", size=4)
    for row, (view,) in enumerate(pool.views):
        assert pool.pool.rows.image_ids[row].endswith(view.view_id)
        assert pool.pool.rows.positions[row] == view.position
        assert torch.equal(pool.pool.raw[row], pooled(view))


def two_view_studies(count: int = 12) -> list[Study]:
    """Each study with a lateral view behind the frontal one; every third has the frontal one only."""
    made = []
    for i, study in enumerate(studies(count)):
        front = study.views[0]
        side = front.model_copy(update={"view_id": f"{front.view_id}-side", "position": "LATERAL"})
        side = side.model_copy(update={"pixels": front.pixels[::2]})
        made.append(study.model_copy(update={"views": (front,) if i % 3 == 0 else (side, front)}))
    return made


def of_two_views(**values: object) -> TrainingPool:
    config = PoolOptions.model_validate(values)
    return make_pool(config, two_view_studies(), max_views=2, pooled=pooled, seed=0, patches=four_patches)


def four_patches(view: View) -> torch.Tensor:
    return torch.stack([pooled(view) + place for place in range(4)])


def test_a_row_that_is_a_study_is_the_mean_of_its_views() -> None:
    pool = of_two_views(unit="study")
    assert pool.pool.unit == "study"
    assert len(pool.pool) == 6
    assert set(pool.pool.rows.positions) == {"LATERAL+PA", "AP"}
    assert {len(views) for views in pool.views} == {1, 2}
    for row, views in enumerate(pool.views):
        torch.testing.assert_close(pool.pool.raw[row], sum(pooled(v) for v in views) / len(views))
        assert views[0].position != "LATERAL"
        assert pool.pool.rows.image_ids[row].endswith(views[0].view_id)
    assert pool.summary()["unit"] == "study"


def test_an_image_pool_of_two_views_holds_both_views_of_a_study() -> None:
    pool = of_two_views()
    assert len(pool.pool) == 10
    assert pool.summary()["views"]["LATERAL"] == 4


@pytest.mark.parametrize(("kind", "unit"), [("normal", "image"), ("normal", "study"), ("random", "study")])
def test_a_pool_of_patches_holds_patches_of_the_pools_images(kind: str, unit: str) -> None:
    pool = of_two_views(kind=kind, unit=unit, size=4, patches=7)
    found = pool.patches
    assert found is not None
    assert len(found.pool) == pool.summary()["patches"] == 7
    assert len(set(zip(found.drawn.images, found.drawn.places, strict=True))) == 7
    assert set(found.pool.rows.study_ids) <= set(pool.pool.rows.study_ids)
    for row, (image, place) in enumerate(zip(found.drawn.images, found.drawn.places, strict=True)):
        view = found.views[image]
        assert found.pool.rows.positions[row] == view.position
        assert torch.equal(found.pool.raw[row], four_patches(view)[place])
    assert torch.equal(found.features(four_patches), found.pool.raw)


def test_a_control_of_zeros_has_patches_of_zeros() -> None:
    found = of_two_views(kind="zeros").patches
    assert found is not None
    assert not found.pool.raw.any()


def test_the_features_of_a_pool_can_be_made_again() -> None:
    for unit in ("image", "study"):
        pool = of_two_views(unit=unit)
        assert torch.equal(pool.features(pooled), pool.pool.raw)


def drawn(*, run_seed: int, own: int | None) -> tuple[str, ...]:
    config = PoolOptions(kind="random", size=3, seed=own)
    return make_pool(config, studies(), max_views=1, pooled=pooled, seed=run_seed).pool.rows.image_ids


def test_the_seed_is_the_runs_unless_the_pool_has_its_own() -> None:
    assert drawn(run_seed=0, own=None) != drawn(run_seed=1, own=None)
    assert drawn(run_seed=0, own=5) == drawn(run_seed=1, own=5)


def test_file_paths_do_not_go_into_a_pool_but_phantom_locators_do() -> None:
    file = mini_study(0, split="train")
    phantom = mini_study(2, split="train")
    place = {"pixels": None, "locator": "phantom:smoke/train/000002?seed=0&view=frontal"}
    drawn = phantom.model_copy(update={"views": (phantom.views[0].model_copy(update=place),)})
    place = {"pixels": None, "locator": "/home/someone/picture.png"}
    filed = file.model_copy(update={"views": (file.views[0].model_copy(update=place),)})
    pool = make_pool(PoolOptions(), [drawn, filed], max_views=1, pooled=lambda _: torch.zeros(3), seed=0)
    assert set(pool.pool.rows.locators) == {None, "phantom:smoke/train/000002?seed=0&view=frontal"}


def test_matching_by_view_without_any_known_view_is_refused() -> None:
    unknown = [
        s.model_copy(update={"views": (s.views[0].model_copy(update={"position": "unknown"}),)}) for s in studies()
    ]
    with pytest.raises(IncompatibleError, match=r"set contrast\.pool\.match: none"):
        make_pool(PoolOptions(), unknown, max_views=1, pooled=pooled, seed=0)
    assert len(make_pool(PoolOptions(match="none"), unknown, max_views=1, pooled=pooled, seed=0).views) == 6


def test_a_training_set_without_normals_is_refused() -> None:
    sick = [s for s in studies() if int(s.study_id[-3:]) % 2]
    with pytest.raises(IncompatibleError, match="no training image is normal"):
        make_pool(PoolOptions(), sick, max_views=1, pooled=pooled, seed=0)
