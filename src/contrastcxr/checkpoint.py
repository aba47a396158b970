"""A trained system in one file: safetensors weights, and metadata that say all else that reading needs.

The metadata are strings of JSON: format version, configuration, vocabulary, labels, preprocessing, temperature,
thresholds, pool rows, sources.  Nothing in the file can run code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from contrastcxr.assemble import build_system, further_stages
from contrastcxr.config import SystemConfig, TransformerConfig, parse_config, without_places
from contrastcxr.data.quality import QualityReference
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import CheckpointError, ConfigError, ContrastCXRError, UnknownNameError
from contrastcxr.files import CHECKPOINT_SUFFIX, atomic_write, known_checkpoints
from contrastcxr.models.encoders import build_encoder
from contrastcxr.models.pool import NormalityPool
from contrastcxr.models.system import ReportSystem
from contrastcxr.text.tokenizer import Tokenizer

FORMAT = "contrastcxr.checkpoint"
FORMAT_VERSION = 1
PICKLES = (".ckpt", ".pth", ".pt", ".bin", ".pkl")
POOL_KEY = "pool.raw"
PATCH_POOL_KEY = "patch_pool.raw"
QUALITY_PREFIX = "quality."
_UNUSABLE = (ContrastCXRError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a value of another shape raises."""
T = TypeVar("T")

SaveDtype = Literal["float16", "float32"]


