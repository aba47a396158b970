"""RetinaNet as a localizer: what it takes, what it is taught, and how its regions come back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.features import VisualFeatures
from contrastcxr.models.heads.base import Head, PartialReading, RegionMarks
from models.tiny_heads import IMAGE, TARGETS, tiny_features, tiny_head

REGIONS = 5


def head(seed: int = 0) -> Head:
    return tiny_head("localizer", "retinanet", seed=seed)


def answered(features: VisualFeatures) -> tuple[PartialReading, RegionMarks]:
    with torch.no_grad():
        answer = head().answer(features)
    assert answer.regions is not None
    return answer, answer.regions


def test_regions_of_all_views_stand_side_by_side() -> None:
    answer, marks = answered(tiny_features())
    assert marks.finding == "Lung Opacity"
    assert marks.boxes.shape == (4, 2 * REGIONS, 4)
    assert marks.views.tolist()[0] == [0] * REGIONS + [1] * REGIONS
    assert bool((marks.boxes <= IMAGE).all())
    assert answer.probabilities is not None
    assert torch.equal(answer.probabilities[:, 0], marks.weights.amax(dim=1))


def test_a_view_that_is_not_there_has_no_region() -> None:
    _, marks = answered(tiny_features())
    assert not marks.weights[1, REGIONS:].any()
    assert bool((marks.weights[0, REGIONS:] > 0).all())


def test_boxes_of_a_view_that_is_not_there_are_not_taught() -> None:
    features, corners = tiny_features(), TARGETS.box_corners
    assert corners is not None
    wild = corners.clone()
    wild[1, 1, 0] = torch.tensor([1.0, 1.0, 50.0, 50.0])
    first = head().teach(features, TARGETS).terms
    other = head().teach(features, replace(TARGETS, box_corners=wild)).terms
    assert {name: float(mean.detach()) for name, (mean, _) in first.items()} == {
        name: float(mean.detach()) for name, (mean, _) in other.items()
    }
    assert {int(count) for _, count in first.values()} == {6}  # views


def test_patches_that_are_no_grid_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="patches that are no grid"):
        head().answer(tiny_features().replace(places=None))
