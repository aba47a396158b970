"""What a checkpoint says of itself: strings of JSON, checked part by part when they are read; needs no PyTorch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from contrastcxr.config import SystemConfig, parse_config, without_folders
from contrastcxr.data.transforms import Preprocess
from contrastcxr.errors import CheckpointError, ConfigError, ContrastCXRError, listed
from contrastcxr.files import find_checkpoint
from contrastcxr.models.heads.options import HeadNeeds
from contrastcxr.text.tokenizer import Tokenizer

FORMAT = "contrastcxr.checkpoint"
FORMAT_VERSION = 1
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
_OPTIONAL_METADATA = ("patch_pool", "bank", "library", "terms", "quality", "canonical")
UNUSABLE = (ContrastCXRError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What reading a value of another shape raises."""


class SourceNote(BaseModel):
    """A data source that a checkpoint was made from, and what may be passed on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    licence: str
    redistributable: bool
    contains_text: bool
    contains_pictures: bool


BOXED_PATIENTS = "boxed_patients"
"""What the record calls them."""


@dataclass(frozen=True, eq=False, kw_only=True)
class CheckpointMetadata:
    """All that reading needs but the weights, as it is in the file.

    Attributes:
        config: of the system.
        tokenizer: its vocabulary; None of a system without words.
        labels: findings that the heads know, in the order of their outputs; empty where none knows any.
        preprocess: from pixels to the encoder's input.
        temperature: divides the logits of the findings; 1 before calibration.
        thresholds: probability from which a finding is called present; 0.5 where not given.
        sources: the data it was made from.
        pool: `NormalityPool.metadata()`, without Contrastive Attention None.
        patch_pool: the same of the pool of patches; None unless patches are compared.
        bank: `NegativeBank.metadata()`; None unless views are compared with negatives.
        library: `SentenceLibrary.metadata()` of a decoder that retrieves; None of any other.
        terms: indexing terms that are tags, of a decoder that predicts them.
        canonical: `CanonicalChest.metadata()` of a system that aligns its pictures.
        record: what the training run says of itself (versions, data fingerprint, scores); free form.
        where: what it is called in messages, its file where it has one.
    """

    config: SystemConfig
    tokenizer: Tokenizer | None
    labels: tuple[str, ...]
    preprocess: Preprocess
    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)
    sources: tuple[SourceNote, ...] = ()
    pool: Mapping[str, Any] | None = None
    patch_pool: Mapping[str, Any] | None = None
    bank: Mapping[str, Any] | None = None
    library: Mapping[str, Any] | None = None
    terms: tuple[str, ...] = ()
    canonical: Mapping[str, Any] | None = None
    record: Mapping[str, Any] = field(default_factory=dict)
    where: str = "the checkpoint"

    @property
    def boxed_patients(self) -> tuple[str, ...]:
        """Marks of the patients whose boxes a detector learnt, or that of its regions (`data.patients`)."""
        return tuple(self.record.get(BOXED_PATIENTS, ()))


def read_metadata(name_or_path: str | Path) -> CheckpointMetadata:
    """Read what a checkpoint says of itself, by path or by name; its weights stay on the disk.

    Raises:
        UnknownNameError: no such file or name.
        CheckpointError: not ours, of another format version, or damaged.
    """
    path = find_checkpoint(name_or_path)
    with opened(path, "numpy") as file:
        metadata = file.metadata() or {}
    return from_strings(metadata, path)


@contextmanager
def opened(path: Path, framework: Literal["numpy", "pt"]) -> Iterator[Any]:
    """Open a safetensors file, whose tensors are read as those of `framework`.

    Raises:
        CheckpointError: it is not one, or it is cut off.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (SafetensorError, OSError):
        raise CheckpointError(
            f"{path}: expected a safetensors checkpoint, found {_found_instead(path)}; "
            "give a checkpoint.safetensors of a run folder, or a bundled name"
        ) from None


def _found_instead(path: Path) -> str:
    """Return what a file is that safetensors does not open, in words."""
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


