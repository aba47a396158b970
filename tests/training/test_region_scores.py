"""Mean average precision of a detector's boxes as a monitor: what it needs is asked for before training."""

from __future__ import annotations

import importlib.util
import logging
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mini_data import boxed_study, mini_config, use_studies

from contrastcxr.config import SystemConfig
from contrastcxr.errors import IncompatibleError, MissingExtraError
from contrastcxr.form import Study
from contrastcxr.reading.regions import StudyRegions
from contrastcxr.training import region_scores, run
from contrastcxr.training.prepare import prepare


def detector_config(**train: Any) -> SystemConfig:
    return mini_config(
        decoder=None,
        finding_head=None,
        contrast=None,
        projection={"kind": "none"},
        encoder={"name": "test_efficientnet", "weights": "random", "stage": 4},
        localizer={"kind": "retinanet", "attributes": "phantom-effusion", "pyramid": 8, "smallest_anchor": 8},
        train={"batch_size": 4, "epochs": 1, "monitor": "map", "precision": "fp32", **train},
    )


@pytest.fixture(params=region_scores.PACKAGES)
def missing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package that seems not to be installed."""
    name, found = str(request.param), importlib.util.find_spec

    def there(wanted: str, package: str | None = None) -> ModuleSpec | None:
        return None if wanted == name else found(wanted, package)

    region_scores._warn.cache_clear()
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(region_scores, "find_spec", there)
    return name


def test_a_missing_package_is_named_before_any_study_is_loaded(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    def load(split: str) -> list[Study]:
        raise AssertionError(f"{split} was loaded")

    use_studies(monkeypatch, load)
    with pytest.raises(MissingExtraError, match=rf"map needs the package '{missing}'.*contrastcxr\[metrics\]"):
        run(detector_config(), out=tmp_path / "run", cache=cache, progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("missing")
def test_a_missing_package_does_not_stop_who_monitors_something_else(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    use_studies(monkeypatch, lambda split: [boxed_study(i, split=split) for i in range(4)])
    assert len(prepare(detector_config(monitor="loss"), cache=cache).validation) == 4


def test_without_a_package_no_score_is_given_and_that_is_said_once(
    missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    boxes = np.array([[0.0, 0.0, 8.0, 8.0]])
    found = [(StudyRegions(boxes, np.ones(1), np.zeros(1, dtype=int)), torch.from_numpy(boxes)[None])]
    with caplog.at_level(logging.WARNING, "contrastcxr"):
        assert region_scores.region_scores(found) == region_scores.region_scores(found) == {}
    assert [record.getMessage() for record in caplog.records] == [
        f"no mAP of boxes: {missing} is missing; pip install 'contrastcxr[metrics]'"
    ]


def test_a_box_that_is_met_exactly_has_a_precision_of_one() -> None:
    boxes = np.array([[0.0, 0.0, 8.0, 8.0]])
    found = [(StudyRegions(boxes, np.ones(1), np.zeros(1, dtype=int)), torch.from_numpy(boxes)[None])]
    assert region_scores.region_scores(found) == {"map": 1.0, "map_50": 1.0}


def test_a_false_box_with_a_better_score_costs_precision() -> None:
    """Two pictures with a box each, one found behind a false box, the other but for a ninth of its width."""
    wanted = np.array([[0.0, 0.0, 9.0, 9.0]])
    false_first = np.array([[40.0, 40.0, 49.0, 49.0], [0.0, 0.0, 9.0, 9.0]])
    close = np.array([[0.0, 0.0, 8.0, 9.0]])  # an IoU of .89: met at eight of the ten thresholds
    views = np.zeros(2, dtype=int)
    found = [
        (StudyRegions(false_first, np.array([0.9, 0.8]), views), torch.from_numpy(wanted)[None]),
        (StudyRegions(close, np.array([0.7]), views[:1]), torch.from_numpy(wanted)[None]),
    ]
    # By falling score false, right, right: a precision of 2/3 at every recall, since it never falls to the right.
    # From .9 on the last is false too: of 1/2 up to a recall of .5, which 51 of the 101 points are.
    met, cut = 2 / 3, 1 / 2 * 51 / 101
    assert region_scores.region_scores(found) == {
        "map": pytest.approx((8 * met + 2 * cut) / 10, abs=1e-4),
        "map_50": pytest.approx(met, abs=1e-4),
    }


def test_validation_studies_without_a_box_cannot_pick_by_it(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    use_studies(monkeypatch, lambda split: [boxed_study(i, split=split, boxed=split == "train") for i in range(6)])
    said = r"^train\.monitor map: none of the 3 validation studies has a box that it .*; raise .* choose loss$"
    with pytest.raises(IncompatibleError, match=said):
        prepare(detector_config(), cache=cache)
    assert prepare(detector_config(monitor="loss"), cache=cache).config.train.monitor == "loss"


def test_a_box_in_a_view_that_does_not_enter_is_none(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def lateral_boxed(split: str) -> list[Study]:
        studies = [boxed_study(i, split=split) for i in range(6)]
        if split == "train":
            return studies
        (plain,) = boxed_study(0, split=split).views
        front = plain.model_copy(update={"view_id": f"{split}-front", "position": "PA"})
        return [
            study.model_copy(update={"views": (study.views[0].model_copy(update={"position": "LATERAL"}), front)})
            for study in studies
        ]

    use_studies(monkeypatch, lateral_boxed)
    one = detector_config()
    both = one.model_copy(update={"data": one.data.model_copy(update={"max_views": 2})})
    with pytest.raises(IncompatibleError, match="none of the 6 validation studies has a box"):
        prepare(one, cache=cache)
    assert len(prepare(both, cache=cache).validation) == 6
