"""VinDr-CXR (Nguyen et al. 2022) as PhysioNet or Kaggle publish it: every radiologist is an author.

In the training set three of seventeen radiologists looked at each image; in the test set five agreed on one
answer, the author `vindr consensus`. Boxes mark local findings, in pixels of the DICOM image. What a radiologist
did not mark is *absent* where the table of image labels is there (PhysioNet), *unmentioned* in a box table alone.
Study ids are the image ids; patients are not published.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from contrastcxr.data.pixels import file_size
from contrastcxr.data.presence import PictureFolder
from contrastcxr.data.ref import SourceKind
from contrastcxr.data.source import Licence
from contrastcxr.data.tables.files import TableRow
from contrastcxr.data.tables.named import PACKAGE, Table, by_first_cell, find_table, packaged_file, read_table
from contrastcxr.data.tables.tabled import TableSource
from contrastcxr.errors import DatasetError, UnknownNameError
from contrastcxr.form import XYXY, Author, Box, Finding, Reading, Status, Study, View
from contrastcxr.vocab.labels import NO_FINDING, from_vindr

LICENCE = Licence(
    terms="PhysioNet Credentialed Health Data License 1.5.0: credentialed research, no redistribution; the Kaggle "
    "copy under the non-commercial terms of its challenge",
    redistributable=False,
    contains_text=False,
    contains_pictures=True,
    where="https://physionet.org/content/vindr-cxr/",
)

SPLITS = ("train", "test")
PACKAGED = "vinbigdata-train.csv.gz"
SUFFIXES = (".dicom", ".dcm", ".png", ".jpg", ".jpeg")
SLACK = 1.0
"""Pixels by which a box may stick out before it is an error; it is clipped (rounding of resized copies, ours)."""

_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_BOX_TABLES = {
    "train": ("annotations_train.csv", "train.csv", "vinbigdata-train.csv"),
    "test": ("annotations_test.csv",),
}
_LABEL_TABLES = {"train": ("image_labels_train.csv",), "test": ("image_labels_test.csv",)}
_SIZE_TABLES = {"train": ("train_meta.csv",), "test": ("test_meta.csv",)}
_BOXES_BY = "boxes by "
_CONSENSUS = "consensus"


@dataclass(frozen=True)
class _Tables:
    """The tables of one split by image; a table that is not there is empty."""

    boxes: Mapping[str, list[TableRow]]
    labels: Mapping[str, list[TableRow]]
    box_table: Table
    label_table: Table | None
    sizes: Mapping[str, tuple[int, int]]


class VinDr(TableSource):
    """The folder of the tables (or the one above `annotations/`), or the training table alone."""

    name = "vindr"
    licence = LICENCE

    def __init__(
        self,
        root: Path,
        *,
        images: Literal["there", "any"] = "there",
        boxes: Literal["original", "file"] = "original",
    ) -> None:
        """Find the tables.

        Args:
            root: the folder; or a training table; or `torchxrayvision` for the packaged copy of Kaggle's.
            images: `any` keeps studies whose picture is absent.
            boxes: whose pixels the box table is in: those of the DICOM image as published, or of the PNG or JPEG
                file that is there.
        """
        super().__init__(images=images)
        self.root = root
        self._boxes_of = boxes
        self._found = _find_tables(root)
        self.splits = tuple(self._found)

    def _read(self) -> Iterator[Study]:
        for split in self.splits:
            tables = self._tables(split)
            for image_id in dict.fromkeys((*tables.labels, *tables.boxes)):
                yield self._study(image_id, tables, split)

    def _tally(self, counted: Counter[str], study: Study) -> None:
        for reading in study.readings:
            counted[f"{_BOXES_BY}{reading.author.name}"] += sum(len(f.boxes) for f in reading.findings)
            counted.update(f"present {f.name}" for f in reading.findings if f.status == "present")

    def _counts(self, counted: Counter[str]) -> Mapping[str, int]:
        boxes = [name for name in counted if name.startswith(_BOXES_BY)]
        boxes.sort(key=lambda name: _author_order(name.removeprefix(_BOXES_BY)))
        present = {name: count for name, count in counted.most_common() if name not in boxes}
        return {"boxes": sum(counted[n] for n in boxes), **{name: counted[name] for name in boxes}, **present}

    def _notes(self, counted: Counter[str]) -> Iterator[str]:
        del counted
        for split in SPLITS:
            if split not in self._found:
                yield f"no {_BOX_TABLES[split][0]}: there is no split {split}"
        for split in self.splits:
            if self._label_path(split) is None:
                yield f"no {_LABEL_TABLES[split][0]}: what a reader did not mark is unmentioned, not absent"

    def _folders(self) -> list[Path]:
        base = self.root if self.root.is_dir() else next(iter(self._found.values())).parent
        return [base, base / "annotations"]

    def _label_path(self, split: str) -> Path | None:
        return find_table(self._folders(), _LABEL_TABLES[split])

    def _tables(self, split: str) -> _Tables:
        box_table = read_table(self._found[split], ("image_id", "class_name", *_CORNERS), ("rad_id",))
        path = self._label_path(split)
        label_table = read_table(path, ("image_id", "No finding"), ("rad_id",)) if path else None
        return _Tables(
            boxes=by_first_cell(_first(box_table)),
            labels=by_first_cell(_first(label_table)) if label_table else {},
            box_table=box_table,
            label_table=label_table,
            sizes=_sizes(find_table(self._folders(), _SIZE_TABLES[split])),
        )

    def _study(self, image_id: str, tables: _Tables, split: str) -> Study:
        where, there = self._pictures[split].find(image_id)
        path = Path(where)
        rows = tables.boxes.get(image_id, [])
        boxed = [row for row in rows if tables.box_table.cell(row, "x_min")]
        view = View(view_id=image_id, locator=where, position="PA")
        scale: tuple[float, float] = (1.0, 1.0)
        size = self._look(path, file_size) if boxed and there else None
        if size is not None:
            view = view.model_copy(update={"width": size[0], "height": size[1]})
            scale = self._scale(view, path, boxed[0], tables.sizes.get(image_id))
        labels = tables.labels.get(image_id, [])
        readings = _readings(image_id, rows, labels, tables, lambda row: _box(tables.box_table, row, view, scale))
        return Study(study_id=image_id, views=(view,), readings=tuple(readings), split=split)

    @cached_property
    def _pictures(self) -> Mapping[str, PictureFolder]:
        return {split: PictureFolder(self._folders()[0] / split, SUFFIXES) for split in self.splits}

    def _scale(
        self, view: View, path: Path, row: TableRow, original: tuple[int, int] | None
    ) -> tuple[float, float]:
        """Return factors from the pixels of the box table to those of the file."""
        if self._boxes_of == "file" or path.suffix.lower() in (".dicom", ".dcm"):
            return 1.0, 1.0
        if original is None:
            raise row.error(
                f"boxes are in pixels of the DICOM image, and {path.name} may be smaller; expected train_meta.csv "
                "(image_id, dim0, dim1) beside the table; add it, or say ?boxes=file when they are already scaled"
            )
        return (view.width or 0) / original[0], (view.height or 0) / original[1]


def _find_tables(root: Path) -> dict[str, Path]:
    if root == Path(PACKAGE) and not root.exists():
        return {"train": packaged_file(PACKAGED, "vindr:torchxrayvision")}
    if root.is_file():
        return {"train": root}
    if not root.is_dir():
        raise DatasetError(f"{root}: is not there; give the folder that holds annotations/ or train.csv")
    found = {split: find_table([root, root / "annotations"], names) for split, names in _BOX_TABLES.items()}
    tables = {split: path for split, path in found.items() if path is not None}
    if not tables:
        raise DatasetError(f"{root}: holds no annotations/annotations_train.csv or train.csv; give its folder")
    return tables


def _first(table: Table) -> Table:
    """Return the table, once its first column is known to be the image id."""
    if table.columns["image_id"] != 0:
        raise DatasetError(f"{table.file} header: image_id is not the first column; expected it first; move it")
    return table


def _sizes(path: Path | None) -> dict[str, tuple[int, int]]:
    """Map each image to (width, height) of the published image; `dim0` counts rows."""
    if path is None:
        return {}
    table = read_table(path, ("image_id", "dim0", "dim1"))
    sizes: dict[str, tuple[int, int]] = {}
    for row in table.rows:
        height, width = (int(table.number(row, name)) for name in ("dim0", "dim1"))
        if min(height, width) < 1:
            raise row.error(f"size {width}×{height}; expected sides of at least 1 pixel; correct the row")
        sizes[table.cell(row, "image_id")] = (width, height)
    return sizes


def _readings(
    image_id: str,
    rows: Iterable[TableRow],
    labels: Iterable[TableRow],
    tables: _Tables,
    box: Callable[[TableRow], Box],
) -> Iterator[Reading]:
    """Yield one reading for each radiologist who looked at the image, in the order of their numbers."""
    found: dict[str, dict[str, Finding]] = {}
    for row in labels:
        reader = found.setdefault(_reader(tables.label_table, row), {})
        if reader:
            raise row.error("this reader's labels of the image are listed twice; expected one row; remove one")
        reader.update(_labelled(tables.label_table, row))
    for row in rows:
        reader = found.setdefault(_reader(tables.box_table, row), {})
        original = tables.box_table.cell(row, "class_name")
        name = _canonical(original, row)
        boxes = () if name == NO_FINDING else (box(row),)
        before = reader.get(name)
        sources = _sources(before.source if before and before.status == "present" else None, original)
        held = dict.fromkeys((*(before.boxes if before else ()), *boxes))
        reader[name] = Finding(name=name, status="present", source=sources, boxes=tuple(held))
    for name in sorted(found, key=_author_order):
        author = Author(kind="human", name=f"vindr {name}")
        yield Reading(study_id=image_id, author=author, findings=tuple(found[name].values()))


def _reader(table: Table | None, row: TableRow) -> str:
    """Return `R9`, or `consensus` in a table that names nobody."""
    if table is None:
        return _CONSENSUS
    if "rad_id" not in table.columns:
        return _CONSENSUS
    reader = table.cell(row, "rad_id")
    if not reader:
        raise row.error("no rad_id; expected the reader, such as R9; correct the cell")
    return reader


def _author_order(name: str) -> tuple[int, str]:
    digits = re.search(r"R(\d+)$", name)
    return (int(digits[1]) if digits else 1_000, name)


def _labelled(table: Table | None, row: TableRow) -> dict[str, Finding]:
    """Return findings of a row of 0 and 1 for each class.

    Two classes of one canonical name are present if either is.
    """
    if table is None:
        return {}
    findings: dict[str, Finding] = {}
    for original in table.columns:
        if original in ("image_id", "rad_id"):
            continue
        name, status = _canonical(original, row), _status(table.cell(row, original), original, row)
        before = findings.get(name)
        if before is None or (before.status == "absent" and status == "present"):
            findings[name] = Finding(name=name, status=status, source=f"vindr: {original}")
        elif status == "present":
            findings[name] = before.model_copy(update={"source": _sources(before.source, original)})
    return findings


def _status(text: str, original: str, row: TableRow) -> Status:
    statuses: Mapping[str, Status] = {"1": "present", "0": "absent", "": "absent"}
    status = statuses.get(text.removesuffix(".0"))
    if status is None:
        raise row.error(f"{original} '{text}'; expected 0 or 1; correct the cell")
    return status


def _sources(before: str | None, original: str) -> str:
    """Return what the published tables call it, each name once."""
    held = before.removeprefix("vindr: ").split(", ") if before else []
    return f"vindr: {', '.join(dict.fromkeys((*held, original)))}"


def _canonical(original: str, row: TableRow) -> str:
    try:
        return from_vindr(original)
    except UnknownNameError as error:
        raise row.error(f"{error}; correct the table") from error


def _box(table: Table, row: TableRow, view: View, scale: tuple[float, float]) -> Box:
    x1, y1, x2, y2 = (table.number(row, name) for name in _CORNERS)
    if x2 <= x1 or y2 <= y1:
        raise row.error(
            f"box [{x1:g}, {y1:g}, {x2:g}, {y2:g}]; expected x_min < x_max and y_min < y_max; correct the row"
        )
    sx, sy = scale
    width, height = view.width or float("inf"), view.height or float("inf")
    corners = x1 * sx, y1 * sy, x2 * sx, y2 * sy
    if min(corners) < -SLACK or corners[2] > width + SLACK or corners[3] > height + SLACK:
        size = f"{view.width}×{view.height}" if view.width else "any"
        raise row.error(
            f"box [{x1:g}, {y1:g}, {x2:g}, {y2:g}]; expected corners inside the image of {size} pixels; "
            "correct the row, or give the pictures that the table is about"
        )
    clipped: XYXY = (
        max(corners[0], 0.0),
        max(corners[1], 0.0),
        min(corners[2], width),
        min(corners[3], height),
    )
    return Box(xyxy=clipped)


KIND = SourceKind(
    VinDr,
    open=lambda ref: VinDr(ref.path, boxes=ref.choice("boxes", ("original", "file")), images=ref.images),
    summary="VinDr-CXR: boxes and labels, every radiologist an author",
    splits=SPLITS,
    params=("images", "boxes", "limit"),
    split_folders=True,
    signs=("annotations/annotations_train.csv", "vinbigdata-train.csv", "annotations_train.csv"),
)
