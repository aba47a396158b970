"""The options of every localizer (docs/localizers.md), and what follows from them; needs no PyTorch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contrastcxr.models.heads.options import HeadNeeds, LabelOptions


class LocalizerOptions(LabelOptions):
    """What every localizer states."""

    kind: str

    @property
    def term_weights(self) -> dict[str, float]:
        """Its loss, under its name."""
        return {self.kind: self.weight}


class CamOptions(LocalizerOptions):
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
        description="fixed: above 60 and 180 of 255; tuned: above one cut, chosen on validation boxes",
    )

    @property
    def needs(self) -> HeadNeeds:
        """Labels; with tuned cuts, boxes of validation studies."""
        return HeadNeeds(findings=self.labels, uncertain=self.uncertain, boxes=self.cuts == "tuned")
