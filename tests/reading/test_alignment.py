"""Readings of a system that aligns: maps and marks in the original's frame, flags where it could not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from contrastcxr.checkpoint import save_checkpoint
from contrastcxr.data.transforms import map_points
from contrastcxr.errors import IncompatibleError
from contrastcxr.features.box_cells import overlapping_cells
from contrastcxr.form import Reading
from contrastcxr.metrics.localization import covered_area
from contrastcxr.models.align.pose import compose
from contrastcxr.models.heads.base import Marking
from contrastcxr.reading.alignment import pose_flags
from contrastcxr.reading.evidence import grids
from contrastcxr.reading.reader import Reader
from contrastcxr.reading.regions import marks_of
from contrastcxr.reading.upright import FINENESS, upright
from tiny_system import tiny_checkpoint, tiny_config, tiny_study

ALIGN = {"kind": "affine", "network": "small", "size": 64, "weights": "runs/align"}
CAM = {
    "localizer": {"kind": "cam", "labels": "phantom"},
    "decoder": None,
    "finding_head": None,
    "contrast": None,
    "train": {"monitor": "loss"},
}


def reader_with(tmp_path: Path, pose: Sequence[float] | None, **changes: object) -> Reader:
    config = tiny_config(**({} if pose is None else {"align": ALIGN}), **changes)
    checkpoint = tiny_checkpoint(config)
    if pose is not None:
        state = {**checkpoint.state, "aligner.pose.bias": torch.tensor(pose)}
        checkpoint = replace(checkpoint, state=state)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, checkpoint, dtype="float32")
    return Reader.from_checkpoint(path)


def messages(reading: Reading) -> list[str]:
    return [flag.message for flag in reading.flags if "aligned" in flag.message]


@pytest.mark.parametrize("pose", [(0.2, 0.1, -0.1, 0.2, 0.2), (0.0, 0.0, 0.2, 0.0, 0.0), (0.0,) * 5])
def test_an_upright_map_has_at_each_place_the_cell_that_lies_there(pose: Sequence[float]) -> None:
    size, shape = 40, (90, 120)
    base = torch.tensor([[3.0, 0.0, 0.0], [0.0, 2.25, 0.0]], dtype=torch.float64)
    affine = compose(base, torch.tensor(pose, dtype=torch.float64), size).numpy()
    cells = np.arange(1.0, 21).reshape(4, 5)
    found = upright(cells, affine, size=size, shape=shape)
    assert found.shape == (4 * FINENESS, 5 * FINENESS)
    linear, shift = affine[:, :2], affine[:, 2]
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            original = np.array([(column + 0.5) * 120 / found.shape[1], (row + 0.5) * 90 / found.shape[0]])
            x, y = np.linalg.solve(linear, original - shift)
            inside = 0 <= x < size and 0 <= y < size
            assert found[row, column] == (cells[int(y * 4 / size), int(x * 5 / size)] if inside else 0)


def test_evidence_of_an_aligned_view_lies_over_the_whole_original() -> None:
    base, pose = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.5, 0.0]]]).double(), torch.tensor([[0.1, 0, 0, 0, 0.2]])
    affines = compose(base, pose.double(), 64).numpy()
    (place,) = grids(rows=4, columns=4, affines=affines, view_index=(0,), size=64, unaligned=base.numpy())
    assert place.extent == (0.0, 0.0, 128.0, 96.0)
    assert place.shape == (96, 128)
    found = place.map(np.ones(16))
    assert (len(found.rows), len(found.rows[0])) == (4 * FINENESS, 4 * FINENESS)
    assert {value for row in found.rows for value in row} == {0.0, 1.0}  # a corner is in no cell


def test_a_picture_that_cannot_be_aligned_is_read_as_it_is_with_a_flag(tmp_path: Path) -> None:
    study = tiny_study("one", views=2)
    plain = reader_with(tmp_path, None).read(study)
    lost = reader_with(tmp_path, (0.0, 0.0, 1.0, 0.0, 0.0)).read(study)
    assert messages(plain) == []
    assert messages(lost) == ["view 1 is not aligned, read as it is: scale 2.72 and 1.00, outside of 0.5 to 2"]
    assert lost.report == plain.report
    assert lost.findings == plain.findings


def test_an_aligned_picture_is_read_without_a_flag_and_not_as_the_plain_one(tmp_path: Path) -> None:
    study = tiny_study("one")
    plain = reader_with(tmp_path, None).read(study)
    moved = reader_with(tmp_path, (0.3, 0.0, 0.3, 0.3, 0.3)).read(study)
    assert messages(moved) == []
    assert [f.probability for f in moved.findings] != [f.probability for f in plain.findings]
    assert moved.provenance["model"]["align"] == "affine"


def test_marks_are_in_pixels_of_the_original(tmp_path: Path) -> None:
    pose = (0.2, -0.1, -0.2, -0.1, 0.25)
    study = tiny_study("one")  # 90 high, 120 wide
    reading = reader_with(tmp_path, pose, **CAM).read(study)
    base = torch.tensor([[120 / 64, 0.0, 0.0], [0.0, 90 / 64, 0.0]], dtype=torch.float64)
    affine = compose(base, torch.tensor(pose, dtype=torch.float64), 64).numpy()
    corners = map_points(affine, np.array([[0, 0], [64, 0], [0, 64], [64, 64]]))
    low, high = corners.min(0).clip(0, (120, 90)), corners.max(0).clip(0, (120, 90))
    peaks = [f.peak for f in reading.findings if f.peak is not None]
    assert peaks
    cells = {
        tuple(np.round(np.clip(map_points(affine, np.array([[x, y]]))[0], 0, (120, 90)), 2))
        for x in np.arange(0.5, 64)
        for y in np.arange(0.5, 64)
    }
    for finding in reading.findings:
        for box in finding.region:
            x1, y1, x2, y2 = box.xyxy
            assert low[0] - 0.02 <= x1 < x2 <= high[0] + 0.02
            assert low[1] - 0.02 <= y1 < y2 <= high[1] + 0.02
        assert finding.peak is None or finding.peak.xy in cells


@pytest.mark.parametrize("marking", ["cells", "range", "regions"])
@pytest.mark.parametrize("pose", [(0.2, -0.1, -0.2, -0.1, 0.25), (-0.1, 0.15, 0.3, 0.2, -0.4), (0.0,) * 5])
def test_a_box_comes_back_within_a_cell(pose: Sequence[float], marking: Marking) -> None:
    """The cells that a box overlaps, as heat, are marked where the box is, in the original."""
    box, size, cells = (300.0, 250.0, 420.0, 340.0), 64, 32
    base = torch.tensor([[[800 / 64, 0.0, 0.0], [0.0, 640 / 64, 0.0]]], dtype=torch.float64)
    affines = compose(base, torch.tensor([pose], dtype=torch.float64), size).numpy()
    heat = overlapping_cells(box, affines[0], cells, cells, size).astype(np.float64)
    places = grids(rows=cells, columns=cells, affines=affines, view_index=(0,), size=size, unaligned=base.numpy())
    cuts = (0.5,) if marking == "cells" else (127.0,)
    marked = marks_of({"Mass": heat.ravel()}, places, affines, size=size, cuts=cuts, marking=marking)["Mass"]
    steps = np.abs(affines[0][:, :2]).sum(axis=1) * size / cells + 800 / 256  # a cell, and a place of the raster
    if marking != "cells":  # which boxes what it marks, in the picture that is turned
        corners = map_points(np.linalg.inv(np.vstack([affines[0], (0, 0, 1)]))[:2], _corners(box))
        turned = map_points(affines[0], _corners((*corners.min(axis=0), *corners.max(axis=0))))
    else:
        turned = _corners(box)
    low, high = turned.min(axis=0) - steps, turned.max(axis=0) + steps
    for part in marked.region:
        x1, y1, x2, y2 = part.xyxy
        assert low[0] <= x1 < x2 <= high[0]
        assert low[1] <= y1 < y2 <= high[1]
    assert covered_area([b.xyxy for b in marked.region], [box]) == pytest.approx(covered_area([box]), rel=0.05)
    assert marked.peak is not None
    x, y = marked.peak.xy
    assert box[0] < x < box[2]
    assert box[1] < y < box[3]


def _corners(box: Sequence[float]) -> np.ndarray:
    x1, y1, x2, y2 = box
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])


def test_lost_views_alone_have_flags() -> None:
    poses = torch.tensor([[0.0] * 5, [0.9, 0, 0, 0, 0], [0.9, 0, 0, 0, 0]])
    assert [flag.message[:6] for flag in pose_flags(poses, (0, 2))] == ["view 3"]


def test_an_aligner_alone_answers_nothing(tmp_path: Path) -> None:
    alone = {**CAM, "localizer": None, "projection": {"kind": "none"}}
    config = tiny_config(align={**ALIGN, "weights": None}, **alone)
    path = tmp_path / "aligner.safetensors"
    save_checkpoint(path, tiny_checkpoint(config))
    with pytest.raises(IncompatibleError, match=r"without a head answers nothing.* as align\.weights"):
        Reader.from_checkpoint(path)
