"""The options of the parts between pixels and heads; needs no PyTorch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contrastcxr.options import Options


class EncoderOptions(Options):
    """The network from pixels to a grid of features."""

    name: str = "tf_efficientnet_lite0"
    weights: str = Field("package", description="`package`, `hub`, `random` or a file")
    stage: int | None = Field(None, description="an intermediate stage; none is the last map before pooling")
    stage_pooling: Literal["mean", "max"] = Field(
        "mean", description="how further, finer stages are brought to the grid (contrast.stages)"
    )
    trainable: bool = False
    train_norm: bool = Field(False, description="a trainable encoder updates its batch-norm statistics")


class ProjectionOptions(Options):
    """The map from encoder channels to the model width; `r2gen` adds ReLU and dropout, `none` is no map."""

    kind: Literal["linear", "r2gen", "none"] = "linear"

    @property
    def is_linear(self) -> bool:
        """Whether raw vectors may be averaged or pooled before it."""
        return self.kind != "r2gen"

    @property
    def keeps_channels(self) -> bool:
        """Whether the model width is the encoder's, which is known once that is built."""
        return self.kind == "none"
