"""Grad-CAM: where the patches push the logit of each finding up (Selvaraju 2017 °; paper D, Table 1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.features import GridPlaces, VisualFeatures
from contrastcxr.models.heads.base import HeadInputs
from contrastcxr.models.heads.localizers.maps import MapLocalizer
from contrastcxr.models.heads.localizers.options import GradCamOptions


class GradCamLocalizer(MapLocalizer):
    """A classifier with a stage of its own, and maps `ReLU(Σ_c mean_i(∂y_l/∂f_c,i) f_c,i)` on the patches before.

    `y_l = w_l^T mean_j g_j + b_l`, and `g` is made of the patches `f` by two 3×3 convolutions, the first of stride
    2, each with batch norm and ReLU (ours). They stand in for the last stage of the network, so that `f` is the
    map before it, C4 of a ResNet-50. They are not the encoder's own: features are cached, and a head sees the map
    of `encoder.stage` and nothing that comes after it. Both means are over all real places of a study; a `g_j` is
    real where any patch is that its first convolution sees.

    Args:
        inputs: what it is built for, its findings among it.
        options: its own.
    """

    def __init__(self, inputs: HeadInputs, options: GradCamOptions) -> None:
        super().__init__(inputs, options, regions=True)
        self.stage = nn.Sequential(
            *_layer(inputs.width, options.hidden, stride=2), *_layer(options.hidden, options.hidden, stride=1)
        )
        self.classifier = nn.Linear(options.hidden, len(self.findings))

    def logits(self, features: VisualFeatures) -> Tensor:
        """Return logits `[B, L]` of the findings.

        Raises:
            IncompatibleError: the patches are no grid.
        """
        places = features.places
        if not isinstance(places, GridPlaces):
            raise IncompatibleError(
                f"localizer.kind {self.kind} on patches that are no grid: it convolves the map of an encoder; "
                "choose an encoder with a grid, or another localizer"
            )
        mask = features.mask.view(features.studies, -1, places.rows, places.columns)  # [B,V,r,c]
        real = mask.flatten(2).any(dim=2)
        patches = features.patches.masked_fill(~features.mask.unsqueeze(2), 0.0).view(*mask.shape, -1)
        maps: Tensor = self.stage(patches[real].permute(0, 3, 1, 2))  # [M,r,c,d] -> [M,h,r',c']
        counted = F.max_pool2d(mask[real].unsqueeze(1).to(maps.dtype), 3, stride=2, padding=1)
        sums = torch.cat([(maps * counted).sum(dim=(2, 3)), counted.sum(dim=(2, 3))], dim=1)
        study = real.nonzero()[:, 0]
        total = sums.new_zeros(features.studies, sums.shape[1]).index_add(0, study, sums)
        logits: Tensor = self.classifier(total[:, :-1] / total[:, -1:])
        return logits

    def logits_and_maps(self, features: VisualFeatures) -> tuple[Tensor, Tensor]:
        """Return the logits `[B, L]` of the findings and their maps `[B, L, N]`."""
        return grad_cam(self.logits, features)


def grad_cam(logits: Callable[[VisualFeatures], Tensor], features: VisualFeatures) -> tuple[Tensor, Tensor]:
    """Return logits `y [B, L]`, and `ReLU(Σ_c mean_i(∂y_l/∂f_c,i) f_c,i)` of them, `[B, L, N]`, float32.

    The mean is over the real patches of a study; elsewhere the map is 0. The gradient is taken here, whether or
    not gradients are on, and reaches no parameter: a study's `Σ_i ∂y_l/∂f_c,i` is the gradient of what is added to
    channel c of all its patches, and those of all findings are taken at once.

    Args:
        logits: of each study by its own real patches alone: norms are in evaluation mode.
        features: of B studies.
    """
    patches = features.patches.detach()
    with torch.enable_grad():
        added = patches.new_zeros(len(patches), 1, patches.shape[2], requires_grad=True)
        found = logits(features.replace(patches=patches + added))
        each = torch.eye(found.shape[1], dtype=found.dtype, device=found.device)
        wanted = each.unsqueeze(1).expand(-1, len(found), -1)  # [L,B,L]
        (gradient,) = torch.autograd.grad(found, added, wanted, is_grads_batched=True)  # [L,B,1,d]
    weights = gradient.squeeze(2).float() / features.mask.sum(dim=1, keepdim=True)
    maps = torch.einsum("lbd,bnd->bln", weights, patches.float()).relu()
    return found.detach(), maps.masked_fill(~features.mask.unsqueeze(1), 0.0)


def _layer(width: int, hidden: int, *, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(width, hidden, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU()
