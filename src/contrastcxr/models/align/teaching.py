"""What teaches an aligner: features and pixels of the aligned picture against those of the canonical chest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from contrastcxr.losses.base import Term
from contrastcxr.models.align.aligner import Aligner, Normalisation
from contrastcxr.models.align.pose import beyond, pose_matrix, warp
from contrastcxr.models.encoders import Encoder


def distance(found: Tensor, wanted: Tensor, *, squared: bool) -> Tensor:
    """Return `‖found − wanted‖₂` over the number of values of one of them, `[M]` (paper B, Eq. 2).

    Args:
        found: `[M, ...]`.
        wanted: of each of them, or of all, `[1, ...]`.
        squared: take the square of the norm (ours).
    """
    apart = (found - wanted).flatten(1)
    total = apart.square().sum(dim=1)
    return (total if squared else total.clamp_min(torch.finfo(total.dtype).tiny).sqrt()) / apart.shape[1]


_LEAST = 0.02
"""Added to the deviation of a picture that is brought to another, so that an even one stays even (ours)."""


def like(pictures: Tensor, other: Tensor) -> Tensor:
    """Return pictures `[M, H, W]` with the mean and about the deviation of another, `[1, H, W]` (ours).

    Radiographs of one chest differ in exposure and window, which no pose makes up for.
    """
    mean, deviation = pictures.mean((1, 2), keepdim=True), pictures.std((1, 2), keepdim=True)
    return (pictures - mean) / (deviation + _LEAST) * other.std() + other.mean()


def alignment_losses(aligner: Aligner, encoder: Encoder, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return both losses of each picture, `[M]` each, the pixel loss without its weight, and the poses `[M, 5]`.

    `L_feat` compares maps of the frozen encoder, the perceptual network; `L_pix` grey values (paper B §3.1).

    Args:
        aligner: gets the gradient.
        encoder: takes pictures of the canonical chest's size.
        images: `[M, 3, T, T]`, normalised as the encoder takes them.
    """
    squared = aligner.options.squared
    normalisation = Normalisation(encoder.mean, encoder.std)
    grey = normalisation.grey(images.float())
    poses = aligner(grey)
    aligned = warp(grey.unsqueeze(1), pose_matrix(poses))[:, 0]
    wanted = aligner.canonical.to(grey).unsqueeze(0)
    if aligner.options.standardize:
        aligned = like(aligned, wanted)
    with torch.no_grad():
        of_chest = encoder.map(normalisation.of_grey(wanted))
    feature = distance(encoder.map(normalisation.of_grey(aligned)), of_chest, squared=squared)
    return feature, distance(aligned, wanted, squared=squared), poses


def alignment_terms(aligner: Aligner, encoder: Encoder, images: Tensor) -> dict[str, Term]:
    """Return the terms of pictures `[M, 3, T, T]`: both losses, and the share of poses beyond their bounds.

    Of no picture, where all of a batch are lateral, each is 0 and counts for nothing.
    """
    if not len(images):
        nothing = aligner.pose.bias.sum() * 0
        return dict.fromkeys(("align_feature", "align_pixel", "align_beyond"), (nothing, images.new_zeros(())))
    feature, pixel, poses = alignment_losses(aligner, encoder, images)
    count = images.new_tensor(len(images))
    return {
        "align_feature": (feature.mean(), count),
        "align_pixel": (aligner.balance * pixel.mean(), count),
        "align_beyond": (beyond(poses.detach()).float().mean(), count),
    }


def balanced_weight(aligner: Aligner, encoder: Encoder, pictures: Sequence[Tensor]) -> float:
    """Return the weight of the pixel loss with which both losses have gradients of one norm (ours).

    Args:
        aligner: as it starts, in evaluation mode; nothing of it changes.
        encoder: the perceptual network.
        pictures: `[3, T, T]` each, normalised; the losses are means over them.
    """
    weights = [p for p in aligner.parameters() if p.requires_grad]
    sums = [torch.zeros(sum(p.numel() for p in weights)) for _ in range(2)]
    for picture in pictures:
        feature, pixel, _ = alignment_losses(aligner, encoder, picture[None])
        for total, loss in zip(sums, (feature, pixel), strict=True):
            found = torch.autograd.grad(loss.sum(), weights, retain_graph=True, allow_unused=True)
            total += torch.cat(
                [torch.zeros(p.numel()) if g is None else g.flatten() for g, p in zip(found, weights, strict=True)]
            )
    by_feature, by_pixel = (float(total.norm()) for total in sums)
    return by_feature / by_pixel if by_pixel > 0 else 1.0