def to_strings(checkpoint: CheckpointMetadata, *, quality: Mapping[str, Any] | None = None) -> dict[str, str]:
    """Return metadata as strings of JSON, with the plain values of what training pictures look like."""
    values: dict[str, Any] = {
        # A checkpoint travels and names no machine's place.
        "config": without_folders(checkpoint.config.to_dict()),
        "vocabulary": None if checkpoint.tokenizer is None else checkpoint.tokenizer.to_dict(),
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
    if checkpoint.bank is not None:
        values["bank"] = checkpoint.bank
    if checkpoint.library is not None:
        values["library"] = checkpoint.library
    if checkpoint.terms:
        values["terms"] = list(checkpoint.terms)
    if checkpoint.canonical is not None:
        values["canonical"] = checkpoint.canonical
    if quality is not None:
        values["quality"] = quality
    plain = {key: json.dumps(value, sort_keys=True, ensure_ascii=False) for key, value in values.items()}
    return {"format": FORMAT, "format_version": str(FORMAT_VERSION), **plain}


def from_strings(metadata: Mapping[str, str], path: Path) -> CheckpointMetadata:
    """Return what the strings of a file say.

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
            raise damage_error(path, name) from None

    tokenizer, labels = part("vocabulary", _vocabulary), part("labels", _labels)
    _check_heads(part("config", lambda _: config.needs), tokenizer, labels, path)
    return CheckpointMetadata(
        config=config,
        tokenizer=tokenizer,
        labels=labels,
        preprocess=part("preprocessing", Preprocess.model_validate),
        temperature=part("temperature", _above_0),
        thresholds=part("thresholds", _thresholds),
        sources=part("sources", lambda notes: tuple(SourceNote.model_validate(note) for note in notes)),
        pool=part("pool", _maybe_mapping),
        patch_pool=part("patch_pool", _maybe_mapping),
        bank=part("bank", _maybe_mapping),
        library=part("library", _maybe_mapping),
        terms=part("terms", lambda names: _labels(names or [])),
        canonical=part("canonical", _maybe_mapping),
        record=part("record", dict),
        where=str(path),
    )


def _check_heads(needs: HeadNeeds, tokenizer: Tokenizer | None, labels: tuple[str, ...], path: Path) -> None:
    """Refuse a vocabulary or labels that are not those of the heads of the configuration."""
    if (tokenizer is not None) != needs.words:
        decoder, found = ("a decoder", "no") if needs.words else ("no decoder", "a")
        raise CheckpointError(
            f"{path}: its configuration has {decoder}, its metadata have {found} vocabulary; the file was "
            "changed, get it again"
        )
    if labels != needs.finding_names:
        raise CheckpointError(
            f"{path}: its labels are not the {len(needs.finding_names)} of its heads "
            f"({_first_other(labels, needs.finding_names)}); the file was changed, get it again"
        )


def _first_other(found: Sequence[str], wanted: Sequence[str]) -> str:
    """Return the first place where two lists of names differ, in words."""
    pairs = enumerate(zip_longest(found, wanted, fillvalue="none"), start=1)
    place, (one, other) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
    return f"number {place} is {one} instead of {other}"


def damage_error(path: Path, part: str) -> CheckpointError:
    """Return the error for a part of the metadata that has another shape than ours."""
    return CheckpointError(f"{path}: the {part} in its metadata is damaged; the file was changed, get it again")


def _labels(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError("labels are a list of names")
    return tuple(values)


def _vocabulary(value: Any) -> Tokenizer | None:
    return None if value is None else Tokenizer.from_dict(value)


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
        raise CheckpointError(f"{path}: the metadata lack {listed(missing)}; the file was changed, get it again")
    there = [*_METADATA, *(key for key in _OPTIONAL_METADATA if key in metadata)]
    said = {}
    for key in there:
        try:
            said[key] = json.loads(metadata[key])
        except (ValueError, RecursionError):
            raise damage_error(path, key) from None
    if not isinstance(said["config"], dict):
        raise damage_error(path, "config")
    return said
