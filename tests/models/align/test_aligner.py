"""The aligner: identity at the start, black outside, lost pictures left alone, frozen once it is trained."""

from __future__ import annotations

import pytest
import torch

from contrastcxr.models.align.canonical import crop_matrix
from contrastcxr.models.align.pose import pose_matrix, warp
from tiny_aligner import NORMALISATION, grey_pictures, small_aligner, with_pose


@pytest.mark.parametrize("network", ["small", "resnet18"])
def test_alignment_starts_at_the_identity_and_changes_no_pixel(network: str) -> None:
    aligner = small_aligner(network=network).eval()
    images = NORMALISATION.of_grey(grey_pictures(3))
    moved, poses = aligner.align(images, NORMALISATION)
    assert torch.equal(moved, images)
    assert torch.equal(poses, torch.zeros(3, 5))


def test_alignment_may_start_at_the_crop_of_the_canonical_chest() -> None:
    aligner = small_aligner(from_crop=True).eval()
    poses = aligner(grey_pictures(2))
    torch.testing.assert_close(pose_matrix(poses), crop_matrix((0.1, 0.1, 0.9, 0.9)).float().expand(2, 2, 3))


def test_sampling_before_normalisation_is_sampling_after_it_with_its_black() -> None:
    pose = (0.2, -0.1, 0.3, 0.2, 0.4)
    grey = grey_pictures(2)
    moved, poses = with_pose(small_aligner(), pose).align(NORMALISATION.of_grey(grey), NORMALISATION)
    before = NORMALISATION.of_grey(warp(grey.unsqueeze(1), pose_matrix(torch.tensor([pose, pose])))[:, 0])
    torch.testing.assert_close(moved, before)
    torch.testing.assert_close(poses, torch.tensor([pose, pose]))


def test_what_lies_outside_is_black() -> None:
    grey = torch.full((1, 32, 32), 0.7)
    moved, _ = with_pose(small_aligner(), (0.5, 0.0, 0.6, 0.6, 0.0)).align(
        NORMALISATION.of_grey(grey), NORMALISATION
    )
    assert NORMALISATION.grey(moved)[0, 0, -1] == pytest.approx(0.0, abs=1e-6)
    assert NORMALISATION.grey(moved)[0, 16, 8] == pytest.approx(0.7, abs=1e-6)


def test_pictures_that_are_lost_or_not_chosen_stay_as_they_are() -> None:
    images = NORMALISATION.of_grey(grey_pictures(2))
    lost, poses = with_pose(small_aligner(), (0.0, 0.0, 1.0, 0.0, 0.0)).align(images, NORMALISATION)
    assert torch.equal(lost, images)
    assert poses[0, 2] == 1.0  # what was found is told all the same
    chosen = torch.tensor([True, False])
    moved, poses = with_pose(small_aligner(), (0.1,) * 5).align(images, NORMALISATION, chosen=chosen)
    assert not torch.equal(moved[0], images[0])
    assert torch.equal(moved[1], images[1])
    assert torch.equal(poses[1], torch.zeros(5))


def test_a_trained_one_is_frozen_and_stays_in_evaluation_mode() -> None:
    own, frozen = small_aligner(), small_aligner(weights="runs/align")
    assert all(p.requires_grad for p in own.parameters())
    assert not any(p.requires_grad for p in frozen.parameters())
    assert own.train().training
    assert not frozen.train().training


@pytest.mark.parametrize("change", [{"size": 96}, {"network": "resnet18"}])
def test_the_fingerprint_tells_what_gives_other_poses(change: dict[str, object]) -> None:
    one = small_aligner()
    assert one.fingerprint() == small_aligner(weights="a").fingerprint()
    assert one.fingerprint() != small_aligner(**change).fingerprint()
    assert one.fingerprint() != small_aligner(seed=1).fingerprint()
    assert one.fingerprint() != with_pose(small_aligner(), (0.1,) * 5).fingerprint()


def test_a_fixed_weight_of_the_pixel_loss_is_its_own() -> None:
    assert float(small_aligner(pixel_weight=3).balance) == 3.0
    assert float(small_aligner().balance) == 1.0


def test_poses_are_the_same_whatever_precision_is_around_it() -> None:
    grey = grey_pictures(2)
    aligner = with_pose(small_aligner(), (0.2, -0.1, 0.3, 0.2, 0.4)).eval()
    torch.nn.init.normal_(aligner.pose.weight, std=0.01)
    moved, poses = aligner.align(NORMALISATION.of_grey(grey), NORMALISATION)
    with torch.autocast("cpu", torch.bfloat16):
        within = aligner.align(NORMALISATION.of_grey(grey), NORMALISATION)
    assert torch.equal(within[1], poses)
    assert torch.equal(within[0], moved)
    cast = aligner.to(torch.bfloat16)
    assert {value.dtype for value in cast.state_dict().values()} == {torch.float32}
    rough, same = cast.align(NORMALISATION.of_grey(grey).bfloat16(), NORMALISATION)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(same, poses, atol=0.02, rtol=0)  # of pictures that are rounded themselves


def test_building_one_draws_nothing_from_the_generator_of_all() -> None:
    before = torch.random.get_rng_state()
    small_aligner()
    small_aligner(network="resnet18")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not small_aligner(weights="runs/align").training
