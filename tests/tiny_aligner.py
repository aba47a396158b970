"""A small aligner with random weights, and pictures for it."""

from __future__ import annotations

import torch

from contrastcxr.models.align.aligner import Aligner, Normalisation
from contrastcxr.models.align.canonical import CanonicalChest
from contrastcxr.models.align.options import AlignOptions

NORMALISATION = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def small_aligner(*, seed: int = 0, side: int = 32, **options: object) -> Aligner:
    """A small aligner against a chest that is brighter below."""
    chest = CanonicalChest(torch.linspace(0, 1, side).repeat(side, 1).T.contiguous(), (0.1, 0.1, 0.9, 0.9), 4)
    return Aligner(AlignOptions.model_validate({"network": "small", "size": 64, **options}), chest, seed=seed)


def grey_pictures(count: int, side: int = 32) -> torch.Tensor:
    return torch.rand(count, side, side, generator=torch.Generator().manual_seed(3))


def with_pose(aligner: Aligner, pose: tuple[float, ...]) -> Aligner:
    aligner.pose.bias.data = torch.tensor(pose)
    return aligner
