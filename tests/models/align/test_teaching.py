"""The losses of alignment against plain loops, and the weight that balances them."""

from __future__ import annotations

import math

import pytest
import torch

from contrastcxr.models.align.aligner import Normalisation
from contrastcxr.models.align.pose import pose_matrix, warp
from contrastcxr.models.align.teaching import alignment_losses, alignment_terms, balanced_weight, distance
from contrastcxr.models.encoders import Encoder, build_encoder
from tiny_aligner import grey_pictures, small_aligner, with_pose


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return build_encoder("test_resnet", weights="random", stage=0, image_size=32)


def pictures(encoder: Encoder, count: int) -> torch.Tensor:
    return Normalisation(encoder.mean, encoder.std).of_grey(grey_pictures(count))


def plain_norm(found: torch.Tensor, wanted: torch.Tensor, *, squared: bool) -> float:
    total = sum((a - b) ** 2 for a, b in zip(found.flatten().tolist(), wanted.flatten().tolist(), strict=True))
    return (total if squared else math.sqrt(total)) / found.numel()


def plainly_like(picture: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (picture - picture.mean()) / (picture.std() + 0.02) * other.std() + other.mean()


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("squared", [False, True])
def test_both_losses_are_norms_over_their_number_of_values(
    encoder: Encoder, squared: bool, standardize: bool
) -> None:
    pose = (0.1, -0.05, 0.1, 0.2, 0.1)
    aligner, images = (
        with_pose(small_aligner(squared=squared, standardize=standardize), pose),
        pictures(encoder, 2),
    )
    normalisation = Normalisation(encoder.mean, encoder.std)
    with torch.no_grad():
        feature, pixel, poses = alignment_losses(aligner, encoder, images)
    moved = warp(grey_pictures(2).unsqueeze(1), pose_matrix(torch.tensor([pose, pose])))[:, 0]
    if standardize:
        moved = torch.stack([plainly_like(each, aligner.canonical) for each in moved])
    of_chest = encoder.map(normalisation.of_grey(aligner.canonical[None]))[0]
    for row in range(2):
        maps = encoder.map(normalisation.of_grey(moved[row][None]))[0]
        assert float(feature[row]) == pytest.approx(plain_norm(maps, of_chest, squared=squared), rel=1e-3)
        assert float(pixel[row]) == pytest.approx(
            plain_norm(moved[row], aligner.canonical, squared=squared), rel=1e-4
        )
    assert poses.tolist() == [pytest.approx(pose)] * 2


def test_the_canonical_chest_itself_costs_nothing_and_has_a_finite_gradient(encoder: Encoder) -> None:
    aligner = small_aligner()
    images = Normalisation(encoder.mean, encoder.std).of_grey(aligner.canonical[None])
    terms = alignment_terms(aligner, encoder, images)
    assert float(terms["align_pixel"][0].detach()) < 1e-6
    (terms["align_pixel"][0] + terms["align_feature"][0]).backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in aligner.parameters())


def test_terms_are_means_over_pictures_and_the_weight_is_in_the_pixel_term(encoder: Encoder) -> None:
    aligner, images = small_aligner(pixel_weight=5), pictures(encoder, 3)
    with torch.no_grad():
        feature, pixel, _ = alignment_losses(aligner, encoder, images)
        terms = alignment_terms(aligner, encoder, images)
    assert float(terms["align_feature"][0]) == pytest.approx(float(feature.mean()))
    assert float(terms["align_pixel"][0]) == pytest.approx(5 * float(pixel.mean()))
    assert float(terms["align_beyond"][0]) == 0.0
    assert {float(count) for _, count in terms.values()} == {3.0}


def test_poses_beyond_their_bounds_are_counted(encoder: Encoder) -> None:
    aligner = with_pose(small_aligner(), (0.0, 0.0, 1.0, 0.0, 0.0))
    assert float(alignment_terms(aligner, encoder, pictures(encoder, 2))["align_beyond"][0]) == 1.0


def test_the_gradient_reaches_the_aligner_and_not_the_encoder(encoder: Encoder) -> None:
    aligner = small_aligner()
    terms = alignment_terms(aligner, encoder, pictures(encoder, 2))
    terms["align_feature"][0].backward()
    assert aligner.pose.bias.grad is not None
    assert float(aligner.pose.bias.grad.abs().sum()) > 0
    assert all(p.grad is None for p in encoder.parameters())


def test_with_the_balanced_weight_both_losses_pull_as_hard(encoder: Encoder) -> None:
    aligner, images = small_aligner(), pictures(encoder, 5)
    weight = balanced_weight(aligner, encoder, list(images))
    norms = []
    for loss in alignment_losses(aligner, encoder, images)[:2]:
        aligner.zero_grad()
        loss.mean().backward(retain_graph=True)
        gradients = [p.grad.flatten() for p in aligner.parameters() if p.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
    assert weight == pytest.approx(norms[0] / norms[1], rel=1e-3)


def test_distance_takes_one_target_for_all() -> None:
    found = distance(torch.ones(2, 3, 4), torch.zeros(1, 3, 4), squared=False)
    assert found.tolist() == pytest.approx([math.sqrt(12) / 12] * 2)


def test_a_batch_without_a_frontal_teaches_nothing_and_has_a_gradient_of_zero(encoder: Encoder) -> None:
    aligner = small_aligner()
    terms = alignment_terms(aligner, encoder, pictures(encoder, 2)[:0])
    assert {(float(loss.detach()), float(count)) for loss, count in terms.values()} == {(0.0, 0.0)}
    terms["align_feature"][0].backward()
    assert aligner.pose.bias.grad is not None
    assert aligner.pose.bias.grad.eq(0).all()
