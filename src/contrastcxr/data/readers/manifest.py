"""A manifest: one study a row, whole or with simple columns, as JSON, CSV or Parquet.

A row with `views` is a whole `Study`; any other uses the columns of `COLUMNS`. In CSV, lists are separated by `;`,
a label may carry its status (`Edema=uncertain`; a plain label is present), and what is nested is JSON. Paths are
relative to the manifest's folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from contrastcxr.data.boxes import trained_with_boxes, with_boxes_of
from contrastcxr.data.pixels import file_size
from contrastcxr.data.presence import is_there, without_views
from contrastcxr.data.readers.coco_boxed import COCO, CocoAuthor, coco_author
from contrastcxr.data.readers.manifest_columns import study_fields
from contrastcxr.data.readers.manifest_records import ManifestRecord, is_whole, records
from contrastcxr.data.ref import DataRef, SourceKind
from contrastcxr.data.source import Failure, Inventory, Licence, OnMissing, Source, unheard
from contrastcxr.data.tables.files import split_named
from contrastcxr.data.tables.places import NamedFiles
from contrastcxr.data.tables.records import with_ids
from contrastcxr.errors import ContrastCXRError, DatasetError, ImageError, suggestion
from contrastcxr.form import Study, View, is_file_locator, locator_path, problem_of
from contrastcxr.vocab.labels import CANONICAL

LICENCE = Licence(
    terms="the user's own data",
    redistributable=False,
    contains_text=True,
    contains_pictures=True,
    where="the user's disk",
)

_SEED = 0
"""Draws the studies that keep their boxes."""
NO_ROW = "holds no study; expected one a row; check that it was written whole"


@dataclass(frozen=True)
class ManifestContent:
    """What a manifest gives: its good studies, its bad rows, and the images it names that are not there."""

    studies: tuple[Study, ...]
    failures: tuple[Failure, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class ManifestRow:
    """What one row gives: a study or a failure, and the images it names that are not there.

    Views whose image is absent are dropped, and the study when none is left, unless `images="any"` was asked for.
    """

    study: Study | None = None
    failure: Failure | None = None
    missing: tuple[str, ...] = ()

    @property
    def left_out(self) -> tuple[str, ...]:
        """The images that are not there, and what is wrong with the row."""
        return (*self.missing, *([self.failure.message] if self.failure else ()))


class Manifest(Source):
    """The studies of one manifest; a wrong row and a missing image are listed, and the rest is read.

    The file is gone through once to check it and again for its studies, so that those of a long one are not held.
    """

    name = "manifest"
    licence = LICENCE

    def __init__(
        self,
        path: Path,
        *,
        images: Literal["there", "any"] = "there",
        boxed: int = 100,
        coco: CocoAuthor | None = None,
    ) -> None:
        self.path = path
        self.images = images
        self._boxed = boxed
        self._coco = coco
        self.licence = coco.terms(LICENCE) if coco else LICENCE
        self._missing: list[str] = []
        splits = dict.fromkeys(self._checked_splits())
        usual = ("train", "train_val", "validation", "test")
        self.splits = (*(s for s in usual if s in splits), *(s for s in splits if s and s not in usual))

    @property
    def missing(self) -> tuple[str, ...]:
        """Images named that are not there, and what is wrong with rows without a study and with boxed images."""
        return (*self._missing, *(self._coco.unreadable if self._coco else ()))

    def inventory(self) -> Inventory:
        """Count images, texts, and the boxes of each author."""
        images = reports = 0
        boxes: Counter[str] = Counter()
        for study in self.stream():
            images += len(study.views)
            for reading in study.readings:
                reports += bool(reading.report.findings or reading.report.impression)
                boxes[f"boxes by {reading.author.name}"] += sum(len(finding.boxes) for finding in reading.findings)
        images += 0 if self.images == "any" else len(self.missing)
        held = Inventory(images=images, reports=reports or None, counts={n: c for n, c in boxes.items() if c})
        return self._coco.counted(held) if self._coco else held

    def stream(self, split: str | None = None, *, on_missing: OnMissing = unheard) -> Iterator[Study]:
        """Yield the studies row by row, keeping none of them."""
        self.check_split(split)
        for line in self._rows(on_missing):
            for name in line.left_out:
                on_missing(name)
            if line.study is not None and (split is None or line.study.split == split):
                yield line.study if self._kept is None else with_boxes_of(line.study, self._kept)

    def _rows(self, on_missing: OnMissing = unheard) -> Iterator[ManifestRow]:
        """Yield what each row gives, read by the author of a COCO file too where there is one."""
        for line in each_row(self.path, images=self.images):
            if self._coco is None or line.study is None:
                yield line
            else:
                read = self._coco.read(line.study, keep=self.images == "any", on_missing=on_missing)
                yield replace(line, study=read)

    @cached_property
    def _kept(self) -> Set[str] | None:
        """Ids of the training studies that keep their boxes; None where all do."""
        if self._boxed == 100:
            return None
        studies = (line.study for line in self._rows() if line.study is not None)
        return trained_with_boxes(studies, self._boxed, seed=_SEED, where=self.path)

    def _load(self, split: str | None) -> Iterable[Study]:
        del split
        return self._studies

    @cached_property
    def _studies(self) -> tuple[Study, ...]:
        return tuple(self.stream())

    def _checked_splits(self) -> Iterator[str | None]:
        """Yield the split of each study, while what gives none is counted."""
        failures: list[Failure] = []
        rows = found = 0
        for line in each_row(self.path, images=self.images):
            rows += 1
            self._missing += line.left_out
            failures += [line.failure] if line.failure else []
            if line.study is not None:
                found += 1
                yield line.study.split
        if failures and not found:
            more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
            raise DatasetError(f"{failures[0].message}{more}")
        if not rows:
            raise DatasetError(f"{self.path}: {NO_ROW}")
        if not found:
            raise DatasetError(f"{self.path}: holds no study whose images are there; check the paths in it")


def parse_manifest(path: Path) -> ManifestContent:
    """Read a manifest, keeping the good rows and listing the others.

    Raises:
        DatasetError: the file cannot be read at all, has unknown columns, or has no row.
    """
    lines = list(each_row(path))
    if not lines:
        raise DatasetError(f"{path}: {NO_ROW}")
    return ManifestContent(
        studies=tuple(line.study for line in lines if line.study is not None),
        failures=tuple(line.failure for line in lines if line.failure is not None),
        missing=tuple(name for line in lines for name in line.missing),
    )


def each_row(path: Path, *, images: Literal["there", "any"] = "there") -> Iterator[ManifestRow]:
    """Yield what each row of a manifest gives.

    Raises:
        DatasetError: the file cannot be read at all, or has unknown columns.
    """
    first_at: dict[str, str] = {}
    files = NamedFiles(path.parent)
    for record in records(path):
        try:
            yield _line(record, path, files, first_at, images)
        except ContrastCXRError as error:
            yield ManifestRow(failure=Failure.of(record.where, error))


def _line(
    record: ManifestRecord,
    path: Path,
    files: NamedFiles,
    first_at: dict[str, str],
    images: Literal["there", "any"],
) -> ManifestRow:
    study = _study(record, files)
    gone = [i for i, view in enumerate(study.views) if not is_there(view)]
    absent = tuple(study.views[i].locator or "" for i in gone)
    if study.study_id in first_at:
        error = DatasetError(
            f"{record.where}: study_id '{study.study_id}' is already in {path.name} {first_at[study.study_id]}; "
            "ids must differ; rename one"
        )
        return ManifestRow(failure=Failure.of(record.where, error), missing=absent)
    first_at[study.study_id] = record.where.removeprefix(f"{path} ")
    checked = _checked(study, record.where)
    return ManifestRow(study=checked if images == "any" else without_views(checked, gone), missing=absent)


def _study(record: ManifestRecord, files: NamedFiles) -> Study:
    fields = record.read()
    fields = dict(fields) if is_whole(fields) else study_fields(fields, record.where)
    for name, key in (("readings", "study_id"), ("views", "view_id")):
        if isinstance(nested := fields.get(name), list | tuple):
            fields[name] = [with_ids(o, (key,), record.where) if isinstance(o, dict) else o for o in nested]
    if isinstance(split := fields.get("split"), str):
        fields["split"] = split_named(split) or split
    try:
        study = Study.model_validate(fields)
    except ValidationError as error:
        raise DatasetError(f"{record.where}: {problem_of(error, whole='the study')}; correct it") from error
    return study.model_copy(update={"views": tuple(_located(v, files) for v in study.views)})


def _located(view: View, files: NamedFiles) -> View:
    if view.locator is None or not is_file_locator(view.locator):
        return view
    return view.model_copy(update={"locator": str(files.find(view.locator))})


def _checked(study: Study, where: str) -> Study:
    """Return the study with the sizes of its views that have boxes filled in.

    They are filled in once the boxes are known to lie inside the picture.
    """
    boxed = {b.view for r in study.readings for f in r.findings for b in f.boxes}
    beyond = [i for i in boxed if i >= len(study.views)]
    if beyond:
        raise DatasetError(
            f"{where}: a box in view {beyond[0]} of {len(study.views)}; views count from 0; correct it"
        )
    views = tuple(_sized(v, where) if i in boxed else v for i, v in enumerate(study.views))
    for finding in (f for r in study.readings for f in r.findings):
        if finding.boxes and finding.name not in CANONICAL:
            near = suggestion(finding.name, CANONICAL)
            raise DatasetError(f"{where}: a box of an unknown finding '{finding.name}'; {near}")
        for box in finding.boxes:
            view = views[box.view]
            if view.width and view.height and (box.xyxy[2] > view.width or box.xyxy[3] > view.height):
                raise DatasetError(
                    f"{where}: box {list(box.xyxy)} of {finding.name} leaves its image of "
                    f"{view.width}×{view.height} pixels; expected [x1, y1, x2, y2] inside it; correct the box"
                )
    return study.model_copy(update={"views": views})


def _sized(view: View, where: str) -> View:
    if view.locator is None or not is_file_locator(view.locator) or not is_there(view):
        return view
    try:
        width, height = file_size(locator_path(view.locator))
    except ImageError as error:
        raise DatasetError(f"{where}: {error}") from error
    stated = view.width or width, view.height or height
    if stated != (width, height):
        raise DatasetError(
            f"{where}: a box on an image of {width}×{height} pixels whose row says {stated[0]}×{stated[1]}; "
            "expected boxes in pixels of the image that is there; correct the size and the boxes, or the image"
        )
    return view.model_copy(update={"width": width, "height": height})


def _open(ref: DataRef) -> Manifest:
    return Manifest(ref.path, images=ref.images, boxed=ref.percent("boxed", 100), coco=coco_author(ref))


KIND = SourceKind(
    Manifest,
    open=_open,
    summary="your own studies, as JSON, CSV or Parquet; splits as its rows state them",
    root="file",
    splits=("train", "train_val", "validation", "test"),
    params=("images", "boxed", "limit"),
    training=("boxed",),
    options=(COCO,),
    authors=(COCO,),
)
