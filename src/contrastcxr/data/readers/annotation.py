"""The annotation file of R2Gen and of the projects after it: which report and which images belong together.

`{"train": [{"id", "report", "image_path": [...], "split"}], "val": […], "test": […]}`; MIMIC-CXR's copy also has
`subject_id` and `study_id`. Copies in circulation differ; what is recognised is named by `Annotation.shape`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contrastcxr.data.tables.files import split_named
from contrastcxr.data.tables.records import shown, with_ids
from contrastcxr.data.tables.text import HALF_CHARACTER, has_half_character, read_errors, read_text
from contrastcxr.errors import DatasetError

_NAMES = "train, val, test"
_REPORT = ("report", "finding", "findings", "caption")
_IMAGES = ("image_path", "image_paths", "image", "images")
_LARGEST = 2 << 30


@dataclass(frozen=True, slots=True)
class AnnotationEntry:
    """One report with its images, as the file writes them; `place` names it in messages."""

    id: str
    report: str
    images: tuple[str, ...]
    split: str
    place: str
    subject_id: str | None = None
    study_id: str | None = None


@dataclass(frozen=True)
class Annotation:
    """A whole annotation file.

    Attributes:
        path: where it was read from.
        shape: in words, how it departs from R2Gen's own, or that it does not.
        samples: in the order of the file.
    """

    path: Path
    shape: str
    samples: tuple[AnnotationEntry, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that hold samples, in the usual order."""
        held = {sample.split for sample in self.samples}
        return tuple(split for split in ("train", "train_val", "validation", "test") if split in held)


def read_annotation(path: Path) -> Annotation:
    """Read an annotation file of any shape in circulation.

    Raises:
        DatasetError: not readable, no JSON, another shape, an unknown split, or an id in two places.
    """
    lists, shape = _lists(path, _json(path))
    samples = tuple(_sample(path, place, split, entry) for split, place, entry in lists)
    if not samples:
        raise DatasetError(f"{path}: holds no sample; expected lists {_NAMES}; download the file again")
    first: dict[str, str] = {}
    for sample in samples:
        if first.setdefault(sample.id, sample.place) != sample.place:
            raise DatasetError(
                f"{path} {sample.place} ({sample.id:.80}): the id is already in {first[sample.id]}; "
                "ids must differ; keep one"
            )
    return Annotation(path, _shape(shape, samples), samples)


def _json(path: Path) -> Any:
    with read_errors(path):
        if path.stat().st_size > _LARGEST:
            raise DatasetError(f"{path}: is above {_LARGEST >> 30} GiB; an annotation file was expected; check it")
    try:
        text = read_text(path)
        value = json.loads(text)
        if has_half_character(text, value):
            raise DatasetError(f"{path}: {HALF_CHARACTER}")
        return value
    except json.JSONDecodeError as error:
        raise DatasetError(
            f"{path} line {error.lineno}: is not JSON ({error.msg}); the file may be cut off; download it again"
        ) from error
    except RecursionError as error:
        raise DatasetError(f"{path}: is nested too deep; expected lists {_NAMES}; check the file") from error


def _lists(path: Path, value: Any) -> tuple[Iterator[tuple[str, str, Any]], str]:
    """Return (split, place, entry) of every sample, and the outer shape in words."""
    if isinstance(value, list):
        return _flat(path, value), "one list, the split in each sample"
    if not isinstance(value, dict) or not any(isinstance(v, list) for v in value.values()):
        raise DatasetError(
            f"{path}: expected an object with the lists {_NAMES}, found {_kind(value)}; check the file"
        )
    odd = [name for name in value if split_named(name) is None]
    if odd:
        raise DatasetError(f"{path}: list '{odd[0]:.80}'; expected {_NAMES}; rename or remove it")
    named = [name for name in value if name not in ("train", "val", "test")]
    shape = f"lists {', '.join(value)}" if named or len(value) < 3 else ""
    return _by_split(path, value), shape


def _by_split(path: Path, value: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    for name, entries in value.items():
        if not isinstance(entries, list):
            raise DatasetError(
                f"{path}: '{name:.80}' is {_kind(entries)}; expected a list of samples; check the file"
            )
        for number, entry in enumerate(entries, start=1):
            yield split_named(name) or name, f"{name} sample {number}", entry


def _flat(path: Path, entries: Iterable[Any]) -> Iterator[tuple[str, str, Any]]:
    for number, entry in enumerate(entries, start=1):
        name = entry.get("split") if isinstance(entry, dict) else None
        split = split_named(str(name))
        if split is None:
            raise DatasetError(
                f"{path} sample {number}: split {shown(name)}; expected {_NAMES}; a list without splits is "
                "not an annotation file"
            )
        yield split, f"sample {number}", entry


def _sample(path: Path, place: str, split: str, entry: Any) -> AnnotationEntry:
    def wrong(found: str) -> DatasetError:
        about = f" ({entry['id']!s:.80})" if isinstance(entry, dict) and "id" in entry else ""
        return DatasetError(f"{path} {place}{about}: {found}; correct the sample")

    if not isinstance(entry, dict):
        raise wrong(f"{_kind(entry)}; expected an object with id, report and image_path")
    report = next((entry[key] for key in _REPORT if key in entry), None)
    images = next((entry[key] for key in _IMAGES if key in entry), None)
    images = [images] if isinstance(images, str) else images
    if entry.get("id") is None:
        raise wrong("id is nothing; expected text")
    ids = with_ids(entry, ("id", "subject_id", "study_id"), f"{path} {place}")
    if not ids["id"].strip():
        raise wrong("id is empty; expected text")
    if not isinstance(report, str):
        raise wrong(f"report is {_kind(report)}; expected text")
    if not isinstance(images, list) or not images or not all(isinstance(name, str) and name for name in images):
        raise wrong(f"image_path is {_kind(images)}; expected a list with at least one path")
    stated = entry.get("split")
    if stated is not None and split_named(str(stated)) != split:
        raise wrong(f"split '{stated!s:.80}' inside the list for {split}; expected the same")
    return AnnotationEntry(
        id=ids["id"].strip(),
        report=report,
        images=tuple(images),
        split=split,
        place=place,
        subject_id=_stripped(ids.get("subject_id")),
        study_id=_stripped(ids.get("study_id")),
    )


def _stripped(text: str | None) -> str | None:
    return text and text.strip()


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return "an empty list" if value == [] else names.get(type(value), "a number")


def _shape(outer: str, samples: tuple[AnnotationEntry, ...]) -> str:
    """Return in words what the file is.

    The words say whose data it is, how many images a sample has, and how the file departs from R2Gen's own.
    """
    whose = "MIMIC-CXR" if samples[0].study_id else "IU X-ray" if samples[0].id.startswith("CXR") else "other data"
    views = sorted({len(sample.images) for sample in samples})
    each = f"{views[0]}" if len(views) == 1 else f"{views[0]} to {views[-1]}"
    return f"R2Gen annotation of {whose}, {each} images a sample" + (f"; {outer}" if outer else "")
