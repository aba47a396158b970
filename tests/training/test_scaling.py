"""Sizes before the first step, from training studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from contrastcxr.config import SystemConfig, load_config
from contrastcxr.features.extraction import batch_features
from contrastcxr.training import run
from contrastcxr.training.prepare import PreparedRun, prepare
from contrastcxr.training.scaling import draw, feature_scale

CONFIG = Path(__file__).parents[2] / "configs" / "cpu" / "phantom.yaml"
SMALL = (
    "data.source=phantom:smoke",
    "data.train_limit=12",
    "data.validation_limit=6",
    "width=16",
    "decoder.kind=nic",
    "train.epochs=1",
)


def _config(*overrides: str) -> SystemConfig:
    return load_config(CONFIG, overrides=[*SMALL, *overrides])


def _prepared(shared_cache: Path, *overrides: str) -> PreparedRun:
    return prepare(_config(*overrides), cache=shared_cache)


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


def test_mean_and_deviation_are_those_of_all_patches() -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.normal(3.0, 2.0, (n, 4)).astype("float32") for n in (5, 1, 7)]
    mean, deviation = feature_scale(torch.from_numpy(picture) for picture in pictures)
    flat = np.concatenate(pictures)
    np.testing.assert_allclose(mean, flat.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(deviation, flat.std(axis=0), rtol=1e-4)


def test_what_is_drawn_follows_from_the_seed() -> None:
    assert draw(5, 10, seed=0) == [0, 1, 2, 3, 4]
    assert draw(100, 10, seed=3) == draw(100, 10, seed=3) == sorted(set(draw(100, 10, seed=3)))
    assert draw(100, 10, seed=3) != draw(100, 10, seed=4)


def test_a_run_standardises_by_its_training_pictures(shared_cache: Path) -> None:
    prepared = _prepared(shared_cache, "projection.standardize=true")
    raw = torch.cat([batch.features for batch in prepared.batches(prepared.train) if batch.features is not None])
    projection = prepared.system.projection
    flat = raw.float().reshape(-1, raw.shape[-1])
    torch.testing.assert_close(projection.mean, flat.mean(dim=0), atol=1e-4, rtol=1e-4)
    seen = flat.std(dim=0, correction=0) > 2e-5  # what hardly changes keeps its size
    torch.testing.assert_close(
        projection.deviation[seen], flat.std(dim=0, correction=0)[seen], atol=1e-4, rtol=1e-3
    )


def test_a_pool_of_zeros_holds_what_the_projection_calls_zero(shared_cache: Path) -> None:
    pool = "contrast.pool.kind=zeros"
    system = _prepared(shared_cache, pool, "projection.standardize=true").system
    assert system.pool is not None
    torch.testing.assert_close(system.projection.project(system.pool.raw)[0], system.projection.linear.bias)
    plain = _prepared(shared_cache, pool).system
    assert plain.pool is not None
    assert plain.pool.raw.eq(0).all()


def test_a_scaled_start_keeps_the_size_of_the_features(shared_cache: Path) -> None:
    prepared = _prepared(shared_cache, "contrast.pool.kind=normal", "train.contrast_start=scaled")
    system = prepared.system.eval()
    batch = next(iter(prepared.batches(prepared.train)))
    with torch.no_grad():
        assert batch.features is not None
        before = system.projection(batch.features, batch.view_mask, system.places).pooled
        after = batch_features(system, batch).pooled
    assert float(after.square().mean() / before.square().mean()) == pytest.approx(1.0, rel=0.05)
    assert system.training is False


def test_a_run_that_starts_from_another_takes_its_scale(shared_cache: Path, tmp_path: Path) -> None:
    one = run(_config("projection.standardize=true"), out=tmp_path / "one", cache=shared_cache, quality=False)
    second = (f"train.init_from={one.path}", "projection.standardize=true", "data.train_limit=8")
    start = _prepared(shared_cache, "projection.standardize=true").system.projection
    taken = _prepared(shared_cache, *second).system.projection
    torch.testing.assert_close(taken.mean, start.mean)
    torch.testing.assert_close(taken.deviation, start.deviation)


def test_a_pool_of_zeros_of_a_second_run_holds_it_too(shared_cache: Path, tmp_path: Path) -> None:
    control = ("contrast.pool.kind=zeros", "projection.standardize=true")
    one = run(_config(*control), out=tmp_path / "one", cache=shared_cache, quality=False)
    system = _prepared(shared_cache, *control, f"train.init_from={one.path}").system
    assert system.pool is not None
    torch.testing.assert_close(system.pool.raw[0], system.projection.mean)
