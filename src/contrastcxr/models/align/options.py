"""The options of alignment; needs no PyTorch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contrastcxr.options import Options

Share = Annotated[float, Field(ge=0, le=1)]


class CanonicalOptions(Options):
    """The canonical chest: the mean of normal training frontals, cropped round both lungs."""

    images: int = Field(
        500, ge=1, description="normal frontals in the mean; fewer when the training set has fewer"
    )
    crop: Literal["auto"] | tuple[Share, Share, Share, Share] = Field(
        "auto", description="auto finds the lungs; [x1, y1, x2, y2] in shares of the picture's sides says where"
    )
    margin: float = Field(
        0.02,
        ge=0,
        le=0.5,
        description="what auto leaves round both lungs, in sides of the box that bounds them (ours)",
    )


class AlignOptions(Options):
    """Affine alignment to a canonical chest (paper B §3.1): trained alone, without a head, then frozen (ours)."""

    kind: Literal["affine"] = "affine"
    weights: str | None = Field(
        None, description="run or checkpoint whose trained aligner is used, frozen; none trains one"
    )
    network: Literal["resnet18", "small"] = Field(
        "resnet18", description="what finds the pose: ResNet-18 (paper B), or four layers for CPUs (ours)"
    )
    start: str = Field("random", description="what resnet18 starts from: `random`, `hub` or a file of weights")
    size: int = Field(224, ge=64, le=1024, description="side in pixels at which the network sees a picture")
    canonical: CanonicalOptions = CanonicalOptions()
    from_crop: bool = Field(
        False, description="a pose starts as the crop of the canonical chest, not as the identity (ours)"
    )
    standardize: bool = Field(
        False, description="both losses see a picture with the mean and deviation of the canonical chest (ours)"
    )
    squared: bool = Field(False, description="both losses take the squared norm; paper B prints the norm")
    pixel_weight: Literal["balanced"] | Annotated[float, Field(ge=0)] = Field(
        "balanced",
        description="of the pixel loss; balanced: as large a gradient as the feature loss at the start (ours)",
    )

    @property
    def trained_here(self) -> bool:
        """Whether this run trains the aligner."""
        return self.weights is None

    @property
    def whole_batch(self) -> str | None:
        """Batch norm of a network that is trained."""
        return "network resnet18" if self.trained_here and self.network == "resnet18" else None

    @property
    def term_weights(self) -> dict[str, float]:
        """What each term of its loss weighs; how many poses leave their bounds is shown alone."""
        return {"align_feature": 1.0, "align_pixel": 1.0, "align_beyond": 0.0} if self.trained_here else {}
