"""Li's localizer against plain loops straight from the equations: cells, studies, both losses, who gets which."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from contrastcxr.data.transforms import resize_affine
from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets, Term
from contrastcxr.metrics.localization import covered_area
from contrastcxr.models.align.pose import cells_inside
from contrastcxr.models.encoders import build_encoder
from contrastcxr.models.features import GridPlaces, RegionPlaces, VisualFeatures, masked_mean
from contrastcxr.models.heads.base import FindingMaps
from contrastcxr.models.heads.localizers.li2018 import RARE, TOGETHER, LiLocalizer
from contrastcxr.models.heads.localizers.options import LiOptions
from contrastcxr.models.heads.options import TaughtBoxes
from contrastcxr.reading.regions import cell_marks
from models.tiny_heads import FINDINGS, TARGETS, N, tiny_features, tiny_head
from plain_floats import sigmoid
from tiny_system import tiny_checkpoint, tiny_config

ROWS, COLUMNS, SIDE, VIEWS = 2, 3, 4, 2
Grid = list[list[list[float]]]
"""Channels of rows of columns."""
HEADS = ({}, {"head": "single"}, {"upsample": None}, {"head": "single", "upsample": None})
every = pytest.mark.parametrize("options", HEADS, ids=str)


def li(**options: object) -> LiLocalizer:
    """A localizer whose batch norm has seen something."""
    head = tiny_head("localizer", "li2018", **options)
    assert isinstance(head, LiLocalizer)
    if head.norm is not None:
        generator = torch.Generator().manual_seed(5)
        for value in (head.norm.running_mean, head.norm.running_var, head.norm.weight.data, head.norm.bias.data):
            assert value is not None
            value.copy_(torch.rand(8, generator=generator) + 0.2)
    return head


def features(*, absent: bool = True, outside: bool = False) -> VisualFeatures:
    """Three studies of two views of 2×3 cells; the second lacks a view, of the third a cell lies outside."""
    patches = torch.randn(3, VIEWS * ROWS * COLUMNS, 16, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, VIEWS * ROWS * COLUMNS, dtype=torch.bool)
    if absent:
        mask[1, ROWS * COLUMNS :] = False
    if outside:
        mask[2, 4] = False
    return VisualFeatures(patches, masked_mean(patches, mask), mask, GridPlaces(ROWS, COLUMNS))


def maps_of(head: LiLocalizer, seen: VisualFeatures) -> tuple[Tensor, FindingMaps]:
    with torch.no_grad():
        answer = head.answer(seen)
    assert answer.maps is not None
    assert answer.probabilities is not None
    return answer.probabilities, answer.maps


class Reference:
    """The equations over plain floats, of one view of a study."""

    def __init__(self, head: LiLocalizer, seen: VisualFeatures, study: int, view: int) -> None:
        self.head = head
        cells = ROWS * COLUMNS
        rows = seen.patches[study, view * cells : (view + 1) * cells].tolist()
        self.mask = seen.mask[study, view * cells : (view + 1) * cells].tolist()
        rows = [row if real else [0.0] * 16 for row, real in zip(rows, self.mask, strict=True)]
        self.channels: Grid = [
            [[rows[y * COLUMNS + x][c] for x in range(COLUMNS)] for y in range(ROWS)] for c in range(16)
        ]

    def logits(self, side: int | None) -> list[list[float]]:
        """Of each finding the logits of the cells, row by row."""
        maps = self.channels if side is None else [upsampled(each, side) for each in self.channels]
        if self.head.first is not None:
            maps = self._hidden(maps)
        weight, bias = self.head.last.weight.flatten(1).tolist(), self.head.last.bias.tolist()
        tall, wide = len(maps[0]), len(maps[0][0])
        return [
            [
                sum(w * each[y][x] for w, each in zip(row, maps, strict=True)) + b
                for y, x in itertools.product(range(tall), range(wide))
            ]
            for row, b in zip(weight, bias, strict=True)
        ]

    def _hidden(self, maps: Grid) -> Grid:
        norm, first = self.head.norm, self.head.first
        assert norm is not None
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert first is not None
        tall, wide, found = len(maps[0]), len(maps[0][0]), []
        for h, taps in enumerate(first.weight.tolist()):
            plane = [[0.0] * wide for _ in range(tall)]
            for y, x, c, a, b in itertools.product(range(tall), range(wide), range(len(maps)), range(3), range(3)):
                if 0 <= y + a - 1 < tall and 0 <= x + b - 1 < wide:
                    plane[y][x] += taps[c][a][b] * maps[c][y + a - 1][x + b - 1]
            mean, deviation = float(norm.running_mean[h]), math.sqrt(float(norm.running_var[h]) + norm.eps)
            scale, shift = float(norm.weight[h].detach()), float(norm.bias[h].detach())
            found.append([[max((v - mean) / deviation * scale + shift, 0.0) for v in row] for row in plane])
        return found


def upsampled(plane: list[list[float]], side: int) -> list[list[float]]:
    """Linear between the centres of cells."""
    tall, wide = len(plane), len(plane[0])
    found = [[0.0] * side for _ in range(side)]
    for row, column in itertools.product(range(side), range(side)):
        y = min(max((row + 0.5) * tall / side - 0.5, 0), tall - 1)
        x = min(max((column + 0.5) * wide / side - 0.5, 0), wide - 1)
        for a, b in itertools.product(range(tall), range(wide)):
            found[row][column] += max(1 - abs(y - a), 0) * max(1 - abs(x - b), 0) * plane[a][b]
    return found


def real_views(seen: VisualFeatures) -> Iterator[tuple[int, int]]:
    for study, view in itertools.product(range(3), range(VIEWS)):
        if seen.mask[study, view * ROWS * COLUMNS]:
            yield study, view


def study_logit(head: LiLocalizer, seen: VisualFeatures, study: int, finding: int) -> float:
    """The logit of Eq. 5 over the cells of all views."""
    rest = 1.0
    for view in [view for of, view in real_views(seen) if of == study]:
        reference = Reference(head, seen, study, view)
        for logit, real in zip(reference.logits(None)[finding], reference.mask, strict=True):
            if real:
                rest *= head.mil_floor + (1 - head.mil_floor) * (1 - sigmoid(logit))
    return math.log((1 - rest) / rest)


@every
@pytest.mark.parametrize("outside", [False, True], ids=["", "outside"])
@pytest.mark.parametrize("floor", [0.0, 0.98])
def test_logits_of_a_study_are_those_of_the_equations(
    options: dict[str, object], outside: bool, floor: float
) -> None:
    head, seen = li(**options, mil_floor=floor), features(outside=outside)
    found = head.logits(seen).detach()
    for study, finding in itertools.product(range(3), range(len(FINDINGS))):
        assert float(found[study, finding]) == pytest.approx(study_logit(head, seen, study, finding), abs=1e-4)


@every
def test_heat_is_the_probability_of_each_cell_that_is_marked(options: dict[str, object]) -> None:
    head, seen = li(**options), features()
    _, maps = maps_of(head, seen)
    n = (head.side or 1) ** 2 if head.side else ROWS * COLUMNS
    assert maps.heat.shape == (3, len(FINDINGS), VIEWS * n)
    for study, view in real_views(seen):
        expected = Reference(head, seen, study, view).logits(head.side)
        for finding, logits in enumerate(expected):
            found = maps.heat[study, finding, view * n : (view + 1) * n].tolist()
            assert found == pytest.approx([sigmoid(z) for z in logits], abs=1e-5)
    assert maps.heat[1, :, n:].eq(0).all()
    assert (maps.cuts, maps.marking, head.threshold) == ((0.5,), "cells", None)


@every
def test_a_person_is_shown_the_highest_cell_of_each_patch(options: dict[str, object]) -> None:
    head, seen = li(**{"upsample": 6, **options}), features()
    _, maps = maps_of(head, seen)
    cells = ROWS * COLUMNS
    assert maps.shown.shape == (3, len(FINDINGS), VIEWS * cells)
    if head.side is None:
        assert torch.equal(maps.shown, maps.heat)
        return
    tall, wide = 6 // ROWS, 6 // COLUMNS
    for study, finding, view in itertools.product(range(3), range(len(FINDINGS)), range(VIEWS)):
        heat = maps.heat[study, finding].view(VIEWS, 6, 6)[view]
        shown = maps.shown[study, finding].view(VIEWS, ROWS, COLUMNS)[view]
        for y, x in itertools.product(range(ROWS), range(COLUMNS)):
            assert shown[y, x] == heat[y * tall : (y + 1) * tall, x * wide : (x + 1) * wide].max()


def test_many_views_are_upsampled_in_parts_and_one_by_one_alike() -> None:
    head, seen = li(), features(absent=False)
    assert 3 * VIEWS > TOGETHER
    _, maps = maps_of(head, seen)
    alone = [
        maps_of(head, seen.replace(patches=seen.patches[i : i + 1], pooled=seen.pooled[:1], mask=seen.mask[:1]))
        for i in range(3)
    ]
    torch.testing.assert_close(maps.heat, torch.cat([each.heat for _, each in alone]))


def test_a_cell_outside_of_the_picture_stands_in_no_product_and_is_not_marked() -> None:
    head, seen = li(upsample=None), features(outside=True)
    noise = seen.patches.masked_fill(~seen.mask.unsqueeze(-1), 9.0)
    assert torch.equal(head.logits(seen), head.logits(seen.replace(patches=noise)))
    _, maps = maps_of(head, seen)
    assert maps.heat[2, :, 4].eq(0).all()
    fine = maps_of(li(), seen)[1].heat[2].view(len(FINDINGS), VIEWS, SIDE, SIDE)
    assert fine[:, 0, 2:, 2].eq(0).all()  # the middle of three columns over four cells
    assert fine[:, 0, :2].gt(0).all()
    assert fine[:, 1].gt(0).all()


def box_cells(side: int | None) -> Tensor:
    """Boxes of the first finding in both views of study 0 and of the third in view 1; of one in an absent view."""
    rows, columns = (side, side) if side else (ROWS, COLUMNS)
    cells = torch.zeros(3, VIEWS, len(FINDINGS), rows, columns, dtype=torch.bool)
    cells[0, 0, 0, :, 1:] = cells[0, 1, 0, 0, 0] = cells[0, 1, 2, 1, 1:] = True
    cells[1, 1, 1] = True  # of a view that is not there
    cells[2, 0, 1, 1, 1] = True  # a cell outside of the picture, where there is one
    return cells.flatten(3)


LABELS = torch.tensor([[0.0, 1.0, torch.nan], [1.0, 1.0, 0.0], [torch.nan, 1.0, 0.0]])


def targets(side: int | None) -> Targets:
    return Targets(findings=LABELS, known=LABELS.isfinite(), box_cells=box_cells(side))


def expected_terms(head: LiLocalizer, seen: VisualFeatures, taught: Targets) -> tuple[float, float, int]:
    """`Σ (1 − λ) L(I)`, `Σ λ L(B)` of Eq. 6 and the number of pairs of study and finding in it."""
    assert taught.box_cells is not None
    labels, boxes, pairs = 0.0, 0.0, 0
    views = list(real_views(seen))
    for study, finding in itertools.product(range(3), range(len(FINDINGS))):
        total, number = 0.0, 0
        for view in [view for of, view in views if of == study]:
            reference = Reference(head, seen, study, view)
            inside = taught.box_cells[study, view, finding].tolist()
            mask = reference.mask if head.side is None else [True] * len(inside)
            if not any(i and m for i, m in zip(inside, mask, strict=True)):
                continue
            for logit, y, m in zip(reference.logits(head.side)[finding], inside, mask, strict=True):
                if m:
                    total -= math.log(head.box_floor + (1 - head.box_floor) * sigmoid(logit if y else -logit))
                    number += 1
        label = float(LABELS[study, finding])
        if number:
            boxes += total / number if head.by_cell and not head.summed else total
        elif not math.isnan(label):
            logit = study_logit(head, seen, study, finding)
            labels -= math.log(sigmoid(logit if label else -logit))
        pairs += bool(number) or not math.isnan(label)
    return labels, boxes, pairs


@every
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("box_loss", ["cells", "li2018"])
@pytest.mark.parametrize("floor", [0.0, 0.98])
def test_the_two_losses_are_those_of_eq_6(
    options: dict[str, object], reduction: str, box_loss: str, floor: float
) -> None:
    head = li(**options, reduction=reduction, box_loss=box_loss, mil_floor=floor)
    seen, taught = features(), targets(head.side)
    found = head.teach(seen, taught).terms
    labels, boxes, pairs = expected_terms(head, seen, taught)
    by = 1 if reduction == "sum" else pairs
    assert pairs == 8  # one label of nine is not known, and of two one has a box
    assert float(found["mil"][0].detach()) == pytest.approx(labels / by, rel=1e-4)
    assert float(found["box"][0].detach()) == pytest.approx(boxes / by, rel=1e-4)
    assert [int(count) for _, count in found.values()] == [by, by]


def test_a_box_outside_of_the_picture_leaves_the_label() -> None:
    head, taught = li(upsample=None), targets(None)
    for outside, boxed in ((False, True), (True, False)):
        labels, boxes, pairs = expected_terms(head, features(outside=outside), taught)
        found = head.teach(features(outside=outside), taught).terms
        assert float(found["mil"][0].detach()) == pytest.approx(labels / pairs, rel=1e-4)
        assert float(found["box"][0].detach()) == pytest.approx(boxes / pairs, rel=1e-4)
        cells = head._cells(head._views(features(outside=outside)).maps)
        _, there = head._box_losses(head._views(features(outside=outside)), cells, taught.box_cells)
        assert there.tolist() == [[True, False, True], [False] * 3, [False, boxed, False]]


def one_pair(label: float, *, known: bool = True, boxed: bool = False) -> dict[str, Term]:
    """The terms of one study and finding; the others are not known."""
    findings, cells = torch.zeros(3, 3), torch.zeros(3, VIEWS, 3, SIDE * SIDE, dtype=torch.bool)
    findings[0, 0] = label
    cells[0, 0, 0, 3] = boxed
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[0, 0] = known
    return dict(li().teach(features(), Targets(findings=findings, known=mask, box_cells=cells)).terms)


def test_a_box_counts_whatever_the_label_says() -> None:
    said = [one_pair(1.0, boxed=True), one_pair(0.0, boxed=True), one_pair(torch.nan, known=False, boxed=True)]
    for found in said:
        assert float(found["mil"][0].detach()) == 0
        assert float(found["box"][0].detach()) == float(said[0]["box"][0].detach()) > 0
        assert int(found["box"][1]) == 1
    unknown = one_pair(torch.nan, known=False)
    assert all(float(mean.detach()) == int(count) == 0 for mean, count in unknown.values())


def test_without_boxes_labels_alone_are_taught_and_nothing_is_upsampled(monkeypatch: pytest.MonkeyPatch) -> None:
    head, taught = li(), targets(SIDE)
    monkeypatch.setattr(head, "_upsampled_cells", lambda _: pytest.fail("there is no box"))
    assert taught.box_cells is not None
    for none in (None, torch.zeros_like(taught.box_cells)):
        found = head.teach(features(), replace(taught, box_cells=none)).terms
        assert float(found["box"][0].detach()) == 0
        assert int(found["mil"][1]) == 7
        assert int(found["box"][1]) == (0 if none is None else 7)


def test_only_views_with_a_box_are_upsampled(monkeypatch: pytest.MonkeyPatch) -> None:
    head, seen = li(), features()
    views, plain = [], head._upsampled_cells
    monkeypatch.setattr(head, "_upsampled_cells", lambda maps: (views.append(len(maps)), plain(maps))[1])
    head.teach(seen, targets(SIDE))
    assert views == [3]


@pytest.mark.parametrize("side", [None, SIDE])
def test_batch_norm_learns_from_the_patches_as_they_are(side: int | None) -> None:
    head, seen = li(upsample=side).train(), features()
    assert head.norm is not None
    assert head.norm.running_mean is not None
    before = head.norm.running_mean.clone()
    head.teach(seen, targets(side))
    views = head._views(seen)
    assert head.first is not None
    wanted = 0.9 * before + 0.1 * head.first(views.maps).mean(dim=(0, 2, 3))
    torch.testing.assert_close(head.norm.running_mean, wanted)


def test_a_study_is_rare_at_the_start_where_nothing_floors_its_product() -> None:
    assert li(mil_floor=0.0).last.bias.tolist() == [RARE] * 3
    assert li().last.bias.abs().max() < 1
    assert RARE == -6


def test_temperature_divides_the_probability_of_the_study_and_of_no_cell() -> None:
    head, seen = li(), features()
    _, before = maps_of(head, seen)
    head.set_temperature(2.0)
    probabilities, after = maps_of(head, seen)
    torch.testing.assert_close(probabilities, torch.sigmoid(head.logits(seen) / 2).detach())
    assert torch.equal(before.heat, after.heat)
    assert torch.equal(before.shown, after.shown)


@pytest.mark.parametrize("places", [None, "regions"])
def test_patches_that_are_no_grid_are_refused_by_name(places: str | None) -> None:
    seen = tiny_features()
    boxes, views = torch.zeros(4, N, 4), torch.zeros(4, N, dtype=torch.int64)
    regions = RegionPlaces(boxes, boxes[..., 0], views) if places else None
    with pytest.raises(IncompatibleError, match=r"^localizer\.kind li2018 on patches that are no grid: .*choose"):
        li().logits(seen.replace(places=regions))
    with pytest.raises(IncompatibleError, match=r"^localizer\.upsample 2 on a grid of 2×3 patches: .*set"):
        li(upsample=2).logits(features())


def test_studies_without_labels_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="needs labels of findings"):
        li().teach(tiny_features(), Targets(box_cells=TARGETS.box_cells))


def test_its_options_are_the_published_ones_and_say_what_follows() -> None:
    options = LiOptions(labels="nih14")
    published = {
        **{"head": "two", "hidden": 512, "upsample": 128, "threshold": 0.5, "mil_floor": 0.98},
        **{"box_loss": "cells", "box_weight": 5.0, "reduction": "sum"},
    }
    assert {name: getattr(options, name) for name in published} == published
    assert options.term_weights == {"mil": 1.0, "box": 5.0}
    assert LiOptions(labels="nih14", weight=2.0).term_weights == {"mil": 2.0, "box": 10.0}
    assert options.needs.taught_boxes == TaughtBoxes(128)
    assert not options.needs.boxes
    assert options.stated_sizes() == {"hidden": 512}
    assert LiOptions(labels="nih14", head="single").stated_sizes() == {}
    head = li(upsample=None)
    assert head.marked_grid(GridPlaces(2, 3)) == GridPlaces(2, 3)
    assert li().marked_grid(GridPlaces(2, 3)) == GridPlaces(SIDE, SIDE)


@pytest.mark.parametrize("options", [{}, {"box_loss": "li2018", "upsample": None}], ids=["cells", "li2018"])
def test_it_learns_to_mark_a_box(options: dict[str, object]) -> None:
    """Of two pictures one has a bright square."""
    side = None if "upsample" in options else 16
    patches = 0.1 * torch.randn(2, 64, 16, generator=torch.Generator().manual_seed(2))
    square = torch.zeros(8, 8, dtype=torch.bool)
    square[2:5, 3:7] = True
    patches[0, square.flatten()] += 1.0
    seen = VisualFeatures(patches, patches.mean(dim=1), torch.ones(2, 64) > 0, GridPlaces(8, 8))
    cells = torch.zeros(2, 1, 3, 8, 8, dtype=torch.bool)
    cells[0, 0, 1] = square
    fine = cells if side is None else cells.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    labels = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    taught = Targets(findings=labels, known=labels.isfinite(), box_cells=fine.flatten(3))
    head = li(**{"upsample": side, **options}).train()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    for _ in range(150):
        terms = head.teach(seen, taught).terms
        optimizer.zero_grad()
        torch.stack(
            [weight * terms[name][0] for name, weight in head.options.term_weights.items()]
        ).sum().backward()
        optimizer.step()
    _, maps = maps_of(head.eval(), seen)
    side = side or 8
    heat = maps.heat.view(2, 3, side, side).numpy()
    marked = cell_marks(heat[0, 1], view=0, affine=resize_affine((128, 128), 64), size=64, cut=maps.cuts[0])
    region, box = [each.xyxy for each in marked.region], [(48.0, 32.0, 112.0, 80.0)]
    shared = covered_area(region, box)
    assert shared / (covered_area(region) + covered_area(box) - shared) > 0.8
    assert marked.peak is not None
    assert np.less((48, 32), marked.peak.xy).all()
    assert np.less(marked.peak.xy, (112, 80)).all()
    assert not (heat[1] > 0.5).any()


def test_on_a_stage_of_its_own_it_takes_that_map_and_shapes_nothing_else() -> None:
    options = {"kind": "li2018", "labels": "phantom", "hidden": 8, "upsample": 16, "reduction": "mean", "stage": 2}
    system = tiny_checkpoint(tiny_config(localizer=options)).build().train()
    images = torch.randn(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    view_mask = torch.tensor([[True, True], [True, False]])
    stage = build_encoder("test_resnet", weights="random", image_size=64, stage=2)
    seen = system.features(images=images, view_mask=view_mask)
    (fine,) = seen.fine
    assert (seen.places, fine.places) == (GridPlaces(2, 2), GridPlaces(8, 8))
    assert system.marked_grid == GridPlaces(16, 16)
    cells = fine.patches.view(2, 2, 64, -1)
    for study, view in itertools.product(range(2), range(2)):
        wanted = stage(images[study, view : view + 1])[0] if view_mask[study, view] else torch.zeros(64, 48)
        torch.testing.assert_close(cells[study, view], wanted)
    assert torch.equal(fine.mask, view_mask.repeat_interleave(64, dim=1))

    localizer = system.localizer
    assert isinstance(localizer, LiLocalizer)
    findings = torch.ones(2, len(localizer.findings))
    terms = localizer.teach(seen, Targets(findings=findings, known=findings.bool())).terms
    terms["mil"][0].backward()
    assert system.projection.linear.weight.grad is None
    assert localizer.last.weight.grad is not None
    _, maps = maps_of(localizer.eval(), seen)
    assert maps.heat.shape == (2, len(localizer.findings), 2 * 16**2)
    assert maps.shown.shape == (2, len(localizer.findings), 2 * 4)
    heat = maps.heat[0, 0].view(2, 16, 16)[0]
    assert torch.equal(maps.shown[0, 0, :4].view(2, 2), heat.unfold(0, 8, 8).unfold(1, 8, 8).amax(dim=(2, 3)))


def test_patches_that_others_share_have_no_part_in_a_stage_of_its_own() -> None:
    head, seen = li(stage=1, stage_widths=(16,)), features()
    other = replace(features(), patches=torch.zeros_like(seen.patches), fine=(seen,))
    alone = li()
    alone.load_state_dict(head.state_dict())
    assert torch.equal(head.logits(other), alone.logits(seen))
    assert head.options.encoder_stages == (1,)
    assert alone.options.encoder_stages == ()


def test_cells_of_its_stage_that_lie_outside_of_an_aligned_picture_do_not_count() -> None:
    options = {"kind": "li2018", "labels": "phantom", "hidden": 8, "upsample": 16, "reduction": "mean", "stage": 2}
    system = tiny_checkpoint(tiny_config(localizer=options, contrast=None)).build()
    images = torch.randn(1, 2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    poses = torch.zeros(1, 2, 5)
    poses[0, 1, :2] = 0.3  # the second view is shifted
    seen = system.features(images=images, view_mask=torch.ones(1, 2, dtype=torch.bool), poses=poses)
    (fine,) = seen.fine
    inside = cells_inside(poses, GridPlaces(8, 8)).view(1, -1)
    assert torch.equal(fine.mask, inside)
    assert inside[0, :64].all()
    assert 0 < inside[0, 64:].sum() < 64
    assert not fine.patches[~inside].any()
