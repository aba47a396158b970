"""A system in words: one frozen, typed model per part.

Every value has the default of the paper it comes from, or ours where the papers are silent (docs/training.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, PlainSerializer, SerializeAsAny, model_validator

from contrastcxr.decode.settings import MEANT_FOR, GenerationSettings
from contrastcxr.losses import SYSTEM_LOSSES
from contrastcxr.losses.options import SystemLossOptions
from contrastcxr.models.align import ALIGNERS
from contrastcxr.models.align.options import AlignOptions
from contrastcxr.models.contrast import CONTRASTS, USUAL_CONTRAST
from contrastcxr.models.contrast.options import ContrastOptions
from contrastcxr.models.heads.decoders import DECODERS
from contrastcxr.models.heads.decoders.options import DecoderOptions
from contrastcxr.models.heads.localizers import LOCALIZERS
from contrastcxr.models.heads.localizers.options import LocalizerOptions
from contrastcxr.models.heads.options import SLOTS, FindingHeadOptions, HeadNeeds, HeadOptions, all_needs
from contrastcxr.models.options import REGION_STAGES, EncoderOptions, ProjectionOptions
from contrastcxr.options import KindOf, Options
from contrastcxr.text.sentence_order import SentenceOrder

Monitor = Literal["bleu4", "positive_f1", "auc", "map", "loss", "report_loss", "abnormal_words", "last"]

OLDER_PRECISIONS: Mapping[str, str] = {"32": "fp32", "bf16-mixed": "bf16"}
"""What precisions were called before; files keep these names, so that runs on record stay the runs they are."""


def older_precision(name: str) -> str:
    """Return what files call a precision."""
    return OLDER_PRECISIONS.get(name, name)


def _newer_precision(value: object) -> object:
    """Return a precision by its own name; YAML reads 32 as a number."""
    name = str(value) if type(value) is int else value
    return next((new for new, old in OLDER_PRECISIONS.items() if old == name), name)


Precision = Annotated[
    Literal["auto", "32", "bf16-mixed", "16-mixed"],
    BeforeValidator(_newer_precision),
    PlainSerializer(older_precision, return_type=str),
]


class DataConfig(Options):
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


FILES = (
    *(("encoder", "weights"), ("encoder", "regions", "weights")),
    *(("align", "weights"), ("align", "start"), ("train", "init_from")),
    *(("losses", "clusters", "weights"), ("losses", "clusters", "file")),
)
"""Options that may name a file, part by part."""


def without_places(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `data` part of a configuration without folders of this machine.

    Its root goes, and so do the options that are paths.
    """
    options = {key: value for key, value in data.get("options", {}).items() if not {"/", "\\"} & set(str(value))}
    return {**data, "root": None, **({"options": options} if "options" in data else {})}


