"""The network that finds the pose of a chest, and pictures aligned with it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.models.align.canonical import CanonicalChest, crop_matrix
from contrastcxr.models.align.options import AlignOptions
from contrastcxr.models.align.pose import LENGTH, pose_matrix, pose_of, warp, within_bounds
from contrastcxr.models.blocks.precision import FullPrecision
from contrastcxr.models.encoder_weights import load_weights

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_WIDTHS = (16, 32, 64, 64)
_LAST = 4


@dataclass(frozen=True)
class Normalisation:
    """How grey values in [0, 1] became those of a picture, a mean and a deviation for each of three channels."""

    mean: Sequence[float]
    std: Sequence[float]

    def black(self, images: Tensor) -> Tensor:
        """Return what 0 became, `[3, 1, 1]`."""
        mean, std = images.new_tensor(self.mean), images.new_tensor(self.std)
        return (-mean / std)[:, None, None]

    def grey(self, images: Tensor) -> Tensor:
        """Return the grey values `[M, H, W]` of pictures `[M, 3, H, W]`, whose channels are one picture."""
        return images[:, 0] * self.std[0] + self.mean[0]

    def of_grey(self, grey: Tensor) -> Tensor:
        """Return pictures `[M, 3, H, W]` of grey values `[M, H, W]`."""
        mean, std = grey.new_tensor(self.mean), grey.new_tensor(self.std)
        return (grey.unsqueeze(1) - mean[:, None, None]) / std[:, None, None]


class Aligner(FullPrecision):
    """From a picture to its pose against a canonical chest (paper B §3.1).

    ResNet-18 with global pooling and a linear map to five numbers; `small` has four layers and keeps the places of
    its last map, 4×4 (ours). The linear map starts at 0, so that alignment starts at the identity, or with
    `from_crop` at the crop that the canonical chest is (ours).

    Args:
        options: its own; with `weights` it is frozen, and always in evaluation mode.
        chest: what pictures are aligned to; kept with the weights.
        seed: of the initial weights; None leaves them to whoever loads others.
    """

    canonical: Tensor
    balance: Tensor

    def __init__(self, options: AlignOptions, chest: CanonicalChest, *, seed: int | None = None) -> None:
        super().__init__()
        self.options = options
        self.crop, self.images = chest.crop, chest.images
        width, self.network = (
            _small(seed)
            if options.network == "small"
            else _resnet18("random" if seed is None else options.start, seed)
        )
        with torch.random.fork_rng(devices=[]):  # nothing is drawn for what starts at 0
            self.pose = nn.Linear(width, LENGTH)
        nn.init.zeros_(self.pose.weight)
        nn.init.zeros_(self.pose.bias)
        if options.from_crop:
            self.pose.bias.data.copy_(pose_of(crop_matrix(chest.crop)))
        fixed = options.pixel_weight if isinstance(options.pixel_weight, float) else 1.0
        self.register_buffer("canonical", chest.picture.clone())
        self.register_buffer("balance", torch.tensor(fixed))
        self.requires_grad_(options.trained_here)
        self.train(self.training)

    @property
    def chest(self) -> CanonicalChest:
        """What pictures are aligned to."""
        return CanonicalChest(self.canonical, self.crop, self.images)

    @property
    def trained_here(self) -> bool:
        """Whether the system that it is in trains it."""
        return self.options.trained_here

    def train(self, mode: bool = True) -> Aligner:
        """Set training mode, which a frozen one never takes."""
        return super().train(mode and self.trained_here)

    def forward(self, grey: Tensor) -> Tensor:
        """Return the poses `[M, 5]` of pictures `[M, H, W]` of grey values in [0, 1]."""
        size = (self.options.size, self.options.size)
        with torch.autocast(grey.device.type, enabled=False):  # a pose is the same in training and in reading
            small = F.interpolate(grey.unsqueeze(1), size, mode="bilinear", antialias=True, align_corners=False)
            pose: Tensor = self.pose(self.network(Normalisation(_MEAN, _STD).of_grey(small[:, 0])))
        return pose

    @torch.no_grad()
    def align(
        self, images: Tensor, normalisation: Normalisation, *, chosen: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return pictures aligned, and the poses `[M, 5]` that were found.

        Where a pose leaves its bounds the picture stays as it is. Sampling what is normalised, with its black,
        gives the same as normalising what was sampled.

        Args:
            images: `[M, 3, S, S]`, normalised.
            normalisation: of them.
            chosen: `[M]` bool, False for pictures that stay as they are, whose pose is 0; None aligns all.
        """
        poses = self(normalisation.grey(images.float()))
        if chosen is not None:
            poses = torch.where(chosen.to(poses.device).unsqueeze(-1), poses, torch.zeros_like(poses))
        used, black = within_bounds(poses), normalisation.black(images.float())
        moved = warp(images.float() - black, pose_matrix(used)) + black
        still = (used == 0).all(dim=-1)[:, None, None, None]
        return torch.where(still, images, moved.to(images.dtype)), poses

    def fingerprint(self) -> str:
        """Return the SHA-256 over what decides the poses: equal fingerprints give equal ones."""
        digest = hashlib.sha256(f"{self.options.kind} {self.options.network} {self.options.size}".encode())
        for name, value in sorted(self.state_dict().items()):
            if name.startswith(("network.", "pose.")):
                digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
                digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def _small(seed: int | None) -> tuple[int, nn.Module]:
    """Return a network whose map of `_LAST` by `_LAST` places is kept, and how many numbers that is."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        for inner, outer in zip((3, *_WIDTHS), _WIDTHS, strict=False):
            layers += [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.GroupNorm(8, outer), nn.ReLU()]
    return _WIDTHS[-1] * _LAST**2, nn.Sequential(*layers, nn.AdaptiveAvgPool2d(_LAST), nn.Flatten())


def _resnet18(start: str, seed: int | None) -> tuple[int, nn.Module]:
    """Return ResNet-18 with global pooling, and its width."""
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        network = timm.create_model("resnet18", pretrained=start == "hub")
    load_weights(network, "resnet18", start, allow_pickle=False, seed=seed or 0)
    network.reset_classifier(0)  # type: ignore[operator]
    return int(network.num_features), network  # type: ignore[arg-type]
