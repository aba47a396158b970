"""What every kind of contrast answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from torch import nn

if TYPE_CHECKING:
    from contrastcxr.models.contrast.options import ContrastOptions
    from contrastcxr.models.projection import PatchProjection


class Contrast(nn.Module):
    """Base of what stands between the projection and the heads and compares a study with others."""

    @classmethod
    def built(cls, options: ContrastOptions, projection: PatchProjection) -> Self:
        """Return one as its options say, behind a projection."""
        raise NotImplementedError
