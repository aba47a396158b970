"""The options of Contrastive Attention and its pool; needs no PyTorch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from contrastcxr.options import Options


class PoolOptions(Options):
    """The normality pool of Contrastive Attention, or one of its two controls."""

    kind: Literal["normal", "random", "zeros"] = Field(
        "normal", description="normal training images; as controls any training images, or rows of zeros"
    )
    size: int = Field(1000, ge=1, description="images; fewer when the training set has fewer")
    unit: Literal["image", "study"] = Field(
        "image", description="a row is an image, or the mean over the views of a study"
    )
    match: Literal["none", "view"] = Field("view", description="view: compare with pool images of its position")
    views: Literal["all", "same_view"] = Field(
        "all", description="all: a study is compared as a whole; same_view: each of its views on its own"
    )
    patches: int = Field(1000, ge=1, description="patch vectors of its images, for contrast.patches")
    seed: int | None = Field(None, description="of the draw; none takes train.seed")
    refresh_epochs: int = Field(1, ge=1, description="a trained encoder re-encodes the pool this often")


class ContrastOptions(Options):
    """Contrastive Attention (paper A §3.2, Eq. 4–10)."""

    repeats: int = Field(6, ge=1, le=256, description="n of Eq. 5")
    aggregate: bool = Field(True, description="Aggregate Attention; off is Table 5 (b)")
    differentiate: bool = Field(True, description="Differentiate Attention; off takes the mean of P' (ours)")
    attention: Literal["dot", "additive", "bilinear"] = Field(
        "dot", description="how a score is made (footnote 2 names all three; formulas of the last two ours)"
    )
    patches: bool = Field(False, description="compare each patch too (named in §6; ours)")
    stages: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="further, finer encoder stages to compare (named in §6; ours)"
    )
    pool: PoolOptions = PoolOptions()