def without_folders(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole configuration, as plain values, without folders of this machine: only names of files stay."""
    found = {**config, "data": without_places(config["data"])}
    for place in FILES:
        found = _with_name_alone(found, place)
    return found


def _with_name_alone(values: Mapping[str, Any], place: Sequence[str]) -> dict[str, Any]:
    name, *rest = place
    held = values.get(name)
    if not held:
        return dict(values)
    if isinstance(held, list):
        return {**values, name: [_with_name_alone(each, rest) for each in held]}
    return {**values, name: _with_name_alone(held, rest) if rest else _file_name(held)}


def _file_name(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


class TextConfig(Options):
    """What of a report is written, and the words it is written with."""

    sections: tuple[Literal["findings", "impression"], ...] = Field(
        ("findings",), min_length=1, description="sections of the report that are written, one after the other"
    )
    order: SentenceOrder = Field(
        "as_written",
        description="of the sentences in a section that is learnt: as_written (published), or canonical (ours): "
        "what is present or uncertain, then denials, both in the order of CheXpert's findings, then the rest",
    )
    min_count: int = Field(3, ge=1, description="rarer words of the training reports become unk")
    max_words: int | None = Field(None, ge=1, description="keep only the most frequent words")
    max_tokens: int = Field(60, ge=3, description="tokens of a report, bos and eos counted")


class ImageConfig(Options):
    """What of a picture the encoder sees: `size` pixels square, mean and deviation as the encoder was trained."""

    size: int = Field(224, ge=32, le=4096, description="side of the square picture, in pixels")
    augment: bool = Field(False, description="random crops in training; only where the encoder is trained")


class ScheduleConfig(Options):
    """How the learning rate moves: times `factor` every `every_epochs`."""

    factor: float = Field(0.8, gt=0, le=1, description="what the learning rate is multiplied by")
    every_epochs: int = Field(3, ge=1, description="epochs from one time to the next")


class ScheduledSamplingConfig(Options):
    """Training on the decoder's own words: their share is `step` times the whole `every_epochs` gone by."""

    step: float = Field(0.05, gt=0, le=1, description="by how much the share grows")
    every_epochs: int = Field(5, ge=1, description="epochs until it grows again")
    most: float = Field(0.25, gt=0, le=1, description="the share at which it stays")


class OptimizerConfig(Options):
    """Adam, AdamW or SGD over two rates: the encoder's and everything else's."""

    kind: Literal["adam", "adamw", "sgd"] = Field("adam", description="which one it is")
    lr: float = Field(5e-4, gt=0, description="learning rate of everything but the encoder")
    encoder_lr: float = Field(5e-5, gt=0, description="of the encoder, when it is trained")
    weight_decay: float = Field(0.0, ge=0, description="of every weight, save those that a part exempts")
    amsgrad: bool = Field(False, description="adam and adamw only: divide by the largest second moment so far")
    momentum: float = Field(
        0.9, ge=0, lt=1, description="sgd only: share of the last step that the next one keeps"
    )
    nesterov: bool = Field(True, description="sgd only: momentum of Nesterov, as CIA-Net is trained")
    clip_norm: float | None = Field(5.0, gt=0, description="the largest norm of all gradients together")
    clip_value: float | None = Field(None, gt=0, description="the largest value of a gradient")

    @model_validator(mode="after")
    def _options_mean_something(self) -> Self:
        fields = type(self).model_fields
        only = ("amsgrad",) if self.kind == "sgd" else ("momentum", "nesterov")
        for name in only:
            if getattr(self, name) != fields[name].default:
                raise ValueError(f"{name} means nothing with kind {self.kind}; remove it, or choose another kind")
        if self.kind == "sgd" and self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0; set nesterov: false, or a momentum")
        return self


class TrainConfig(Options):
    """How long, how fast, and what picks the checkpoint."""

    seed: int = Field(0, description="initial weights, dropout, order of the studies and draw of the pool follow")
    batch_size: int = Field(32, ge=1, description="studies of a step, over all processes together")
    group_by_length: bool = Field(False, description="batches of reports of similar length: less padding, faster")
    epochs: int = Field(20, ge=1, description="the most; patience may stop earlier")
    contrast_start: Literal["default", "scaled"] = Field(
        "default",
        description="scaled: in a fresh run contrast has scores that deviate by 1 and keeps the size of v̂ (ours)",
    )
    init_from: str | None = Field(None, description="checkpoint whose weights and vocabulary the run starts from")
    scst: bool = Field(False, description="self-critical training with CIDEr-D; a second stage, after init_from")
    scheduled_sampling: ScheduledSamplingConfig | None = Field(
        None, description="words fed are at times the decoder's own; those that look before each word only"
    )
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    monitor: Monitor = Field(
        "bleu4",
        description="validation score that picks the checkpoint; last: the last epoch, whatever its scores",
    )
    patience: int = Field(
        5, ge=1, description="epochs without a better validation before stopping; nothing with monitor last"
    )
    precision: Precision = Field(
        "auto",
        description="auto: bf16-mixed where GPU or CPU have it, else 16-mixed on a GPU, 32 on a CPU; files call "
        "32 and bf16-mixed by their older names, fp32 and bf16",
    )
    logger: Literal["none", "tensorboard", "mlflow", "wandb"] = Field(
        "none", description="keeps figures, sample reports and attention of each epoch, in files of the run folder"
    )
    workers: int = Field(0, ge=0, description="processes that read and draw pictures")
    checkpoint_dtype: Literal["float32", "float16"] = Field(
        "float32", description="weights in the file; statistics of norms stay float32"
    )


AnyAligner = Annotated[SerializeAsAny[AlignOptions], BeforeValidator(KindOf(ALIGNERS))]
"""The options of any way to align pictures, by its `kind`."""
AnyContrast = Annotated[SerializeAsAny[ContrastOptions], BeforeValidator(KindOf(CONTRASTS, USUAL_CONTRAST))]
"""The options of any contrast, by its `kind`; Contrastive Attention where a file says none."""
AnyDecoder = Annotated[SerializeAsAny[DecoderOptions], BeforeValidator(KindOf(DECODERS))]
"""The options of any decoder, by its `kind`."""
AnyLocalizer = Annotated[SerializeAsAny[LocalizerOptions], BeforeValidator(KindOf(LOCALIZERS))]
"""The options of any localizer, by its `kind`."""
AnyLoss = Annotated[SerializeAsAny[SystemLossOptions], BeforeValidator(KindOf(SYSTEM_LOSSES))]
"""The options of any loss of the system, by its `kind`."""


class SystemConfig(Options):
    """A whole system: from a source of studies to the settings its reports are written with."""

    name: str = Field(min_length=1, description="what the run and its checkpoint are called")
    paper: str | None = Field(None, description="the publication whose setting this is")
    width: int = Field(512, ge=8, le=65_536, description="d, the model width")
    data: DataConfig = DataConfig()
    text: TextConfig = TextConfig()
    image: ImageConfig = ImageConfig()
    align: AnyAligner | None = Field(None, description="brings every frontal picture into the pose of one chest")
    encoder: EncoderOptions = EncoderOptions()
    projection: ProjectionOptions = ProjectionOptions()
    contrast: AnyContrast | None = Field(None, description="what a study is compared with, before the heads")
    decoder: AnyDecoder | None = Field(None, description="writes the report")
    localizer: AnyLocalizer | None = Field(None, description="marks where each finding is")
    finding_head: FindingHeadOptions | None = Field(None, description="a probability per finding")
    losses: tuple[AnyLoss, ...] = Field((), description="further losses, of the system as a whole")
    generate: GenerationSettings = GenerationSettings()
    train: TrainConfig = TrainConfig()

    @property
    def heads(self) -> dict[str, HeadOptions]:
        """The heads that the system has, by their slots."""
        return {slot: head for slot in SLOTS if (head := getattr(self, slot)) is not None}

    @property
    def own_stages(self) -> tuple[int, ...]:
        """The stages of the encoder that a head stands on by itself; none where all take the patches."""
        return next((stages for head in self.heads.values() if (stages := head.encoder_stages)), ())

    @property
    def encoder_stages(self) -> tuple[int, ...]:
        """Further, finer stages of the encoder that are read: for a head, or for the contrast."""
        if self.encoder.regions is not None:
            return REGION_STAGES
        if self.own_stages:
            return self.own_stages
        return () if self.contrast is None else self.contrast.encoder_stages

    @property
    def stage_pooling(self) -> Literal["mean", "max", "unfold"]:
        """How they are brought to its grid: whole for a head, else as it says, else as the contrast does."""
        if self.own_stages or self.encoder.regions is not None:
            return "unfold"
        return self.encoder.stage_pooling or ("mean" if self.contrast is None else self.contrast.stage_pooling)

    @property
    def reads_pictures(self) -> bool:
        """Whether training reads pictures at every step: an encoder that is trained, or an aligner, needs them."""
        return bool(self.encoder.trainable) or not self.heads

    @property
    def needs(self) -> HeadNeeds:
        """What the heads must be given of each study that they are taught with.

        Raises:
            IncompatibleError: they learn from different labels.
        """
        return all_needs(self.heads.values())

    @property
    def whole_batch(self) -> str | None:
        """What makes the lesson of a study depend on its whole batch, which processes share out; None for none."""
        if self.encoder.trainable and self.encoder.train_norm:
            return "encoder.train_norm"
        if self.align is not None and self.align.whole_batch:
            return f"align.{self.align.whole_batch}"
        return next(
            (f"{slot}.{option}" for slot, head in self.heads.items() if (option := head.whole_batch)), None
        )

    @property
    def term_weights(self) -> dict[str, float]:
        """What each term of the loss weighs, by name."""
        weights = [
            *([self.align.term_weights] if self.align is not None else []),
            *(head.term_weights for head in self.heads.values()),
            *(loss.term_weights for loss in self.losses),
        ]
        found = {name: weight for each in weights for name, weight in each.items()}
        return {**found, **({"word": self._word_share * found["word"]} if "word" in found else {})}

    @property
    def _word_share(self) -> float:
        return math.prod(loss.word_share for loss in self.losses)

    def said(self) -> dict[str, Any]:
        """Return plain values of the options that were given, without those that kept their default unasked."""
        return self.model_dump(mode="json", exclude_unset=True)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that `parse_config` reads back to an equal configuration."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """Return the configuration as YAML, every value written out that means something with the search."""
        values = self.to_dict()
        idle = {name for name, methods in MEANT_FOR.items() if self.generate.method not in methods}
        values["generate"] = {name: value for name, value in values["generate"].items() if name not in idle}
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
