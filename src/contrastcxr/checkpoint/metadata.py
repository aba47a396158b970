"""The metadata of a checkpoint: strings of JSON, checked part by part when they are read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from contrastcxr.checkpoint.system import UNUSABLE, Checkpoint, SourceNote
from contrastcxr.config import parse_config, without_folders
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import CheckpointError, ConfigError
from contrastcxr.quality.measures import QualityReference
from contrastcxr.text.tokenizer import Tokenizer

FORMAT = "contrastcxr.checkpoint"
FORMAT_VERSION = 1
QUALITY_PREFIX = "quality."
T = TypeVar("T")

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
_OPTIONAL_METADATA = ("patch_pool", "library", "terms", "quality")


def to_metadata(checkpoint: Checkpoint) -> dict[str, str]:
    """All of a checkpoint but its weights, as strings of JSON."""
    values: dict[str, Any] = {
        # A checkpoint travels and names no machine's place.
        "config": without_folders(checkpoint.config.to_dict()),
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
    if checkpoint.library is not None:
        values["library"] = checkpoint.library
    if checkpoint.terms:
        values["terms"] = list(checkpoint.terms)
    if checkpoint.quality is not None:
        values["quality"] = checkpoint.quality.metadata()
    plain = {key: json.dumps(value, sort_keys=True, ensure_ascii=False) for key, value in values.items()}
    return {"format": FORMAT, "format_version": str(FORMAT_VERSION), **plain}


def from_metadata(metadata: Mapping[str, str], state: Mapping[str, Tensor], path: Path) -> Checkpoint:
    """The checkpoint that metadata and weights of a file make.

    Raises:
        CheckpointError: not ours, of another format version, or damaged.
    """
    said = _checked(metadata, path)
    try:
        config = parse_config(said["config"], where=str(path))
    except ConfigError as error:
        raise CheckpointError(f"{error}; the checkpoint was written by another version of contrastcxr") from None

    def part(name: str, read: Callable[[Any], T]) -> T:
        try:
            return read(said.get(name))
        except UNUSABLE:
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
        library=part("library", _maybe_mapping),
        terms=part("terms", lambda names: _labels(names or [])),
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
    except UNUSABLE:
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