class SourceNote(BaseModel):
    """A data source that a checkpoint was made from, and what may be passed on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    licence: str
    redistributable: bool
    contains_text: bool
    contains_pictures: bool


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """All that reading needs, as it is in the file.

    Attributes:
        config: of the system.
        tokenizer: its vocabulary.
        labels: findings of the head, in the order of its outputs; empty without a head.
        preprocess: from pixels to the encoder's input.
        temperature: divides the head's logits; 1 before calibration.
        thresholds: probability from which a finding is called present; 0.5 where not given.
        sources: the data it was made from.
        state: the system's weights, the frozen encoder's and the raw pool's among them.
        pool: `NormalityPool.metadata()`, without Contrastive Attention None.
        patch_pool: the same of the pool of patches; None unless patches are compared.
        record: what the training run says of itself (versions, data fingerprint, scores); free form.
        quality: what its training pictures look like; None in files that do not hold it.
        where: what it is called in messages, its file where it has one.
    """

    config: SystemConfig
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    preprocess: Preprocess
    state: Mapping[str, Tensor]
    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    sources: tuple[SourceNote, ...] = ()
    pool: Mapping[str, Any] | None = None
    patch_pool: Mapping[str, Any] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    quality: QualityReference | None = None
    where: str = "the checkpoint"

    def build(self) -> ReportSystem:
        """The system with its weights, float32 on the CPU, in eval mode.

        Raises:
            CheckpointError: the configuration makes no system, or the weights are not those of it.
        """
        try:
            self._check_sizes()
            system = self._assembled()
            _load_state(system, self.state, self.where)
            if system.finding_head is not None:
                system.finding_head.set_temperature(self.temperature)
        except CheckpointError:
            raise
        except (*_UNUSABLE, RuntimeError, MemoryError) as error:
            reason = str(error) if isinstance(error, ContrastCXRError) else "its metadata contradict its weights"
            raise CheckpointError(f"{self.where}: {reason}; {_CHANGED}") from error
        return system.eval()

    def _check_sizes(self) -> None:
        """Refuse a size that no weight has, before memory is taken for a system of that size."""
        held = {side for tensor in self.state.values() for side in tensor.shape}
        asked = {"width": self.config.width, "vocabulary": len(self.tokenizer)}
        if isinstance(self.config.decoder, TransformerConfig):
            asked["decoder.feed_forward"] = self.config.decoder.feed_forward
        for name, size in asked.items():
            if size not in held:
                raise _misfit_error(self.where, f"none of them has the {name} {size:,}")

    def _assembled(self) -> ReportSystem:
        """The system without its weights."""
        encoder = build_encoder(
            self.config.encoder.name,
            weights="checkpoint",
            stage=self.config.encoder.stage,
            stages=further_stages(self.config),
            image_size=self.config.image.size,
            trainable=self.config.encoder.trainable,
            train_norm=self.config.encoder.train_norm,
        )
        return build_system(
            self.config,
            vocabulary=len(self.tokenizer),
            labels=self.labels,
            encoder=encoder,
            pool=self._rebuilt(self.pool, POOL_KEY),
            patch_pool=self._rebuilt(self.patch_pool, PATCH_POOL_KEY),
        )

    def _rebuilt(self, metadata: Mapping[str, Any] | None, key: str) -> NormalityPool | None:
        return None if metadata is None else NormalityPool.from_metadata(dict(metadata), self.state[key].float())


_CHANGED = "the file was changed or written by another version: train or download it again"


def _misfit_error(where: str, how: str) -> CheckpointError:
    return CheckpointError(f"{where}: the weights do not fit its own configuration ({how}); {_CHANGED}")


def _load_state(system: ReportSystem, state: Mapping[str, Tensor], where: str) -> None:
    misfit = _misfit(system.state_dict(), state)
    if misfit:
        raise _misfit_error(where, misfit)
    system.load_state_dict(
        {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    )


def _misfit(wanted: Mapping[str, Tensor], held: Mapping[str, Tensor]) -> str | None:
    """The first weight that lacks, is not known, or has another shape; None where all fit."""
    for name, tensor in wanted.items():
        if name not in held:
            return f"it lacks {name}"
        if held[name].shape != tensor.shape:
            return f"{name} is {_size(held[name])} instead of {_size(tensor)}"
    unknown = sorted(held.keys() - wanted.keys())
    return f"{unknown[0]} is not part of it" if unknown else None


def _size(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one number"


def save_checkpoint(path: Path, checkpoint: Checkpoint, *, dtype: SaveDtype = "float16") -> int:
    """Write one safetensors file and return its size in bytes.

    In float16 the batch-norm statistics, the temperature and values beyond float16's range stay float32.

    Raises:
        OutputError: the file cannot be written; nothing half-written is left.
    """
    from safetensors.torch import save

    quality = checkpoint.quality.tensors() if checkpoint.quality is not None else {}
    state = {**checkpoint.state, **{QUALITY_PREFIX + name: value for name, value in quality.items()}}
    tensors = {name: _stored(name, value, dtype) for name, value in state.items()}
    content = save(tensors, metadata=_to_metadata(checkpoint))
    with atomic_write(path, mode="wb") as file:
        file.write(content)
    return len(content)


def _stored(name: str, value: Tensor, dtype: SaveDtype) -> Tensor:
    kept = value.detach().cpu().contiguous().clone()
    if not kept.is_floating_point():
        return kept
    if dtype == "float32" or name.rpartition(".")[2] in ("running_mean", "running_var", "temperature"):
        return kept.float()
    return kept.float() if kept.abs().amax() > torch.finfo(torch.float16).max else kept.half()


def _portable(config: SystemConfig) -> dict[str, Any]:
    """The configuration without the folder its data lay in: a checkpoint travels and names no machine's place."""
    values = config.to_dict()
    return {**values, "data": without_places(values["data"])}


def _to_metadata(checkpoint: Checkpoint) -> dict[str, str]:
    values: dict[str, Any] = {
        "config": _portable(checkpoint.config),
        "vocabulary": checkpoint.tokenizer.to_dict(),
        "labels": list(checkpoint.labels),
        "preprocessing": checkpoint.preprocess.model_dump(mode="json"),
        "temperature": checkpoint.temperature,
        "thresholds": dict(checkpoint.thresholds),
        "sources": [note.model_dump(mode="json") for note in checkpoint.sources],
        "pool": checkpoint.pool,
        "record": dict(checkpoint.record),
    }
    if checkpoint.patch_pool is not None:
        values["patch_pool"] = checkpoint.patch_pool
    if checkpoint.quality is not None:
        values["quality"] = checkpoint.quality.metadata()
    plain = {key: json.dumps(value, sort_keys=True, ensure_ascii=False) for key, value in values.items()}
    return {"format": FORMAT, "format_version": str(FORMAT_VERSION), **plain}


