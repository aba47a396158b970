"""A system in words: one frozen, typed model per part, read strictly from YAML.

Every value has the default of the paper it comes from, or ours where the papers are silent (docs/training.md).  A
configuration file may name a parent (`extends: base.yaml`), and `--set a.b=c` changes one value of either.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contrastcxr.decode.search import GenerationSettings
from contrastcxr.errors import ConfigError, nearest


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True)


class DataConfig(_Part):
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


def without_places(data: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` part of a configuration without folders of this machine: its root, and options that are paths."""
    options = {key: value for key, value in data.get("options", {}).items() if not {"/", "\\"} & set(str(value))}
    return {**data, "root": None, **({"options": options} if "options" in data else {})}


class TextConfig(_Part):
    """What of a report is written, and the words it is written with."""

    sections: tuple[Literal["findings", "impression"], ...] = Field(("findings",), min_length=1)
    min_count: int = Field(3, ge=1, description="rarer words of the training reports become unk")
    max_words: int | None = Field(None, ge=1, description="keep only the most frequent words")
    max_tokens: int = Field(60, ge=3, description="tokens of a report, bos and eos counted")


class ImageConfig(_Part):
    """What of a picture the encoder sees: `size` pixels square, mean and deviation as the encoder was trained."""

    size: int = Field(224, ge=32, le=4096)
    augment: bool = Field(False, description="random crops in training; only where the encoder is trained")


class EncoderConfig(_Part):
    """The network from pixels to a grid of features (MODELS §1)."""

    name: str = "tf_efficientnet_lite0"
    weights: str = Field("package", description="`package`, `hub`, `random` or a file")
    stage: int | None = Field(None, description="an intermediate stage; none is the last map before pooling")
    trainable: bool = False
    train_norm: bool = Field(False, description="a trainable encoder updates its batch-norm statistics")


class ProjectionConfig(_Part):
    """The map from encoder channels to the model width; `r2gen` adds ReLU and dropout (MODELS §1)."""

    kind: Literal["linear", "r2gen"] = "linear"


class PoolConfig(_Part):
    """The normality pool of Contrastive Attention, or one of its two controls (MODELS §2)."""

    kind: Literal["normal", "random", "zeros"] = "normal"
    size: int = Field(1000, ge=1, description="images; fewer when the training set has fewer")
    unit: Literal["image", "study"] = Field(
        "image", description="a row is an image, or the mean over the views of a study"
    )
    match: Literal["none", "view"] = Field("view", description="view: compare with pool images of its position")
    views: Literal["all", "same_view"] = Field(
        "all", description="all: a study is compared as a whole; same_view: each of its views on its own"
    )
    per_position: bool = Field(False, description="draw `size` of each view position, not in all")
    patches: int = Field(1000, ge=1, description="patch vectors of its images, for contrast.patches")
    seed: int | None = Field(None, description="of the draw; none takes train.seed")
    refresh_epochs: int = Field(1, ge=1, description="a trained encoder re-encodes the pool this often")


class ContrastConfig(_Part):
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


class NicConfig(_Part):
    """LSTM shown the image once, before the first word (Vinyals 2015)."""

    kind: Literal["nic"] = "nic"
    dropout: float = Field(0.5, ge=0, lt=1)


class TransformerConfig(_Part):
    """Pre-norm transformer over the patches, as R2Gen's baseline has it (Chen 2020)."""

    kind: Literal["transformer"] = "transformer"
    layers: int = Field(3, ge=1, le=256, description="of the encoder, and of the decoder")
    heads: int = Field(8, ge=1)
    feed_forward: int = Field(512, ge=1)
    dropout: float = Field(0.1, ge=0, lt=1)


DecoderConfig = Annotated[Union[NicConfig, TransformerConfig], Field(discriminator="kind")]  # noqa: UP007 (read at run time)


class FindingHeadConfig(_Part):
    """A probability per finding from the global feature (ours)."""

    labels: Literal["phantom", "nih14", "chexpert"]
    weight: float = Field(1.0, ge=0, description="of its binary cross-entropy beside the word loss")
    dropout: float = Field(0.1, ge=0, lt=1)


class ScheduleConfig(_Part):
    """How the learning rate moves: a linear warm-up in steps, then times `factor` every `every_epochs`."""

    warmup_steps: int = Field(0, ge=0)
    factor: float = Field(0.8, gt=0, le=1)
    every_epochs: int = Field(3, ge=1)


class OptimizerConfig(_Part):
    """Adam or AdamW over two rates: the encoder's and everything else's."""

    kind: Literal["adam", "adamw"] = "adam"
    lr: float = Field(5e-4, gt=0)
    encoder_lr: float = Field(5e-5, gt=0, description="used when the encoder is trained")
    weight_decay: float = Field(0.0, ge=0)
    amsgrad: bool = False
    clip_norm: float | None = Field(5.0, gt=0)
    clip_value: float | None = Field(None, gt=0)


