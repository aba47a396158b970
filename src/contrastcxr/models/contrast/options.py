"""The options of what a study is compared with, by kind, and of the pool or bank; needs no PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from contrastcxr.errors import IncompatibleError
from contrastcxr.models.options import ProjectionOptions
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


class BankOptions(Options):
    """The negatives of contrast-induced attention (paper B §4.3.2), or one of its two controls."""

    kind: Literal["normal", "other", "zeros"] = Field(
        "normal",
        description="normal training images; as controls as many of any training images, or a map of zeros (ours)",
    )
    sampling: Literal["similar", "random", "canonical"] = Field(
        "similar",
        description="Table 5: the most similar one by 16×16 thumbnail; one drawn once for each view; their mean "
        "picture, of frontal views the canonical chest of align where there is one",
    )
    size: int | None = Field(None, ge=1, description="images; none takes all normal ones")
    center: bool = Field(
        False, description="take the mean thumbnail away before the cosine, which it dominates (ours)"
    )
    match: Literal["none", "view"] = Field("view", description="view: compare with images of its position")
    seed: int | None = Field(None, description="of the draws; none takes train.seed")


class ContrastOptions(Options):
    """What every kind of contrast states; the properties below say what follows for the other parts."""

    kind: str

    @property
    def pool_options(self) -> PoolOptions | None:
        """The normality pool, of a kind that has one."""
        return None

    @property
    def bank_options(self) -> BankOptions | None:
        """The bank of negatives, of a kind that has one."""
        return None

    @property
    def encoder_stages(self) -> tuple[int, ...]:
        """Further, finer stages of the encoder that it takes."""
        return ()

    @property
    def stage_pooling(self) -> Literal["mean", "max"]:
        """How they are brought to the grid, unless encoder.stage_pooling says."""
        return "mean"

    @property
    def separate_backbone(self) -> bool:
        """Whether the further stages are those of a second backbone."""
        return False

    @property
    def compares_patches(self) -> bool:
        """Whether single patches are compared, which changes nothing but patches."""
        return False

    @property
    def reference(self) -> str:
        """What a study is compared with, for the provenance of a reading."""
        raise NotImplementedError

    def check(self, *, encoder_stage: int | None, projection: ProjectionOptions, start: str) -> None:
        """Refuse values that cannot be together, or not with others of the configuration.

        Args:
            encoder_stage: encoder.stage.
            projection: of the same configuration.
            start: train.contrast_start.

        Raises:
            IncompatibleError: names the two values and what to change.
        """


class AttentionOptions(ContrastOptions):
    """Contrastive Attention (paper A §3.2, Eq. 4–10)."""

    kind: Literal["attention"] = "attention"
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

    @property
    def pool_options(self) -> PoolOptions:
        """Its pool."""
        return self.pool

    @property
    def encoder_stages(self) -> tuple[int, ...]:
        """The option."""
        return self.stages

    @property
    def compares_patches(self) -> bool:
        """The option."""
        return self.patches

    @property
    def reference(self) -> str:
        """The kind of its pool."""
        return self.pool.kind

    def check(self, *, encoder_stage: int | None, projection: ProjectionOptions, start: str) -> None:
        """Refuse attentions that are not there, stages that are not finer, pools that fit nothing."""
        del start
        if not projection.is_linear:
            raise IncompatibleError(
                f"contrast with projection.kind {projection.kind}: the pool is kept raw, so the projection "
                "must be linear; set projection.kind: linear or contrast: null"
            )
        # Against the default and not against what was written: a run folder and a checkpoint write every value
        # out.
        if not self.aggregate and self.repeats != _default(self, "repeats"):
            raise IncompatibleError(
                "contrast.repeats with contrast.aggregate off: n is the number of aggregating attentions; "
                "remove one of the two"
            )
        if not self.aggregate and not self.differentiate:
            raise IncompatibleError(
                "contrast.aggregate and contrast.differentiate both off: no attention is left; turn one of them on"
            )
        if self.patches and not self.aggregate:
            raise IncompatibleError(
                "contrast.patches with contrast.aggregate off: patches are compared through Aggregate Attention; "
                "turn it on or patches off"
            )
        _check_stages(self.stages, encoder_stage, option="stages")
        self._check_pool()

    def _check_pool(self) -> None:
        pool = self.pool
        if not self.patches and pool.patches != _default(pool, "patches"):
            raise IncompatibleError(
                "contrast.pool.patches with contrast.patches off: no pool of patches is drawn; remove one of the "
                "two"
            )
        if pool.views == "same_view" and pool.match == "none":
            raise IncompatibleError(
                "contrast.pool.views same_view with contrast.pool.match none: a view is compared with its own "
                "position; set contrast.pool.match: view"
            )
        if pool.views == "same_view" and pool.unit == "study":
            raise IncompatibleError(
                "contrast.pool.views same_view with contrast.pool.unit study: a row is several views; "
                "set contrast.pool.unit: image"
            )


class DifferenceOptions(ContrastOptions):
    """Contrast-induced attention of CIA-Net (paper B §3.2, Eq. 3)."""

    kind: Literal["difference"] = "difference"
    stage: int | None = Field(
        None,
        ge=0,
        description="finer encoder stage that the attention map is made of (paper B: layer3 under layer4); "
        "none is the map that is read",
    )
    share_backbone: bool = Field(
        True, description="off: the attention map has a backbone of its own, as in paper B (both branches)"
    )
    bank: BankOptions = BankOptions()

    @property
    def bank_options(self) -> BankOptions:
        """Its bank."""
        return self.bank

    @property
    def encoder_stages(self) -> tuple[int, ...]:
        """The option."""
        return () if self.stage is None else (self.stage,)

    @property
    def stage_pooling(self) -> Literal["mean", "max"]:
        """By maximum (paper B)."""
        return "max"

    @property
    def separate_backbone(self) -> bool:
        """The option."""
        return not self.share_backbone

    @property
    def reference(self) -> str:
        """That views are subtracted, and the kind of its bank."""
        return f"difference from {self.bank.kind}"

    def check(self, *, encoder_stage: int | None, projection: ProjectionOptions, start: str) -> None:
        """Refuse a stage that is not finer, a second backbone without one, draws that nothing is drawn for."""
        del projection
        _check_stages(self.encoder_stages, encoder_stage, option="stage")
        if self.separate_backbone and self.stage is None:
            raise IncompatibleError(
                "contrast.share_backbone off without contrast.stage: the second backbone is there for a stage; "
                "set contrast.stage, or share_backbone: true"
            )
        if start != "default":
            raise IncompatibleError(
                f"train.contrast_start {start} with contrast.kind {self.kind}: its weights have mean 1 from the "
                "start; set train.contrast_start: default"
            )
        bank = self.bank
        if bank.center and bank.sampling != "similar":
            raise IncompatibleError(
                f"contrast.bank.center with contrast.bank.sampling {bank.sampling}: no cosine decides; remove one "
                "of the two"
            )
        if bank.kind == "zeros" and bank.sampling != "similar":
            raise IncompatibleError(
                f"contrast.bank.kind zeros with contrast.bank.sampling {bank.sampling}: no picture is drawn; "
                "remove one of the two"
            )


def _check_stages(stages: Sequence[int], read: int | None, *, option: str) -> None:
    if list(stages) != sorted(set(stages)):
        raise IncompatibleError(f"contrast.stages {list(stages)}: give each stage once, in increasing order")
    if stages and read is not None and stages[-1] >= read:
        said = list(stages) if option == "stages" else stages[0]
        raise IncompatibleError(
            f"contrast.{option} {said} with encoder.stage {read}: further stages are finer than the one "
            "that is read; give smaller numbers"
        )


def _default(part: Options, field: str) -> Any:
    return type(part).model_fields[field].default
