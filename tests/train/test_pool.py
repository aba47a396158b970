from __future__ import annotations

import pytest
import torch
from mini_data import mini_study

from contrastcxr.config import PoolConfig
from contrastcxr.errors import IncompatibleError
from contrastcxr.form import Study, View
from contrastcxr.train.pool import TrainingPool, make_pool


def studies(count: int = 12) -> list[Study]:
    return [mini_study(i, split="train") for i in range(count)]


def pooled(view: View) -> torch.Tensor:
    assert view.pixels is not None
    return torch.full((3,), float(view.pixels.mean()))


def made(**values: object) -> TrainingPool:
    return make_pool(PoolConfig.model_validate(values), studies(), max_views=1, pooled=pooled, seed=0)


def test_a_normal_pool_holds_normal_images_only_and_says_so() -> None:
    pool = made()
    assert len(pool.pool) == 6
    assert pool.purity == 1.0
    assert all(int(study_id[-3:]) % 2 == 0 for study_id in pool.pool.study_ids)
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
    for row, view in enumerate(pool.views):
        assert pool.pool.image_ids[row].endswith(view.view_id)
        assert pool.pool.positions[row] == view.position
        assert torch.equal(pool.pool.raw[row], pooled(view))


def drawn(*, run_seed: int, own: int | None) -> tuple[str, ...]:
    config = PoolConfig(kind="random", size=3, seed=own)
    return make_pool(config, studies(), max_views=1, pooled=pooled, seed=run_seed).pool.image_ids


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
    pool = make_pool(PoolConfig(), [drawn, filed], max_views=1, pooled=lambda _: torch.zeros(3), seed=0)
    assert set(pool.pool.locators) == {None, "phantom:smoke/train/000002?seed=0&view=frontal"}


def test_matching_by_view_without_any_known_view_is_refused() -> None:
    unknown = [
        s.model_copy(update={"views": (s.views[0].model_copy(update={"position": "unknown"}),)}) for s in studies()
    ]
    with pytest.raises(IncompatibleError, match=r"set contrast\.pool\.match: none"):
        make_pool(PoolConfig(), unknown, max_views=1, pooled=pooled, seed=0)
    assert len(make_pool(PoolConfig(match="none"), unknown, max_views=1, pooled=pooled, seed=0).views) == 6


def test_a_training_set_without_normals_is_refused() -> None:
    sick = [s for s in studies() if int(s.study_id[-3:]) % 2]
    with pytest.raises(IncompatibleError, match="no training image is normal"):
        make_pool(PoolConfig(), sick, max_views=1, pooled=pooled, seed=0)