_METADATA = (
    "config",
    "vocabulary",
    "labels",
    "preprocessing",
    "temperature",
    "thresholds",
    "sources",
    "pool",
    "record",
)
_OPTIONAL_METADATA = ("patch_pool", "quality")


def load_checkpoint(name_or_path: str | Path, *, allow_pickle: bool = False) -> Checkpoint:
    """Read a checkpoint by path or by name.

    A name is looked for as `NAME.safetensors` and `NAME/NAME.safetensors` in the folders of `model_folders()`.

    Args:
        name_or_path: a `.safetensors` file, a run folder, or the name of a bundled model.
        allow_pickle: read a training state (`.ckpt`) too; weights only, beside the run folder's other files.

    Raises:
        UnknownNameError: no such file or name.
        CheckpointError: not ours, of another format version, damaged, or a pickle that was not allowed.
    """
    path = find_checkpoint(name_or_path)
    if path.suffix in PICKLES:
        return _from_training_state(path, allow_pickle=allow_pickle)
    metadata, state = _read(path)
    return _from_metadata(metadata, state, path)


def find_checkpoint(name_or_path: str | Path) -> Path:
    """The file of a checkpoint given by path, run folder or name.

    Raises:
        UnknownNameError: nothing is there under this name.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    inside = path / f"checkpoint{CHECKPOINT_SUFFIX}"
    if inside.is_file():
        return inside
    known = known_checkpoints()
    name = str(name_or_path)
    if name not in known:
        raise UnknownNameError("model (no such file or bundled checkpoint)", name, known)
    return known[name]


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError):
        raise CheckpointError(
            f"{path}: expected a safetensors checkpoint, found {_found_instead(path)}; "
            "give a checkpoint.safetensors of a run folder, or a bundled name"
        ) from None


def _found_instead(path: Path) -> str:
    """What a file is that safetensors does not open, in words."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(head)) if 8 + head <= size else None
    except OSError as error:
        return f"a file that cannot be opened ({error.strerror})"
    except (ValueError, RecursionError):
        return "a damaged header"
    if size == 0:
        return "an empty file"
    if not isinstance(header, dict):
        return "something else, or the first bytes of one"
    places = [entry.get("data_offsets") for entry in header.values() if isinstance(entry, dict)]
    ends = [place[-1] for place in places if isinstance(place, list) and place and isinstance(place[-1], int)]
    whole = 8 + head + max(ends, default=0)
    return f"one that is cut off, {size:,} bytes of {whole:,}" if size < whole else "a damaged header"


def _from_metadata(metadata: Mapping[str, str], state: Mapping[str, Tensor], path: Path) -> Checkpoint:
    said = _checked(metadata, path)
    try:
        config = parse_config(said["config"], where=str(path))
    except ConfigError as error:
        raise CheckpointError(f"{error}; the checkpoint was written by another version of contrastcxr") from None

    def part(name: str, read: Callable[[Any], T]) -> T:
        try:
            return read(said.get(name))
        except _UNUSABLE:
            raise _damaged(path, name) from None

    return Checkpoint(
        config=config,
        tokenizer=part("vocabulary", Tokenizer.from_dict),
        labels=part("labels", _labels),
        preprocess=part("preprocessing", Preprocess.model_validate),
        temperature=part("temperature", _above_0),
        thresholds=part("thresholds", _thresholds),
        sources=part("sources", lambda notes: tuple(SourceNote.model_validate(note) for note in notes)),
        pool=part("pool", _maybe_mapping),
        patch_pool=part("patch_pool", _maybe_mapping),
        record=part("record", dict),
        where=str(path),
        quality=_quality(said.get("quality"), state, path),
        state={name: value for name, value in state.items() if not name.startswith(QUALITY_PREFIX)},
    )


