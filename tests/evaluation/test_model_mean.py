"""The mean of several localizers: of one it is its own reading, of two the mean of their cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contrastcxr.errors import IncompatibleError
from contrastcxr.evaluation.cached import cached_batches, encoded_for, read_cached
from contrastcxr.evaluation.model_mean import read_by_mean
from contrastcxr.form import Box, Reading, Study
from contrastcxr.metrics.localization import Overlap
from contrastcxr.reading.reader import Reader
from tiny_aligner import with_pose
from tiny_system import save_tiny, tiny_config, tiny_study

LI = {"kind": "li2018", "labels": "phantom", "hidden": 8, "upsample": 8, "threshold": 0.5}
CAM = {"kind": "cam", "labels": "phantom"}
REGIONS = {**CAM, "marks": "regions"}
ALIGN = {"kind": "affine", "network": "small", "size": 64, "weights": "runs/none"}


def reader(folder: Path, localizer: dict[str, Any], *, seed: int = 0, **changes: Any) -> Reader:
    own = folder / str(seed)
    own.mkdir()
    none = {
        "decoder": None,
        "finding_head": None,
        "contrast": None,
        "projection": {"kind": "none"},
        "train": {"monitor": "auc"},
    }
    config = tiny_config(**{**none, "localizer": localizer, "data": {"max_views": 1}, **changes})
    return Reader.from_checkpoint(save_tiny(own, config, seed=seed))


def studies() -> list[Study]:
    return [tiny_study(f"s{k}", seed=k) for k in range(3)]


def areas(reading: Reading) -> dict[str, tuple[Box, ...]]:
    return {finding.name: finding.region for finding in reading.findings}


@pytest.mark.parametrize("localizer", [LI, CAM, REGIONS])
def test_the_mean_of_one_model_is_what_it_reads(tmp_path: Path, localizer: dict[str, Any]) -> None:
    one = reader(tmp_path, localizer)
    own, _ = read_cached(one, studies(), cache=tmp_path / "cache")
    mean, failures = read_by_mean([one], studies(), cache=tmp_path / "cache")
    assert failures == []
    assert any(region for reading in own for region in areas(reading).values())
    for alone, averaged in zip(own, mean, strict=True):
        assert averaged.study_id == alone.study_id
        for finding in alone.findings:
            other = averaged.finding(finding.name)
            assert other is not None
            assert (other.probability, other.status) == (finding.probability, finding.status)
            found = Overlap.of(other.region, finding.region)
            if localizer is LI:  # cells stay cells
                assert found.iou == pytest.approx(1.0 if finding.region else 0.0, abs=1e-6)
            elif finding.region:  # a map of 64 pixels, drawn on 256 places
                assert found.iou > 0.9
            if finding.peak is not None and other.peak is not None:
                assert np.abs(np.subtract(finding.peak.xy, other.peak.xy)).max() < 120 / 64


def test_two_models_mark_where_the_mean_of_their_cells_is_above_the_threshold(tmp_path: Path) -> None:
    readers = [reader(tmp_path, LI, seed=seed) for seed in (0, 1)]
    mean, _ = read_by_mean(readers, studies(), cache=tmp_path / "cache")
    heats = []
    for each in readers:
        kept, _ = encoded_for(each, studies(), cache=tmp_path / "cache")
        heats.append([heat for batch in cached_batches(each, studies(), kept) for heat in each.heat(batch)])
    marked = 0
    for place, reading in enumerate(mean):
        one, other = (of[place] for of in heats)
        for finding in reading.findings:
            cells = (one.heat[finding.name] + other.heat[finding.name]).reshape(8, 8) / 2
            wide, tall = 120 / 8, 90 / 8
            boxes = [
                Box(xyxy=(x * wide, y * tall, (x + 1) * wide, (y + 1) * tall)) for y, x in np.argwhere(cells > 0.5)
            ]
            marked += len(boxes)
            assert Overlap.of(finding.region, boxes).iou == pytest.approx(1.0 if boxes else 0.0, abs=1e-3)
            chances = [each.probabilities[finding.name] for each in (one, other)]
            assert finding.probability == pytest.approx(np.mean(chances), rel=1e-3)
    assert 0 < marked < 3 * 64 * len(mean[0].findings)


@pytest.mark.parametrize(
    ("localizer", "pose"),
    [
        (LI, (0.0, 0.0, 0.0, 0.0, 0.0)),
        (LI, (0.1, -0.2, -0.3, 0.1, 0.4)),
        (CAM, (0.1, -0.2, -0.3, 0.1, 0.0)),  # its boxes stand upright, in whichever frame they are drawn
    ],
)
def test_aligned_pictures_are_averaged_where_they_lie_in_the_original(
    tmp_path: Path, localizer: dict[str, Any], pose: tuple[float, ...]
) -> None:
    one = reader(tmp_path, localizer, align=ALIGN)
    assert one.system.aligner is not None
    one.system.aligner = with_pose(one.system.aligner, pose)
    own, _ = read_cached(one, studies(), cache=tmp_path / "cache")
    mean, _ = read_by_mean([one, one], studies(), cache=tmp_path / "cache")
    overlaps = [
        Overlap.of(other.region, finding.region).iou
        for alone, averaged in zip(own, mean, strict=True)
        for finding, other in zip(alone.findings, averaged.findings, strict=True)
        if finding.region
    ]
    assert overlaps
    assert np.mean(overlaps) > 0.95  # edges of cells move by half a place at most
    assert min(overlaps) > 0.8


def test_what_is_averaged_names_its_models_and_writes_nothing(tmp_path: Path) -> None:
    readers = [reader(tmp_path, LI, seed=seed) for seed in (0, 1)]
    (reading, *_), _ = read_by_mean(readers, studies(), cache=tmp_path / "cache")
    model = reading.provenance["model"]
    assert model["mean_of_sha256"] == [each.provenance["model"]["checkpoint_sha256"] for each in readers]
    assert (model["decoder"], model["localizer"]) == (None, "li2018")
    assert "checkpoint_sha256" not in model


def test_models_that_cannot_be_averaged_are_refused(tmp_path: Path) -> None:
    with pytest.raises(IncompatibleError, match="cut their maps at different heights"):
        read_by_mean([reader(tmp_path, LI), reader(tmp_path, CAM, seed=1)], studies(), cache=tmp_path / "cache")
    head = {"finding_head": {"labels": "phantom"}}
    with pytest.raises(IncompatibleError, match="no localizer, whose heat could be averaged"):
        read_by_mean([reader(tmp_path, None, seed=2, **head)], studies(), cache=tmp_path / "cache")  # type: ignore[arg-type]
