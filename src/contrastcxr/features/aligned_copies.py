"""Copies of pictures in the pose of a canonical chest, for `contrastcxr data prepare --align`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from contrastcxr.data.views import can_be_aligned
from contrastcxr.features.cache import warn_of_poses
from contrastcxr.form import View
from contrastcxr.models.align.aligner import Aligner, Normalisation

_AS_IT_IS = Normalisation((0.0,) * 3, (1.0,) * 3)


@dataclass(frozen=True, eq=False)
class AlignedCopies:
    """Moves pictures with a trained aligner; those of lateral views, and of poses beyond their bounds, stay."""

    aligner: Aligner

    @property
    def name(self) -> str:
        """Which aligner it is."""
        return self.aligner.fingerprint()[:12]

    def __call__(self, picture: NDArray[np.float32], view: View) -> tuple[NDArray[np.float32], list[float]]:
        """Return a picture `[S, S]` moved, and its pose."""
        images = torch.from_numpy(picture).to(self.aligner.canonical.device).expand(1, 3, *picture.shape)
        moved, poses = self.aligner.align(images, _AS_IT_IS, chosen=torch.tensor([can_be_aligned(view.position)]))
        values: NDArray[np.float32] = moved[0, 0].cpu().numpy()
        return values, poses[0].tolist()

    def warn(self, poses: Sequence[Sequence[float]]) -> None:
        """Warn of poses that leave their bounds: their pictures stay as they are."""
        warn_of_poses(poses)