def _damaged(path: Path, part: str) -> CheckpointError:
    return CheckpointError(f"{path}: the {part} in its metadata is damaged; the file was changed, get it again")


def _labels(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("labels are a list of names")
    return tuple(values)


def _above_0(value: Any) -> float:
    number = float(value)
    if not 0 < number < math.inf:
        raise ValueError("a temperature is above 0")
    return number


def _thresholds(values: Any) -> dict[str, float]:
    numbers = {str(name): float(value) for name, value in values.items()}
    if not all(0 <= number <= 1 for number in numbers.values()):
        raise ValueError("a threshold is a probability")
    return numbers


def _maybe_mapping(value: Any) -> dict[str, Any] | None:
    return None if value is None else dict(value.items())


def _quality(said: Mapping[str, Any] | None, state: Mapping[str, Tensor], path: Path) -> QualityReference | None:
    if said is None:
        return None
    own = {n.removeprefix(QUALITY_PREFIX): v for n, v in state.items() if n.startswith(QUALITY_PREFIX)}
    try:
        return QualityReference.from_saved(said, own)
    except KeyError as error:
        raise CheckpointError(
            f"{path}: the picture statistics lack {error}; the file was changed, get it again"
        ) from None
    except _UNUSABLE:
        raise _damaged(path, "quality") from None


def _checked(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: expected a checkpoint of contrastcxr, found safetensors without its metadata; "
            "give one that `contrastcxr train` wrote, or a bundled name"
        )
    version = metadata.get("format_version")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"{path}: checkpoint format {version}, this version reads {FORMAT_VERSION}; "
            "use the version of contrastcxr that wrote it, or train again"
        )
    missing = [key for key in _METADATA if key not in metadata]
    if missing:
        raise CheckpointError(
            f"{path}: the metadata lack {', '.join(missing)}; the file was changed, get it again"
        )
    there = [*_METADATA, *(key for key in _OPTIONAL_METADATA if key in metadata)]
    said = {}
    for key in there:
        try:
            said[key] = json.loads(metadata[key])
        except (ValueError, RecursionError):
            raise _damaged(path, key) from None
    if not isinstance(said["config"], dict):
        raise _damaged(path, "config")
    return said


def _from_training_state(path: Path, *, allow_pickle: bool) -> Checkpoint:
    """The weights of a training state with the metadata of the checkpoint beside it."""
    if not allow_pickle:
        raise CheckpointError(
            f"{path}: a pickle can run code and is not read; give the run folder's checkpoint{CHECKPOINT_SUFFIX}, "
            "or allow it with --allow-pickle (weights only)"
        )
    beside = path.parent / f"checkpoint{CHECKPOINT_SUFFIX}"
    if not beside.is_file():
        raise CheckpointError(
            f"{path}: expected {beside.name} beside it for vocabulary and configuration, found none; "
            "give the one inside its run folder"
        )
    metadata, best = _read(beside)
    saved = read_training_state(path)
    weights = {key.removeprefix("system."): value for key, value in saved["state_dict"].items()}
    statistics = {key: value for key, value in best.items() if key.startswith(QUALITY_PREFIX)}
    if weights.keys() != best.keys() - statistics.keys():
        raise CheckpointError(
            f"{path}: its weights are not those of the system in {beside.name}; give the matching pair"
        )
    return _from_metadata(metadata, {**weights, **statistics}, beside)


def read_training_state(path: Path) -> dict[str, Any]:
    """A `.ckpt` of a run, read with weights only: a file that holds anything else is refused.

    Raises:
        CheckpointError: it cannot be read that way.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises many kinds for a damaged or foreign pickle
        raise CheckpointError(
            f"{path}: expected the state of a training run, found a damaged file or one that holds more than "
            "weights, which could run code; give another"
        ) from None
    if not isinstance(state, dict) or not isinstance(state.get("state_dict"), dict):
        raise CheckpointError(f"{path}: expected the state of a training run, found {type(state).__name__}")
    return state
