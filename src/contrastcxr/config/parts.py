"""A system in words: one frozen, typed model per part.

Every value has the default of the paper it comes from, or ours where the papers are silent (docs/training.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field

from contrastcxr.config.base import Part
from contrastcxr.config.decoders import DecoderConfig
from contrastcxr.decode.settings import GenerationSettings


class DataConfig(Part):
    """Where the studies come from and whose reading of them is learnt."""

    source: str = Field("phantom:standard", description="`phantom:LEVEL`, `nih14-cv`, `manifest`, …")
    root: str | None = Field(None, description="the source's folder or file; none for phantoms")
    options: dict[str, str | int] = Field(
        {}, description="settings and further roots of the source, such as report: plain or reports: /texts"
    )
    seed: int = Field(0, description="draws phantoms and folds")
    fold: int | None = Field(None, ge=0, description="the test fold of a source with folds")
    author: str | None = Field(None, description="whose reading is learnt; none takes each study's first")
    max_views: int = Field(1, ge=1, description="views of a study that enter, frontal ones first")
    train_limit: int | None = Field(None, ge=1, description="training studies; none takes all")
    validation_limit: int | None = Field(200, ge=1, description="validation studies scored after each epoch")

    @property
    def kind(self) -> str:
        """The name of the source, without the level that stands behind that of phantoms."""
        return self.source.partition(":")[0]


def without_places(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `data` part of a configuration without folders of this machine.

    Its root goes, and so do the options that are paths.
    """
    options = {key: value for key, value in data.get("options", {}).items() if not {"/", "\\"} & set(str(value))}
    return {**data, "root": None, **({"options": options} if "options" in data else {})}


def without_folders(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole configuration, as plain values, without folders of this machine: only names of files stay."""
    encoder, train = config["encoder"], config.get("train", {})
    start = {"init_from": _file_name(train["init_from"])} if train.get("init_from") else {}
    return {
        **config,
        "data": without_places(config["data"]),
        "encoder": {**encoder, "weights": _file_name(encoder["weights"])},
        **({"train": {**train, **start}} if train else {}),
    }


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


class TextConfig(Part):
    """What of a report is written, and the words it is written with."""

    sections: tuple[Literal["findings", "impression"], ...] = Field(("findings",), min_length=1)
    min_count: int = Field(3, ge=1, description="rarer words of the training reports become unk")
    max_words: int | None = Field(None, ge=1, description="keep only the most frequent words")
    max_tokens: int = Field(60, ge=3, description="tokens of a report, bos and eos counted")


class ImageConfig(Part):
    """What of a picture the encoder sees: `size` pixels square, mean and deviation as the encoder was trained."""

    size: int = Field(224, ge=32, le=4096)
    augment: bool = Field(False, description="random crops in training; only where the encoder is trained")


class EncoderConfig(Part):
    """The network from pixels to a grid of features."""

    name: str = "tf_efficientnet_lite0"
    weights: str = Field("package", description="`package`, `hub`, `random` or a file")
    stage: int | None = Field(None, description="an intermediate stage; none is the last map before pooling")
    trainable: bool = False
    train_norm: bool = Field(False, description="a trainable encoder updates its batch-norm statistics")


class ProjectionConfig(Part):
    """The map from encoder channels to the model width; `r2gen` adds ReLU and dropout."""

    kind: Literal["linear", "r2gen"] = "linear"


class PoolConfig(Part):
    """The normality pool of Contrastive Attention, or one of its two controls."""

    kind: Literal["normal", "random", "zeros"] = "normal"
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


class ContrastConfig(Part):
    """Contrastive Attention (paper A §3.2, Eq. 4–10)."""

    repeats: int = Field(6, ge=1, le=256, description="n of Eq. 5")
    aggregate: bool = Field(True, description="Aggregate Attention; off is Table 5 (b)")
    differentiate: bool = Field(True, description="Differentiate Attention; off takes the mean of P' (ours)")
    attention: Literal["dot", "additive", "bilinear"] = "dot"
    patches: bool = Field(False, description="compare each patch too (named in §6; ours)")
    stages: tuple[Annotated[int, Field(ge=0)], ...] = Field(
        (), description="further, finer encoder stages to compare (named in §6; ours)"
    )
    pool: PoolConfig = PoolConfig()


class FindingHeadConfig(Part):
    """A probability per finding from the global feature (ours)."""

    labels: Literal["phantom", "nih14", "chexpert"]
    weight: float = Field(1.0, ge=0, description="of its binary cross-entropy beside the word loss")
    dropout: float = Field(0.1, ge=0, lt=1)
    uncertain: Literal["ignore", "ones", "zeros"] = Field(
        "ignore", description="what an uncertain training label counts as: U-Ignore, U-Ones, U-Zeros"
    )


class ScheduleConfig(Part):
    """How the learning rate moves: times `factor` every `every_epochs`."""

    factor: float = Field(0.8, gt=0, le=1)
    every_epochs: int = Field(3, ge=1)


class ScheduledSamplingConfig(Part):
    """Training on the decoder's own words: their share is `step` times the whole `every_epochs` gone by."""

    step: float = Field(0.05, gt=0, le=1)
    every_epochs: int = Field(5, ge=1)
    most: float = Field(0.25, gt=0, le=1)


class OptimizerConfig(Part):
    """Adam or AdamW over two rates: the encoder's and everything else's."""

    kind: Literal["adam", "adamw"] = "adam"
    lr: float = Field(5e-4, gt=0)
    encoder_lr: float = Field(5e-5, gt=0, description="used when the encoder is trained")
    weight_decay: float = Field(0.0, ge=0)
    amsgrad: bool = False
    clip_norm: float | None = Field(5.0, gt=0)
    clip_value: float | None = Field(None, gt=0)


class TrainConfig(Part):
    """How long, how fast, and what picks the checkpoint."""

    seed: int = 0
    batch_size: int = Field(32, ge=1, description="over all processes together")
    group_by_length: bool = Field(False, description="batches of reports of similar length: less padding, faster")
    epochs: int = Field(20, ge=1)
    word_weight: float = Field(1.0, ge=0, description="of the words' loss; 0 trains on labels alone")
    init_from: str | None = Field(None, description="checkpoint whose weights and vocabulary the run starts from")
    scst: bool = Field(False, description="self-critical training with CIDEr-D; a second stage, after init_from")
    scheduled_sampling: ScheduledSamplingConfig | None = Field(
        None, description="words fed are at times the decoder's own; those that look before each word only"
    )
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    monitor: Literal["bleu4", "positive_f1", "auc", "loss"] = Field("bleu4", description="validation metric")
    patience: int = Field(5, ge=1, description="epochs without a better validation before stopping")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the CPU has it")
    workers: int = Field(0, ge=0, description="processes that read and draw pictures")
    checkpoint_dtype: Literal["float32", "float16"] = "float32"


class SystemConfig(Part):
    """A whole system: from a source of studies to the settings its reports are written with."""

    name: str = Field(min_length=1)
    paper: str | None = Field(None, description="the publication whose setting this is")
    width: int = Field(512, ge=8, le=65_536, description="d, the model width")
    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    image: ImageConfig = ImageConfig()
    encoder: EncoderConfig = EncoderConfig()
    projection: ProjectionConfig = ProjectionConfig()
    contrast: ContrastConfig | None = None
    decoder: DecoderConfig
    finding_head: FindingHeadConfig | None = None
    generate: GenerationSettings = GenerationSettings()
    train: TrainConfig = TrainConfig()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `parse_config` reads back to an equal configuration."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """Return the configuration as YAML with every value written out."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)
