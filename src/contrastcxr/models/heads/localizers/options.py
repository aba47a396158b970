"""The options of every localizer (docs/localizers.md), and what follows from them; needs no PyTorch."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from contrastcxr.models.heads.options import HeadNeeds, HeadOptions, LabelOptions, TaughtBoxes
from contrastcxr.models.options import REGION_STAGES, RegionOptions
from contrastcxr.vocab.attribute_words import AttributeListName, attribute_list


class LocalizerOptions(HeadOptions):
    """What every localizer states."""

    kind: str


class LabelLocalizerOptions(LabelOptions, LocalizerOptions):
    """What a localizer states that learns from labels of whole studies."""

    @property
    def term_weights(self) -> dict[str, float]:
        """Its loss, under its name."""
        return {self.kind: self.weight}


class MapOptions(LabelLocalizerOptions):
    """What a localizer states whose maps are cut at heights of their own range."""

    cuts: Literal["fixed", "tuned"] = Field(
        "fixed", description="fixed: above half of a map's range; tuned: above one cut, chosen on validation boxes"
    )

    @property
    def needs(self) -> HeadNeeds:
        """Labels; with tuned cuts, boxes of validation studies."""
        return HeadNeeds(findings=self.labels, uncertain=self.uncertain, boxes=self.cuts == "tuned")


class CamOptions(MapOptions):
    """Class activation maps of a linear classifier (Zhou 2016, Wang 2017)."""

    kind: Literal["cam"] = "cam"
    transition: int | None = Field(
        None,
        ge=1,
        description="width of a linear map and ReLU on the patches before the classifier; none has none",
    )
    pooling: Literal["mean", "log_sum_exp"] = Field(
        "mean", description="of the patches: their mean, or log-sum-exp with r = 10"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="before the classifier")
    cuts: Literal["fixed", "tuned"] = Field(
        "fixed",
        description="fixed: above 60 and 180 of 255, of regions above half of the range; tuned: above one cut, "
        "chosen on validation boxes",
    )
    marks: Literal["union", "regions"] = Field(
        "union",
        description="union: all boxes above the cuts (paper B); regions: at most three of those above one cut, by "
        "the rule of localizers that weigh regions (paper D)",
    )


class GradCamOptions(MapOptions):
    """Grad-CAM on the map before a stage of its own (Selvaraju 2017; paper D, Table 1)."""

    sizes: ClassVar[tuple[str, ...]] = ("hidden",)
    kind: Literal["gradcam"] = "gradcam"
    hidden: int = Field(256, ge=1, description="width of both 3×3 convolutions of its stage (ours)")

    @property
    def whole_batch(self) -> str:
        """Batch norm."""
        return f"kind {self.kind}"


class LiOptions(LabelLocalizerOptions):
    """A probability for each cell, learnt from labels and from boxes (Li 2018; paper B §3.2)."""

    meaning: ClassVar[tuple[str, ...]] = ("labels", "head", "stage")
    sizes: ClassVar[tuple[str, ...]] = ("hidden",)
    kind: Literal["li2018"] = "li2018"
    weight: float = Field(1.0, ge=0, description="of its loss: that of labels, and with box_weight that of boxes")
    head: Literal["two", "single"] = Field(
        "two",
        description="two: a 3×3 convolution, batch norm, ReLU and a 1×1 convolution; single: the last alone",
    )
    hidden: int = Field(512, ge=1, description="width behind the 3×3 convolution; nothing with head: single")
    stage: int | None = Field(
        None,
        ge=0,
        description="a finer stage of the encoder, whose own map it stands on, before projection and contrast; "
        "none takes the patches that all heads share (ours)",
    )
    upsample: int | None = Field(
        128,
        ge=2,
        le=512,
        description="cells a side that features are upsampled to before the head, for boxes and marks; none takes "
        "the patches as they are",
    )
    threshold: float = Field(0.5, ge=0, lt=1, description="a cell whose probability is above it is marked")
    mil_floor: float = Field(
        0.98, ge=0, lt=1, description="what no factor of the product over cells goes below; 0 is paper B's Eq. 5"
    )
    box_loss: Literal["cells", "li2018"] = Field(
        "cells",
        description="cells: a binary cross-entropy of each cell (paper B, Eq. 4); li2018: of their product, with "
        "the floor",
    )
    box_weight: float = Field(5.0, ge=0, description="β_B: of the loss of boxes beside that of labels")
    reduction: Literal["sum", "mean"] = Field(
        "sum",
        description="sum: over cells, findings and studies, as printed; mean: over cells, and over pairs of study "
        "and finding",
    )

    @property
    def needs(self) -> HeadNeeds:
        """Labels, and boxes of training studies where there are any."""
        return HeadNeeds(findings=self.labels, uncertain=self.uncertain, taught_boxes=TaughtBoxes(self.upsample))

    @property
    def encoder_stages(self) -> tuple[int, ...]:
        """The option."""
        return () if self.stage is None else (self.stage,)

    @property
    def whole_batch(self) -> str | None:
        """Batch norm, and sums over a batch."""
        return "head two" if self.head == "two" else "reduction sum" if self.reduction == "sum" else None

    @property
    def term_weights(self) -> dict[str, float]:
        """Both losses of Eq. 6."""
        return {"mil": self.weight, "box": self.weight * self.box_weight}

    def stated_sizes(self) -> dict[str, int]:
        """Return the width behind the first convolution, where there is one."""
        return super().stated_sizes() if self.head == "two" else {}


class RetinaNetOptions(LocalizerOptions):
    """Boxes of one class on the maps of three stages (Lin 2017; paper D's detector)."""

    meaning: ClassVar[tuple[str, ...]] = ("attributes", "smallest_anchor")
    sizes: ClassVar[tuple[str, ...]] = ("pyramid",)
    kind: Literal["retinanet"] = "retinanet"
    attributes: AttributeListName = Field(description="list whose findings, as one class, are boxed")
    pyramid: int = Field(256, ge=8, description="width of the feature pyramid and of its heads")
    count: int = Field(100, ge=1, le=1000, description="boxes of a picture, at most")
    smallest_anchor: int = Field(32, ge=4, description="pixels a side; each of five levels doubles it")
    region_class_weight: float = Field(1.0, ge=0, description="of the focal loss")
    region_box_weight: float = Field(1.0, ge=0, description="of the loss of corners")

    @property
    def needs(self) -> HeadNeeds:
        """Boxes of training studies as corners."""
        boxed = attribute_list(self.attributes).boxed
        return HeadNeeds(taught_boxes=TaughtBoxes(corners=True, findings=boxed))

    @property
    def regions(self) -> RegionOptions:
        """Its own."""
        return RegionOptions(
            attributes=self.attributes,
            pyramid=self.pyramid,
            count=self.count,
            smallest_anchor=self.smallest_anchor,
        )

    @property
    def encoder_stages(self) -> tuple[int, ...]:
        """Those before the one that is read."""
        return REGION_STAGES


class CrossAttentionOptions(LocalizerOptions):
    """Regions weighed by how well they say the words of the report (paper D)."""

    meaning: ClassVar[tuple[str, ...]] = ("attributes", "alpha", "axes")
    sizes: ClassVar[tuple[str, ...]] = ("embedding",)
    kind: Literal["cross_attention"] = "cross_attention"
    attributes: AttributeListName = Field(description="list whose words, as reports state them, are learnt")
    embedding: int = Field(200, ge=8, multiple_of=2, description="of regions and of word vectors")
    count: int = Field(20, ge=1, description="N: regions of a study that are weighed, those with the best scores")
    alpha: Literal["learnt", "scores"] = Field(
        "learnt", description="weights of regions; scores: the softmax of the detector's scores (a control, ours)"
    )
    shuffled: bool = Field(False, description="training studies have the attributes of others (a control, ours)")
    axes: Literal["paper", "scan"] = Field(
        "paper",
        description="paper: a sums to 1 over words and b over regions, as printed; scan: the other way round",
    )
    word_sharpness: float = Field(4.0, gt=0, description="λ_a, of the softmax over words")
    region_sharpness: float = Field(9.0, gt=0, description="λ_b, of the softmax over regions")
    margin: float = Field(0.2, ge=0, description="β of both triplets")
    match_text_weight: float = Field(1.0, ge=0, description="of the triplet of words")
    match_region_weight: float = Field(1.0, ge=0, description="of the triplet of regions")
    attribute_weight: float = Field(1.0, ge=0, description="of the attributes' binary cross-entropy; 0: without")

    @property
    def needs(self) -> HeadNeeds:
        """Attributes of the reports, and word vectors of them."""
        return HeadNeeds(attributes=self.attributes, attribute_width=self.embedding, shuffled=self.shuffled)

    @property
    def weighed_regions(self) -> int:
        """N of the equations: `count`."""
        return self.count
