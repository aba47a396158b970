"""Contrast-induced attention against plain loops from paper B, Eq. 3, and before every head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from contrastcxr.assemble import SystemParts, build_system, check_pairs, make_encoder
from contrastcxr.config import parse_config
from contrastcxr.errors import IncompatibleError
from contrastcxr.models.align.pose import cells_inside
from contrastcxr.models.contrast.bank import NegativeBank
from contrastcxr.models.contrast.difference import InducedAttention, difference_weights
from contrastcxr.models.contrast.options import BankOptions, DifferenceOptions
from contrastcxr.models.contrast.pool import PoolRows
from contrastcxr.models.features import GridPlaces, VisualFeatures
from contrastcxr.models.projection import PatchProjection
from contrastcxr.models.system import System
from contrastcxr.training.task import optimizer_of
from tiny_system import tiny_checkpoint, tiny_config

B, V, ROWS, COLUMNS, D, C = 3, 2, 2, 3, 4, 5
CELLS = ROWS * COLUMNS


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mask_of(*absent: tuple[int, int, int]) -> Tensor:
    """`[B, V, n]`, the second view of the last study away and single cells too."""
    mask = torch.ones(B, V, CELLS, dtype=torch.bool)
    mask[-1, 1] = False
    for place in absent:
        mask[place] = False
    return mask


def features(mask: Tensor) -> VisualFeatures:
    patches = drawn(B, V * CELLS, D, seed=1).masked_fill(~mask.flatten(1).unsqueeze(-1), 0.0)
    return VisualFeatures(patches, patches.mean(1), mask.flatten(1), GridPlaces(ROWS, COLUMNS))


def weights_in_loops(
    own: Tensor, negative: Tensor, mask: Tensor, shown: Tensor | None = None
) -> list[list[list[float]]]:
    found = []
    for b in range(len(own)):
        found.append([])
        for v in range(own.shape[1]):
            cells = [k for k in range(own.shape[2]) if mask[b, v, k]]
            alone = [k for k in cells if shown is not None and not shown[b, v, k]]
            cells = [k for k in cells if k not in alone]
            gap = {k: abs(float(own[b, v, k]) - float(negative[b, v, k])) for k in cells}
            total = sum(gap.values())
            even = total < 1e-6
            row = [0.0] * own.shape[2]
            for k in cells:
                row[k] = 1.0 if even else gap[k] * len(cells) / total
            for k in alone:
                row[k] = 1.0
            found[-1].append(row)
    return found


@pytest.mark.parametrize("absent", [(), ((0, 0, 2), (1, 1, 5))], ids=["whole", "cells outside the picture"])
def test_weights_and_features_are_those_of_the_equation(absent: tuple[tuple[int, int, int], ...]) -> None:
    module, mask = InducedAttention(C).requires_grad_(False), mask_of(*absent)
    own_raw, negative_raw = drawn(B, V, CELLS, C, seed=2), drawn(B, V, CELLS, C, seed=3)
    own, negative = module.map(own_raw), module.map(negative_raw)
    for b, v, k in ((0, 0, 0), (2, 1, 5)):
        weight = module.to_map.weight[0]
        in_loops = sum(float(weight[c] * own_raw[b, v, k, c]) for c in range(C))
        assert float(own[b, v, k]) == pytest.approx(in_loops, abs=1e-6)  # sums of float32 that nearly cancel
    seen = features(mask)
    found = module(seen, own=own, negative=negative)
    wanted = weights_in_loops(own, negative, mask)
    torch.testing.assert_close(found.evidence["difference_map"], torch.tensor(wanted).flatten(1))
    for b in range(B):
        total, count = torch.zeros(D), 0
        for v in range(V):
            for k in range(CELLS):
                place = v * CELLS + k
                expected = wanted[b][v][k] * seen.patches[b, place]
                torch.testing.assert_close(found.patches[b, place], expected)
                total, count = total + expected, count + bool(mask[b, v, k])
        torch.testing.assert_close(found.pooled[b], total / count)


@pytest.mark.parametrize("hidden", [(), ((0, 0, 1), (1, 1, 5), (2, 0, 0)), "all"], ids=str)
def test_what_a_negative_does_not_show_weighs_1_and_the_rest_keeps_its_mean(hidden: Any) -> None:
    own, negative, mask = drawn(B, V, CELLS), drawn(B, V, CELLS, seed=9), mask_of((0, 0, 2), (1, 1, 5))
    shown = torch.full_like(mask, hidden != "all")
    for place in () if hidden == "all" else hidden:
        shown[place] = False
    found = difference_weights(own, negative, mask, shown=shown)
    torch.testing.assert_close(found, torch.tensor(weights_in_loops(own, negative, mask, shown)))
    torch.testing.assert_close(found.sum(-1), mask.sum(-1).float())
    if not hidden:
        assert torch.equal(found, difference_weights(own, negative, mask))


def test_weights_have_mean_1_over_the_real_cells_of_each_view() -> None:
    mask = mask_of((0, 0, 2))
    weights = difference_weights(drawn(B, V, CELLS), drawn(B, V, CELLS, seed=9), mask)
    means = weights.sum(-1) / mask.sum(-1).clamp_min(1)
    torch.testing.assert_close(means, mask.any(-1).float())
    assert not weights[~mask].any()


@pytest.mark.parametrize("gap", [0.0, 1e-8])
def test_a_negative_that_is_the_picture_itself_leaves_the_features_as_they_are(gap: float) -> None:
    module, mask = InducedAttention(C), mask_of()
    own = drawn(B, V, CELLS)
    seen = features(mask)
    found = module(seen, own=own, negative=own + gap)
    assert torch.equal(found.patches, seen.patches)
    assert torch.equal(found.evidence["difference_map"], mask.flatten(1).float())


def test_larger_weights_of_the_map_change_nothing() -> None:
    mask, own, negative = mask_of(), drawn(B, V, CELLS, C, seed=2), drawn(B, V, CELLS, C, seed=3)
    module = InducedAttention(C)
    found = [module(features(mask), own=module.map(own), negative=module.map(negative)).patches]
    with torch.no_grad():
        module.to_map.weight.mul_(-37.0)
    found.append(module(features(mask), own=module.map(own), negative=module.map(negative)).patches)
    torch.testing.assert_close(*found)


def test_a_map_of_zeros_weighs_by_the_pictures_own_map() -> None:
    own = drawn(1, 1, 4)
    weights = difference_weights(own, torch.zeros_like(own), torch.ones(1, 1, 4, dtype=torch.bool))
    torch.testing.assert_close(weights, own.abs() * 4 / own.abs().sum())


def test_gradient_reaches_the_map_through_image_and_negative() -> None:
    mask = mask_of()
    raw, other = drawn(B, V, CELLS, C, seed=2).requires_grad_(), drawn(B, V, CELLS, C, seed=3).requires_grad_()
    module = InducedAttention(C)
    found = module(features(mask), own=module.map(raw), negative=module.map(other))
    (found.patches * drawn(*found.patches.shape, seed=5)).sum().backward()
    grads = {name: value.grad for name, value in (("own", raw), ("negative", other), ("w", module.to_map.weight))}
    assert all(grad is not None and grad.abs().sum() > 0 for grad in grads.values())
    torch.testing.assert_close(  # w's gradient is the sum over both, dL/dM⁺ = −dL/dM⁻ wherever the signs say
        grads["own"][mask].abs().sum(), grads["negative"][mask].abs().sum()
    )


def test_half_precision_around_it_does_not_round_the_maps() -> None:
    module, raw = InducedAttention(C), drawn(2, CELLS, C)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module.map(raw), module.map(raw.clone()))
        assert module.map(raw).dtype == torch.float32


@pytest.mark.parametrize("standardize", [False, True])
def test_the_branch_is_the_last_channels_whether_or_not_the_others_are_there(standardize: bool) -> None:
    projection = PatchProjection(7, 4, stage_channels=(3,), map_stages=False, standardize=standardize)
    if standardize:
        projection.set_scale(drawn(7), drawn(7, seed=1).abs() + 0.5)
    raw = drawn(2, 6, 7)
    branch = projection.branch(raw)
    assert torch.equal(branch, projection.branch(raw[..., 4:]))
    wanted = (raw[..., 4:] - projection.mean[4:]) / projection.deviation[4:] if standardize else raw[..., 4:]
    assert torch.equal(branch, wanted)
    assert not list(projection.stages)
    assert projection.branch_channels == 3
    assert PatchProjection(7, 4).branch_channels == 7


HEADS = {
    "decoder": {"decoder": {"kind": "nic"}, "finding_head": None},
    "cam": {"decoder": None, "finding_head": None, "localizer": {"kind": "cam", "labels": "phantom"}},
    "finding head": {"decoder": None},
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("share", [True, False])
def test_it_stands_before_every_head_and_is_saved_and_loaded_to_the_bit(head: str, share: bool) -> None:
    contrast = {"kind": "difference", "stage": 1, "share_backbone": share}
    settings = {"generate": {"method": "greedy", "max_tokens": 5}, "train": {"monitor": "loss"}}
    checkpoint = tiny_checkpoint(tiny_config(contrast=contrast, **settings, **HEADS[head]))
    system = checkpoint.build()
    assert system.state_dict().keys() == checkpoint.state.keys()
    for name, value in system.state_dict().items():
        assert torch.equal(value, checkpoint.state[name]), name
    images = drawn(2, 1, 3, 64, 64)
    given = {"view_mask": torch.ones(2, 1, dtype=torch.bool), "positions": [["PA"], ["PA"]]}
    seen = system.features(images=images, **given)
    assert seen.evidence["negative"].shape == (2, 1)
    for row, place in enumerate(seen.evidence["negative"].flatten().tolist()):
        own = system.negative_map(system.encode(images))[row]
        wanted = difference_weights(
            own.unsqueeze(0), system.bank.maps[place].view(1, 1, -1), seen.mask[row].view(1, 1, -1)
        )
        torch.testing.assert_close(seen.evidence["difference_map"][row], wanted.flatten(), rtol=1e-4, atol=1e-4)


def test_negatives_that_come_with_a_batch_are_used_and_the_bank_is_not() -> None:
    system = tiny_checkpoint(tiny_config(contrast={"kind": "difference", "stage": 1})).build()
    images, others = drawn(2, 1, 3, 64, 64), drawn(2, 1, 3, 64, 64, seed=1)
    mask = torch.ones(2, 1, dtype=torch.bool)
    pixels = system.features(images=images, view_mask=mask, negatives=others)
    channels = system.projection.branch_channels
    cached = system.features(images=images, view_mask=mask, negatives=system.encode(others)[..., -channels:])
    torch.testing.assert_close(pixels.evidence["difference_map"], cached.evidence["difference_map"])
    assert "negative" not in pixels.evidence
    assert torch.equal(
        system.features(images=images, view_mask=mask, negatives=images).evidence["difference_map"],
        torch.ones(2, pixels.mask.shape[1]),
    )


def test_poses_of_the_bank_say_what_a_negative_shows() -> None:
    align = {"kind": "affine", "network": "small", "size": 64, "weights": "runs/align"}
    system = tiny_checkpoint(tiny_config(contrast={"kind": "difference", "stage": 1}, align=align)).build()
    assert system.bank.poses.shape == (len(system.bank), 5)
    system.bank.poses[:] = torch.tensor([0.5, 0.0, 0.6, 0.0, 0.0])  # the right half lies outside
    images, mask = drawn(2, 2, 3, 64, 64), torch.tensor([[True, True], [True, False]])
    seen = system.features(images=images, view_mask=mask, positions=[["PA", "PA"], ["PA", "PA"]])
    rows, own = seen.evidence["negative"], system.negative_map(system.encode(images))
    shown = cells_inside(system.bank.poses[rows.clamp_min(0)], system.places)
    assert not shown[mask].all()
    wanted = difference_weights(
        own, system.bank.maps[rows.clamp_min(0)], seen.mask.view(own.shape), shown=shown
    ).flatten(1)
    torch.testing.assert_close(seen.evidence["difference_map"], wanted, rtol=1e-4, atol=1e-4)


def test_a_view_whose_bank_holds_its_own_patient_alone_is_left_as_it_is() -> None:
    checkpoint = tiny_checkpoint(tiny_config(contrast={"kind": "difference"}))
    system = checkpoint.build()
    system.bank.rows = PoolRows(
        **{**vars(system.bank.rows), "patient_ids": ("one",) * len(system.bank.rows)},
    )
    system.bank.__dict__.pop("_by_patient", None)
    seen = system.features(
        images=drawn(1, 1, 3, 64, 64),
        view_mask=torch.ones(1, 1, dtype=torch.bool),
        patient_ids=["one"],
        positions=[["PA"]],
    )
    assert seen.evidence["negative"].tolist() == [[-1]]
    assert torch.equal(seen.evidence["difference_map"], torch.ones_like(seen.evidence["difference_map"]))


def test_weight_decay_leaves_the_map_alone() -> None:
    config = tiny_config(contrast={"kind": "difference", "stage": 1}, train={"optimizer": {"weight_decay": 0.1}})
    system = tiny_checkpoint(config).build()
    groups = optimizer_of(config.train.optimizer, system).param_groups
    [bare] = [group for group in groups if group["weight_decay"] == 0]
    assert bare["params"] == [system.contrast.to_map.weight]
    counted = [id(p) for group in groups for p in group["params"]]
    assert sorted(counted) == sorted(id(p) for p in system.parameters() if p.requires_grad)


SMALL = {"name": "small", "decoder": {"kind": "nic"}, "encoder": {"name": "test_resnet", "weights": "random"}}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"contrast": {"stage": 3}, "encoder": {"stage": 2}}, r"contrast\.stage 3 with encoder\.stage 2"),
        ({"contrast": {"share_backbone": False}}, r"share_backbone off without contrast\.stage"),
        (
            {"contrast": {}, "train": {"contrast_start": "scaled"}},
            r"contrast_start scaled with contrast\.kind diff",
        ),
        ({"contrast": {"bank": {"center": True, "sampling": "random"}}}, r"bank\.center with .* random"),
        (
            {"contrast": {"bank": {"kind": "zeros", "sampling": "canonical"}}},
            r"bank\.kind zeros with .* canonical",
        ),
        ({"contrast": {}, "generate": {"guidance": 0.5, "method": "votes"}}, r"generate\.guidance 0\.5 with"),
    ],
)
def test_pairs_that_cannot_work_are_refused_by_name(changes: dict[str, dict[str, object]], said: str) -> None:
    values = {**SMALL, **changes, "contrast": {"kind": "difference", **changes["contrast"]}}
    with pytest.raises(IncompatibleError, match=said):
        check_pairs(parse_config(values, where="small"))


def test_any_projection_may_stand_before_it() -> None:
    for kind in ("linear", "r2gen", "none"):
        check_pairs(
            parse_config({**SMALL, "projection": {"kind": kind}, "contrast": {"kind": "difference"}}, where="x")
        )


def test_a_bank_goes_with_it_and_with_nothing_else() -> None:
    config = parse_config({**SMALL, "contrast": {"kind": "difference"}}, where="small")
    encoder = make_encoder(config)
    with pytest.raises(IncompatibleError, match="contrast on without a bank"):
        build_system(config, SystemParts(vocabulary=9, encoder=encoder))
    rows = PoolRows((), (), (), (), ())
    bank = NegativeBank(torch.zeros(0, 256), torch.zeros(0, 4), rows, BankOptions(kind="zeros"), seed=0)
    plain = parse_config({**SMALL, "contrast": None}, where="small")
    with pytest.raises(IncompatibleError, match="contrast off with a bank"):
        build_system(plain, SystemParts(vocabulary=9, encoder=encoder, bank=bank))
    with pytest.raises(IncompatibleError, match="a bank go together"):
        System(projection=PatchProjection(4), bank=bank)


def test_its_options_say_what_the_encoder_gives_it() -> None:
    options = DifferenceOptions(stage=2, share_backbone=False)
    assert (options.encoder_stages, options.stage_pooling, options.separate_backbone) == ((2,), "max", True)
    assert DifferenceOptions().encoder_stages == ()
    values = {**SMALL, "contrast": {"kind": "difference", "stage": 1}}
    assert make_encoder(parse_config(values, where="small")).stage_pooling == "max"
    stated = {**values, "encoder": {**SMALL["encoder"], "stage_pooling": "mean"}}
    assert make_encoder(parse_config(stated, where="small")).stage_pooling == "mean"
    assert (
        make_encoder(parse_config({**SMALL, "contrast": {"stages": [1]}}, where="small")).stage_pooling == "mean"
    )


def test_a_system_cast_to_bfloat16_keeps_its_maps_and_its_bank() -> None:
    system = tiny_checkpoint(tiny_config(contrast={"kind": "difference", "stage": 1})).build()
    images, mask = drawn(2, 1, 3, 64, 64), torch.ones(2, 1, dtype=torch.bool)
    fine = system.features(images=images, view_mask=mask, positions=[["PA"], ["PA"]]).evidence["difference_map"]
    rough = system.to(torch.bfloat16)
    assert rough.contrast.to_map.weight.dtype == torch.float32
    assert rough.bank.maps.dtype == torch.float16
    found = rough.features(images=images.bfloat16(), view_mask=mask, positions=[["PA"], ["PA"]])
    assert found.evidence["difference_map"].dtype == torch.float32
    torch.testing.assert_close(found.evidence["difference_map"], fine, atol=0.3, rtol=0.1)
