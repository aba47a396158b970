"""CAM against plain loops straight from the equations, and what it marks from where on."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from contrastcxr.errors import IncompatibleError
from contrastcxr.losses.base import Targets
from contrastcxr.models.features import GridPlaces, VisualFeatures
from contrastcxr.models.heads.base import FindingMaps, PartialReading
from contrastcxr.models.heads.localizers.cam import SHARPNESS, CamLocalizer
from contrastcxr.models.heads.localizers.maps import CANDIDATES, REGION_CUT, WANG_CUTS
from contrastcxr.models.heads.localizers.options import CamOptions
from models.studies import select
from models.tiny_heads import FINDINGS, TARGETS, N, tiny_features, tiny_head
from plain_floats import close, sigmoid

VARIANTS = (
    {},
    {"pooling": "log_sum_exp"},
    {"transition": 8},
    {"transition": 8, "pooling": "log_sum_exp", "cuts": "tuned"},
)
every = pytest.mark.parametrize("options", VARIANTS, ids=str)


def cam(**options: object) -> CamLocalizer:
    head = tiny_head("localizer", "cam", **options)
    assert isinstance(head, CamLocalizer)
    return head


def answered(head: CamLocalizer, features: VisualFeatures) -> tuple[PartialReading, FindingMaps]:
    with torch.no_grad():
        answer = head.answer(features)
    assert answer.maps is not None
    return answer, answer.maps


class Reference:
    """The equations over plain floats: `f_i` of the real patches of one study, `w_l` and `b_l` of each finding."""

    def __init__(self, head: CamLocalizer, features: VisualFeatures, study: int) -> None:
        real = [i for i in range(features.patches.shape[1]) if features.mask[study, i]]
        patches = [features.patches[study, i].tolist() for i in real]
        self.real = real
        self.patches = patches if head.transition is None else [self._transition(head, f) for f in patches]
        self.weights = head.classifier.weight.tolist()
        self.bias = head.classifier.bias.tolist()
        self.sharp = head.sharp

    @staticmethod
    def _transition(head: CamLocalizer, patch: list[float]) -> list[float]:
        assert head.transition is not None
        rows = zip(head.transition.weight.tolist(), head.transition.bias.tolist(), strict=True)
        return [max(0.0, sum(w * x for w, x in zip(row, patch, strict=True)) + b) for row, b in rows]

    def pooled(self) -> list[float]:
        columns = list(zip(*self.patches, strict=True))
        if not self.sharp:
            return [sum(column) / len(column) for column in columns]
        return [math.log(sum(math.exp(10 * f) for f in column) / len(column)) / 10 for column in columns]

    def logit(self, finding: int) -> float:
        each = zip(self.weights[finding], self.pooled(), strict=True)
        return sum(w * p for w, p in each) + self.bias[finding]

    def heat(self, finding: int) -> list[float]:
        return [sum(w * f for w, f in zip(self.weights[finding], patch, strict=True)) for patch in self.patches]


@every
def test_logits_and_heat_are_those_of_the_equations(options: dict[str, object]) -> None:
    head, features = cam(**options), tiny_features()
    logits, heat = head.logits(features), head.heat(features)
    assert SHARPNESS == 10
    for study in range(4):
        expected = Reference(head, features, study)
        for finding in range(len(FINDINGS)):
            close(logits[study, finding], expected.logit(finding))
            for place, value in zip(expected.real, expected.heat(finding), strict=True):
                close(heat[study, finding, place], value)


@every
def test_where_there_is_no_patch_there_is_no_heat(options: dict[str, object]) -> None:
    features = tiny_features()
    _, maps = answered(cam(**options), features)
    gone = ~features.mask.unsqueeze(1).expand_as(maps.heat)
    assert gone.any()
    assert maps.heat[gone].eq(0).all()


@pytest.mark.parametrize("transition", [None, 8])
def test_the_mean_heat_and_the_bias_are_the_logit(transition: int | None) -> None:
    """What makes a linear classifier of the mean patch a localizer (Zhou 2016)."""
    head, features = cam(transition=transition), tiny_features()
    heat, logits = head.heat(features), head.logits(features)
    for study in range(4):
        mean = heat[study][:, features.mask[study]].mean(dim=-1)
        torch.testing.assert_close(mean + head.classifier.bias, logits[study])


def test_log_sum_exp_lies_between_the_mean_and_the_highest() -> None:
    patches = torch.randn(1, 5, 16, generator=torch.Generator().manual_seed(2)).mul(50)
    features = VisualFeatures(patches, patches.mean(dim=1), torch.ones(1, 5, dtype=torch.bool))
    head = cam(pooling="log_sum_exp")
    pooled = head._pooled(features.patches, features.mask)
    assert pooled.isfinite().all()  # and exp(500) is not
    assert (pooled <= patches.amax(dim=1) + 1e-4).all()
    assert (pooled > patches.mean(dim=1)).all()


@every
def test_shown_goes_from_nothing_to_the_probability_in_each_view(options: dict[str, object]) -> None:
    head, features = cam(**options), tiny_features()
    features = features.replace(places=GridPlaces(1, N // 2))
    answer, maps = answered(head, features)
    assert answer.probabilities is not None
    for study, finding in itertools.product(range(4), range(len(head.findings))):
        for view in range(2):
            place = slice(view * (N // 2), (view + 1) * (N // 2))
            heat, shown = maps.heat[study, finding, place].tolist(), maps.shown[study, finding, place].tolist()
            low, high, top = min(heat), max(heat), float(answer.probabilities[study, finding])
            expected = [top * (value - low) / (high - low) if high > low else 0.0 for value in heat]
            assert shown == pytest.approx(expected, abs=1e-6)


def test_temperature_divides_probability_and_map_alike_and_no_heat() -> None:
    head, features = cam(), tiny_features()
    _, before = answered(head, features)
    head.set_temperature(2.0)
    answer, after = answered(head, features)
    torch.testing.assert_close(answer.probabilities, torch.sigmoid(head.logits(features) / 2))
    ratio = torch.sigmoid(head.logits(features) / 2) / torch.sigmoid(head.logits(features))
    torch.testing.assert_close(after.shown, before.shown * ratio.unsqueeze(-1))
    assert torch.equal(after.heat, before.heat)


def test_it_is_taught_the_labels_that_are_known() -> None:
    head, features = cam(), tiny_features()
    (name, (mean, count)), *others = head.teach(features, TARGETS).terms.items()
    assert (name, int(count), others) == ("cam", 10, [])
    each = [
        -math.log(sigmoid(logit if wanted else -logit))
        for row, labels in zip(head.logits(features).tolist(), TARGETS.findings.tolist(), strict=True)
        for logit, wanted in zip(row, labels, strict=True)
        if not math.isnan(wanted)
    ]
    close(mean, sum(each) / 10)


def test_studies_without_labels_are_refused() -> None:
    with pytest.raises(IncompatibleError, match="needs labels of findings"):
        cam().teach(tiny_features(), Targets())


def test_fixed_cuts_are_those_of_wang_and_are_not_tuned() -> None:
    head = cam()
    _, maps = answered(head, tiny_features())
    assert maps.cuts == WANG_CUTS == (60.0, 180.0)
    assert head.threshold is None
    assert not head.options.needs.boxes
    assert "cut" not in head.state_dict()


def test_a_tuned_cut_is_one_of_the_candidates_and_stands_in_place_of_both() -> None:
    head = cam(cuts="tuned")
    threshold = head.threshold
    assert threshold is not None
    assert (threshold.score, head.options.needs.boxes) == ("iou", True)
    values = threshold.candidates([tiny_features()])
    assert tuple(values) == CANDIDATES
    assert 0 < min(values) < max(values) < 255
    threshold.set(values[3])
    _, maps = answered(head, tiny_features())
    assert maps.cuts == pytest.approx((values[3],))


def test_regions_are_what_is_above_half_of_the_range_or_a_tuned_cut_and_nothing_else_changes() -> None:
    union, regions = (answered(cam(marks=marks), tiny_features()) for marks in ("union", "regions"))
    assert (union[1].marking, regions[1].marking) == ("range", "regions")
    assert regions[1].cuts == (REGION_CUT,) == (127.5,)
    assert torch.equal(union[1].heat, regions[1].heat)
    assert torch.equal(union[1].shown, regions[1].shown)
    assert torch.equal(torch.as_tensor(union[0].probabilities), torch.as_tensor(regions[0].probabilities))
    head = cam(marks="regions", cuts="tuned")
    assert answered(head, tiny_features())[1].cuts == (127.5,)
    assert head.threshold is not None
    head.threshold.set(CANDIDATES[1])
    assert answered(head, tiny_features())[1].cuts == pytest.approx((CANDIDATES[1],))


@every
def test_gradient_reaches_every_parameter_and_real_patches_alone(options: dict[str, object]) -> None:
    head, features = cam(**options), tiny_features()
    patches = features.patches.requires_grad_()
    head.teach(features.replace(patches=patches), TARGETS).terms["cam"][0].backward()
    dead = [name for name, p in head.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]
    assert dead == []
    assert patches.grad is not None
    assert patches.grad.isfinite().all()
    assert patches.grad[~features.mask].eq(0).all()
    assert patches.grad.abs().sum(dim=(1, 2)).gt(0).all()  # of each study; ReLU may silence a patch


@every
def test_it_saves_and_loads_bit_equal_with_its_cut(options: dict[str, object], tmp_path: Path) -> None:
    head, features = cam(**options), tiny_features()
    head.set_temperature(1.7)
    if head.threshold is not None:
        head.threshold.set(100.0)
    save_file(head.state_dict(), tmp_path / "cam.safetensors")
    other = tiny_head("localizer", "cam", seed=9, **options)
    other.load_state_dict(load_file(tmp_path / "cam.safetensors"))
    assert isinstance(other, CamLocalizer)
    (ours, our_maps), (back, back_maps) = answered(head, features), answered(other, features)
    assert torch.equal(torch.as_tensor(ours.probabilities), torch.as_tensor(back.probabilities))
    assert torch.equal(our_maps.heat, back_maps.heat)
    assert torch.equal(our_maps.shown, back_maps.shown)
    assert our_maps.cuts == back_maps.cuts == ((100.0,) if head.tuned else WANG_CUTS)


@every
@pytest.mark.parametrize("order", [[3, 1, 0, 2], [2], [1, 1, 0]], ids=["order", "alone", "repeated"])
def test_order_and_size_of_the_batch_change_nothing(options: dict[str, object], order: list[int]) -> None:
    head, rows = cam(**options), torch.tensor(order)
    _same(answered(head, select(tiny_features(), rows)), answered(head, tiny_features()), rows, N)


@every
@pytest.mark.parametrize("filled", [None, 7.0, 1e4], ids=["cut off", "noise", "large"])
def test_absent_views_change_nothing(options: dict[str, object], filled: float | None) -> None:
    """Studies 1 and 3 have one view: cutting the padding off, or filling it, gives the same."""
    head, rows, half = cam(**options), torch.tensor([1, 3]), N // 2
    features = select(tiny_features(), rows)
    if filled is None:
        changed = features.replace(patches=features.patches[:, :half], mask=features.mask[:, :half])
    else:
        changed = features.replace(patches=features.patches.masked_fill(~features.mask.unsqueeze(-1), filled))
    _same(answered(head, changed), answered(head, tiny_features()), rows, half)


def _same(
    found: tuple[PartialReading, FindingMaps],
    expected: tuple[PartialReading, FindingMaps],
    rows: torch.Tensor,
    patches: int,
) -> None:
    (answer, maps), (whole, all_maps) = found, expected
    assert answer.probabilities is not None
    assert whole.probabilities is not None
    assert (answer.findings, maps.findings, maps.cuts) == (FINDINGS, FINDINGS, all_maps.cuts)
    torch.testing.assert_close(answer.probabilities, whole.probabilities[rows])
    torch.testing.assert_close(maps.heat[..., :patches], all_maps.heat[rows][..., :patches])
    torch.testing.assert_close(maps.shown[..., :patches], all_maps.shown[rows][..., :patches])


def test_its_width_is_that_of_the_features_or_of_the_transition() -> None:
    assert cam().classifier.in_features == 16
    assert cam(transition=8).classifier.in_features == 8
    assert CamOptions(labels="phantom").term_weights == {"cam": 1.0}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_nothing_is_marked_where_an_aligned_picture_shows_nothing(sign: float) -> None:
    """Heat of any sign has its least value there, so that neither a peak nor a part of a region is there."""
    features, head = tiny_features(), cam()
    outside = features.mask.clone()
    outside[:, 0] = False
    patches = (sign * features.patches.abs()).masked_fill(~outside.unsqueeze(-1), 0.0)
    head.classifier.weight.data.abs_()
    _, maps = answered(head, features.replace(patches=patches, mask=outside))
    cells = features.places.cells if isinstance(features.places, GridPlaces) else N
    first = maps.heat[:, :, :cells]
    least = first[:, :, 1:].masked_fill(~outside[:, 1:cells].unsqueeze(1), torch.inf).amin(-1)
    torch.testing.assert_close(first[:, :, 0], least)
    assert not maps.shown[:, :, 0].any()
    assert bool((least < 0).all()) is (sign < 0)