class TrainConfig(_Part):
    """How long, how fast, and what picks the checkpoint."""

    seed: int = 0
    batch_size: int = Field(32, ge=1, description="over all processes together")
    epochs: int = Field(20, ge=1)
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    monitor: Literal["bleu4", "positive_f1", "auc", "loss"] = Field("bleu4", description="validation metric")
    patience: int = Field(5, ge=1, description="epochs without a better validation before stopping")
    validate_every: int = Field(1, ge=1, description="epochs between validations")
    precision: Literal["auto", "fp32", "bf16"] = Field("auto", description="auto: bf16 where the CPU has it")
    workers: int = Field(0, ge=0, description="processes that read and draw pictures")
    checkpoint_dtype: Literal["float32", "float16"] = "float32"


class SystemConfig(_Part):
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
        """Plain values that `parse_config` reads back to an equal configuration."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The configuration as YAML with every value written out."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)


def load_config(path: Path | str, *, overrides: Sequence[str] = ()) -> SystemConfig:
    """Read a configuration file, its parents, and then the overrides.

    Args:
        path: a YAML file.
        overrides: `a.b=value`, the value in YAML (`null` takes a part away).

    Raises:
        ConfigError: the file is missing or not YAML, or a key or value is not one of a `SystemConfig`.
    """
    values = _read_with_parents(Path(path), seen=())
    for override in overrides:
        _override(values, override)
    return parse_config(values, where=str(path))


def parse_config(values: Mapping[str, Any], *, where: str) -> SystemConfig:
    """Check plain values against `SystemConfig`; `where` names them in the error.

    Raises:
        ConfigError: an unknown key (its nearest neighbour is named) or a value out of range.
    """
    try:
        return SystemConfig.model_validate(dict(values))
    except ValidationError as error:
        raise ConfigError(f"{where}: " + "; ".join(_explain(dict(e)) for e in error.errors())) from None


def _read_with_parents(path: Path, *, seen: tuple[Path, ...]) -> dict[str, Any]:
    if path.resolve() in seen:
        raise ConfigError(f"{path}: `extends` leads back to this file; remove one of the two lines")
    values = _read_yaml(path)
    parent = values.pop("extends", None)
    if parent is None:
        return values
    return _merge(_read_with_parents(path.parent / str(parent), seen=(*seen, path.resolve())), values)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}; give the path of a configuration file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8 text; save it as UTF-8") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}{_line_of(error)}: is not YAML; correct its brackets, colons or indents"
        ) from None
    if not isinstance(values, dict):
        found = "nothing" if values is None else type(values).__name__
        raise ConfigError(f"{path}: expected keys such as `decoder:`, found {found}")
    return cast(dict[str, Any], values)


def _line_of(error: Exception) -> str:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    return "" if mark is None else f" line {mark.line + 1}"


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, Mapping) else value
    return merged


def _override(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals or not name:
        raise ConfigError(f"--set {override}: expected a.b=value")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ConfigError(f"--set {override}: the value is not YAML") from None
    *parents, last = name.split(".")
    part = values
    for parent in parents:
        if part.get(parent) is None:
            part[parent] = {}
        part = part[parent]
        if not isinstance(part, dict):
            raise ConfigError(f"--set {override}: `{parent}` holds a single value, not keys")
    part[last] = value


_DECODER_KINDS = tuple(str(m.model_fields["kind"].default) for m in (NicConfig, TransformerConfig))


def _explain(error: dict[str, Any]) -> str:
    place = [str(key) for key in error["loc"]]
    dotted = ".".join(key for key in place if key not in _DECODER_KINDS)
    if error["type"] == "missing":
        return f"no '{dotted}'; every configuration needs it"
    if error["type"] != "extra_forbidden":
        return f"{dotted}: {error['msg']}, found {error['input']!r}"
    known = _keys_at(place[:-1])
    near = nearest(place[-1], known)
    hint = f"did you mean '{near}'?" if near else f"known: {', '.join(known)}"
    return f"unknown key '{dotted}'; {hint}"


def _keys_at(place: Sequence[str]) -> list[str]:
    """Keys of the part at a place of an error; a place inside `decoder` has the decoder's kind after it."""
    models: tuple[type[BaseModel], ...] = (SystemConfig,)
    for key in place:
        inner = [
            m for model in models if key in model.model_fields for m in _models(model.model_fields[key].annotation)
        ]
        tagged = [m for m in models if "kind" in m.model_fields and m.model_fields["kind"].default == key]
        models = tuple(inner or tagged or models)
    return sorted({name for model in models for name in model.model_fields})


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [model for inner in get_args(annotation) for model in _models(inner)]
    return []
