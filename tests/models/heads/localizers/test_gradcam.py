"""Grad-CAM against plain autograd in a loop, what it is of a pooled linear classifier, and what masks drop."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.features import GridPlaces, VisualFeatures, masked_mean
from contrastcxr.models.heads.base import FindingMaps
from contrastcxr.models.heads.localizers.cam import CamLocalizer
from contrastcxr.models.heads.localizers.gradcam import GradCamLocalizer, grad_cam
from contrastcxr.models.heads.localizers.maps import REGION_CUT
from models.studies import filled, select
from models.tiny_heads import FINDINGS, TARGETS, WIDTH, tiny_features, tiny_head

ROWS, COLUMNS = 4, 5
CELLS = ROWS * COLUMNS


def gradcam(**options: object) -> GradCamLocalizer:
    """A head whose norms have seen something, so that they are no identity."""
    head = tiny_head("localizer", "gradcam", **options)
    assert isinstance(head, GradCamLocalizer)
    draw = torch.Generator().manual_seed(4)
    for name, value in head.state_dict().items():
        if "running" in name:
            value.copy_(torch.rand(value.shape, generator=draw) * 0.4 + (0.3 if "var" in name else -0.2))
    return head


def views() -> VisualFeatures:
    """Four studies of two views: the second of studies 1 and 3 is absent, parts of study 2 lie outside."""
    patches = torch.randn(4, 2 * CELLS, WIDTH, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(4, 2, ROWS, COLUMNS, dtype=torch.bool)
    mask[1::2, 1] = False
    mask[2, 0, :, 3:] = False
    mask[2, 1, 0] = False
    flat = mask.flatten(1)
    patches = patches.masked_fill(~flat.unsqueeze(2), 0.0)
    return VisualFeatures(patches, masked_mean(patches, flat), flat, GridPlaces(ROWS, COLUMNS))


def maps_of(head: GradCamLocalizer, features: VisualFeatures) -> FindingMaps:
    with torch.no_grad():
        answer = head.answer(features)
    assert answer.maps is not None
    return answer.maps


def plain_logits(head: GradCamLocalizer, patches: Tensor, mask: Tensor) -> Tensor:
    """Return `y [L]` of one study: each view by itself, then the mean over the cells that see a real patch."""
    kept = []
    for view in range(2):
        place = slice(view * CELLS, (view + 1) * CELLS)
        real = mask[place].view(ROWS, COLUMNS)
        if not real.any():
            continue
        cells = torch.where(real.unsqueeze(2), patches[place].view(ROWS, COLUMNS, -1), torch.zeros(()))
        made = head.stage(cells.permute(2, 0, 1)[None])[0]  # [h,2,3]
        for row, column in itertools.product(range(2), range(3)):
            window = real[max(2 * row - 1, 0) : 2 * row + 2, max(2 * column - 1, 0) : 2 * column + 2]
            if window.any():
                kept.append(made[:, row, column])
    mean = torch.stack(kept).mean(dim=0)
    return head.classifier.weight @ mean + head.classifier.bias


def test_logits_are_those_of_the_mean_over_real_cells() -> None:
    head, features = gradcam(), views()
    found = head.logits(features)
    for study in range(4):
        expected = plain_logits(head, features.patches[study], features.mask[study])
        torch.testing.assert_close(found[study], expected, atol=1e-5, rtol=1e-5)


def test_maps_are_those_of_plain_autograd_one_study_and_finding_at_a_time() -> None:
    head, features = gradcam(), views()
    _, found = head.logits_and_maps(features)
    assert found.shape == (4, len(FINDINGS), 2 * CELLS)
    marked = 0
    for study, finding in itertools.product(range(4), range(len(FINDINGS))):
        patches, mask = features.patches[study].clone().requires_grad_(), features.mask[study]
        (gradient,) = torch.autograd.grad(plain_logits(head, patches, mask)[finding], patches)
        weights = gradient[mask].mean(dim=0)
        for place in range(2 * CELLS):
            value = max(0.0, float(weights @ features.patches[study, place])) if mask[place] else 0.0
            assert float(found[study, finding, place]) == pytest.approx(value, abs=1e-6)
            marked += value > 0
    assert marked > 40


def test_on_the_last_map_of_a_pooled_linear_classifier_it_is_the_positive_part_of_cam_over_n() -> None:
    cam, features = tiny_head("localizer", "cam"), tiny_features()
    assert isinstance(cam, CamLocalizer)
    logits, maps = grad_cam(cam.logits, features)
    patches = features.mask.sum(dim=1)
    assert len(set(patches.tolist())) > 1
    torch.testing.assert_close(maps, cam.heat(features).relu() / patches[:, None, None])
    assert bool((maps > 0).any())
    torch.testing.assert_close(logits, cam.logits(features))


def test_the_gradient_is_taken_where_none_is_tracked_and_leaves_nothing_behind() -> None:
    head, features = gradcam(), views()
    with torch.no_grad():
        answer = head.answer(features)
        assert not torch.is_grad_enabled()
    assert answer.maps is not None
    assert bool((answer.maps.heat > 0).any())
    assert all(parameter.grad is None for parameter in head.parameters())
    for made in (answer.probabilities, answer.maps.heat, answer.maps.shown):
        assert made is not None
        assert not made.requires_grad
    before = {name: value.clone() for name, value in head.state_dict().items()}
    tracked = features.replace(patches=features.patches.clone().requires_grad_())
    torch.testing.assert_close(maps_of(head, tracked).heat, answer.maps.heat)
    assert tracked.patches.grad is None
    assert all(torch.equal(value, before[name]) for name, value in head.state_dict().items())


def test_what_the_mask_leaves_out_is_in_no_mean_and_no_map() -> None:
    head, features = gradcam(), views()
    answer, noisy = head.answer(features), head.answer(filled(features, 50.0))
    torch.testing.assert_close(noisy.probabilities, answer.probabilities)
    assert answer.maps is not None
    assert noisy.maps is not None
    torch.testing.assert_close(noisy.maps.heat, answer.maps.heat)
    _, raw = head.logits_and_maps(filled(features, 50.0))
    assert not raw.masked_select(~features.mask.unsqueeze(1)).any()
    outside = ~features.mask[2, :CELLS]
    least = answer.maps.heat[2, :, :CELLS][:, ~outside].amin(dim=1, keepdim=True)
    assert torch.equal(answer.maps.heat[2, :, :CELLS][:, outside], least.expand(-1, int(outside.sum())))


def test_a_view_in_which_nothing_lies_inside_counts_as_absent() -> None:
    head, features = gradcam(), views()
    gone = features.mask.clone()
    gone[0, CELLS:] = False
    half = features.replace(patches=features.patches[:, :CELLS], mask=features.mask[:, :CELLS])
    rows = torch.tensor([0])
    torch.testing.assert_close(head.logits(features.replace(mask=gone))[rows], head.logits(select(half, rows)))


@pytest.mark.parametrize("how", ["cast", "autocast"])
def test_half_precision_gives_the_same_maps_but_for_rounding(how: str) -> None:
    head, features = gradcam(), views()
    expected = maps_of(head, features)
    if how == "cast":
        head.to(torch.bfloat16)
        small = features.replace(patches=features.patches.bfloat16(), pooled=features.pooled.bfloat16())
        found = maps_of(head, small)
    else:
        with torch.autocast("cpu", torch.bfloat16):
            found = maps_of(head, features)
    assert found.heat.dtype == torch.float32
    scale = expected.heat.amax()
    assert float((found.heat - expected.heat).abs().amax() / scale) < 0.05


def test_it_marks_chosen_components_above_half_of_the_range_or_a_tuned_cut() -> None:
    maps = maps_of(gradcam(), views())
    assert (maps.marking, maps.cuts) == ("regions", (REGION_CUT,)) == ("regions", (127.5,))
    head = gradcam(cuts="tuned")
    assert head.threshold is not None
    assert maps_of(head, views()).cuts == (127.5,)
    assert 127.5 in head.threshold.candidates([])
    head.threshold.set(51.0)
    assert maps_of(head, views()).cuts == (51.0,)
    assert head.options.needs.boxes
    assert not gradcam().options.needs.boxes


def test_studies_of_a_batch_teach_together_through_its_norms() -> None:
    head, features = gradcam(), views()
    assert head.options.whole_batch == "kind gradcam"
    head.train()
    alone = head.logits(select(features, torch.tensor([0, 2])))
    assert not torch.allclose(alone, head.logits(features)[[0, 2]])
    assert gradcam().teach(features, TARGETS).terms.keys() == {"gradcam"}


def test_patches_that_are_no_grid_are_refused() -> None:
    with pytest.raises(IncompatibleError, match=r"localizer\.kind gradcam on patches that are no grid"):
        gradcam().answer(tiny_features().replace(places=None))


def test_its_width_is_an_option() -> None:
    head = gradcam(hidden=12)
    assert [tuple(p.shape) for name, p in head.named_parameters() if p.ndim == 4] == [
        (12, 16, 3, 3),
        (12, 12, 3, 3),
    ]
    assert head.stage(torch.zeros(1, WIDTH, ROWS, COLUMNS)).shape == (1, 12, 2, 3)
